//! `kvali import revert`: what an import created and nobody touched since is archived or cancelled, by ordinary commands.

use crate::arguments;
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::edge;
use crate::failure::Failure;
use crate::ids::{self, Fingerprint};
use crate::names::Names;
use crate::output::{Answer, Table};
use chrono::{DateTime, Utc};
use clap::Args;
use kvali_domain::{
    ActorId, Channel, Command, Order, Personal, State, StreamId, Version, company, contact, deal, lead, task,
};
use kvali_eventstore::{Envelope, Outcome, Plan, Rehearsal};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

mod referred;

/// Why the commands of a revert were sent.
const REASON: &str = "import_reverted";
/// Commands sent at once.
const AT_ONCE: usize = 2_000;

/// Every stream that the import began, the last one first, with the first event of somebody else in it.
const CREATED: &str = "\
    with begun as materialized ( \
      select stream_id, event_type, position from kvali.event \
      where tenant_id = $1 and correlation_id = $2 and version = 1) \
    select c.stream_id, c.event_type, c.position, last.version, o.correlation_id, o.event_type as touch, o.actor, o.recorded_at \
    from begun c \
    cross join lateral (select e.version from kvali.event e \
      where e.tenant_id = $1 and e.stream_id = c.stream_id order by e.version desc limit 1) last \
    left join lateral (select * from kvali.event e \
      where e.tenant_id = $1 and e.stream_id = c.stream_id and e.correlation_id <> $2 order by e.version limit 1) o on true \
    order by c.position desc";

/// How many streams that were there before the import changed.
const CHANGED: &str = "\
    with written as materialized ( \
      select stream_id, version from kvali.event where tenant_id = $1 and correlation_id = $2) \
    select count(*) from (select stream_id from written group by stream_id having not bool_or(version = 1)) x";

#[derive(Args)]
pub(crate) struct Revert {
    /// The import's id, from its report
    #[arg(value_name = "IMPORT", value_parser = arguments::id)]
    import: Uuid,
    /// Write nothing; say what would become of each record
    #[arg(long)]
    dry_run: bool,
}

/// A record that the import created.
struct Created {
    stream: StreamId,
    /// `contact`, `deal` and so on.
    kind: String,
    position: i64,
    version: Version,
    touched: Option<Touched>,
}

/// The first thing that happened to it since.
struct Touched {
    by_revert: bool,
    actor: ActorId,
    event_type: String,
    at: DateTime<Utc>,
}

/// A record that stays as it is, and why.
struct Left {
    stream: StreamId,
    kind: String,
    why: String,
}

