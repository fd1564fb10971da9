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
