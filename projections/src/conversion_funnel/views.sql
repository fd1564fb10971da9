-- What analysts see of it. Columns are only ever added at the end and keep their types: others rest on these views.

create or replace view kvali_sql.users with (security_invoker = true) as
select o.user_id, o.name
  from {schema}.owner o;
comment on view kvali_sql.users is 'Colleagues who use the CRM.';
comment on column kvali_sql.users.user_id is 'The user; owner_id, assignee_id and mostly actor_id elsewhere.';
comment on column kvali_sql.users.name is 'The colleague''s name; null once erased.';

create or replace view kvali_sql.teams with (security_invoker = true) as
select n.id as team_id, n.name
  from {schema}.name n
 where n.kind = 'team';
comment on view kvali_sql.teams is 'Teams.';
comment on column kvali_sql.teams.team_id is 'The team.';
comment on column kvali_sql.teams.name is 'Its present name.';

create or replace view kvali_sql.team_members with (security_invoker = true) as
select m.team_id, n.name as team, m.user_id, o.name as user_name, m.joined_position
  from {schema}.member m
  left join {schema}.name n on n.tenant_id = m.tenant_id and n.id = m.team_id
  left join {schema}.owner o on o.tenant_id = m.tenant_id and o.user_id = m.user_id;
comment on view kvali_sql.team_members is 'Who is in which team now.';
comment on column kvali_sql.team_members.team_id is 'The team.';
comment on column kvali_sql.team_members.team is 'Its present name.';
comment on column kvali_sql.team_members.user_id is 'The member.';
comment on column kvali_sql.team_members.user_name is 'The colleague''s name; null once erased.';
comment on column kvali_sql.team_members.joined_position is 'The position in the log at which the member joined. Breakdowns by team count a user in the team joined first.';

create or replace view kvali_sql.loss_reasons with (security_invoker = true) as
select n.id as loss_reason_id, n.name
  from {schema}.name n
 where n.kind = 'loss_reason';
comment on view kvali_sql.loss_reasons is 'Why deals are lost: the dictionary.';
comment on column kvali_sql.loss_reasons.loss_reason_id is 'The reason.';
comment on column kvali_sql.loss_reasons.name is 'Its label.';

create or replace view kvali_sql.pipelines with (security_invoker = true) as
select distinct on (p.pipeline_id) p.pipeline_id, p.name, p.version
  from {schema}.pipeline p
 order by p.pipeline_id, p.version desc;
comment on view kvali_sql.pipelines is 'Pipelines as they are configured now.';
comment on column kvali_sql.pipelines.pipeline_id is 'The pipeline.';
comment on column kvali_sql.pipelines.name is 'Its present name.';
comment on column kvali_sql.pipelines.version is 'The newest version of its configuration.';

create or replace view kvali_sql.stages with (security_invoker = true) as
select p.pipeline_id, p.name as pipeline, p.version as pipeline_version,
       p.version = max(p.version) over (partition by p.pipeline_id) as is_newest,
       s.place::int as place, (s.stage ->> 'id')::uuid as stage_id, s.stage ->> 'name' as stage, s.stage ->> 'class' as stage_class,
       f.probability, f.category as forecast_category
  from {schema}.pipeline p
 cross join lateral json_array_elements(p.stages) with ordinality s (stage, place)
  left join {schema}.stage_forecast f
    on f.tenant_id = p.tenant_id and f.pipeline_id = p.pipeline_id and f.stage_id = (s.stage ->> 'id')::uuid;
comment on view kvali_sql.stages is 'Stages of each pipeline, in every version of its configuration: what was recorded goes by the version of its day.';
comment on column kvali_sql.stages.pipeline_id is 'The pipeline.';
comment on column kvali_sql.stages.pipeline is 'Its name in that version.';
comment on column kvali_sql.stages.pipeline_version is 'The version of its configuration.';
comment on column kvali_sql.stages.is_newest is 'Whether that is the newest version.';
comment on column kvali_sql.stages.place is '1, 2, 3, … from the first stage to the last.';
comment on column kvali_sql.stages.stage_id is 'The stage; it keeps its id when it is renamed.';
comment on column kvali_sql.stages.stage is 'Its name in that version.';
comment on column kvali_sql.stages.stage_class is 'process, success or failure.';
comment on column kvali_sql.stages.probability is 'In per cent, as set last for forecasts; null: not set.';
comment on column kvali_sql.stages.forecast_category is 'pipeline, best_case, most_likely, commit, closed or omitted, as set last; null: not set.';

