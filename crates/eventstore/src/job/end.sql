with ended as (
  update kvali.job
     set ended = $4, reason = $5, finished_at = clock_timestamp(), held = false, leased_until = '-infinity'
   where tenant_id = $1 and job_id = $2 and token = $3 and finished_at is null
  returning job_id
)
delete from kvali.job_part p using ended where p.tenant_id = $1 and p.job_id = ended.job_id
