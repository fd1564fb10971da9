-- The service reads, and adds to, the log; only the procedure's rules and these grants let it.

grant usage on schema kvali to kvali_app, kvali_projector;

grant select, insert on kvali.event, kvali.command, kvali.refusal to kvali_app;
grant select, insert, update (head, last_recorded_at) on kvali.ledger to kvali_app;
grant select, insert, delete on kvali.claim to kvali_app;
grant select, insert, update (count) on kvali.tally to kvali_app;
grant select, insert on kvali.tenant_key to kvali_app;
grant select, insert, update (wrapped, erased_at) on kvali.subject_key to kvali_app;
grant execute on procedure kvali.append to kvali_app;
revoke execute on procedure kvali.append from public;

grant select on kvali.event, kvali.ledger, kvali.tenant_key, kvali.subject_key to kvali_projector;
grant select, insert, update, delete on kvali.projection_generation, kvali.projection_live,
  kvali.projection_checkpoint to kvali_projector;
grant select on kvali.projection_generation, kvali.projection_live, kvali.projection_checkpoint to kvali_app;