create or replace view kvali_sql.deals with (security_invoker = true) as
select d.deal_id, d.external_id, d.pipeline_id, p.name as pipeline,
       v.stage_id, s.stage, s.stage_class, s.place as stage_place, v.entered_at as stage_entered_at,
       d.owner as owner_id, o.name as owner, coalesce(n.name, d.source) as source,
       d.created_at, d.outcome, d.closed_at, d.loss_reason as loss_reason_id, r.name as loss_reason,
       d.amount, d.currency, d.expected_close, d.visits,
       d.merged_into is null as counts, d.merged_into, d.origin, d.comes_of, c.lead_id, d.opened_position
  from {schema}.deal d
  left join {schema}.visit v on v.tenant_id = d.tenant_id and v.deal_id = d.deal_id and v.visit = d.visits
  left join kvali_sql.pipelines p on p.pipeline_id = d.pipeline_id
  left join kvali_sql.stages s
    on s.pipeline_id = v.pipeline_id and s.pipeline_version = v.pipeline_version and s.stage_id = v.stage_id
  left join {schema}.owner o on o.tenant_id = d.tenant_id and o.user_id = d.owner
  left join {schema}.name r on r.tenant_id = d.tenant_id and r.id = d.loss_reason
  left join {schema}.converted c on c.tenant_id = d.tenant_id and c.deal_id = d.deal_id
  left join {schema}.lead l on l.tenant_id = d.tenant_id and l.lead_id = c.lead_id
  left join {schema}.name n on n.tenant_id = d.tenant_id and n.id = l.source_id;
comment on view kvali_sql.deals is 'Deals as they stand, one row per deal, without their names.';
comment on column kvali_sql.deals.deal_id is 'The deal.';
comment on column kvali_sql.deals.external_id is 'Its id in the system that it was imported from.';
comment on column kvali_sql.deals.pipeline_id is 'The pipeline that it stands in, or was closed in.';
comment on column kvali_sql.deals.pipeline is 'The pipeline''s present name.';
comment on column kvali_sql.deals.stage_id is 'The stage that it stands in, or was closed in.';
comment on column kvali_sql.deals.stage is 'The stage''s name when the deal entered it.';
comment on column kvali_sql.deals.stage_class is 'process, success or failure.';
comment on column kvali_sql.deals.stage_place is 'The stage''s place in the pipeline when the deal entered it.';
comment on column kvali_sql.deals.stage_entered_at is 'When that entry was; null: at no known time. A correction back to the stage before is an entry of its own here, and none in stage_visits.';
comment on column kvali_sql.deals.owner_id is 'Whose it is now; null: nobody''s.';
comment on column kvali_sql.deals.owner is 'The colleague''s name; null once erased.';
comment on column kvali_sql.deals.source is 'The source of the lead that it came of; without a lead, the system that it was imported from.';
comment on column kvali_sql.deals.created_at is 'When it was opened in the business; null: at no known time.';
comment on column kvali_sql.deals.outcome is 'open, won or lost; a reopened deal is open.';
comment on column kvali_sql.deals.closed_at is 'When it was won or lost; null: open, or at no known time.';
comment on column kvali_sql.deals.loss_reason_id is 'Why it was lost.';
comment on column kvali_sql.deals.loss_reason is 'The reason''s label.';
comment on column kvali_sql.deals.amount is 'Its value in units of the currency, such as 1054.00; never add up two currencies.';
comment on column kvali_sql.deals.currency is 'Three letters (ISO 4217).';
comment on column kvali_sql.deals.expected_close is 'The day on which it is expected to be won.';
comment on column kvali_sql.deals.visits is 'The number of its last entry into a stage.';
comment on column kvali_sql.deals.counts is 'Whether measures count it: false once it was merged into another deal.';
comment on column kvali_sql.deals.merged_into is 'The deal that it was merged into.';
comment on column kvali_sql.deals.origin is 'Why it was opened, if it comes of another deal: repeat, recycle or revived.';
comment on column kvali_sql.deals.comes_of is 'That other deal.';
comment on column kvali_sql.deals.lead_id is 'The lead that it came of.';
comment on column kvali_sql.deals.opened_position is 'The position in the log at which it was opened.';

