-- Keys of personal data. A subject's key is wrapped by the tenant's, which is wrapped by the master key.

create table kvali.tenant_key (
  tenant_id uuid  not null constraint tenant_key_tenant primary key,
  wrapped   bytea not null
);

create table kvali.subject_key (
  tenant_id  uuid        not null,
  subject_id uuid        not null,
  -- Null once the subject has been erased.
  wrapped    bytea,
  created_at timestamptz not null default clock_timestamp(),
  erased_at  timestamptz,
  constraint subject_key_subject primary key (tenant_id, subject_id),
  constraint subject_key_erased check ((wrapped is null) = (erased_at is not null))
);

-- A key may be destroyed, and nothing else may happen to it.
create function kvali.keep_key() returns trigger language plpgsql as $$
begin
  if new.wrapped is not null then
    raise exception 'a subject''s key is written once and may only be destroyed'
      using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$;

create trigger subject_key_kept before update on kvali.subject_key
  for each row execute function kvali.keep_key();
