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
  -- 'repeat', 'recycle' or 'revived': why it was opened, if it comes of another deal.
  origin          text,
  comes_of        uuid,
  expected_close  date,
  -- In per cent, where the stage's own is overridden.
  probability     int,
  category        text,
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

-- What a stage counts as in a forecast, by what was set last.
create table {schema}.stage_forecast (
  tenant_id   uuid not null,
  pipeline_id uuid not null,
  stage_id    uuid not null,
  probability int  not null,
  category    text not null,
  constraint stage_forecast_id primary key (tenant_id, pipeline_id, stage_id)
);

-- Names of teams, sources and loss reasons, and the keys of the deals' custom fields.
create table {schema}.name (
  tenant_id uuid not null,
  id        uuid not null,
  -- 'team', 'source', 'loss_reason' or 'field'.
  kind      text not null,
  name      text not null,
  constraint name_id primary key (tenant_id, id)
);

create table {schema}.member (
  tenant_id       uuid   not null,
  user_id         uuid   not null,
  team_id         uuid   not null,
  joined_position bigint not null,
  constraint member_id primary key (tenant_id, user_id, team_id)
);

-- Leads that came from a known source.
create table {schema}.lead (
  tenant_id uuid not null,
  lead_id   uuid not null,
  source_id uuid not null,
  constraint lead_id primary key (tenant_id, lead_id)
);

-- The lead that a deal came of.
create table {schema}.converted (
  tenant_id uuid not null,
  deal_id   uuid not null,
  lead_id   uuid not null,
  constraint converted_deal primary key (tenant_id, deal_id)
);

create table {schema}.line (
  tenant_id  uuid not null,
  deal_id    uuid not null,
  line       int  not null,
  product_id uuid not null,
  constraint line_id primary key (tenant_id, deal_id, line)
);

-- Custom fields of deals that hold something.
create table {schema}.deal_field (
  tenant_id uuid not null,
  deal_id   uuid not null,
  field_id  uuid not null,
  -- Null: sealed.
  value     text,
  constraint deal_field_id primary key (tenant_id, deal_id, field_id)
);

-- Every version of every named funnel.
create table {schema}.funnel (
  tenant_id  uuid    not null,
  funnel_id  uuid    not null,
  version    int     not null,
  name       text    not null,
  -- As `funnel.defined` writes it.
  definition json    not null,
  -- All versions of a funnel at once.
  retired    boolean not null,
  constraint funnel_version primary key (tenant_id, funnel_id, version)
);

-- What the newest definition of each funnel in force counts, per owner.
create table {schema}.funnel_count (
  tenant_id uuid     not null,
  funnel_id uuid     not null,
  -- All zeros: nobody.
  owner     uuid     not null,
  version   int      not null,
  -- Cases, open cases, and for each step: count, visits, re-entered, lost, open, moved back, left; times from the step before:
  -- how many, their sum in whole seconds, and in the microseconds beyond each.
  counts    bigint[] not null,
  constraint funnel_count_owner primary key (tenant_id, funnel_id, owner)
);

-- Names of owners; null once the person has been erased.
create table {schema}.owner (
  tenant_id uuid not null,
  user_id   uuid not null,
  name      text,
  constraint owner_id primary key (tenant_id, user_id)
);