-- Rows that repeat the stage before them, as corrections leave them, are one visit: its first row says how it began, its last
-- one how it ended.
create or replace view kvali_sql.stage_visits with (security_invoker = true) as
select v.deal_id, v.visit, v.pipeline_id, s.pipeline, v.pipeline_version, v.stage_id, s.stage, s.stage_class, s.place as stage_place,
       v.entered_at, v.left_at, extract(epoch from v.left_at - v.entered_at) as seconds,
       v.left_position is null as is_last, v.next_stage as next_stage_id, v.next_pipeline as next_pipeline_id,
       v.mistaken_stage as corrected_from_id, v.actor as actor_id, v.amount, v.currency,
       d.owner as owner_id, o.name as owner, d.outcome, d.merged_into is null as counts,
       v.recorded_at, v.entered_position, v.left_position
  from (
    select r.tenant_id, r.deal_id, r.visit, r.pipeline_id, r.pipeline_version, r.stage_id, r.mistaken_stage, r.entered_at,
           r.recorded_at, r.entered_position, r.actor, r.amount, r.currency, r.begins,
           case when r.ends then r.left_at else lead(r.left_at) over of_deal end as left_at,
           case when r.ends then r.left_position else lead(r.left_position) over of_deal end as left_position,
           case when r.ends then r.next_stage else lead(r.next_stage) over of_deal end as next_stage,
           case when r.ends then r.next_pipeline else lead(r.next_pipeline) over of_deal end as next_pipeline
      from (
        select w.*, lag((w.pipeline_id, w.stage_id)) over of_deal is distinct from (w.pipeline_id, w.stage_id) as begins,
               lead((w.pipeline_id, w.stage_id)) over of_deal is distinct from (w.pipeline_id, w.stage_id) as ends
          from {schema}.visit w
        window of_deal as (partition by w.tenant_id, w.deal_id order by w.visit)) r
     where r.begins or r.ends
    window of_deal as (partition by r.tenant_id, r.deal_id order by r.visit)) v
  join {schema}.deal d on d.tenant_id = v.tenant_id and d.deal_id = v.deal_id
  left join kvali_sql.stages s
    on s.pipeline_id = v.pipeline_id and s.pipeline_version = v.pipeline_version and s.stage_id = v.stage_id
  left join {schema}.owner o on o.tenant_id = d.tenant_id and o.user_id = d.owner
 where v.begins;
comment on view kvali_sql.stage_visits is 'The facts of every funnel: one row for each time that a deal entered a stage, the last ones of won and lost deals too. Entries that repeat the stage before, as corrections leave them, are one visit.';
comment on column kvali_sql.stage_visits.deal_id is 'The deal.';
comment on column kvali_sql.stage_visits.visit is 'The number of the entry along the deal''s history. Order by this, not by the time alone.';
comment on column kvali_sql.stage_visits.pipeline_id is 'The pipeline.';
comment on column kvali_sql.stage_visits.pipeline is 'The pipeline''s name when the stage was entered.';
comment on column kvali_sql.stage_visits.pipeline_version is 'The version of the pipeline that was in force then.';
comment on column kvali_sql.stage_visits.stage_id is 'The stage; after a correction the right one.';
comment on column kvali_sql.stage_visits.stage is 'Its name then.';
comment on column kvali_sql.stage_visits.stage_class is 'process, success or failure. No time passes in the latter two.';
comment on column kvali_sql.stage_visits.stage_place is 'Its place in the pipeline then.';
comment on column kvali_sql.stage_visits.entered_at is 'When it was entered; null: at no known time.';
comment on column kvali_sql.stage_visits.left_at is 'When it was left for another stage, or another pipeline; null: not yet, or at no known time.';
comment on column kvali_sql.stage_visits.seconds is 'Time in the stage; null where either end is not known.';
comment on column kvali_sql.stage_visits.is_last is 'Whether the deal stands there.';
comment on column kvali_sql.stage_visits.next_stage_id is 'The stage that it was left for.';
comment on column kvali_sql.stage_visits.next_pipeline_id is 'The pipeline that the deal went to from here; null: it stayed in this one.';
comment on column kvali_sql.stage_visits.corrected_from_id is 'The stage as first recorded, where a correction has replaced it.';
comment on column kvali_sql.stage_visits.actor_id is 'Who moved the deal there.';
comment on column kvali_sql.stage_visits.amount is 'The deal''s value when it entered.';
comment on column kvali_sql.stage_visits.currency is 'Three letters (ISO 4217).';
comment on column kvali_sql.stage_visits.owner_id is 'Whose the deal is now.';
comment on column kvali_sql.stage_visits.owner is 'The colleague''s name; null once erased.';
comment on column kvali_sql.stage_visits.outcome is 'What became of the deal: open, won or lost.';
comment on column kvali_sql.stage_visits.counts is 'Whether measures count it: false once the deal was merged into another one.';
comment on column kvali_sql.stage_visits.recorded_at is 'When the entry was recorded.';
comment on column kvali_sql.stage_visits.entered_position is 'The position in the log at which it was entered.';
comment on column kvali_sql.stage_visits.left_position is 'The position in the log at which it was left.';

