-- The second fence: whatever a statement forgets to say, it meets the rows of one tenant only, the one that its session
-- acts for (`kvali.tenant`). Forced: the tables' owner is held by it too.

create function kvali.tenant() returns uuid language sql stable parallel safe as
  $$ select nullif(current_setting('kvali.tenant', true), '')::uuid $$;

-- Fences every table of a schema that has a tenant. The condition is a sub-select so that it is evaluated once per
-- statement and not per row.
create procedure kvali.fence_all(p_schema text) language plpgsql as $$
declare
  v_table regclass;
begin
  for v_table in
    select c.oid from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
     where c.relnamespace = p_schema::regnamespace and c.relkind = 'r' and a.attnotnull
  loop
    execute format('alter table %s enable row level security', v_table);
    execute format('alter table %s force row level security', v_table);
    execute format('create policy tenant on %s using (tenant_id = (select kvali.tenant()))', v_table);
  end loop;
end $$;

call kvali.fence_all('kvali');

-- Workers look which logs have moved and whose turn it is, whatever the tenant.
create policy workers on kvali.ledger for select to kvali_projector using (true);
create policy workers on kvali.projection_checkpoint to kvali_projector using (true);
create policy workers on kvali.projection_parked to kvali_projector using (true);

-- When an event was recorded, for whoever measures how far every tenant's read models are behind.
create function kvali.recorded_at(p_tenant uuid, p_position bigint) returns timestamptz language plpgsql as $$
declare
  v_before text := coalesce(current_setting('kvali.tenant', true), '');
  v_at     timestamptz;
begin
  perform set_config('kvali.tenant', p_tenant::text, true);
  select e.recorded_at into v_at from kvali.event e where e.tenant_id = p_tenant and e.position = p_position;
  perform set_config('kvali.tenant', v_before, true);
  return v_at;
end $$;
