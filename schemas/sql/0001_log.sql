-- The log: one row per event, one ledger row per tenant. Every key leads with the tenant.

create table kvali.ledger (
  tenant_id        uuid        not null constraint ledger_tenant primary key,
  head             bigint      not null default 0,
  last_recorded_at timestamptz not null default '-infinity',
  epoch            int         not null default 1
);

create table kvali.event (
  tenant_id      uuid        not null,
  position       bigint      not null,
  stream_id      uuid        not null,
  version        int         not null,
  event_id       uuid        not null,
  event_type     text        not null,
  schema_version smallint    not null,
  occurred_at    timestamptz,
  precision      text        not null constraint event_precision check (precision in ('instant', 'day', 'unknown')),
  zone           text,
  recorded_at    timestamptz not null,
  actor          uuid        not null,
  on_behalf_of   uuid,
  channel        text        not null,
  reason_code    text,
  command_id     uuid        not null,
  correlation_id uuid        not null,
  causation_id   uuid,
  data           json        not null,
  personal       bytea,
  constraint event_position primary key (tenant_id, position),
  constraint event_stream_version unique (tenant_id, stream_id, version),
  constraint event_occurred check ((occurred_at is null) = (precision = 'unknown')),
  constraint event_not_post_dated check (occurred_at <= recorded_at)
);

create function kvali.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only: % is not allowed', tg_table_name, lower(tg_op)
    using errcode = 'insufficient_privilege';
end $$;

create trigger event_append_only before update or delete on kvali.event
  for each row execute function kvali.refuse_change();
create trigger event_no_truncate before truncate on kvali.event
  for each statement execute function kvali.refuse_change();
