-- One row per event and record that it is told of: the record whose stream it is in, and those that this is linked to.
create table {schema}.entry (
  tenant_id   uuid   not null,
  told_of     uuid   not null,
  position    bigint not null,
  -- Null: no business date.
  occurred_at timestamptz,
  kind        text   not null,
  stream_id   uuid   not null,
  actor       uuid   not null,
  event_type  text   not null,
  constraint entry_id primary key (tenant_id, told_of, position)
);

-- Whom else is told of what happens in a stream: the deal and contact of a task, the contacts of a deal.
create table {schema}.link (
  tenant_id uuid   not null,
  stream_id uuid   not null,
  told      uuid[] not null,
  constraint link_id primary key (tenant_id, stream_id)
);

-- Customers, and into whom each was merged.
create table {schema}.customer (
  tenant_id   uuid not null,
  customer_id uuid not null,
  kind        text not null,
  merged_into uuid,
  constraint customer_id primary key (tenant_id, customer_id)
);
create index customer_merged on {schema}.customer (tenant_id, merged_into) where merged_into is not null;
