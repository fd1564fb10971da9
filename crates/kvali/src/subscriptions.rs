//! `kvali subscriptions`: where the groups stand that follow the log, and what they could not do.

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::output::{Answer, Table};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use kvali_domain::StreamId;
use kvali_eventstore::subscribe::From;
use serde_json::json;

#[derive(Subcommand)]
pub(crate) enum Subscriptions {
    /// Every subscription, and how far it is behind the log
    List,
    /// Streams that are not given out any more, since one of their events failed ten times, and why
    Parked {
        /// The subscription
        name: String,
    },
    /// Give parked streams out again, from the event that failed
    Replay {
        /// The subscription
        name: String,
        /// Only this stream
        #[arg(long, value_name = "ID")]
        stream: Option<uuid::Uuid>,
    },
    /// Give out again all that comes after a place of the log
    Rewind {
        /// The subscription
        name: String,
        /// `beginning`, `now`, a position, or an instant (RFC 3339)
        #[arg(long, value_name = "PLACE", value_parser = place)]
        from: From,
    },
    /// Delete a subscription with all that it keeps; the log is not touched
    Delete {
        /// The subscription
        name: String,
    },
}

pub(crate) fn place(text: &str) -> Result<From, String> {
    match text {
        "beginning" => Ok(From::Beginning),
        "now" => Ok(From::Now),
        text => text.parse().map(From::Position).or_else(|_| {
            let at = text.parse::<DateTime<Utc>>().map(From::Instant);
            at.map_err(|_| {
                "say beginning, now, a position, or an instant such as 2026-03-31T18:00:00Z".to_owned()
            })
        }),
    }
}

impl Subscriptions {
    pub(crate) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let session = Session::open(global, "default").await?;
        let named = |name: &str| session.store.subscription(session.tenant, name);
        let answer = match self {
            Self::List => list(&session).await?,
            Self::Parked { name } => parked(&session, &name).await?,
            Self::Replay { name, stream } => {
                let replayed = named(&name).replay(stream.map(StreamId)).await?;
                said(format!("{replayed} streams are given out again"), json!({ "replayed": replayed }))
            }
            Self::Rewind { name, from } => {
                let position = named(&name).rewind(from).await?;
                said(
                    format!("{name} goes on after position {position}"),
                    json!({ "name": name, "position": position }),
                )
            }
            Self::Delete { name } => {
                named(&name).delete().await?;
                said(format!("{name} is deleted"), json!({ "name": name }))
            }
        };
        answer.print(global.format)?;
        Ok(Done::Well)
    }
}

pub(crate) fn said(words: String, json: serde_json::Value) -> Answer {
    Answer { tables: Vec::new(), notes: vec![words], json }
}

async fn list(session: &Session) -> Result<Answer, Failure> {
    let columns =
        ["name", "types", "checkpoint", "head", "lag_events", "lag_seconds", "in_hand", "behind", "parked"];
    let mut table = Table::new("Subscriptions", &columns);
    for row in session.store.subscriptions(session.tenant).await? {
        let lag = row.lag_events();
        table.row([
            json!(row.name),
            json!(row.types.map(|types| types.join(", "))),
            json!(row.checkpoint),
            json!(row.head),
            json!(lag),
            json!(row.lag_seconds),
            json!(row.in_hand),
            json!(row.behind),
            json!(row.parked),
        ]);
    }
    Ok(Answer::of(table))
}

async fn parked(session: &Session, name: &str) -> Result<Answer, Failure> {
    let mut table = Table::new("Parked streams", &["stream", "position", "tries", "reason", "parked_at"]);
    for row in session.store.subscription(session.tenant, name).parked().await? {
        table.row([
            json!(row.stream_id),
            json!(row.position),
            json!(row.tries),
            json!(row.failure),
            json!(row.parked_at),
        ]);
    }
    let mut answer = Answer::of(table);
    if !answer.tables[0].rows.is_empty() {
        answer.notes.push(format!("Mend the cause, then run `kvali subscriptions replay {name}`."));
    }
    Ok(answer)
}
