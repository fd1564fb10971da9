-- Analysts query by SQL: database roles that read the views of one schema, each bound to its tenant.

-- Roles belong to the server; these rows say whose tenant's rows each sees in this database.
create table kvali.analyst (
  tenant_id  uuid        not null,
  role_name  name        not null,
  -- Who or what it is for.
  label      text        not null,
  granted_at timestamptz not null default clock_timestamp(),
  -- From then on it sees nothing.
  revoked_at timestamptz,
  constraint analyst_role primary key (tenant_id, role_name)
);

alter table kvali.analyst enable row level security;
alter table kvali.analyst force row level security;
-- For the service's roles alone: an analyst's tenant follows from this table.
create policy tenant on kvali.analyst to kvali_owner, kvali_app, kvali_projector
  using (tenant_id = (select kvali.tenant()));
create policy own on kvali.analyst for select to kvali_analyst using (role_name = current_user);

grant select on kvali.analyst to kvali_app;
grant select (tenant_id, role_name, revoked_at) on kvali.analyst to kvali_analyst;

create function kvali.tenant_of_analyst() returns uuid language sql stable parallel safe
begin atomic
  select a.tenant_id from kvali.analyst a where a.role_name = current_user and a.revoked_at is null;
end;

-- An analyst acts for the tenant that it was granted, whatever it sets. The look-up stands in a function of its own, so that
-- this one is still folded into the statements of the service, which never call the other.
create or replace function kvali.tenant() returns uuid language sql stable parallel safe
return case
  when pg_has_role('kvali_analyst', 'usage') then kvali.tenant_of_analyst()
  else nullif(current_setting('kvali.tenant', true), '')::uuid
end;

create schema kvali_sql;
comment on schema kvali_sql is 'What analysts may ask: views of one tenant''s log and read models, without personal texts of customers.';
grant usage on schema kvali_sql to kvali_analyst;
-- Views of read models are made by whoever makes these, in the transaction that lets a generation answer.
grant usage, create on schema kvali_sql to kvali_projector;
-- The generation and the words of the views that stand on it, as the one who made them says.
alter table kvali.projection_live add column views text;

-- Lets analysts read the views that stand on tables of `p_schema`, and of these tables the columns that the views name: with
-- `security_invoker` a view asks its reader for both. The schema itself stays shut, so nothing in it can be named.
create procedure kvali.open_to_analysts(p_schema text) language plpgsql as $$
declare
  v record;
begin
  for v in
    select r.ev_class::regclass as view, t.oid::regclass as beneath,
           string_agg(distinct quote_ident(a.attname), ', ') as columns
      from pg_depend d
      join pg_rewrite r on r.oid = d.objid and d.classid = 'pg_rewrite'::regclass
      join pg_class w on w.oid = r.ev_class and w.relnamespace = 'kvali_sql'::regnamespace
      join pg_class t on t.oid = d.refobjid and d.refclassid = 'pg_class'::regclass
       and t.relnamespace = p_schema::regnamespace
      join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
     group by 1, 2
     order by 1, 2
  loop
    execute format('grant select on %s to kvali_analyst', v.view);
    execute format('grant select (%s) on %s to kvali_analyst', v.columns, v.beneath);
  end loop;
end $$;

create view kvali_sql.events with (security_invoker = true) as
select e.position, e.occurred_at, e.precision as occurred_precision, e.zone as occurred_zone, e.recorded_at,
       split_part(e.event_type, '.', 1) as aggregate, e.event_type, e.schema_version, e.stream_id, e.version, e.event_id,
       e.actor as actor_id, e.on_behalf_of as on_behalf_of_id, e.channel, e.reason_code,
       e.command_id, e.correlation_id, e.causation_id,
       -- The digest of a key's secret is nobody's business.
       case e.event_type when 'access.api_key_issued' then (e.data::jsonb - 'digest')::json else e.data end as data
  from kvali.event e;
comment on view kvali_sql.events is 'The log: everything that ever happened, one row per event. Sealed texts are not in it.';
comment on column kvali_sql.events.position is 'Place in the tenant''s log: 1, 2, 3, … without gaps, in the order of commits.';
comment on column kvali_sql.events.occurred_at is 'When it happened in the business; null: at no known time.';
comment on column kvali_sql.events.occurred_precision is 'How exactly that is known: instant, day or unknown.';
comment on column kvali_sql.events.occurred_zone is 'Of a day: the IANA zone whose day it is.';
comment on column kvali_sql.events.recorded_at is 'When it was recorded; never goes back along the positions.';
comment on column kvali_sql.events.aggregate is 'What kind of record it happened to: deal, contact, task, …';
comment on column kvali_sql.events.event_type is 'The kind of event, such as deal.stage_changed; schemas/events describes each.';
comment on column kvali_sql.events.schema_version is 'The released shape that data was written in.';
comment on column kvali_sql.events.stream_id is 'The record that it happened to: deal_id, contact_id, …';
comment on column kvali_sql.events.version is 'Place in the record''s own history: 1, 2, 3, …';
comment on column kvali_sql.events.event_id is 'Its own id.';
comment on column kvali_sql.events.actor_id is 'Who did it: a user, a key, or a part of the program.';
comment on column kvali_sql.events.on_behalf_of_id is 'The user for whom it was done, if that was somebody else.';
comment on column kvali_sql.events.channel is 'By which path: ui, api, cli, import, timer, automation:RULE@VERSION.';
comment on column kvali_sql.events.reason_code is 'Why, as a code, if one was given.';
comment on column kvali_sql.events.command_id is 'The command that it came of.';
comment on column kvali_sql.events.correlation_id is 'What belongs to one case has one correlation id.';
comment on column kvali_sql.events.causation_id is 'The event that led to it.';
comment on column kvali_sql.events.data is 'What happened, as JSON; ids and facts, no personal texts.';