create or replace view kvali_sql.deal_products with (security_invoker = true) as
select l.deal_id, l.line, l.product_id
  from {schema}.line l;
comment on view kvali_sql.deal_products is 'Lines of deals.';
comment on column kvali_sql.deal_products.deal_id is 'The deal.';
comment on column kvali_sql.deal_products.line is 'The line''s number in the deal.';
comment on column kvali_sql.deal_products.product_id is 'The product.';

create or replace view kvali_sql.deal_fields with (security_invoker = true) as
select f.deal_id, f.field_id, n.name as field, f.value, f.value is null as is_sealed
  from {schema}.deal_field f
  left join {schema}.name n on n.tenant_id = f.tenant_id and n.id = f.field_id;
comment on view kvali_sql.deal_fields is 'Custom fields of deals that hold something, one row per deal and field.';
comment on column kvali_sql.deal_fields.deal_id is 'The deal.';
comment on column kvali_sql.deal_fields.field_id is 'The field.';
comment on column kvali_sql.deal_fields.field is 'The field''s key.';
comment on column kvali_sql.deal_fields.value is 'What it holds, as text; null: sealed, because the field is personal or sensitive.';
comment on column kvali_sql.deal_fields.is_sealed is 'Whether it holds something that is sealed.';

create or replace view kvali_sql.forecast_inputs with (security_invoker = true) as
select d.deal_id, d.pipeline_id, p.name as pipeline, v.stage_id, d.owner as owner_id, o.name as owner, d.outcome,
       d.amount, d.currency, x.category, x.probability, d.amount * x.probability / 100 as weighted_amount,
       d.expected_close, d.closed_at
  from {schema}.deal d
  join {schema}.visit v on v.tenant_id = d.tenant_id and v.deal_id = d.deal_id and v.visit = d.visits
  left join kvali_sql.pipelines p on p.pipeline_id = d.pipeline_id
  left join {schema}.stage_forecast f
    on f.tenant_id = d.tenant_id and f.pipeline_id = d.pipeline_id and f.stage_id = v.stage_id
  left join {schema}.owner o on o.tenant_id = d.tenant_id and o.user_id = d.owner
 cross join lateral (
   select case when d.outcome = 'won' then 'closed' else coalesce(d.category, f.category, 'pipeline') end as category,
          case when d.outcome = 'won' then 100 else coalesce(d.probability, f.probability) end as probability) x
 where d.merged_into is null
   and d.outcome in ('open', 'won');
comment on view kvali_sql.forecast_inputs is 'What a forecast is made of: open deals by expected_close, won ones by closed_at. Each category counts in those below it too; kvali forecast rolls them up.';
comment on column kvali_sql.forecast_inputs.deal_id is 'The deal.';
comment on column kvali_sql.forecast_inputs.pipeline_id is 'The pipeline that it stands in.';
comment on column kvali_sql.forecast_inputs.pipeline is 'The pipeline''s present name.';
comment on column kvali_sql.forecast_inputs.stage_id is 'The stage that it stands in.';
comment on column kvali_sql.forecast_inputs.owner_id is 'Whose it is now.';
comment on column kvali_sql.forecast_inputs.owner is 'The colleague''s name; null once erased.';
comment on column kvali_sql.forecast_inputs.outcome is 'open or won. Lost deals count as nothing.';
comment on column kvali_sql.forecast_inputs.amount is 'Its value in units of the currency.';
comment on column kvali_sql.forecast_inputs.currency is 'Three letters (ISO 4217).';
comment on column kvali_sql.forecast_inputs.category is 'pipeline, best_case, most_likely, commit, closed or omitted: the deal''s own, else its stage''s; won deals are closed.';
comment on column kvali_sql.forecast_inputs.probability is 'In per cent: the deal''s own, else its stage''s; null: neither says.';
comment on column kvali_sql.forecast_inputs.weighted_amount is 'amount × probability; null where either is not known.';
comment on column kvali_sql.forecast_inputs.expected_close is 'The day on which it is expected to be won.';
comment on column kvali_sql.forecast_inputs.closed_at is 'When it was won.';

