select g.projection, g.version, g.generation, l.generation is not null as live, d.tenant_id,
       coalesce(c.position, 0) as position, d.head,
       coalesce(greatest(0, extract(epoch from clock_timestamp() - case when coalesce(c.position, 0) < d.head then
         kvali.recorded_at(d.tenant_id, coalesce(c.position, 0) + 1) end)), 0)::float8 as lag_seconds,
       (select count(*)
          from kvali.projection_parked p
         where p.tenant_id = d.tenant_id and p.projection = g.projection and p.version = g.version
           and p.generation = g.generation) as parked,
       case when c.leased_until > clock_timestamp() then c.holder end as holder,
       c.failure,
       case when c.failure is not null then c.retry_at end as retry_at
  from kvali.projection_generation g
 cross join kvali.ledger d
  left join kvali.projection_live l using (projection, version, generation)
  left join kvali.projection_checkpoint c
    on c.tenant_id = d.tenant_id and c.projection = g.projection and c.version = g.version and c.generation = g.generation
 where g.until is null
 order by g.projection, g.version, g.generation, d.tenant_id
