-- One row per deal; those on the board are open and stand for themselves.
create table {schema}.card (
  tenant_id        uuid   not null,
  deal_id          uuid   not null,
  pipeline_id      uuid   not null,
  pipeline_version int    not null,
  stage_id         uuid   not null,
  -- The visit that it stands in, and when that began; null: no business date.
  visit            int    not null,
  entered_at       timestamptz,
  entered_position bigint not null,
  owner            uuid,
  contacts         uuid[] not null,
  contact          uuid,
  company          uuid,
  -- Whose name it goes by.
  name_of          uuid   not null,
  amount           numeric,
  currency         text,
  expected_close   date,
  on_hold_until    date,
  -- The last thing that somebody did, to the deal or about it.
  last_activity_at timestamptz,
  is_closed        boolean not null,
  merged_into      uuid,
  -- Those that were merged into it, also by way of others.
  merged           uuid[] not null,
  is_on_board      boolean not null,
  constraint card_id primary key (tenant_id, deal_id)
);
create index card_on_board on {schema}.card (tenant_id, pipeline_id, stage_id, deal_id) where is_on_board;

create table {schema}.task (
  tenant_id uuid   not null,
  task_id   uuid   not null,
  deals     uuid[] not null,
  is_open   boolean not null,
  -- `{"day": …}` or `{"at": …}`, and the instant after which it is overdue.
  due       json   not null,
  due_at    timestamptz not null,
  constraint task_id primary key (tenant_id, task_id)
);

-- The open tasks of each deal, the next one first.
create table {schema}.open_task (
  tenant_id uuid   not null,
  deal_id   uuid   not null,
  due_at    timestamptz not null,
  task_id   uuid   not null,
  constraint open_task_id primary key (tenant_id, deal_id, due_at, task_id)
);

-- The deals that a conversation is about.
create table {schema}.thread (
  tenant_id       uuid   not null,
  conversation_id uuid   not null,
  deals           uuid[] not null,
  constraint thread_id primary key (tenant_id, conversation_id)
);

-- Names of users, contacts, companies and deals; null once nobody can read them any more.
create table {schema}.called (
  tenant_id uuid not null,
  id        uuid not null,
  is_user   boolean not null,
  name      text,
  constraint called_id primary key (tenant_id, id)
);
create index called_user on {schema}.called (tenant_id) where is_user;

-- The present configuration of each pipeline: stages as [{id, name, class}] in order.
create table {schema}.pipeline (
  tenant_id   uuid not null,
  pipeline_id uuid not null,
  version     int  not null,
  name        text not null,
  stages      json not null,
  retired     uuid[] not null,
  constraint pipeline_id primary key (tenant_id, pipeline_id)
);
