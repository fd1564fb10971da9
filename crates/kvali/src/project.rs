//! `kvali project`: workers that fold the log into read models, apart from whatever else runs.

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::edge;
use crate::failure::Failure;
use crate::measured;
use crate::projections::named;
use kvali_eventstore::Store;
use kvali_eventstore::project::{Workers, Workload};
use kvali_eventstore::subscribe::Standing;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::time::Duration;

const EXAMPLES: &str = "\
Any number of these share the work, on any number of machines; one that is killed is stood in for within ten seconds.
Told to stop (Ctrl-C, SIGTERM), it ends the page that it is at and lets go. `kvali projections status` shows who is
at what, and how far behind.

Examples:
  kvali project
  kvali project --model conversion_funnel --at-once 4
  kvali project --metrics 127.0.0.1:9464";

/// How often what is measured is measured again.
const MEASURED_EVERY: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Project {
    /// Only this read model; repeat for each [default: all]
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// Read models and tenants that are folded at once
    #[arg(long, default_value = "2", value_name = "N", env = "KVALI_AT_ONCE")]
    at_once: NonZeroU8,
    #[command(flatten)]
    metrics: Metrics,
}

#[derive(clap::Args)]
pub(crate) struct Metrics {
    /// Serves Prometheus metrics at `http://ADDRESS/metrics`, where they are not served anyway
    #[arg(long = "metrics", id = "metrics", value_name = "ADDRESS", env = "KVALI_METRICS")]
    address: Option<SocketAddr>,
}

impl Metrics {
    pub(crate) fn are_wanted(&self) -> bool {
        self.address.is_some()
    }

    /// From now on, if anybody wants them.
    pub(crate) fn serve(&self) -> Result<(), Failure> {
        self.address.map_or(Ok(()), measured::serve)
    }
}

impl Project {
    /// Works until `told_to_stop`.
    pub(crate) async fn run(
        self,
        global: &Global,
        told_to_stop: impl Future<Output = ()>,
    ) -> Result<Done, Failure> {
        let models = if self.models.is_empty() {
            kvali_projections::all()
        } else {
            let chosen = self.models.iter().map(|name| named(name));
            chosen.collect::<Result<Vec<_>, _>>()?
        };
        let at_once = self.at_once.get();
        let session = Session::open_for(global, "default", connections(at_once)).await?;
        self.metrics.serve()?;
        let workload = Workload { models, at_once: at_once.into(), worker: edge::new_id() };
        tracing::info!(worker = %workload.worker, at_once, "folding");
        let workers = Workers::start(&session.store, &workload);
        tokio::select! {
            () = told_to_stop => {}
            () = measure(&session.store, self.metrics.are_wanted()) => {}
        }
        workers.stop().await;
        session.store.close().await;
        Ok(Done::Well)
    }
}

/// A unit reads its next page while it writes one, and the ticker looks at the heads. Half of a store's connections
/// are for projections.
pub(crate) fn connections(at_once: u8) -> u32 {
    2 * (2 * u32::from(at_once) + 2)
}

/// Measures for ever, if anybody wants to know.
pub(crate) async fn measure(store: &Store, wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let mut ticks = tokio::time::interval(MEASURED_EVERY);
    loop {
        ticks.tick().await;
        match store.projection_status().await {
            Ok(status) => measured::projections(&status),
            Err(error) => tracing::warn!(%error, "the read models' lag could not be measured"),
        }
        match subscriptions(store).await {
            Ok(standing) => measured::subscriptions(&standing),
            Err(error) => tracing::warn!(%error, "the subscriptions' lag could not be measured"),
        }
    }
}

async fn subscriptions(store: &Store) -> Result<Vec<Standing>, kvali_eventstore::Error> {
    let mut all = Vec::new();
    for tenant in store.tenants().await? {
        all.extend(store.subscriptions(tenant).await?);
    }
    Ok(all)
}