impl Revert {
    pub(super) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let session = Session::open(global, "default").await?;
        let created = self.created(&session).await?;
        let changed = self.changed(&session).await?;
        if created.is_empty() && changed == 0 {
            return Err(Failure::Impossible(format!(
                "the log has no import {}; an import's report names its id",
                self.import
            )));
        }
        let untouched =
            created.iter().filter(|record| record.touched.is_none() && command(&record.kind).is_some());
        let untouched: HashSet<_> = untouched.map(|record| record.stream).collect();
        let referred = match created.iter().map(|record| record.position).min() {
            Some(first) if !untouched.is_empty() => {
                referred::referred(&session, self.import, &untouched, first).await?
            }
            _ => HashMap::new(),
        };
        let mut names = Names::new(&session);
        let (mut plans, mut left, mut already, mut stay) = (Vec::new(), Vec::new(), 0, 0);
        for record in created {
            match &record.touched {
                Some(touched) if touched.by_revert => already += 1,
                _ if command(&record.kind).is_none() => stay += 1,
                Some(touched) => {
                    let actor = names.actor(touched.actor).await?;
                    let why = format!("touched by {actor} on {}: {}", touched.at, touched.event_type);
                    left.push(Left { stream: record.stream, kind: record.kind, why });
                }
                None if record.kind == "deal" && is_open_deal(&session, record.stream).await? => {
                    let why =
                        "nothing undoes an open deal; closing it as lost would count as a loss".to_owned();
                    left.push(Left { stream: record.stream, kind: record.kind, why });
                }
                None if let Some(touched) = referred.get(&record.stream) => {
                    let Touched { actor, event_type, at, .. } = touched;
                    let actor = names.actor(*actor).await?;
                    let why = format!("referred to by {actor} on {at}: {event_type}");
                    left.push(Left { stream: record.stream, kind: record.kind, why });
                }
                None => plans.extend(self.plan(&session, &record).map(|plan| (plan, record.kind))),
            }
        }
        let mut reverted = 0_u64;
        let mut rehearsal = Rehearsal::default();
        while !plans.is_empty() {
            let (sent, kinds): (Vec<_>, Vec<_>) = plans.drain(..plans.len().min(AT_ONCE)).unzip();
            let outcomes = if self.dry_run {
                session.store.rehearse(session.tenant, &mut rehearsal, &sent).await?
            } else {
                session.store.handle_all(session.tenant, &sent).await?
            };
            for ((plan, kind), outcome) in sent.iter().zip(kinds).zip(outcomes) {
                match outcome {
                    Outcome::Accepted(_) => reverted += 1,
                    Outcome::Refused(refusal) => {
                        left.push(Left { stream: plan.stream, kind, why: refusal.to_string() });
                    }
                    Outcome::Reused => {
                        let reused = kvali_eventstore::Error::CommandIdReused(plan.envelope.command_id);
                        left.push(Left { stream: plan.stream, kind, why: reused.to_string() });
                    }
                }
            }
        }
        let figures = [
            ("reverted", json!(reverted)),
            ("already_reverted", json!(already)),
            ("left", json!(left.len())),
            ("set_up_stays", json!(stay)),
            ("changed_before_stays", json!(changed)),
        ];
        self.answer(&figures, &left).print(global.format)?;
        Ok(if left.is_empty() { Done::Well } else { Done::RowsRefused })
    }

    async fn created(&self, session: &Session) -> Result<Vec<Created>, Failure> {
        let rows = sqlx::query(CREATED).bind(session.tenant.0).bind(self.import);
        let rows = rows.fetch_all(&mut *session.connection().await?).await.map_err(Failure::LookUp)?;
        let revert = ids::revert(self.import);
        rows.iter().map(|row| read(row, revert)).collect::<Result<_, _>>().map_err(Failure::LookUp)
    }

    async fn changed(&self, session: &Session) -> Result<i64, Failure> {
        let count = sqlx::query_scalar(CHANGED).bind(session.tenant.0).bind(self.import);
        count.fetch_one(&mut *session.connection().await?).await.map_err(Failure::LookUp)
    }

    fn plan(&self, session: &Session, record: &Created) -> Option<Plan> {
        let order = Order { stream: record.stream, command: command(&record.kind)? };
        let id =
            Fingerprint::of(&[b"revert", self.import.as_bytes(), record.stream.0.as_bytes()]).command_id();
        let envelope = Envelope::new(session.tenant, id, ids::operator(), Channel::Cli, edge::now());
        let envelope = Envelope {
            correlation: ids::revert(self.import),
            reason_code: Some(REASON.to_owned()),
            // Whoever touches it in the meantime is not overruled.
            expected_version: Some(record.version),
            ..envelope
        };
        Some(Plan::new(order, envelope))
    }

    fn answer(&self, figures: &[(&str, Value)], left: &[Left]) -> Answer {
        let title = if self.dry_run {
            format!("Dry run of reverting {}: nothing was written; this is what would happen", self.import)
        } else {
            format!("Reverted {}", self.import)
        };
        let mut summary = Table::new(title, &["what", "count"]);
        for (name, value) in figures {
            summary.row([json!(name.replace('_', " ")), value.clone()]);
        }
        let mut table = Table::new("Left as they are", &["id", "kind", "why"]);
        for Left { stream, kind, why } in left {
            table.row([json!(stream), json!(kind), json!(why)]);
        }
        let records = Answer::of(table.clone()).json;
        let mut json: serde_json::Map<_, _> =
            figures.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        json.insert("import".to_owned(), json!(self.import));
        json.insert("dry_run".to_owned(), json!(self.dry_run));
        json.insert("records_left".to_owned(), records);
        let tables = if left.is_empty() { vec![summary] } else { vec![summary, table] };
        Answer { tables, notes: Vec::new(), json: Value::Object(json) }
    }
}

/// What undoes the creation; none of what others may have come to rely on: users, pipelines, reasons.
fn command(kind: &str) -> Option<Command> {
    Some(match kind {
        "contact" => contact::Command::Archive {}.into(),
        "company" => company::Command::Archive {}.into(),
        "lead" => lead::Command::Archive {}.into(),
        "task" => task::Command::Cancel { reason: Personal::default() }.into(),
        "deal" => deal::Command::Archive {}.into(),
        _ => return None,
    })
}

async fn is_open_deal(session: &Session, stream: StreamId) -> Result<bool, Failure> {
    let state = session.store.state(session.tenant, stream).await?;
    Ok(state.is_some_and(|(_, state)| matches!(&*state, State::Deal(deal::Deal::Open(_)))))
}

fn read(row: &PgRow, revert: Uuid) -> Result<Created, sqlx::Error> {
    let event_type: String = row.try_get("event_type")?;
    let touched = match row.try_get::<Option<Uuid>, _>("correlation_id")? {
        None => None,
        Some(correlation) => Some(Touched {
            by_revert: correlation == revert,
            actor: ActorId(row.try_get("actor")?),
            event_type: row.try_get("touch")?,
            at: row.try_get("recorded_at")?,
        }),
    };
    Ok(Created {
        stream: StreamId(row.try_get("stream_id")?),
        kind: event_type.split('.').next().unwrap_or_default().to_owned(),
        position: row.try_get("position")?,
        version: row.try_get("version")?,
        touched,
    })
}
