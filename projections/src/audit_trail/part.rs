//! A part of the trail as the tables have it, newest first: the log, refusals, denials and reads in one order.

use super::filter::{AUTOMATION, Kind, Passing};
use super::place::{Key, Place};
use crate::ask::AskError;
use crate::timeline::aliases;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kvali_eventstore::project::{Look, Query};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

/// Asked of the log alone or, for what a record is named by, of the timeline's tables.
pub(super) struct Part {
    pub passing: Passing,
    /// Positions above this one, and up to that one.
    pub above: i64,
    pub up_to: i64,
    pub after: Option<Place>,
    pub limit: i64,
}

/// The entries, and where to go on if there are more.
pub(super) struct Found {
    pub rows: Vec<Row>,
    pub next: Option<Place>,
}

/// What the tables have of an entry.
#[derive(sqlx::FromRow, Clone, Debug)]
pub(super) struct Row {
    #[sqlx(skip)]
    pub kind: Option<Kind>,
    pub recorded_at: DateTime<Utc>,
    pub id: Uuid,
    pub position: i64,
    pub actor: Uuid,
    pub what: Option<String>,
    pub credential: Option<String>,
    pub request_id: Option<String>,
    pub source_address: Option<String>,
    pub command_id: Option<Uuid>,
    pub stream: Option<Uuid>,
    /// Of the refusal; the right that is missing.
    pub code: Option<String>,
    /// JSON.
    pub detail: Option<String>,
    pub shown: Option<Vec<Uuid>>,
    pub count: Option<i32>,
    pub first_position: Option<i64>,
    pub last_position: Option<i64>,
}

impl Row {
    fn key(&self) -> Key {
        let Self { recorded_at, position, id, .. } = *self;
        Key { recorded_at, kind: self.kind.unwrap_or(Kind::Event), position, id }
    }
}

type Statement = QueryBuilder<Postgres>;

const FROM_LOG: &str = "select e.recorded_at, e.event_id as id, e.position, e.actor, c.command_type as what, \
      c.credential, c.request_id, c.source_address, e.command_id, e.stream_id as stream, null::text as code, \
      null::text as detail, null::uuid[] as shown, null::int as count, null::bigint as first_position, \
      null::bigint as last_position from (";
const COMMANDS_OF_LOG: &str = ") x cross join lateral (select * from kvali.event where tenant_id = ";

const REFUSED: &str = "select recorded_at, refusal_id as id, 0::bigint as position, actor, command_type as what, \
      credential, request_id, source_address, command_id, stream_id as stream, code, detail::text, null::uuid[] as shown, \
      null::int as count, null::bigint as first_position, null::bigint as last_position \
      from kvali.refusal where tenant_id = ";
const DENIED: &str = "select recorded_at, denial_id as id, 0::bigint as position, actor, what, credential, request_id, \
      source_address, null::uuid as command_id, null::uuid as stream, permission as code, null::text as detail, \
      null::uuid[] as shown, null::int as count, null::bigint as first_position, null::bigint as last_position \
      from kvali.denial where tenant_id = ";
const READ: &str = "select recorded_at, read_id as id, 0::bigint as position, actor, what, credential, request_id, \
      source_address, null::uuid as command_id, null::uuid as stream, null::text as code, null::text as detail, \
      shown, shown_count as count, first_position, last_position from kvali.personal_read where tenant_id = ";

#[async_trait]
impl Query for Part {
    type Answer = Found;
    type Error = AskError;

    async fn ask(self, look: &mut Look<'_>) -> Result<Found, AskError> {
        let head: Option<i64> = sqlx::query_scalar("select head from kvali.ledger where tenant_id = $1")
            .bind(look.tenant.0)
            .fetch_optional(&mut *look.connection)
            .await?;
        let below = self.after.map_or(head.unwrap_or(0) + 1, |after| after.position);
        let objects = self.objects(look).await?;
        let mut rows = Vec::new();
        for kind in [Kind::Event, Kind::Refused, Kind::Denied, Kind::Read] {
            let Some(mut statement) = self.statement(kind, look, &objects, below) else { continue };
            let found: Vec<Row> = statement.build_query_as().fetch_all(&mut *look.connection).await?;
            rows.extend(found.into_iter().map(|row| Row { kind: Some(kind), ..row }));
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.key()));
        let page = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > page;
        rows.truncate(page);
        let events = rows.iter().filter(|row| row.kind == Some(Kind::Event));
        let position = events.map(|row| row.position).min().unwrap_or(below);
        let next = rows.last().filter(|_| more).map(|last| Place { position, last: last.key() });
        Ok(Found { rows, next })
    }
}

