-- Each lease has a newer token than the one before. `in_doubt`: whoever held it before did not let go.
with free as (
  select held as in_doubt
    from kvali.job
   where tenant_id = $1 and job_id = $2
     and received_at is not null and finished_at is null
     and leased_until < clock_timestamp() and retry_at <= clock_timestamp()
     for update skip locked
)
update kvali.job j
   set token = token + 1, held = true, leased_until = clock_timestamp() + $3,
       started_at = coalesce(started_at, clock_timestamp())
  from free
 where j.tenant_id = $1 and j.job_id = $2
returning j.token, free.in_doubt, j.cancelled_at is not null as cancelled, j.dry_run, j.parts, j.next_part,
          j.actor, j.key_id, j.issuer, j.subject, j.request_id, j.source_address
