-- What became of each command. An accepted one binds its id; a refused one does not.

create table kvali.command (
  tenant_id      uuid        not null,
  command_id     uuid        not null,
  request_hash   bytea       not null,
  command_type   text        not null,
  stream_id      uuid        not null,
  -- Position of its first event; null when it was already so and nothing happened.
  first_position bigint,
  event_count    int         not null,
  actor          uuid        not null,
  credential     text,
  request_id     text,
  source_address text,
  recorded_at    timestamptz not null,
  constraint command_id primary key (tenant_id, command_id)
);

create table kvali.refusal (
  tenant_id      uuid        not null,
  refusal_id     uuid        not null,
  command_id     uuid        not null,
  command_type   text        not null,
  stream_id      uuid        not null,
  code           text        not null,
  detail         json        not null,
  actor          uuid        not null,
  credential     text,
  request_id     text,
  source_address text,
  recorded_at    timestamptz not null,
  constraint refusal_id primary key (tenant_id, refusal_id)
);

create trigger command_append_only before update or delete on kvali.command
  for each row execute function kvali.refuse_change();
create trigger refusal_append_only before update or delete on kvali.refusal
  for each row execute function kvali.refuse_change();
create trigger command_no_truncate before truncate on kvali.command
  for each statement execute function kvali.refuse_change();
create trigger refusal_no_truncate before truncate on kvali.refusal
  for each statement execute function kvali.refuse_change();

-- Keys that are unique, or must exist, across streams. Derived from events, so they may be rebuilt.
create table kvali.claim (
  tenant_id uuid not null,
  kind      text collate "C" not null,
  key       text collate "C" not null,
  holder    uuid not null,
  constraint claim_holder primary key (tenant_id, kind, key, holder)
);

-- How many streams a key counts, such as the open deals of a stage. A key that never counted any has no row.
create table kvali.tally (
  tenant_id uuid   not null,
  kind      text collate "C" not null,
  key       text collate "C" not null,
  count     bigint not null,
  constraint tally_key primary key (tenant_id, kind, key)
) with (fillfactor = 50);
