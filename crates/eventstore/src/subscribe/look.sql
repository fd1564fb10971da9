select s.types, s.cursor, s.token, s.epoch, coalesce(l.epoch, 1) as log_epoch,
       exists (select from kvali.subscription_stream b
                where b.tenant_id = s.tenant_id and b.subscription = s.name) as behind,
       exists (select from kvali.subscription_lease i
                where i.tenant_id = s.tenant_id and i.subscription = s.name
                  and i.leased_until <= clock_timestamp()) as expired,
       array(select x.stream
               from kvali.subscription_lease i, unnest(i.streams) x (stream)
              where i.tenant_id = s.tenant_id and i.subscription = s.name) as busy
  from kvali.subscription s
  left join kvali.ledger l on l.tenant_id = s.tenant_id
 where s.tenant_id = $1 and s.name = $2
