-- Moves the cursor, holds back streams, and leases a batch; nothing, if another member was quicker.
with taken as (
  update kvali.subscription s
     set cursor = $3, token = s.token + 1
   where s.tenant_id = $1 and s.name = $2 and s.token = $4
  returning s.token),
held as (
  insert into kvali.subscription_stream (tenant_id, subscription, stream_id, position, version)
  select $1, $2, h.stream, h.position, h.version
    from taken, unnest($5::uuid[], $6::bigint[], $7::int[]) h (stream, position, version)
  on conflict do nothing),
leased as (
  insert into kvali.subscription_lease (tenant_id, subscription, token, leased_until, positions, streams)
  select $1, $2, taken.token, clock_timestamp() + $8, $9, $10
    from taken
   where cardinality($9::bigint[]) > 0
  returning leased_until)
select taken.token, leased.leased_until from taken left join leased on true
