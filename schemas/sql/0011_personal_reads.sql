-- Who was shown whose personal texts, and what else the audit trail is looked up by.

create table kvali.personal_read (
  tenant_id      uuid        not null,
  read_id        uuid        not null,
  recorded_at    timestamptz not null default clock_timestamp(),
  actor          uuid        not null,
  credential     text        not null,
  request_id     text        not null,
  source_address text,
  -- What was asked for, such as a stream; never the words searched for, which may be somebody's name.
  what           text        not null,
  -- The records whose texts were shown, up to a limit, and how many there were.
  shown          uuid[]      not null,
  shown_count    int         not null,
  -- Of the feed: from which to which position.
  first_position bigint,
  last_position  bigint,
  constraint personal_read_id primary key (tenant_id, recorded_at, read_id),
  constraint personal_read_positions check ((first_position is null) = (last_position is null))
);
create index personal_read_actor on kvali.personal_read (tenant_id, actor, recorded_at, read_id);

create trigger personal_read_append_only before update or delete on kvali.personal_read
  for each row execute function kvali.refuse_change();
create trigger personal_read_no_truncate before truncate on kvali.personal_read
  for each statement execute function kvali.refuse_change();

grant select, insert on kvali.personal_read to kvali_app;

-- Each leads to the newest events first; what it costs an append is in docs/decisions/0024.
create index event_actor on kvali.event (tenant_id, actor, position);
create index event_on_behalf_of on kvali.event (tenant_id, on_behalf_of, position) where on_behalf_of is not null;
create index event_type_position on kvali.event (tenant_id, event_type, position);

create index refusal_recorded on kvali.refusal (tenant_id, recorded_at, refusal_id);
create index denial_recorded on kvali.denial (tenant_id, recorded_at, denial_id);
