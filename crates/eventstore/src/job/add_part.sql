with held as (
  update kvali.job
     set parts = parts + 1, rows = rows + $6, leased_until = clock_timestamp() + $7
   where tenant_id = $1 and job_id = $2 and token = $3 and received_at is null and parts = $4
  returning job_id
)
insert into kvali.job_part (tenant_id, job_id, part, sealed)
select $1, $2, $4, $5 from held
