-- Facts of the record. What the clock alone changes (whether a task is overdue, how old a visit is) is no column: it
-- follows from the instants kept here and the instant that is asked about.

create table {schema}.task (
  tenant_id         uuid        not null,
  task_id           uuid        not null,
  -- Null: erased.
  subject           text,
  activity_type     uuid,
  assignee          uuid        not null,
  -- The deals that it is about.
  deals             uuid[]      not null,
  -- Null: no business date.
  created_at        timestamptz,
  -- {"day": {"date", "zone"}} or {"at"}.
  due               json        not null,
  original_due      json        not null,
  deferred_until    timestamptz,
  -- The first instant at which it is overdue while open: after its due, and after its deferral.
  overdue_from      timestamptz not null,
  -- Whether `task.became_overdue` has told of the present due.
  overdue_told      boolean     not null,
  slips             int         not null,
  slip_days         int         not null,
  snoozes           int         not null,
  -- Those that wait.
  reminders         timestamptz[] not null,
  -- The next of them, while it is open.
  remind_at         timestamptz,
  -- 'open', 'done' or 'cancelled'.
  standing          text        not null,
  -- Of one that is done: when, and how late; null: undated, or in time.
  done_at           timestamptz,
  late_by_seconds   bigint,
  -- From when on it is assigned and due as it is now; ended such times are in task_past.
  since             timestamptz not null,
  past              int         not null,
  constraint task_id primary key (tenant_id, task_id)
);
create index task_open on {schema}.task (tenant_id, overdue_from) where standing = 'open';
create index task_untold on {schema}.task (tenant_id, overdue_from) where standing = 'open' and not overdue_told;
create index task_reminder on {schema}.task (tenant_id, remind_at) where remind_at is not null;
create index task_of_assignee on {schema}.task (tenant_id, assignee, overdue_from) where standing = 'open';
create index task_late on {schema}.task (tenant_id, done_at) where late_by_seconds is not null;

-- How an open task stood before it was reassigned, rescheduled, deferred or closed.
create table {schema}.task_past (
  tenant_id      uuid        not null,
  task_id        uuid        not null,
  number         int         not null,
  assignee       uuid        not null,
  due            json        not null,
  deferred_until timestamptz,
  overdue_from   timestamptz not null,
  since          timestamptz not null,
  until          timestamptz not null,
  constraint task_past_number primary key (tenant_id, task_id, number)
);
create index task_past_of_assignee on {schema}.task_past (tenant_id, assignee, overdue_from);

-- One row for each due by which a task became overdue, as the log tells.
create table {schema}.became_overdue (
  tenant_id  uuid        not null,
  task_id    uuid        not null,
  -- The due in words, which are one to one with it.
  due_key    text        not null,
  due        json        not null,
  since      timestamptz not null,
  assignee   uuid        not null,
  -- What the cause was judged from; null: not judged yet.
  facts      json,
  constraint became_overdue_due primary key (tenant_id, task_id, due_key)
);
create index became_overdue_unjudged on {schema}.became_overdue (tenant_id, since) where facts is null;

create table {schema}.deal (
  tenant_id          uuid not null,
  deal_id            uuid not null,
  pipeline_id        uuid not null,
  owner              uuid,
  external_id        text,
  -- Null: it has none, or it was erased.
  name               text,
  -- 'open', 'won' or 'lost'; a reopened deal is open.
  outcome            text not null,
  merged_into        uuid,
  stage_id           uuid not null,
  visit              int  not null,
  pipeline_version   int  not null,
  -- Null: no business date.
  entered_at         timestamptz,
  -- When something last happened to it, on its own stream or about it.
  touched_at         timestamptz,
  on_hold_until      date,
  -- The limits of the stage by the pipeline version of the visit.
  max_days           int,
  idle_days          int,
  -- 'calendar' or 'business'.
  clock              text not null,
  -- When the visit is over its limit, and when it has been idle for too long; null: never.
  limit_at           timestamptz,
  idle_at            timestamptz,
  -- When that is to be told, after a hold; null: it was told, or is not to be.
  tell_limit_at      timestamptz,
  tell_idle_at       timestamptz,
  limit_told         boolean not null,
  idle_told          timestamptz,
  -- Open tasks about it and what was merged into it; when the last of them ended, where there are none any more.
  open_tasks         int  not null,
  tasks_ended_at     timestamptz,
  tasks_ended_told   timestamptz,
  constraint deal_id primary key (tenant_id, deal_id)
);
create index deal_over_limit on {schema}.deal (tenant_id, tell_limit_at) where tell_limit_at is not null;
create index deal_idle on {schema}.deal (tenant_id, tell_idle_at) where tell_idle_at is not null;
create index deal_without_task on {schema}.deal (tenant_id, deal_id)
  where outcome = 'open' and merged_into is null and open_tasks = 0;
