-- Jobs: many commands sent at once, carried out by workers, and what became of each. They are no history: a job is
-- forgotten when its verdicts have been there to be read for long enough.

create table kvali.job (
  tenant_id      uuid        not null,
  job_id         uuid        not null,
  -- Who sent it and what proved that: a key, or a token of an identity provider.
  actor          uuid        not null,
  key_id         uuid,
  issuer         text,
  subject        text,
  request_id     text        not null,
  source_address text,
  format         text        not null,
  -- The command of every row, where that is said once for all.
  command        text,
  dry_run        boolean     not null,
  created_at     timestamptz not null default clock_timestamp(),
  -- Null while it is being sent; then the keyed hash of all that was.
  received_at    timestamptz,
  request_hash   bytea,
  parts          int         not null default 0,
  rows           int         not null default 0,
  -- How far it is.
  next_part      int         not null default 0,
  accepted       int         not null default 0,
  already_so     int         not null default 0,
  refused        int         not null default 0,
  malformed      int         not null default 0,
  started_at     timestamptz,
  cancelled_at   timestamptz,
  finished_at    timestamptz,
  ended          text,
  reason         text,
  -- Whoever receives it or works at it holds it by the newest token, until then. One that is held and whose lease has run
  -- out may have a part that was carried out and not written down.
  token          bigint      not null default (extract(epoch from clock_timestamp()) * 1000000)::bigint,
  held           boolean     not null default true,
  leased_until   timestamptz not null,
  turn_at        timestamptz not null default clock_timestamp(),
  failures       int         not null default 0,
  retry_at       timestamptz not null default '-infinity',
  constraint job_id primary key (tenant_id, job_id),
  constraint job_proof check ((key_id is null) = (issuer is not null) and (issuer is null) = (subject is null)),
  constraint job_received check ((received_at is null) = (request_hash is null)),
  constraint job_ended check ((ended is null) = (finished_at is null)),
  constraint job_ended_as check (ended in ('finished', 'cancelled', 'stopped'))
) with (fillfactor = 50);
create index job_open on kvali.job (tenant_id, job_id) where finished_at is null;
create index job_sender on kvali.job (tenant_id, actor, created_at);
create index job_newest on kvali.job (tenant_id, created_at);

-- The rows that are still to be carried out, many in one value, sealed by the tenant's key.
create table kvali.job_part (
  tenant_id uuid  not null,
  job_id    uuid  not null,
  part      int   not null,
  sealed    bytea not null,
  constraint job_part_number primary key (tenant_id, job_id, part)
);

-- What became of a row; without its texts.
create table kvali.job_row (
  tenant_id      uuid     not null,
  job_id         uuid     not null,
  number         int      not null,
  line           int      not null,
  verdict        text     not null,
  status         smallint not null,
  -- Of a row that was a command.
  command        text,
  command_id     uuid,
  stream_id      uuid,
  first_position bigint,
  event_count    int      not null,
  -- JSON, of a row that was refused or malformed.
  problem        text,
  constraint job_row_number primary key (tenant_id, job_id, number),
  constraint job_row_verdict_known check (verdict in ('accepted', 'already_so', 'refused', 'malformed')),
  constraint job_row_problem check ((problem is null) = (verdict in ('accepted', 'already_so')))
);
create index job_row_verdict on kvali.job_row (tenant_id, job_id, verdict, number);

-- As before, and it may be called again: tables that are fenced already stay as they are.
create or replace procedure kvali.fence_all(p_schema text) language plpgsql as $$
declare
  v_table regclass;
begin
  for v_table in
    select c.oid from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
     where c.relnamespace = p_schema::regnamespace and c.relkind = 'r' and a.attnotnull
       and not c.relforcerowsecurity
  loop
    execute format('alter table %s enable row level security', v_table);
    execute format('alter table %s force row level security', v_table);
    execute format('create policy tenant on %s using (tenant_id = (select kvali.tenant()))', v_table);
  end loop;
end $$;

call kvali.fence_all('kvali');

-- Workers look whose turn it is, whatever the tenant.
create policy workers on kvali.job for select to kvali_projector using (true);
grant select (tenant_id, job_id, received_at, finished_at, leased_until, turn_at, retry_at) on kvali.job to kvali_projector;

grant select, insert, delete,
  update (received_at, request_hash, parts, rows, next_part, accepted, already_so, refused, malformed, started_at,
          cancelled_at, finished_at, ended, reason, token, held, leased_until, turn_at, failures, retry_at)
  on kvali.job to kvali_app;
grant select, insert, delete on kvali.job_part, kvali.job_row to kvali_app;
