-- Streams that were behind and whose events up to that one are settled: they owe the next one, or nothing any more.
with settled as (
  select b.stream_id, n.position, n.version
    from unnest($3::uuid[], $4::bigint[]) d (stream, through)
   cross join lateral (
     select b.stream_id, b.version
       from kvali.subscription_stream b
      where b.tenant_id = $1 and b.subscription = $2 and b.stream_id = d.stream and b.position <= d.through
      limit 1) b
    left join lateral (
     select e.position, e.version
       from kvali.event e
      where e.tenant_id = $1 and e.stream_id = d.stream and e.version > b.version
        and e.position > d.through and e.position <= $5
        and ($6::text[] is null or e.event_type = any ($6) or split_part(e.event_type, '.', 1) || '.*' = any ($6))
      order by e.version
      limit 1) n on true),
gone as (
  delete from kvali.subscription_stream b
   using settled
   where b.tenant_id = $1 and b.subscription = $2 and b.stream_id = settled.stream_id and settled.position is null)
update kvali.subscription_stream b
   set position = settled.position, version = settled.version, tries = 0, retry_at = '-infinity', failure = null
  from settled
 where b.tenant_id = $1 and b.subscription = $2 and b.stream_id = settled.stream_id and settled.position is not null
