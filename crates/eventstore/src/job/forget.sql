-- A job that ended so long ago, or whose upload broke off.
with gone as (
  delete from kvali.job
   where tenant_id = $1 and job_id = $2
     and (finished_at < clock_timestamp() - $3 or (received_at is null and leased_until < clock_timestamp()))
  returning job_id
), parts as (
  delete from kvali.job_part p using gone where p.tenant_id = $1 and p.job_id = gone.job_id
)
delete from kvali.job_row r using gone where r.tenant_id = $1 and r.job_id = gone.job_id
