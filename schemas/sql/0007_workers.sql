-- A read model of one tenant is a unit of work: one worker folds it at a time, and says so in the checkpoint.

alter table kvali.projection_checkpoint
  add column holder       uuid,
  -- Raised with every lease. Whoever slept past a lease has an old one, and is refused.
  add column epoch        bigint      not null default 0,
  add column leased_until timestamptz not null default '-infinity',
  -- When the passing of time alone next calls for a command; null: nothing is due.
  add column timer_at     timestamptz,
  -- After a failure: what it was, how often in a row, and when to try again.
  add column failure      text,
  add column failures     int         not null default 0,
  add column retry_at     timestamptz not null default '-infinity';

-- A generation that answers for the past: one tenant, up to a position, without what happened later. Its tables are
-- unlogged, and a table `standing` in its schema holds a row once it is complete: after a crash all of them are empty.
alter table kvali.projection_generation
  add column tenant_id uuid,
  add column until     bigint,
  add column happened  timestamptz,
  add column asked_at  timestamptz,
  add constraint projection_generation_past check ((tenant_id is null) = (until is null));
create index projection_generation_of_the_past on kvali.projection_generation
  (tenant_id, projection, version, until, happened) where until is not null;

-- Streams that a read model does not follow any more, since it could not fold one of their events.
create table kvali.projection_parked (
  tenant_id  uuid        not null,
  projection text        not null,
  version    int         not null,
  generation int         not null,
  stream_id  uuid        not null,
  -- The event that could not be folded; it and the later ones of its stream are missing in the tables.
  position   bigint      not null,
  error      text        not null,
  parked_at  timestamptz not null default clock_timestamp(),
  constraint projection_parked_stream primary key (tenant_id, projection, version, generation, stream_id)
);

grant select, insert, update, delete on kvali.projection_parked to kvali_projector;
grant select on kvali.projection_parked to kvali_app;
grant update (asked_at) on kvali.projection_generation to kvali_app;