create or replace view kvali_sql.funnel_counts with (security_invoker = true) as
select f.funnel_id, f.name as funnel, f.version, f.definition ->> 'rule' as rule,
       nullif(c.owner, '00000000-0000-0000-0000-000000000000') as owner_id, o.name as owner,
       c.counts[1] as cases, c.counts[2] as open_cases,
       s.step::int as step, s.definition ->> 'name' as step_name, c.counts[x.before + 1] as count,
       c.counts[x.before + 2] as visits, c.counts[x.before + 3] as reentered,
       case when x.drops then c.counts[x.before + 4] end as lost, case when x.drops then c.counts[x.before + 5] end as open,
       case when x.drops then c.counts[x.before + 6] end as moved_back, case when x.drops then c.counts[x.before + 7] end as left_pipeline,
       case when x.is_timed then c.counts[x.before + 8] end as timed,
       case when x.is_timed then c.counts[x.before + 9] + c.counts[x.before + 10] / 1000000.0 end as seconds
  from {schema}.funnel_count c
  join {schema}.funnel f
    on f.tenant_id = c.tenant_id and f.funnel_id = c.funnel_id and f.version = c.version and not f.retired
 cross join lateral json_array_elements(f.definition -> 'steps') with ordinality s (definition, step)
 cross join lateral (
   select 2 + 10 * (s.step::int - 1) as before,
          s.step < json_array_length(f.definition -> 'steps') and f.definition ->> 'rule' <> 'snapshot' as drops,
          s.step > 1 and f.definition ->> 'rule' in ('ordered', 'strict') as is_timed) x
  left join {schema}.owner o on o.tenant_id = c.tenant_id and o.user_id = c.owner;
comment on view kvali_sql.funnel_counts is 'Standing counters of named funnels over all deals: one row per funnel, owner and step. Sum over owners for the whole.';
comment on column kvali_sql.funnel_counts.funnel_id is 'The funnel.';
comment on column kvali_sql.funnel_counts.funnel is 'Its name.';
comment on column kvali_sql.funnel_counts.version is 'The version of its definition that is counted: the newest.';
comment on column kvali_sql.funnel_counts.rule is 'When a deal counts at a step: snapshot, entered, entries, any_order, ordered, strict or passed.';
comment on column kvali_sql.funnel_counts.owner_id is 'Whose deals; null: nobody''s.';
comment on column kvali_sql.funnel_counts.owner is 'The colleague''s name; null once erased.';
comment on column kvali_sql.funnel_counts.cases is 'Deals of that owner in the funnel''s pipeline; the same in the row of each step.';
comment on column kvali_sql.funnel_counts.open_cases is 'Of them, those that may yet come further.';
comment on column kvali_sql.funnel_counts.step is '1, 2, 3, …';
comment on column kvali_sql.funnel_counts.step_name is 'What the definition calls the step.';
comment on column kvali_sql.funnel_counts.count is 'Deals that count at the step; of rule entries, visits.';
comment on column kvali_sql.funnel_counts.visits is 'Visits to the step.';
comment on column kvali_sql.funnel_counts.reentered is 'Deals that entered it more than once.';
comment on column kvali_sql.funnel_counts.lost is 'Of the deals that count here and not at the next step: those that were lost. Null at the last step.';
comment on column kvali_sql.funnel_counts.open is 'Of the same: those that are open, at the step or beyond it.';
comment on column kvali_sql.funnel_counts.moved_back is 'Of the same: those that are open, before the step.';
comment on column kvali_sql.funnel_counts.left_pipeline is 'Of the same: those that went to another pipeline, or another way.';
comment on column kvali_sql.funnel_counts.timed is 'Of rules ordered and strict: how many deals have a known time from the step before.';
comment on column kvali_sql.funnel_counts.seconds is 'The sum of these times; divide by timed for the mean.';
