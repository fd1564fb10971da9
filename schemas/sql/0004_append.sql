-- One append. `cmd` counts the commands of this call from 1; events stand in the order of their commands.

create type kvali.new_command as (
  id             uuid,
  hash           bytea,
  type           text,
  stream         uuid,
  actor          uuid,
  credential     text,
  request        text,
  address        text,
  event_count    int,
  -- of a command that the rules refused; null for the others
  refusal        uuid,
  refusal_code   text,
  refusal_detail json
);

create type kvali.new_event as (
  cmd       int,
  -- of its command, whose place in an array would take a walk to find
  command   uuid,
  actor     uuid,
  stream    uuid,
  version   int,
  id        uuid,
  type      text,
  shape     smallint,
  occurred  timestamptz,
  precision text,
  zone      text,
  obo       uuid,
  channel   text,
  reason    text,
  corr      uuid,
  cause     uuid,
  data      json,
  personal  bytea
);

-- `op` is 'take', 'own', 'free', 'some' or 'none', which may be refused, or 'join' or 'release', which may not.
create type kvali.claim_step as (cmd int, op text, kind text, key text, holder uuid);

-- The ledger row is locked first and every check is a later statement, so checks see the latest commit. It
-- ends in COMMIT, which Postgres refuses inside an outer transaction: an answer means committed. For the same
-- reason it is neither SECURITY DEFINER nor carries SET, and names every schema.
--
-- The usual call, in which every command is new, nothing is stale and no claim can be refused, takes one check for
-- all of them. Any other is judged command by command.
--
-- Every look-up is by key and by nested loop; the connections that append are told so, since a plan made while a
-- table was small must not last as a scan of a large one.
--
-- Within one call a stream's writes must be listed in the order of their versions, and `p_start` must follow
-- from the needs. A caller that breaks this gets version conflicts or an error, never a second event in one place.
create procedure kvali.append(
  p_tenant   uuid,
  p_commands kvali.new_command[],
  p_events   kvali.new_event[],
  -- in parallel: each stream that the call writes or rests on, once, and the version it must be at before
  p_stream       uuid[],
  p_start        int[],
  -- in parallel: the version that a stream (its place above, from 1) must be at when its command's turn comes, and
  -- how many events the command adds. Plain arrays: there are several to a command, and they are rarely looked at
  p_need_cmd     int[],
  p_need_stream  int[],
  p_need_version int[],
  p_need_adds    int[],
  p_claims   kvali.claim_step[],
  -- in parallel: each key that the call counts up or down, once, and the sum of its steps
  p_tally_kind   text[],
  p_tally_key    text[],
  p_tally_sum    int[],
  -- in parallel, the steps: command, place of the key above, from 1, and 1 or -1
  p_step_cmd     int[],
  p_step_tally   int[],
  p_step_adds    int[],
  -- per command: 0 accepted, 1 known already, 2 id bound to another request, 3 version conflict,
  -- 4 claim in the way, 5 refusal recorded; null if all were accepted
  inout r_verdict   smallint[]  default null,
  -- the head before this call: accepted events follow it in order
  inout r_head      bigint      default null,
  inout r_recorded  timestamptz default null,
  -- first position and number of events of commands known already (verdict 1)
  inout r_position  bigint[]    default null,
  inout r_count     int[]       default null,
  -- the claim in the way (verdict 4): its place among the claims, from 1, and who holds it
  inout r_claim     int[]       default null,
  inout r_holder    uuid[]      default null,
  -- how many there are, if the claim is that there be none
  inout r_counted   bigint[]    default null
) language plpgsql as $$
declare
  v_added    int := cardinality(p_events);
  v_events   kvali.new_event[] := p_events;
  v_failed   int[];
  v_holder   uuid[];
  v_counted  bigint[];
  v_least    bigint;
  v_claim    int[];
  v_usual    boolean;
