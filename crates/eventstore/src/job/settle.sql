-- The verdicts of a part, the counts and the end of its texts: all of it, and only by whoever holds the job.
with held as (
  update kvali.job
     set next_part = next_part + 1, accepted = accepted + $6, already_so = already_so + $7, refused = refused + $8,
         malformed = malformed + $9, leased_until = clock_timestamp() + $5, turn_at = clock_timestamp(), failures = 0
   where tenant_id = $1 and job_id = $2 and token = $3 and next_part = $4 and finished_at is null
  returning parts, next_part, dry_run, cancelled_at is not null as cancelled
), gone as (
  -- A dry run that is taken over begins anew, so its parts are kept to the end.
  delete from kvali.job_part p
   using held
   where p.tenant_id = $1 and p.job_id = $2 and p.part = $4 and not held.dry_run
), told as (
  insert into kvali.job_row
    (tenant_id, job_id, number, line, verdict, status, command, command_id, stream_id, first_position, event_count, problem)
  select $1, $2, r.*
    from held
   cross join unnest($10::int[], $11::int[], $12::text[], $13::smallint[], $14::text[], $15::uuid[], $16::uuid[],
                     $17::bigint[], $18::int[], $19::text[]) r
)
select next_part < parts as more, cancelled from held
