-- Webhooks: where events are sent to, by what they are signed, and what became of each attempt.

create table kvali.webhook (
  tenant_id       uuid        not null,
  endpoint_id     uuid        not null,
  url             text        not null,
  -- Sealed by the tenant's key.
  secret          bytea       not null,
  -- The one before signs too, until then.
  previous        bytea,
  previous_until  timestamptz,
  created_at      timestamptz not null default clock_timestamp(),
  disabled_at     timestamptz,
  disabled_reason text,
  constraint webhook_endpoint primary key (tenant_id, endpoint_id),
  constraint webhook_previous check ((previous is null) = (previous_until is null)),
  constraint webhook_disabled check ((disabled_at is null) = (disabled_reason is null))
);

create table kvali.webhook_delivery (
  tenant_id   uuid        not null,
  delivery_id uuid        not null,
  endpoint_id uuid        not null,
  position    bigint      not null,
  event_id    uuid        not null,
  attempt     int         not null,
  at          timestamptz not null default clock_timestamp(),
  took_ms     int         not null,
  -- Null if there was no answer; then `failure` says why.
  status      smallint,
  failure     text,
  constraint webhook_delivery_id primary key (tenant_id, delivery_id)
);
create index webhook_delivery_newest on kvali.webhook_delivery (tenant_id, endpoint_id, at);

-- Dispatchers look whom to deliver to, whatever the tenant.
create policy workers on kvali.webhook for select to kvali_projector using (true);
grant select (tenant_id, endpoint_id, disabled_at) on kvali.webhook to kvali_projector;

grant select, insert, delete, update (secret, previous, previous_until, disabled_at, disabled_reason)
  on kvali.webhook to kvali_app;
grant select, insert, delete on kvali.webhook_delivery to kvali_app;
