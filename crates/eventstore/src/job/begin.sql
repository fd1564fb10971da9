-- A new job, or one whose upload broke off: whoever sends it again has it from now on. No row, if it is there or is being
-- sent at this moment.
with gone as (
  delete from kvali.job_part p
   using kvali.job j
   where p.tenant_id = $1 and p.job_id = $2
     and j.tenant_id = $1 and j.job_id = $2
     and j.received_at is null and j.leased_until < clock_timestamp()
)
insert into kvali.job as j
  (tenant_id, job_id, actor, key_id, issuer, subject, request_id, source_address, format, command, dry_run, leased_until)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, clock_timestamp() + $12)
on conflict (tenant_id, job_id) do update
   set token = j.token + 1, leased_until = excluded.leased_until, parts = 0, rows = 0
 where j.received_at is null and j.leased_until < clock_timestamp()
returning token
