-- What analysts see of it. Columns are only ever added at the end and keep their types: others rest on these views.

create or replace view kvali_sql.records with (security_invoker = true) as
select r.record_id, r.entity, r.owner as owner_id, r.is_archived, r.is_erased, r.merged_into,
       r.counted is not null as counts, r.counted as filled_fields
  from {schema}.record r;
comment on view kvali_sql.records is 'Companies, contacts, leads and deals, one row each, without their texts. Join users by owner_id for the owner''s name.';
comment on column kvali_sql.records.record_id is 'The company, contact, lead or deal.';
comment on column kvali_sql.records.entity is 'company, contact, lead or deal.';
comment on column kvali_sql.records.owner_id is 'Whose it is now; null: nobody''s.';
comment on column kvali_sql.records.is_archived is 'Whether it was put away.';
comment on column kvali_sql.records.is_erased is 'Whether its person was erased.';
comment on column kvali_sql.records.merged_into is 'The record that it was merged into; null: it stands for itself.';
comment on column kvali_sql.records.counts is 'Whether completeness counts it: it stands for itself and is in use.';
comment on column kvali_sql.records.filled_fields is 'Which fields it fills, for records that count: names of built-in ones, field:ID of custom ones. What is in them is not told.';

create or replace view kvali_sql.custom_fields with (security_invoker = true) as
select f.field_id, f.entity, f.label, f.is_retired
  from {schema}.field f;
comment on view kvali_sql.custom_fields is 'Fields that were defined for records.';
comment on column kvali_sql.custom_fields.field_id is 'The field.';
comment on column kvali_sql.custom_fields.entity is 'Of which records: company, contact, lead or deal.';
comment on column kvali_sql.custom_fields.label is 'What it is called.';
comment on column kvali_sql.custom_fields.is_retired is 'Whether it is out of use.';

create or replace view kvali_sql.field_completeness with (security_invoker = true) as
select a.entity, nullif(a.owner, '00000000-0000-0000-0000-000000000000') as owner_id,
       f.field_id, coalesce(f.label, t.field) as field, a.count as records, t.count as filled,
       t.count::numeric / nullif(a.count, 0) as share
  from {schema}.tally a
  join {schema}.tally t on t.tenant_id = a.tenant_id and t.entity = a.entity and t.owner = a.owner and t.field <> ''
  left join {schema}.field f on f.tenant_id = t.tenant_id and 'field:' || f.field_id = t.field
 where a.field = '';
comment on view kvali_sql.field_completeness is 'How many records of each owner fill which field. A field that none of them fills has no row. Join users by owner_id for the owner''s name.';
comment on column kvali_sql.field_completeness.entity is 'company, contact, lead or deal.';
comment on column kvali_sql.field_completeness.owner_id is 'Whose records; null: nobody''s.';
comment on column kvali_sql.field_completeness.field_id is 'Of a custom field.';
comment on column kvali_sql.field_completeness.field is 'The built-in field, or the label of a custom one.';
comment on column kvali_sql.field_completeness.records is 'Records of that owner that stand for themselves, in use.';
comment on column kvali_sql.field_completeness.filled is 'Of them, those that fill the field.';
comment on column kvali_sql.field_completeness.share is 'filled / records, from 0 to 1.';