begin
  -- Which rows row-level security lets it meet.
  perform set_config('kvali.tenant', p_tenant::text, true);
  update kvali.ledger l
     set head = l.head + v_added, last_recorded_at = greatest(clock_timestamp(), l.last_recorded_at)
   where l.tenant_id = p_tenant
  returning l.head - v_added, l.last_recorded_at into r_head, r_recorded;
  if not found then
    insert into kvali.ledger (tenant_id) values (p_tenant) on conflict do nothing;
    update kvali.ledger l
       set head = l.head + v_added, last_recorded_at = greatest(clock_timestamp(), l.last_recorded_at)
     where l.tenant_id = p_tenant
    returning l.head - v_added, l.last_recorded_at into r_head, r_recorded;
  end if;

  v_usual := not exists (select from unnest(p_claims) k where k.op not in ('join', 'release'))
    and not exists (
      select from unnest(p_commands) q
       where q.refusal is not null
          or (select c.command_id from kvali.command c
               where c.tenant_id = p_tenant and c.command_id = q.id limit 1) is not null)
    and not exists (
      select from unnest(p_stream, p_start) s (stream, version)
       where coalesce((select e.version from kvali.event e
                        where e.tenant_id = p_tenant and e.stream_id = s.stream
                        order by e.version desc limit 1), 0) <> s.version);

  if not v_usual then
    select array_agg((case when c.command_id is not null then case when c.request_hash = q.hash then 1 else 2 end
                           when q.refusal is not null then 5
                           else 0 end)::smallint order by q.cmd),
           array_agg(c.first_position order by q.cmd),
           array_agg(c.event_count order by q.cmd)
      into r_verdict, r_position, r_count
      from unnest(p_commands) with ordinality
           q (id, hash, type, stream, actor, credential, request, address, n, refusal, code, detail, cmd)
      left join lateral (
        select c.* from kvali.command c where c.tenant_id = p_tenant and c.command_id = q.id limit 1) c on true;
    r_claim := array_fill(null::int, array[cardinality(p_commands)]);
    r_holder := array_fill(null::uuid, array[cardinality(p_commands)]);
    r_counted := array_fill(null::bigint, array[cardinality(p_commands)]);

    loop
      -- Versions: what stands in the log, plus what earlier commands of this call add. Whatever builds on a command
      -- that is not accepted in this call was decided on a state that does not come to be.
      select array_agg(x.cmd) into v_failed from (
        select n.cmd, n.version,
               case when bool_or(r_verdict[n.cmd] <> 0 and n.adds > 0) over earlier then -1
                    else coalesce(last.version, 0) + coalesce(sum(n.adds) over earlier, 0) end::int as have
          from unnest(p_need_cmd, p_need_stream, p_need_version, p_need_adds)
               with ordinality n (cmd, stream, version, adds, ord)
          left join lateral (
            select e.version from kvali.event e
             where e.tenant_id = p_tenant and e.stream_id = p_stream[n.stream]
             order by e.version desc limit 1) last on true
        window earlier as (partition by n.stream order by n.ord rows between unbounded preceding and 1 preceding)) x
       where x.have <> x.version and r_verdict[x.cmd] = 0;
      if v_failed is not null then
        for i in 1 .. cardinality(v_failed) loop
          r_verdict[v_failed[i]] := 3;
        end loop;
        continue;
      end if;

      exit when cardinality(p_claims) = 0;
      select array_agg(x.cmd), array_agg(x.ord), array_agg(x.holder), array_agg(x.counted)
        into v_failed, v_claim, v_holder, v_counted from (
        select k.cmd, k.ord::int, other.holder, null::bigint as counted, k.op, other.holder is not null as taken
          from unnest(p_claims) with ordinality k (cmd, op, kind, key, holder, ord)
          left join lateral (
            select c.holder from kvali.claim c
             where c.tenant_id = p_tenant and c.kind = k.kind and c.key = k.key
               and (k.op <> 'take' or c.holder <> k.holder)
               and (k.op <> 'own' or c.holder = k.holder)
               -- What the command itself lets go of is not in its way.
               and (k.op not in ('take', 'free')
                    or not exists (select from unnest(p_claims) r
                                    where r.cmd = k.cmd and r.op = 'release' and r.kind = k.kind
                                      and r.key = k.key and r.holder = c.holder))
             limit 1) other on true
         where r_verdict[k.cmd] = 0 and k.op in ('take', 'own', 'free')
        union all
        -- Of the keys of one kind that a command wants some of, one that counts some is enough.
        select k.cmd, k.ord::int, null, n.count, k.op, n.count > 0
          from unnest(p_claims) with ordinality k (cmd, op, kind, key, holder, ord),
               lateral (
                 select coalesce((select sum(t.count)
                                    from unnest(p_claims) o (cmd, op, kind, key, holder),
                                         lateral (select t.count from kvali.tally t
                                                   where t.tenant_id = p_tenant and t.kind = o.kind and t.key = o.key
                                                   limit 1) t
                                   where o.cmd = k.cmd and o.kind = k.kind and o.op = k.op
                                     and (o.key = k.key or k.op = 'some')), 0)
                      + coalesce((select sum(s.adds)
                                    from unnest(p_step_cmd, p_step_tally, p_step_adds) s (cmd, tally, adds)
                                   where s.cmd = k.cmd and k.op = 'none' and p_tally_kind[s.tally] = k.kind
                                     and p_tally_key[s.tally] = k.key), 0) as count) n
         where r_verdict[k.cmd] = 0 and k.op in ('some', 'none')
        union all
        -- A key that an earlier command of this call touches: let it be judged again, after that one.
        select k.cmd, k.ord::int, k.holder, null, 'free', true
          from unnest(p_claims) with ordinality k (cmd, op, kind, key, holder, ord)
         where r_verdict[k.cmd] = 0 and k.op not in ('join', 'release')
           and (exists (select from unnest(p_claims) e
                         where e.cmd < k.cmd and e.kind = k.kind and e.key = k.key and r_verdict[e.cmd] = 0)
             or exists (select from unnest(p_step_cmd, p_step_tally) s (cmd, tally)
                         where s.cmd < k.cmd and p_tally_kind[s.tally] = k.kind and p_tally_key[s.tally] = k.key
                           and r_verdict[s.cmd] = 0))) x
       where x.taken = (x.op not in ('own', 'some'));
      exit when v_failed is null;
      for i in 1 .. cardinality(v_failed) loop
        r_verdict[v_failed[i]] := 4;
        r_claim[v_failed[i]] := v_claim[i];
        r_holder[v_failed[i]] := v_holder[i];
        r_counted[v_failed[i]] := v_counted[i];
      end loop;
    end loop;

    -- In the order of the array, as a scan of it gives them.
    select coalesce(array_agg(e), '{}') into v_events from unnest(p_events) e where r_verdict[e.cmd] = 0;
  end if;

  insert into kvali.event
  select p_tenant, r_head + e.ord, e.stream, e.version, e.id, e.type, e.shape,
         case when e.precision = 'unknown' then null else coalesce(e.occurred, r_recorded) end,
         e.precision, e.zone, r_recorded, e.actor, e.obo, e.channel, e.reason, e.command, e.corr, e.cause, e.data,
         e.personal
    from unnest(v_events) with ordinality
         e (cmd, command, actor, stream, version, id, type, shape, occurred, precision, zone, obo, channel, reason,
            corr, cause, data, personal, ord);

  insert into kvali.command
  select p_tenant, q.id, q.hash, q.type, q.stream,
         case when q.n > 0 then r_head + 1 - q.n + sum(q.n) over (order by q.cmd rows unbounded preceding) end,
         q.n, q.actor, q.credential, q.request, q.address, r_recorded
    from unnest(p_commands) with ordinality
         q (id, hash, type, stream, actor, credential, request, address, n, refusal, code, detail, cmd)
   where v_usual or r_verdict[q.cmd] = 0;

  if cardinality(p_claims) > 0 then
    -- Of several steps of one holder on one key the last one counts.
    with last as (
      select distinct on (k.kind, k.key, k.holder) k.op, k.kind, k.key, k.holder
        from unnest(p_claims) with ordinality k (cmd, op, kind, key, holder, ord)
       where (v_usual or r_verdict[k.cmd] = 0) and k.op in ('take', 'join', 'release')
       order by k.kind, k.key, k.holder, k.ord desc),
    gone as (
      delete from kvali.claim c
       using last
       where last.op = 'release'
         and c.tenant_id = p_tenant and c.kind = last.kind and c.key = last.key and c.holder = last.holder)
    insert into kvali.claim
    select p_tenant, last.kind, last.key, last.holder from last where last.op <> 'release'
    on conflict do nothing;
  end if;

  if cardinality(p_tally_sum) > 0 then
    with counted as (
      insert into kvali.tally as t
      select p_tenant, p_tally_kind[n.place], p_tally_key[n.place], n.sum
        from (select s.place, s.sum from unnest(p_tally_sum) with ordinality s (sum, place) where v_usual
              union all
              select s.tally, sum(s.adds) from unnest(p_step_cmd, p_step_tally, p_step_adds) s (cmd, tally, adds)
               where not v_usual and r_verdict[s.cmd] = 0
               group by s.tally) n
       where n.sum <> 0
      on conflict on constraint tally_key do update set count = t.count + excluded.count
      returning count)
    select min(c.count) into v_least from counted c;
    if v_least < 0 then
      raise exception 'a tally of tenant % would fall below zero', p_tenant using errcode = 'check_violation';
    end if;
  end if;

  if not v_usual then
    insert into kvali.refusal
    select p_tenant, q.refusal, q.id, q.type, q.stream, q.code, q.detail, q.actor, q.credential, q.request,
           q.address, r_recorded
      from unnest(p_commands) with ordinality
           q (id, hash, type, stream, actor, credential, request, address, n, refusal, code, detail, cmd)
     where r_verdict[q.cmd] = 5;

    if cardinality(v_events) < v_added then
      update kvali.ledger l set head = r_head + cardinality(v_events) where l.tenant_id = p_tenant;
    end if;
  end if;
  commit;
end $$;
