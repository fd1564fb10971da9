select s.tenant_id, s.name, s.types, s.created_at, d.checkpoint, coalesce(l.head, 0) as head,
       coalesce(i.events, 0) as in_hand, b.behind, b.parked,
       coalesce(greatest(0, extract(epoch from clock_timestamp() - first_missing.recorded_at)), 0)::float8 as lag_seconds
  from kvali.subscription s
  left join kvali.ledger l on l.tenant_id = s.tenant_id
 cross join lateral (
   select min(i.positions[1]) as first, sum(cardinality(i.positions))::bigint as events
     from kvali.subscription_lease i
    where i.tenant_id = s.tenant_id and i.subscription = s.name) i
 cross join lateral (
   select min(b.position) filter (where b.parked_at is null) as first,
          count(*) filter (where b.parked_at is null) as behind, count(*) filter (where b.parked_at is not null) as parked
     from kvali.subscription_stream b
    where b.tenant_id = s.tenant_id and b.subscription = s.name) b
 cross join lateral (select least(s.cursor, i.first - 1, b.first - 1) as checkpoint) d
  left join lateral (
   select e.recorded_at
     from kvali.event e
    where e.tenant_id = s.tenant_id and e.position = d.checkpoint + 1) first_missing on true
 where s.tenant_id = $1 and ($2::text is null or s.name = $2)
 order by s.name
