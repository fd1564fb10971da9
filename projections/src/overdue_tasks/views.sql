-- What analysts see of it. Columns are only ever added at the end and keep their types: others rest on these views.

create or replace view kvali_sql.tasks with (security_invoker = true) as
select t.task_id, t.activity_type as activity_type_id, y.label as activity_type,
       t.assignee as assignee_id, p.name as assignee, t.deals as deal_ids, t.created_at, t.standing,
       (t.due -> 'day' ->> 'date')::date as due_on, t.due -> 'day' ->> 'zone' as due_zone, (t.due ->> 'at')::timestamptz as due_at,
       (t.original_due -> 'day' ->> 'date')::date as original_due_on, (t.original_due ->> 'at')::timestamptz as original_due_at,
       t.deferred_until, t.overdue_from, t.standing = 'open' and t.overdue_from <= now() as is_overdue,
       t.slips, t.slip_days, t.snoozes, t.done_at, t.late_by_seconds
  from {schema}.task t
  left join {schema}.person p on p.tenant_id = t.tenant_id and p.user_id = t.assignee
  left join {schema}.activity_type y on y.tenant_id = t.tenant_id and y.activity_type = t.activity_type;
comment on view kvali_sql.tasks is 'Tasks as they stand, one row per task, without their words.';
comment on column kvali_sql.tasks.task_id is 'The task.';
comment on column kvali_sql.tasks.activity_type_id is 'Of which type it is.';
comment on column kvali_sql.tasks.activity_type is 'The type''s label.';
comment on column kvali_sql.tasks.assignee_id is 'Whose it is now.';
comment on column kvali_sql.tasks.assignee is 'The colleague''s name; null once erased.';
comment on column kvali_sql.tasks.deal_ids is 'The deals that it is about.';
comment on column kvali_sql.tasks.created_at is 'When it was made; null: at no known time.';
comment on column kvali_sql.tasks.standing is 'open, done or cancelled.';
comment on column kvali_sql.tasks.due_on is 'The local day on which it is due; null: it is due at an instant.';
comment on column kvali_sql.tasks.due_zone is 'The IANA zone of that day.';
comment on column kvali_sql.tasks.due_at is 'The instant at which it is due; null: it is due on a day.';
comment on column kvali_sql.tasks.original_due_on is 'The day on which it was due at first.';
comment on column kvali_sql.tasks.original_due_at is 'The instant at which it was due at first.';
comment on column kvali_sql.tasks.deferred_until is 'Until when it is put off.';
comment on column kvali_sql.tasks.overdue_from is 'From then on it is overdue, if it is still open.';
comment on column kvali_sql.tasks.is_overdue is 'Whether it is overdue now.';
comment on column kvali_sql.tasks.slips is 'How often its due was moved to later.';
comment on column kvali_sql.tasks.slip_days is 'By how many days in all.';
comment on column kvali_sql.tasks.snoozes is 'How often it was put off.';
comment on column kvali_sql.tasks.done_at is 'When it was done; null: not done, or at no known time.';
comment on column kvali_sql.tasks.late_by_seconds is 'How late it was done; null: in time, not done, or at no known time.';

create or replace view kvali_sql.overdue_tasks with (security_invoker = true) as
select t.task_id, y.label as activity_type, t.assignee as assignee_id, p.name as assignee, t.deals as deal_ids,
       t.overdue_from as overdue_since, extract(epoch from now() - t.overdue_from) as overdue_by_seconds,
       t.slips, t.slip_days
  from {schema}.task t
  left join {schema}.person p on p.tenant_id = t.tenant_id and p.user_id = t.assignee
  left join {schema}.activity_type y on y.tenant_id = t.tenant_id and y.activity_type = t.activity_type
 where t.standing = 'open'
   and t.overdue_from <= now();
comment on view kvali_sql.overdue_tasks is 'Tasks that are overdue now. kvali overdue tells the cause of each; of those told by the clock it is in the events task.overdue_cause_determined.';
comment on column kvali_sql.overdue_tasks.task_id is 'The task.';
comment on column kvali_sql.overdue_tasks.activity_type is 'The label of its type.';
comment on column kvali_sql.overdue_tasks.assignee_id is 'Whose it is now.';
comment on column kvali_sql.overdue_tasks.assignee is 'The colleague''s name; null once erased.';
comment on column kvali_sql.overdue_tasks.deal_ids is 'The deals that it is about.';
comment on column kvali_sql.overdue_tasks.overdue_since is 'Since when it is overdue: the end of its due, or of a deferral.';
comment on column kvali_sql.overdue_tasks.overdue_by_seconds is 'For how long.';
comment on column kvali_sql.overdue_tasks.slips is 'How often its due was moved to later.';
comment on column kvali_sql.overdue_tasks.slip_days is 'By how many days in all.';

create or replace view kvali_sql.neglected_deals with (security_invoker = true) as
select d.deal_id, d.pipeline_id, d.stage_id, d.owner as owner_id, p.name as owner, d.entered_at as stage_entered_at,
       d.max_days, case when d.limit_at <= now() then d.limit_at end as over_limit_since,
       d.idle_days, d.touched_at as last_event_at, case when d.idle_at <= now() then d.idle_at end as idle_since,
       d.open_tasks, d.tasks_ended_at as without_task_since, d.on_hold_until
  from {schema}.deal d
  left join {schema}.person p on p.tenant_id = d.tenant_id and p.user_id = d.owner
 where d.outcome = 'open'
   and d.merged_into is null
   and (d.limit_at <= now() or d.idle_at <= now() or d.open_tasks = 0);
comment on view kvali_sql.neglected_deals is 'Open deals that stand in their stage for too long, are idle, or have no open task. Join deals for the names of pipeline and stage.';
comment on column kvali_sql.neglected_deals.deal_id is 'The deal.';
comment on column kvali_sql.neglected_deals.pipeline_id is 'The pipeline that it stands in.';
comment on column kvali_sql.neglected_deals.stage_id is 'The stage that it stands in.';
comment on column kvali_sql.neglected_deals.owner_id is 'Whose it is now.';
comment on column kvali_sql.neglected_deals.owner is 'The colleague''s name; null once erased.';
comment on column kvali_sql.neglected_deals.stage_entered_at is 'When it entered the stage; null: at no known time.';
comment on column kvali_sql.neglected_deals.max_days is 'The stage''s limit by the pipeline version of the visit; null: none.';
comment on column kvali_sql.neglected_deals.over_limit_since is 'Since when it is over that limit; null: it is not.';
comment on column kvali_sql.neglected_deals.idle_days is 'After how many days without an event it is idle; null: never.';
comment on column kvali_sql.neglected_deals.last_event_at is 'When something last happened to it or about it.';
comment on column kvali_sql.neglected_deals.idle_since is 'Since when it is idle; null: it is not.';
comment on column kvali_sql.neglected_deals.open_tasks is 'How many open tasks are about it.';
comment on column kvali_sql.neglected_deals.without_task_since is 'When the last of them ended, where there are none any more; null: there are some, or there never was one.';
comment on column kvali_sql.neglected_deals.on_hold_until is 'The day until which it is on hold.';