impl Part {
    /// The record, and those that were merged into it.
    async fn objects(&self, look: &mut Look<'_>) -> Result<Vec<Uuid>, AskError> {
        let Some(object) = self.passing.asked.object else { return Ok(Vec::new()) };
        let mut objects = aliases(object.0, look).await?;
        objects.push(object.0);
        Ok(objects)
    }

    /// None, where the filter lets nothing of that kind pass.
    fn statement(&self, kind: Kind, look: &Look<'_>, objects: &[Uuid], below: i64) -> Option<Statement> {
        let asked = &self.passing.asked;
        if asked.kind.is_some_and(|asked| asked != kind) {
            return None;
        }
        if kind == Kind::Event {
            return Some(self.events(look, objects, below));
        }
        // Of what did not happen nobody knows the field or the channel.
        let unknown = asked.field.is_some() || asked.channel.is_some();
        let unknown = unknown || (kind == Kind::Denied && !objects.is_empty());
        let unknown = unknown || (kind == Kind::Read && self.passing.types.is_some());
        (!unknown).then(|| self.others(kind, look, objects))
    }

    fn events(&self, look: &Look<'_>, objects: &[Uuid], below: i64) -> Statement {
        let mut statement = Statement::new(FROM_LOG);
        let below = below.min(self.up_to.saturating_add(1));
        let from_log = FromLog { part: self, tenant: look.tenant.0, below };
        let Passing { types, asked, .. } = &self.passing;
        match (objects, types, asked.actor) {
            ([_, ..], ..) => from_log.about(&mut statement, look.schema, objects),
            ([], Some(types), _) => from_log.of_types(&mut statement, types),
            ([], None, Some(actor)) => from_log.of_actor(&mut statement, actor.0),
            ([], None, None) => from_log.all(&mut statement),
        }
        let tenant = look.tenant.0;
        statement.push(COMMANDS_OF_LOG).push_bind(tenant).push(" and position = x.position limit 1) e ");
        statement.push("left join lateral (select * from kvali.command where tenant_id = ").push_bind(tenant);
        statement.push(" and command_id = e.command_id limit 1) c on true order by e.position desc");
        statement
    }

    fn others(&self, kind: Kind, look: &Look<'_>, objects: &[Uuid]) -> Statement {
        let (table, id) = match kind {
            Kind::Refused => (REFUSED, "refusal_id"),
            Kind::Denied => (DENIED, "denial_id"),
            Kind::Read | Kind::Event => (READ, "read_id"),
        };
        let mut statement = Statement::new(table);
        statement.push_bind(look.tenant.0);
        self.window(&mut statement, kind, id);
        let Passing { asked, commands, .. } = &self.passing;
        if let Some(actor) = asked.actor {
            statement.push(" and actor = ").push_bind(actor.0);
        }
        match kind {
            Kind::Refused if !objects.is_empty() => {
                statement.push(" and stream_id = any(").push_bind(objects.to_vec()).push(")");
            }
            Kind::Read if !objects.is_empty() => {
                statement.push(" and shown && ").push_bind(objects.to_vec());
            }
            _ => {}
        }
        if let Some(commands) = commands {
            let word = if kind == Kind::Refused { "command_type" } else { "what" };
            let commands: Vec<String> = commands.iter().map(|word| (*word).to_owned()).collect();
            statement.push(format_args!(" and {word} = any(")).push_bind(commands).push(")");
        }
        statement
            .push(format_args!(" order by recorded_at desc, {id} desc limit "))
            .push_bind(self.limit + 1);
        statement
    }

