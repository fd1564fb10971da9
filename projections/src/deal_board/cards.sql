select row_to_json(x)::text
  from (
    select c.deal_id, c.stage_id, c.owner, c.contact, c.company, c.amount, c.currency, c.entered_at,
           c.last_activity_at, c.expected_close, c.on_hold_until,
           (select name from {schema}.called where tenant_id = $1 and id = c.name_of) as title,
           (select name from {schema}.called where tenant_id = $1 and id = c.owner) as owner_name,
           (select name from {schema}.called where tenant_id = $1 and id = c.contact) as contact_name,
           (select name from {schema}.called where tenant_id = $1 and id = c.company) as company_name,
           n.task_id, n.due, c.sort_key
      from (
        select c.*, {key} as sort_key
          from {schema}.card c
         where c.tenant_id = $1
           and c.pipeline_id = $2
           and c.is_on_board
           and ($3::uuid is null or c.owner = $3)
           and ($4::uuid is null or c.stage_id = $4)
           and ($7::uuid[] is null or c.owner is null or c.owner = any ($7))
           and ($5::numeric is null or ({key}, c.deal_id) > ($5, $8::uuid))
         order by sort_key, c.deal_id
         limit $6) c
      -- The next open task of the deal and of those merged into it.
      left join lateral (
        select o.task_id, t.due
          from unnest(c.deal_id || c.merged) d (id)
         cross join lateral (select due_at, task_id
                               from {schema}.open_task
                              where tenant_id = $1 and deal_id = d.id
                              order by due_at, task_id
                              limit 1) o
         cross join lateral (select due from {schema}.task where tenant_id = $1 and task_id = o.task_id limit 1) t
         order by o.due_at, o.task_id
         limit 1) n on true
     order by c.sort_key, c.deal_id) x
