-- Streams are behind from that event on. `$5` counts as a try, `$6` is the pause, or null for one that grows with the tries.
insert into kvali.subscription_stream as s (tenant_id, subscription, stream_id, position, version, tries, retry_at, failure)
select $1, $2, b.stream, b.position, e.version, $5, clock_timestamp() + coalesce($6, interval '1 s') * $5, $7
  from unnest($3::uuid[], $4::bigint[]) b (stream, position)
 cross join lateral (
   select e.version from kvali.event e where e.tenant_id = $1 and e.position = b.position limit 1) e
on conflict on constraint subscription_stream_id do update
   set position = least(s.position, excluded.position),
       version = least(s.version, excluded.version),
       tries = s.tries + $5,
       retry_at = clock_timestamp()
         + coalesce($6, least(power(2, least(s.tries, 20)) * interval '1 s', interval '10 min')) * $5,
       failure = coalesce($7, s.failure),
       parked_at = case when s.tries + $5 >= $8 then clock_timestamp() end
returning s.stream_id, s.parked_at is not null as parked
