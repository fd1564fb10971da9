//! `kvali relay nats`: one follower for each tenant. Several processes may run; the subscription of each tenant sees to it
//! that one of them is at work on it, and the stream's own sequence that no other gets in between.

mod error;
mod follow;
mod message;
mod server;
mod stream;

pub(crate) use error::RelayError;

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::output::{Answer, Table};
use crate::subscriptions::place;
use crate::{ids, project};
use async_nats::Client;
use follow::{Follower, Relayed, Until};
use kvali_domain::TenantId;
use kvali_eventstore::subscribe::From;
use kvali_eventstore::{Store, chain};
use serde_json::json;
use server::Server;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stream::Wanted;
use tokio::sync::watch;
use tokio::task::JoinSet;

const EXAMPLES: &str = "\
Every tenant has a stream of its own, NAME_TENANT, with subjects such as kvali.TENANT.deal.won. A message is the event as
CloudEvents has it, without personal texts; its id is EPOCH-POSITION in the log. Any number of relays may run: one is at
work for each tenant, the others stand by. docs/serving.md has the rest.

Examples:
  kvali relay nats --server nats://127.0.0.1:4222
  kvali relay nats --server tls://nats.example:4222 --creds kvali.creds --type 'deal.*'
  kvali --tenant acme relay nats --once
      What is in the log now, and how fast it went.";

/// So often it is looked which logs have moved.
const LOOK: Duration = Duration::from_millis(200);
/// A follower reads its next page while it settles one, and keeps its lease meanwhile.
const CONNECTIONS: u32 = 12;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Nats {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    wanted: Wanted,
    /// Only these types, such as deal.won or deal.*; repeat for each [default: all]
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// After which place of the log a tenant begins that was never relayed: `beginning`, `now`, a position, or an instant
    #[arg(long, value_name = "PLACE", value_parser = place, default_value = "beginning")]
    from: From,
    /// Messages of a tenant that wait for their acknowledgement at once
    #[arg(long, default_value = "1000", value_name = "N", env = "KVALI_NATS_IN_FLIGHT")]
    in_flight: NonZeroU16,
    /// Relay what is in the log now, tell how long it took, and stop
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    metrics: project::Metrics,
}

/// What every follower of this process shares.
struct How {
    store: Store,
    client: Client,
    wanted: Wanted,
    types: Option<Vec<String>>,
    from: From,
    in_flight: u16,
}

type Heads = HashMap<TenantId, i64>;

impl Nats {
    pub(crate) async fn run(
        self,
        global: &Global,
        told_to_stop: impl Future<Output = ()>,
    ) -> Result<Done, Failure> {
        let options = self.server.options().await?;
        let session = Session::open_for(global, "default", CONNECTIONS).await?;
        self.metrics.serve()?;
        tokio::pin!(told_to_stop);
        let client = tokio::select! {
            client = self.server.connect(options) => client?,
            () = &mut told_to_stop => return Ok(Done::Well),
        };
        let only = global.tenant.as_deref().map(ids::tenant);
        let types = (!self.types.is_empty()).then_some(self.types);
        let (from, in_flight) = (self.from, self.in_flight.get());
        let how = How { store: session.store.clone(), client, wanted: self.wanted, types, from, in_flight };
        let (how, begun) = (Arc::new(how), Instant::now());
        let relayed = tokio::select! {
            relayed = supervise(how, only, self.once, &mut told_to_stop) => relayed?,
            () = project::measure(&session.store, self.metrics.are_wanted()) => Vec::new(),
        };
        if self.once {
            told(&relayed, begun.elapsed()).print(global.format)?;
        }
        session.store.close().await;
        Ok(Done::Well)
    }
}

/// A follower for each tenant, until all have ended or `told_to_stop`.
async fn supervise(
    how: Arc<How>,
    only: Option<TenantId>,
    once: bool,
    mut told_to_stop: impl Future<Output = ()> + Unpin,
) -> Result<Vec<Relayed>, Failure> {
    let (stop, stopped) = watch::channel(false);
    let (seen, heads) = watch::channel(Heads::new());
    let mut running: JoinSet<Result<Relayed, RelayError>> = JoinSet::new();
    let mut known: HashSet<TenantId> = HashSet::new();
    let mut relayed = Vec::new();
    loop {
        match how.store.heads().await {
            Ok(now) => {
                for (tenant, head) in
                    now.iter().filter(|(tenant, _)| only.is_none_or(|only| only == **tenant))
                {
                    if known.insert(*tenant) {
                        let until = if once { Until::Position(*head) } else { Until::ToldToStop };
                        let follower = Follower::new(how.clone(), *tenant, until);
                        running.spawn(follower.run(heads.clone(), stopped.clone()));
                    }
                }
                seen.send_replace(now);
            }
            Err(error) if once => return Err(error.into()),
            Err(error) => tracing::warn!(error = chain(&error), "the heads of the logs could not be read"),
        }
        tokio::select! {
            Some(ended) = running.join_next() => relayed.push(ended.map_err(Failure::Task)??),
            () = tokio::time::sleep(LOOK) => {}
            () = &mut told_to_stop => break,
        }
        if once && running.is_empty() {
            break;
        }
    }
    stop.send_replace(true);
    while let Some(ended) = running.join_next().await {
        relayed.push(ended.map_err(Failure::Task)??);
    }
    Ok(relayed)
}

fn told(relayed: &[Relayed], took: Duration) -> Answer {
    let mut table = Table::new("Relayed", &["tenant", "events", "position"]);
    for Relayed { tenant, events, position } in relayed {
        table.row([json!(tenant), json!(events), json!(position)]);
    }
    let events: u64 = relayed.iter().map(|relayed| relayed.events).sum();
    let seconds = took.as_secs_f64();
    let per_second = u64::try_from(u128::from(events) * 1_000 / took.as_millis().max(1)).unwrap_or(u64::MAX);
    let note = format!("{events} events in {seconds:.1} s: {per_second} a second.");
    let tenants: Vec<_> = relayed
        .iter()
        .map(|each| json!({ "tenant": each.tenant, "events": each.events, "position": each.position }))
        .collect();
    let json =
        json!({ "events": events, "seconds": seconds, "events_per_second": per_second, "tenants": tenants });
    Answer { tables: vec![table], notes: vec![note], json }
}
