-- Whom can be found.
create table {schema}.record (
  tenant_id   uuid not null,
  record_id   uuid not null,
  entity      text not null,
  -- Whose name it goes by.
  name_of     uuid not null,
  owner       uuid,
  is_archived boolean not null,
  merged_into uuid,
  constraint record_id primary key (tenant_id, record_id)
);

-- What a record is found by. Personal: it goes with the key of its subject.
create table {schema}.value (
  tenant_id  uuid not null,
  record_id  uuid not null,
  -- 'name', 'company_name', 'party', 'mail' or 'point:' and its number.
  slot       text not null,
  kind       text not null,
  subject_id uuid not null,
  text       text not null,
  constraint value_id primary key (tenant_id, record_id, slot)
);
create index value_of_subject on {schema}.value (tenant_id, subject_id);

-- The words of each value: folded to small ASCII letters; '@' begins a whole address, '#' the digits of a number from the
-- last to the first.
create table {schema}.posting (
  tenant_id uuid not null,
  word      text collate "C" not null,
  record_id uuid not null,
  slot      text not null,
  constraint posting_id primary key (tenant_id, word, record_id, slot)
);
create index posting_of_record on {schema}.posting (tenant_id, record_id, word, slot);

-- Every word once, and how many postings it has.
create table {schema}.word (
  tenant_id uuid   not null,
  word      text collate "C" not null,
  count     bigint not null,
  constraint word_id primary key (tenant_id, word)
);

-- Words by what is near them: 'd' and the word without one letter, 's' and its consonants.
create table {schema}.near (
  tenant_id uuid not null,
  key       text collate "C" not null,
  word      text collate "C" not null,
  constraint near_id primary key (tenant_id, key, word)
);
