-- One append. All arrays of one group run in parallel; `cmd` counts the commands of this call from 1.
--
-- The ledger row is locked first and every check is a later statement, so checks see the latest commit. It
-- ends in COMMIT, which Postgres refuses inside an outer transaction: an answer means committed. For the same
-- reason it is neither SECURITY DEFINER nor carries SET, and names every schema.
--
-- Within one call a stream's writes must be listed in the order of their versions. A caller that breaks this
-- gets version conflicts, never a wrong append.
create procedure kvali.append(
  p_tenant          uuid,
  -- commands
  p_command         uuid[],
  p_hash            bytea[],
  p_type            text[],
  p_stream          uuid[],
  p_actor           uuid[],
  p_credential      text[],
  p_request         text[],
  p_address         text[],
  p_event_count     int[],
  -- of commands that the rules refused: id, code and detail of the refusal; null for the others
  p_refusal         uuid[],
  p_refusal_code    text[],
  p_refusal_detail  text[],
  -- conditions: the version that a stream must be at, and how many events the command adds to it
  p_need_cmd        int[],
  p_need_stream     uuid[],
  p_need_version    int[],
  p_need_adds       int[],
  -- claims: 'take', 'release', 'held' or 'free'
  p_claim_cmd       int[],
  p_claim_op        text[],
  p_claim_kind      text[],
  p_claim_key       text[],
  p_claim_holder    uuid[],
  -- events
  p_event_cmd       int[],
  p_event_stream    uuid[],
  p_event_version   int[],
  p_event_id        uuid[],
  p_event_type      text[],
  p_event_shape     smallint[],
  p_event_occurred  timestamptz[],
  p_event_precision text[],
  p_event_zone      text[],
  p_event_obo       uuid[],
  p_event_channel   text[],
  p_event_reason    text[],
  p_event_corr      uuid[],
  p_event_cause     uuid[],
  p_event_data      text[],
  p_event_personal  bytea[],
  -- per command: 0 accepted, 1 known already (first outcome returned), 2 id bound to another request,
  -- 3 version conflict, 4 claim in the way, 5 refusal recorded
  inout r_verdict   smallint[]  default null,
  -- first position of its events (null if there are none) and their number
  inout r_position  bigint[]    default null,
  inout r_count     int[]       default null,
  -- the claim in the way (verdict 4): its place among the claims, from 1, and who holds it
  inout r_claim     int[]       default null,
  inout r_holder    uuid[]      default null,
  inout r_recorded  timestamptz default null
) language plpgsql as $$
declare
  v_head    bigint;
  v_failed  int[];
  v_holder  uuid[];
  v_claim   int[];
  v_count   bigint;
