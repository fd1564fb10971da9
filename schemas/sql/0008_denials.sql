-- What somebody asked for without the right to it.

create table kvali.denial (
  tenant_id      uuid        not null,
  denial_id      uuid        not null,
  recorded_at    timestamptz not null default clock_timestamp(),
  actor          uuid        not null,
  permission     text        not null,
  -- The command's word, or what was to be read.
  what           text        not null,
  credential     text        not null,
  request_id     text        not null,
  source_address text,
  constraint denial_id primary key (tenant_id, denial_id)
);

create trigger denial_append_only before update or delete on kvali.denial
  for each row execute function kvali.refuse_change();
create trigger denial_no_truncate before truncate on kvali.denial
  for each statement execute function kvali.refuse_change();

grant select, insert on kvali.denial to kvali_app;
