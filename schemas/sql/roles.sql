-- Roles belong to the server, not to a database: made once, by whoever connects first with the right to.
-- The service connects as itself and acts in one of them (SET ROLE).
do $$
declare
  name text;
  -- From Postgres 16 on, whoever makes a role is a member that may not yet act in it.
  may_act constant text := case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end;
begin
  -- Several processes may meet a new database at once.
  perform pg_advisory_xact_lock(hashtext('kvali roles'));
  foreach name in array array['kvali_owner', 'kvali_app', 'kvali_projector'] loop
    if not exists (select from pg_roles where rolname = name) then
      begin
        execute format('create role %I nologin', name);
      exception
        when duplicate_object or unique_violation then null;
      end;
    end if;
    if not pg_has_role(current_user, name, may_act) then
      execute format('grant %I to current_user', name);
    end if;
  end loop;
  -- Those who query by SQL are members of it. Nobody acts in it, the service neither.
  if not exists (select from pg_roles where rolname = 'kvali_analyst') then
    begin
      create role kvali_analyst nologin;
    exception
      when duplicate_object or unique_violation then null;
    end;
  end if;
  execute format('grant connect on database %I to kvali_analyst', current_database());
  execute format('grant create on database %I to kvali_owner', current_database());
  create schema if not exists kvali authorization kvali_owner;
  -- Read models live in schemas that the projector makes.
  execute format('grant create on database %I to kvali_projector', current_database());
end $$;
