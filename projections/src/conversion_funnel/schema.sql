-- Facts, not percentages: every counting rule is a fold over them.

-- One row per stage visit, in the order of the deal's history. A deal may have visits in several pipelines.
create table {schema}.visit (
  tenant_id        uuid   not null,
  deal_id          uuid   not null,
  -- 1, 2, 3, … as numbered by the deal's events.
  visit            int    not null,
  pipeline_id      uuid   not null,
  pipeline_version int    not null,
  stage_id         uuid   not null,
  -- The stage as first recorded, where a correction has replaced it.
  mistaken_stage   uuid,
  entered_position bigint not null,
  -- Null: no business date.
  entered_at       timestamptz,
  recorded_at      timestamptz not null,
  left_position    bigint,
  left_at          timestamptz,
  next_stage       uuid,
  -- Where the deal was transferred from here; null: nowhere.
  next_pipeline    uuid,
  actor            uuid   not null,
  -- The deal's value when it entered.
  amount           numeric,
  currency         text,
  constraint visit_id primary key (tenant_id, deal_id, visit)
);

create table {schema}.deal (
  tenant_id       uuid   not null,
  deal_id         uuid   not null,
  -- Where it stands or was closed.
  pipeline_id     uuid   not null,
  owner           uuid,
  source          text,
  external_id     text,
  opened_position bigint not null,
  created_at      timestamptz,
  -- 'open', 'won' or 'lost'; a reopened deal is open.
  outcome         text   not null,
  closed_at       timestamptz,
  loss_reason     uuid,
  amount          numeric,
  currency        text,
  visits          int    not null,
  -- The deal that it was merged into; funnels count that one.
  merged_into     uuid,
  constraint deal_id primary key (tenant_id, deal_id)
);

-- Every version of a pipeline's configuration: stages as [{id, name, class}] in order.
create table {schema}.pipeline (
  tenant_id   uuid not null,
  pipeline_id uuid not null,
  version     int  not null,
  name        text not null,
  stages      json not null,
  constraint pipeline_version primary key (tenant_id, pipeline_id, version)
);

-- Names of owners; null once the person has been erased.
create table {schema}.owner (
  tenant_id uuid not null,
  user_id   uuid not null,
  name      text,
  constraint owner_id primary key (tenant_id, user_id)
);