create view kvali_sql.field_changes with (security_invoker = true) as
select e.position, e.occurred_at, e.recorded_at, split_part(e.event_type, '.', 1) as entity, e.stream_id as record_id,
       (c.change ->> 'field')::uuid as field_id, c.change -> 'from' as value_before, c.change -> 'to' as value_after,
       e.actor as actor_id
  from kvali.event e
 cross join lateral json_array_elements(e.data -> 'changes') c (change)
 where e.event_type in ('company.fields_changed', 'contact.fields_changed', 'deal.fields_changed', 'lead.fields_changed');
comment on view kvali_sql.field_changes is 'What was set in custom fields that are neither personal nor sensitive, one row per change. Merging records moves values too: see the events contact.merged, company.merged, lead.merged, deal.merged.';
comment on column kvali_sql.field_changes.position is 'Place of the event in the log.';
comment on column kvali_sql.field_changes.occurred_at is 'When it happened in the business; null: at no known time.';
comment on column kvali_sql.field_changes.recorded_at is 'When it was recorded.';
comment on column kvali_sql.field_changes.entity is 'company, contact, deal or lead.';
comment on column kvali_sql.field_changes.record_id is 'The record whose field it is.';
comment on column kvali_sql.field_changes.field_id is 'The field; custom_fields has its label.';
comment on column kvali_sql.field_changes.value_before is 'What it held before, as {kind: value}; null: nothing.';
comment on column kvali_sql.field_changes.value_after is 'What it holds since, as {kind: value}; null: nothing.';
comment on column kvali_sql.field_changes.actor_id is 'Who did it.';

create view kvali_sql.lifecycle_changes with (security_invoker = true) as
select e.position, e.occurred_at, e.recorded_at, e.stream_id as contact_id,
       e.data ->> 'from' as stage_before, e.data ->> 'to' as stage_after, e.actor as actor_id
  from kvali.event e
 where e.event_type = 'contact.lifecycle_stage_changed';
comment on view kvali_sql.lifecycle_changes is 'How contacts went through their lifecycle, one row per change.';
comment on column kvali_sql.lifecycle_changes.position is 'Place of the event in the log.';
comment on column kvali_sql.lifecycle_changes.occurred_at is 'When it happened in the business; null: at no known time.';
comment on column kvali_sql.lifecycle_changes.recorded_at is 'When it was recorded.';
comment on column kvali_sql.lifecycle_changes.contact_id is 'The contact.';
comment on column kvali_sql.lifecycle_changes.stage_before is 'The lifecycle stage before; null: none.';
comment on column kvali_sql.lifecycle_changes.stage_after is 'The lifecycle stage since.';
comment on column kvali_sql.lifecycle_changes.actor_id is 'Who did it.';

create view kvali_sql.read_models with (security_invoker = true) as
select l.projection as read_model, l.version, l.generation, coalesce(c.position, 0) as position, d.head,
       d.head - coalesce(c.position, 0) as lag_events, c.updated_at,
       (select count(*) from kvali.projection_parked p
         where p.tenant_id = d.tenant_id and p.projection = l.projection and p.version = l.version
           and p.generation = l.generation) as parked
  from kvali.projection_live l
 cross join kvali.ledger d
  left join kvali.projection_checkpoint c
    on c.tenant_id = d.tenant_id and c.projection = l.projection and c.version = l.version and c.generation = l.generation
 where not exists (select from kvali.projection_live n where n.projection = l.projection and n.version > l.version);
comment on view kvali_sql.read_models is 'How fresh the other views are: where each read model stands in the log. Views of the log itself are always at its head.';
comment on column kvali_sql.read_models.read_model is 'Its name; the dictionary says which views stand on it.';
comment on column kvali_sql.read_models.version is 'The version of its tables.';
comment on column kvali_sql.read_models.generation is 'Which build of it answers.';
comment on column kvali_sql.read_models.position is 'The position in the log up to which it knows.';
comment on column kvali_sql.read_models.head is 'The position of the last event of the log.';
comment on column kvali_sql.read_models.lag_events is 'How many events it lacks.';
comment on column kvali_sql.read_models.updated_at is 'When it last moved.';
comment on column kvali_sql.read_models.parked is 'Records that it does not follow any more, since an event of theirs could not be folded.';

call kvali.open_to_analysts('kvali');