create index deal_tasks_ended on {schema}.deal (tenant_id, tasks_ended_at)
  where outcome = 'open' and merged_into is null and open_tasks = 0 and tasks_ended_at is not null
    and (tasks_ended_told is null or tasks_ended_told < tasks_ended_at);
create index deal_by_working_days on {schema}.deal (tenant_id, deal_id) where outcome = 'open' and clock = 'business';

-- What somebody did about a deal.
create table {schema}.activity (
  tenant_id uuid        not null,
  deal_id   uuid        not null,
  actor     uuid        not null,
  at        timestamptz not null,
  position  bigint      not null,
  constraint activity_id primary key (tenant_id, deal_id, actor, at, position)
);

-- Which deals a call or conversation is about, and who answered.
create table {schema}.talk (
  tenant_id   uuid   not null,
  talk_id     uuid   not null,
  deals       uuid[] not null,
  answered_by uuid,
  constraint talk_id primary key (tenant_id, talk_id)
);

create table {schema}.person (
  tenant_id uuid not null,
  user_id   uuid not null,
  -- Null: erased.
  name      text,
  -- That of the last due day or absence of theirs that named one.
  zone      text,
  constraint person_id primary key (tenant_id, user_id)
);

create table {schema}.absence (
  tenant_id    uuid not null,
  user_id      uuid not null,
  number       int  not null,
  kind         text not null,
  first_day    date not null,
  last_day     date not null,
  zone         text not null,
  started_at   timestamptz,
  ended_at     timestamptz,
  cancelled_at timestamptz,
  constraint absence_number primary key (tenant_id, user_id, number)
);

-- How many tasks somebody takes per day or week, from when on.
create table {schema}.capacity (
  tenant_id uuid        not null,
  user_id   uuid        not null,
  position  bigint      not null,
  period    text        not null,
  count     int         not null,
  since     timestamptz not null,
  constraint capacity_position primary key (tenant_id, user_id, position)
);

create table {schema}.team (
  tenant_id uuid not null,
  team_id   uuid not null,
  name      text not null,
  parent    uuid,
  members   uuid[] not null,
  constraint team_id primary key (tenant_id, team_id)
);

-- Every version of a pipeline: stages as [{id, name, class}], limits as [{stage, max_days, idle_days, clock}].
create table {schema}.pipeline (
  tenant_id   uuid not null,
  pipeline_id uuid not null,
  version     int  not null,
  name        text not null,
  stages      json not null,
  limits      json not null,
  constraint pipeline_version primary key (tenant_id, pipeline_id, version)
);

-- The business clock goes by the calendar that was defined first.
create table {schema}.calendar (
  tenant_id   uuid   not null,
  calendar_id uuid   not null,
  position    bigint not null,
  name        text   not null,
  zone        text   not null,
  -- [{day, start, end}] by the minutes of the local day.
  week        json   not null,
  -- Dates and their names.
  holidays    json   not null,
  constraint calendar_id primary key (tenant_id, calendar_id)
);

create table {schema}.activity_type (
  tenant_id            uuid not null,
  activity_type        uuid not null,
  label                text not null,
  minimum_lead_minutes int  not null,
  constraint activity_type_id primary key (tenant_id, activity_type)
);
