select count(*) = 4
   and bool_and(case rolname
         when 'kvali_analyst' then has_database_privilege(oid, current_database(), 'connect')
         when 'kvali_app' then may_act
         else may_act and has_database_privilege(oid, current_database(), 'create')
       end)
  from pg_roles
 cross join lateral (
   select pg_has_role(current_user, oid, case when current_setting('server_version_num')::int >= 160000
     then 'set' else 'member' end) as may_act) x
 where rolname in ('kvali_owner', 'kvali_app', 'kvali_projector', 'kvali_analyst')
