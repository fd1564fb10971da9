-- Records, what they share, and which of them may be one.

-- One row per lead, contact or company, also of those that do not stand for themselves now.
create table {schema}.record (
  tenant_id   uuid     not null,
  record_id   uuid     not null,
  -- 'lead', 'contact' or 'company'.
  kind        text     not null,
  -- The position of its first event.
  born        bigint   not null,
  owner       uuid,
  archived    boolean  not null,
  -- A lead that has become a contact.
  converted   boolean  not null,
  -- The record that it was merged into: whoever knew it by this id finds it there.
  merged_into uuid,
  -- What is compared; personal, and gone once the person has been erased.
  known       json     not null,
  constraint record_id primary key (tenant_id, record_id)
);
create index record_merged_into on {schema}.record (tenant_id, merged_into) where merged_into is not null;

-- One row per record, apart because all who share a key are read at once: narrow rows stay in memory.
create table {schema}.compared (
  tenant_id uuid     not null,
  record_id uuid     not null,
  -- Keyed hashes, in order: records that share one are compared. None for what does not stand for itself.
  keys      bigint[] not null,
  -- What is known of it as it is compared, with what is known of those who were merged into it; so that looking for
  -- candidates folds nobody's names anew. Personal.
  profile   bytea    not null,
  constraint compared_id primary key (tenant_id, record_id)
);
-- By key. The hashes are made with the tenant's own key, so those of two tenants do not meet. Without a pending list every
-- write pays for itself and none for others.
create index compared_keys on {schema}.compared using gin (keys) with (fastupdate = off);
-- No fence: behind a row policy the index could not serve, since Postgres lets only leakproof operators pass one and those
-- of arrays are not. The keyed hashes part the tenants instead.
create policy by_keyed_hash on {schema}.compared using (true);

-- Keys that more records share than are compared for their sake, with how many.
create table {schema}.crowd (
  tenant_id uuid   not null,
  key       bigint not null,
  records   bigint not null,
  constraint crowd_key primary key (tenant_id, key)
);

-- Every pair of standing records that share a key that is no crowd's, and reach what is possible.
create table {schema}.pair (
  tenant_id     uuid not null,
  -- The smaller id first.
  a             uuid not null,
  b             uuid not null,
  -- Thousandths of a bit.
  score         int  not null,
  model_version int  not null,
  -- What makes up the score: [{field, level, rarity, adds}], after what was held before.
  addends       json not null,
  -- 'candidate', 'confirmed' or 'rejected'.
  state         text not null,
  constraint pair_id primary key (tenant_id, a, b)
);
create index pair_of_b on {schema}.pair (tenant_id, b, a);

-- What somebody said of a pair last, whether the pair is there or not.
create table {schema}.decision (
  tenant_id uuid not null,
  a         uuid not null,
  b         uuid not null,
  -- 'confirmed' or 'rejected'.
  verdict   text not null,
  -- In what they agreed then, as {field: level}; null once one of them has been erased.
  agreed    json,
  position  bigint not null,
  constraint decision_id primary key (tenant_id, a, b)
);
create index decision_of_b on {schema}.decision (tenant_id, b, a);

-- Records of clusters of two and more. A cluster is called by its eldest record.
create table {schema}.cluster (
  tenant_id  uuid not null,
  record_id  uuid not null,
  cluster_id uuid not null,
  constraint cluster_record primary key (tenant_id, record_id)
);
create index cluster_members on {schema}.cluster (tenant_id, cluster_id, record_id);

-- The rule that was published last.
create table {schema}.rule (
  tenant_id uuid not null,
  version   int  not null,
  rule      json not null,
  constraint rule_tenant primary key (tenant_id)
);