    /// What is left of a kind after the last entry, within the times asked for.
    fn window(&self, statement: &mut Statement, kind: Kind, id: &str) {
        if let Some(Place { last, .. }) = self.after {
            statement.push(" and recorded_at <= ").push_bind(last.recorded_at);
            // All of a kind that comes later in the order, none of one that comes before it.
            match kind.cmp(&last.kind) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => {
                    statement.push(format_args!(" and (recorded_at, {id}) < ("));
                    statement.push_bind(last.recorded_at).push(", ").push_bind(last.id).push(")");
                }
                std::cmp::Ordering::Greater => {
                    statement.push(" and recorded_at < ").push_bind(last.recorded_at);
                }
            }
        }
        if let Some(from) = self.passing.asked.from {
            statement.push(" and recorded_at >= ").push_bind(from);
        }
        if let Some(to) = self.passing.asked.to {
            statement.push(" and recorded_at < ").push_bind(to);
        }
    }
}

/// The positions of events that pass, newest first; each way by the index that leads there.
struct FromLog<'a> {
    part: &'a Part,
    tenant: Uuid,
    below: i64,
}

impl FromLog<'_> {
    fn all(&self, statement: &mut Statement) {
        self.positions(statement, |_| {});
    }

    fn of_actor(&self, statement: &mut Statement, actor: Uuid) {
        statement.push("select position from (");
        self.positions(statement, |statement| {
            statement.push(" and e.actor = ").push_bind(actor);
        });
        statement.push(" union ");
        self.positions(statement, |statement| {
            statement.push(" and e.on_behalf_of = ").push_bind(actor);
        });
        statement.push(") a order by position desc limit ").push_bind(self.part.limit + 1);
    }

    fn of_types(&self, statement: &mut Statement, types: &[&'static str]) {
        let types: Vec<String> = types.iter().map(|word| (*word).to_owned()).collect();
        statement
            .push("select a.position from unnest(")
            .push_bind(types)
            .push(") t (type) cross join lateral ");
        self.positions(statement, |statement| {
            statement.push(" and e.event_type = t.type");
            self.by_actor(statement);
        });
        statement.push(" a order by a.position desc limit ").push_bind(self.part.limit + 1);
    }

    /// What happened to records, and what of other streams names them. The streams' own come from the log, so that
    /// nothing of them is missing, whatever the read model does not follow.
    fn about(&self, statement: &mut Statement, schema: &str, objects: &[Uuid]) {
        statement.push("select e.position from (");
        statement.push(format_args!("select position from {schema}.entry where tenant_id = "));
        statement
            .push_bind(self.tenant)
            .push(" and told_of = any(")
            .push_bind(objects.to_vec())
            .push(") union ");
        statement.push("select position from kvali.event where tenant_id = ").push_bind(self.tenant);
        statement.push(" and stream_id = any(").push_bind(objects.to_vec()).push(")");
        statement.push(") o cross join lateral (select * from kvali.event where tenant_id = ");
        statement.push_bind(self.tenant).push(" and position = o.position limit 1) e where true");
        self.conditions(statement);
        if let Some(types) = &self.part.passing.types {
            let types: Vec<String> = types.iter().map(|word| (*word).to_owned()).collect();
            statement.push(" and e.event_type = any(").push_bind(types).push(")");
        }
        self.by_actor(statement);
        statement.push(" order by e.position desc limit ").push_bind(self.part.limit + 1);
    }

    fn positions(&self, statement: &mut Statement, more: impl FnOnce(&mut Statement)) {
        statement.push("(select e.position from kvali.event e where e.tenant_id = ").push_bind(self.tenant);
        self.conditions(statement);
        more(statement);
        statement.push(" order by e.position desc limit ").push_bind(self.part.limit + 1).push(")");
    }

    fn conditions(&self, statement: &mut Statement) {
        statement.push(" and e.position < ").push_bind(self.below);
        statement.push(" and e.position > ").push_bind(self.part.above);
        match self.part.passing.asked.channel.as_deref() {
            None => {}
            Some(AUTOMATION) => {
                statement.push(" and e.channel like 'automation:%'");
            }
            Some(channel) => {
                statement.push(" and e.channel = ").push_bind(channel.to_owned());
            }
        }
    }

    fn by_actor(&self, statement: &mut Statement) {
        if let Some(actor) = self.part.passing.asked.actor {
            statement.push(" and (e.actor = ").push_bind(actor.0);
            statement.push(" or e.on_behalf_of = ").push_bind(actor.0).push(")");
        }
    }
}
