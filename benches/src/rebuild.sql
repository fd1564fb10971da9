-- The facts of deals that were opened and moved, in one statement.
with event as materialized (
  select stream_id as deal_id, position, occurred_at, recorded_at, actor, data
    from kvali.event
   where tenant_id = $1 and event_type in ('deal.opened', 'deal.stage_changed')
), opened as (
  select deal_id, (data ->> 'pipeline')::uuid as pipeline_id, (data ->> 'owner')::uuid as owner, position, occurred_at,
         (data #>> '{value,amount}')::numeric as amount, data #>> '{value,currency}' as currency,
         (data ->> 'expected_close')::date as expected_close
    from event
   where data ->> 'pipeline' is not null
), visit as (
  select e.deal_id, row_number() over history as visit, o.pipeline_id, (e.data ->> 'pipeline_version')::int as pipeline_version,
         coalesce(e.data ->> 'to', e.data ->> 'stage')::uuid as stage_id, e.position, e.occurred_at, e.recorded_at,
         lead(e.position) over history as left_position, lead(e.occurred_at) over history as left_at,
         lead(coalesce(e.data ->> 'to', e.data ->> 'stage')::uuid) over history as next_stage, e.actor, o.amount, o.currency
    from event e join opened o using (deal_id)
  window history as (partition by e.deal_id order by e.position)
), deals as (
  insert into raw.deal (tenant_id, deal_id, pipeline_id, owner, opened_position, created_at, outcome, amount, currency, visits,
                        expected_close)
  select $1, o.deal_id, o.pipeline_id, o.owner, o.position, o.occurred_at, 'open', o.amount, o.currency, n.visits,
         o.expected_close
    from opened o join (select deal_id, count(*) as visits from visit group by 1) n using (deal_id)
)
insert into raw.visit (tenant_id, deal_id, visit, pipeline_id, pipeline_version, stage_id, entered_position, entered_at,
                       recorded_at, left_position, left_at, next_stage, actor, amount, currency)
select $1, v.* from visit v
