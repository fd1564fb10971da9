-- What nobody works at ends at once; otherwise whoever works at it ends it, after the part that is under way.
with cancelled as (
  update kvali.job
     set cancelled_at = coalesce(cancelled_at, clock_timestamp()),
         ended = case when not held then 'cancelled' end,
         finished_at = case when not held then clock_timestamp() end
   where tenant_id = $1 and job_id = $2 and received_at is not null and finished_at is null
  returning job_id, ended
)
delete from kvali.job_part p
 using cancelled
 where p.tenant_id = $1 and p.job_id = cancelled.job_id and cancelled.ended is not null
