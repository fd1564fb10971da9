-- What streams that are behind may have now, stream by stream, the one that waits longest first.
select e.position, r.stream_id, r.tries
  from (select b.stream_id, b.position, b.version, b.tries
          from kvali.subscription_stream b
         where b.tenant_id = $1 and b.subscription = $2 and b.parked_at is null and b.retry_at <= clock_timestamp()
           and b.stream_id <> all ($3::uuid[])
         order by b.position
         limit $6) r
 cross join lateral (
   select e.position, e.version
     from kvali.event e
    where e.tenant_id = $1 and e.stream_id = r.stream_id and e.version >= r.version and e.position <= $4
      and ($5::text[] is null or e.event_type = any ($5) or split_part(e.event_type, '.', 1) || '.*' = any ($5))
    order by e.version
    limit $6) e
 order by r.position, e.version
 limit $6
