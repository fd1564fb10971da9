-- When a key was last used, to the minute: what an operator asks before revoking one. It is no history, so it is updated.

create table kvali.key_use (
  tenant_id uuid        not null,
  key_id    uuid        not null,
  last_used timestamptz not null,
  constraint key_use_key primary key (tenant_id, key_id)
);

grant select, insert, update (last_used) on kvali.key_use to kvali_app;
-- Whoever is asked whether the server is ready looks which schema the database has.
grant select on kvali.migration to kvali_app;
