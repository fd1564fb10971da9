-- Durable subscriptions: how far a group of readers has come, what its members have in hand, and which streams are behind.

create table kvali.subscription (
  tenant_id  uuid        not null,
  name       text        collate "C" not null,
  -- Event types, or `deal.*` for all of an aggregate's; null: every type.
  types      text[],
  -- The log that the positions are of.
  epoch      int         not null,
  -- Every event up to here was looked at: it was given out, or is held back in its stream, or has no wanted type.
  cursor     bigint      not null,
  -- The newest fencing token. It begins with the clock, so one of an earlier subscription of that name is always old.
  token      bigint      not null default (extract(epoch from clock_timestamp()) * 1000000)::bigint,
  created_at timestamptz not null default clock_timestamp(),
  constraint subscription_name primary key (tenant_id, name)
) with (fillfactor = 50);

-- What one member has in hand until then: the events that it has not settled, in order, and their streams.
create table kvali.subscription_lease (
  tenant_id    uuid        not null,
  subscription text        collate "C" not null,
  token        bigint      not null,
  leased_until timestamptz not null,
  positions    bigint[]    not null,
  streams      uuid[]      not null,
  constraint subscription_lease_token primary key (tenant_id, subscription, token),
  constraint subscription_lease_parallel check (cardinality(positions) = cardinality(streams))
);

-- A stream that is behind: of the events up to the cursor, those from `position` on are still owed, unless they are in hand.
create table kvali.subscription_stream (
  tenant_id    uuid        not null,
  subscription text        collate "C" not null,
  stream_id    uuid        not null,
  position     bigint      not null,
  version      int         not null,
  -- How often its first event was given back, and when it is given out again.
  tries        int         not null default 0,
  retry_at     timestamptz not null default '-infinity',
  failure      text,
  -- Not given out any more, until it is replayed.
  parked_at    timestamptz,
  constraint subscription_stream_id primary key (tenant_id, subscription, stream_id)
);
create index subscription_stream_owed on kvali.subscription_stream (tenant_id, subscription, position);

grant select, insert, delete, update (epoch, cursor, token) on kvali.subscription to kvali_app;
grant select, insert, delete, update (leased_until, positions, streams) on kvali.subscription_lease to kvali_app;
grant select, insert, delete, update (position, version, tries, retry_at, failure, parked_at)
  on kvali.subscription_stream to kvali_app;