begin
  select l.head, greatest(clock_timestamp(), l.last_recorded_at) into v_head, r_recorded
    from kvali.ledger l where l.tenant_id = p_tenant for update;
  if not found then
    insert into kvali.ledger (tenant_id) values (p_tenant) on conflict do nothing;
    select l.head, greatest(clock_timestamp(), l.last_recorded_at) into v_head, r_recorded
      from kvali.ledger l where l.tenant_id = p_tenant for update;
  end if;

  select array_agg((case when c.command_id is not null then case when c.request_hash = q.hash then 1 else 2 end
                         when q.code is not null then 5
                         else 0 end)::smallint order by q.cmd),
         array_agg(c.first_position order by q.cmd),
         array_agg(coalesce(c.event_count, q.n) order by q.cmd)
    into r_verdict, r_position, r_count
    from unnest(p_command, p_hash, p_refusal_code, p_event_count) with ordinality q (id, hash, code, n, cmd)
    left join kvali.command c on c.tenant_id = p_tenant and c.command_id = q.id;
  r_claim := array_fill(null::int, array[cardinality(p_command)]);
  r_holder := array_fill(null::uuid, array[cardinality(p_command)]);

  loop
    -- Versions: what stands in the log, plus what earlier commands of this call add.
    select array_agg(x.cmd) into v_failed from (
      select n.cmd, n.version,
             coalesce(last.version, 0) + coalesce(sum(n.adds) over (
               partition by n.stream order by n.ord rows between unbounded preceding and 1 preceding), 0)::int as have
        from unnest(p_need_cmd, p_need_stream, p_need_version, p_need_adds)
             with ordinality n (cmd, stream, version, adds, ord)
        left join lateral (
          select e.version from kvali.event e
           where e.tenant_id = p_tenant and e.stream_id = n.stream
           order by e.version desc limit 1) last on true
       where r_verdict[n.cmd] = 0) x
     where x.have <> x.version;
    if v_failed is not null then
      for i in 1 .. cardinality(v_failed) loop
        r_verdict[v_failed[i]] := 3;
      end loop;
      continue;
    end if;

    exit when cardinality(p_claim_cmd) = 0;
    select array_agg(x.cmd), array_agg(x.ord), array_agg(x.holder) into v_failed, v_claim, v_holder from (
      select k.cmd, k.ord::int, other.holder, k.op, other.holder is not null as taken
        from unnest(p_claim_cmd, p_claim_op, p_claim_kind, p_claim_key, p_claim_holder)
             with ordinality k (cmd, op, kind, key, holder, ord)
        left join lateral (
          select c.holder from kvali.claim c
           where c.tenant_id = p_tenant and c.kind = k.kind and c.key = k.key
             and (k.op <> 'take' or c.holder <> k.holder)
           limit 1) other on true
       where r_verdict[k.cmd] = 0 and k.op <> 'release') x
     where x.taken = (x.op <> 'held');
    exit when v_failed is null;
    for i in 1 .. cardinality(v_failed) loop
      r_verdict[v_failed[i]] := 4;
      r_claim[v_failed[i]] := v_claim[i];
      r_holder[v_failed[i]] := v_holder[i];
    end loop;
  end loop;

  insert into kvali.event
  select p_tenant, v_head + row_number() over (order by e.ord), e.stream, e.version, e.id, e.type, e.shape,
         case when e.precision = 'unknown' then null else coalesce(e.occurred, r_recorded) end,
         e.precision, e.zone, r_recorded, p_actor[e.cmd], e.obo, e.channel, e.reason, p_command[e.cmd], e.corr,
         e.cause, e.data::json, e.personal
    from unnest(p_event_cmd, p_event_stream, p_event_version, p_event_id, p_event_type, p_event_shape,
                p_event_occurred, p_event_precision, p_event_zone, p_event_obo, p_event_channel, p_event_reason,
                p_event_corr, p_event_cause, p_event_data, p_event_personal)
         with ordinality e (cmd, stream, version, id, type, shape, occurred, precision, zone, obo, channel, reason,
                            corr, cause, data, personal, ord)
   where r_verdict[e.cmd] = 0
   order by e.ord;
  get diagnostics v_count = row_count;

  with accepted as (
    select q.*, v_head + 1 + coalesce(sum(q.n) over (
             order by q.cmd rows between unbounded preceding and 1 preceding), 0) as first
      from unnest(p_command, p_hash, p_type, p_stream, p_actor, p_credential, p_request, p_address, p_event_count,
                  r_verdict)
           with ordinality q (id, hash, type, stream, actor, credential, request, address, n, verdict, cmd)
     where q.verdict = 0
  ), bound as (
    insert into kvali.command
    select p_tenant, a.id, a.hash, a.type, a.stream, case when a.n > 0 then a.first end, a.n, a.actor, a.credential,
           a.request, a.address, r_recorded
      from accepted a
  )
  select array_agg(case when a.n > 0 then a.first else p.position end order by p.cmd) into r_position
    from unnest(r_position) with ordinality p (position, cmd) left join accepted a on a.cmd = p.cmd;

  if cardinality(p_claim_cmd) > 0 then
    delete from kvali.claim c
     using unnest(p_claim_cmd, p_claim_op, p_claim_kind, p_claim_key, p_claim_holder) k (cmd, op, kind, key, holder)
     where r_verdict[k.cmd] = 0 and k.op = 'release'
       and c.tenant_id = p_tenant and c.kind = k.kind and c.key = k.key and c.holder = k.holder;
    insert into kvali.claim
    select p_tenant, k.kind, k.key, k.holder
      from unnest(p_claim_cmd, p_claim_op, p_claim_kind, p_claim_key, p_claim_holder) k (cmd, op, kind, key, holder)
     where r_verdict[k.cmd] = 0 and k.op = 'take'
    on conflict do nothing;
  end if;

  insert into kvali.refusal
  select p_tenant, q.refusal, q.id, q.type, q.stream, q.code, q.detail::json, q.actor, q.credential, q.request,
         q.address, r_recorded
    from unnest(p_command, p_type, p_stream, p_actor, p_credential, p_request, p_address, p_refusal, p_refusal_code,
                p_refusal_detail, r_verdict)
         q (id, type, stream, actor, credential, request, address, refusal, code, detail, verdict)
   where q.verdict = 5;

  if v_count > 0 then
    update kvali.ledger l set head = v_head + v_count, last_recorded_at = r_recorded where l.tenant_id = p_tenant;
  end if;
  commit;
end $$;
