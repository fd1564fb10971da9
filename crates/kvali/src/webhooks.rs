//! `kvali webhooks`: where events are sent to, and what became of it.

use crate::arguments;
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::edge;
use crate::failure::Failure;
use crate::output::{Answer, Table};
use crate::subscriptions::{place, said};
use clap::Subcommand;
use kvali_api::webhooks::{Loopback, check, reveal};
use kvali_eventstore::subscribe::From;
use kvali_eventstore::webhook::Endpoint;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

#[derive(Subcommand)]
pub(crate) enum Webhooks {
    /// Every endpoint, and how far it is behind the log
    List,
    /// Send events to a URL; the secret that signs them is shown once
    Add {
        /// Where to: https, at an address of the public internet
        url: String,
        /// Only these types, such as deal.won or deal.*; repeat for each [default: all]
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        /// After which place of the log: `beginning`, `now`, a position, or an instant (RFC 3339)
        #[arg(long, value_name = "PLACE", value_parser = place, default_value = "now")]
        from: From,
    },
    /// Attempts to deliver to an endpoint, the newest first
    Deliveries {
        /// The endpoint
        #[arg(value_parser = arguments::id)]
        endpoint: Uuid,
        /// How many are shown, at most
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = arguments::rows::<i64>())]
        limit: i64,
    },
    /// Send again what was given up after ten tries, or all that comes after a place of the log
    Replay {
        /// The endpoint
        #[arg(value_parser = arguments::id)]
        endpoint: Uuid,
        /// `beginning`, a position, or an instant (RFC 3339)
        #[arg(long, value_name = "PLACE", value_parser = place)]
        from: Option<From>,
    },
    /// Show a new secret; for a while the one before signs too
    Rotate {
        /// The endpoint
        #[arg(value_parser = arguments::id)]
        endpoint: Uuid,
        /// For how many hours
        #[arg(long, default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u16).range(0..=720))]
        keep: u16,
    },
    /// Deliver again to an endpoint that answered 410
    Enable {
        /// The endpoint
        #[arg(value_parser = arguments::id)]
        endpoint: Uuid,
    },
    /// Deliver nothing more, and forget it
    Delete {
        /// The endpoint
        #[arg(value_parser = arguments::id)]
        endpoint: Uuid,
    },
}

impl Webhooks {
    pub(crate) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let session = Session::open(global, "default").await?;
        let answer = match self {
            Self::List => list(&session).await?,
            Self::Add { url, types, from } => add(&session, &url, &types, from).await?,
            Self::Deliveries { endpoint, limit } => {
                deliveries(&known(&session, endpoint).await?, limit).await?
            }
            Self::Replay { endpoint, from } => replay(&known(&session, endpoint).await?, from).await?,
            Self::Rotate { endpoint, keep } => {
                let keep = Duration::from_secs(3_600 * u64::from(keep));
                let secret = known(&session, endpoint).await?.rotate(keep).await?;
                let secret = secret.map(|secret| reveal(&secret)).ok_or_else(|| no_such(endpoint))?;
                said(format!("{secret}\nThis is shown once."), json!({ "secret": secret }))
            }
            Self::Enable { endpoint } => {
                known(&session, endpoint).await?.disable(None).await?;
                said(format!("{endpoint} is delivered to"), json!({ "id": endpoint }))
            }
            Self::Delete { endpoint } => {
                known(&session, endpoint).await?.delete().await?;
                said(format!("{endpoint} is deleted"), json!({ "id": endpoint }))
            }
        };
        answer.print(global.format)?;
        Ok(Done::Well)
    }
}

fn no_such(endpoint: Uuid) -> Failure {
    Failure::Impossible(format!("there is no webhook {endpoint}; `kvali webhooks list` has them"))
}

async fn known(session: &Session, endpoint: Uuid) -> Result<Endpoint, Failure> {
    let found = session.store.webhook(session.tenant, endpoint);
    if found.standing().await?.is_some() { Ok(found) } else { Err(no_such(endpoint)) }
}

async fn add(session: &Session, url: &str, types: &[String], from: From) -> Result<Answer, Failure> {
    check(url, Loopback::Refused).map_err(|forbidden| Failure::Impossible(forbidden.to_string()))?;
    let endpoint = session.store.webhook(session.tenant, edge::new_id());
    let secret = reveal(&endpoint.create(url, (!types.is_empty()).then_some(types), from).await?);
    let notes = vec![endpoint.id().to_string(), secret.clone(), "The secret is shown once.".to_owned()];
    Ok(Answer { tables: Vec::new(), notes, json: json!({ "id": endpoint.id(), "secret": secret }) })
}

async fn replay(endpoint: &Endpoint, from: Option<From>) -> Result<Answer, Failure> {
    let subscription = endpoint.subscription();
    if let Some(from) = from {
        let position = subscription.rewind(from).await?;
        return Ok(said(format!("sent again after position {position}"), json!({ "position": position })));
    }
    let replayed = subscription.replay(None).await?;
    Ok(said(format!("{replayed} streams are sent again"), json!({ "replayed": replayed })))
}

async fn list(session: &Session) -> Result<Answer, Failure> {
    let columns = ["endpoint", "url", "types", "lag_events", "lag_seconds", "behind", "parked", "disabled"];
    let mut table = Table::new("Webhooks", &columns);
    for webhook in session.store.webhooks(session.tenant).await? {
        let endpoint = session.store.webhook(session.tenant, webhook.endpoint_id);
        let standing = endpoint.subscription().standing().await?;
        let lag = standing.lag_events();
        table.row([
            json!(webhook.endpoint_id),
            json!(webhook.url),
            json!(standing.types.map(|types| types.join(", "))),
            json!(lag),
            json!(standing.lag_seconds),
            json!(standing.behind),
            json!(standing.parked),
            json!(webhook.disabled_reason),
        ]);
    }
    Ok(Answer::of(table))
}

async fn deliveries(endpoint: &Endpoint, limit: i64) -> Result<Answer, Failure> {
    let mut table = Table::new("Deliveries", &["at", "position", "attempt", "took_ms", "status", "failure"]);
    for (attempt, delivery) in endpoint.deliveries(None, limit).await? {
        table.row([
            json!(attempt.at),
            json!(delivery.position),
            json!(delivery.attempt),
            json!(delivery.took_ms),
            json!(delivery.status),
            json!(delivery.failure),
        ]);
    }
    Ok(Answer::of(table))
}
