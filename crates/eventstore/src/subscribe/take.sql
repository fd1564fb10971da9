-- Gives a subscription to one member alone, with a new token; nothing while another's lease lasts. Whoever calls has
-- locked the subscription, so that two cannot find it free.
with freed as (
  delete from kvali.subscription_lease i
   where i.tenant_id = $1 and i.subscription = $2 and i.leased_until <= clock_timestamp()),
taken as (
  update kvali.subscription s
     set token = s.token + 1
   where s.tenant_id = $1 and s.name = $2
     and not exists (
       select from kvali.subscription_lease i
        where i.tenant_id = s.tenant_id and i.subscription = s.name and i.leased_until > clock_timestamp())
  returning s.token, s.cursor, s.epoch, s.types),
leased as (
  insert into kvali.subscription_lease (tenant_id, subscription, token, leased_until, positions, streams)
  select $1, $2, taken.token, clock_timestamp() + $3, '{}'::bigint[], '{}'::uuid[]
    from taken)
select taken.token, taken.cursor, taken.types, taken.epoch,
       coalesce((select l.epoch from kvali.ledger l where l.tenant_id = $1), 1) as log_epoch
  from taken
