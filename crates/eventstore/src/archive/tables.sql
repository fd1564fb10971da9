select c.relname::text as name,
       array_agg(a.attname::text order by a.attnum) as columns
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where c.relnamespace = 'kvali'::regnamespace
   and c.relkind = 'r'
   and c.relname <> $1
   -- Database roles stay with their server.
   and c.relname <> 'analyst'
   and c.relname not like 'projection\_%'
 group by c.relname
having bool_or(a.attname = 'tenant_id')
 order by c.relname <> 'ledger', c.relname
