-- One row per record, with the fields that it fills.
create table {schema}.record (
  tenant_id      uuid not null,
  record_id      uuid not null,
  entity         text not null,
  owner          uuid,
  -- What it holds per field: ids of what is listed, or an empty text for a single value. Nothing of a value itself.
  held           json not null,
  is_archived    boolean not null,
  is_erased      boolean not null,
  merged_into    uuid,
  -- Those that were merged into it, also by way of others.
  merged         uuid[] not null,
  -- What it counts for: null unless it stands for itself, in use.
  counted        text[],
  counted_owner  uuid,
  constraint record_id primary key (tenant_id, record_id)
);

-- How many records of an owner fill a field; field '' counts the records, the nil owner those of nobody.
create table {schema}.tally (
  tenant_id uuid   not null,
  entity    text   not null,
  owner     uuid   not null,
  field     text   not null,
  count     bigint not null,
  constraint tally_id primary key (tenant_id, entity, owner, field)
);

-- Fields that somebody ever filled, and when last; null: at no known time.
create table {schema}.filled (
  tenant_id uuid not null,
  entity    text not null,
  field     text not null,
  last_at   timestamptz,
  constraint filled_id primary key (tenant_id, entity, field)
);

-- Custom fields.
create table {schema}.field (
  tenant_id  uuid not null,
  field_id   uuid not null,
  entity     text not null,
  label      text not null,
  is_retired boolean not null,
  constraint field_id primary key (tenant_id, field_id)
);
