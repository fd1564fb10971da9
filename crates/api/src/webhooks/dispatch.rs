//! The dispatcher: one task for each endpoint. Several processes may run one; the leases of the endpoint's subscription see to
//! it that each event is delivered by one of them at a time.

use super::address::Loopback;
use super::deliver::{Message, Sender};
use crate::cloud_event::cloud_event;
use crate::edge;
use kvali_domain::TenantId;
use kvali_eventstore::subscribe::{Batch, Fetch, Given, Part, SubscribeError};
use kvali_eventstore::webhook::{Delivery, Endpoint};
use kvali_eventstore::{Error, Store};
use reqwest::StatusCode;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

/// After the first, second, … failure; after the tenth the stream is parked. As Standard Webhooks proposes.
const PAUSES: [u64; 10] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400, 86_400];
/// New endpoints, and those that were deleted, are looked for so often.
const LOOK: Duration = Duration::from_secs(1);
const WAIT: Duration = Duration::from_secs(30);
/// Events in a batch: with the patience of each, well within the lease.
const BATCH: u16 = 8;

/// How endpoints are delivered to.
#[derive(Clone, Copy, Debug)]
pub struct Dispatch {
    pub loopback: Loopback,
    /// How long an endpoint may take to answer.
    pub patience: Duration,
}

impl Default for Dispatch {
    fn default() -> Self {
        Self { loopback: Loopback::Refused, patience: Duration::from_secs(15) }
    }
}

/// Delivers until it is told to stop.
pub struct Dispatcher {
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Dispatcher {
    pub fn start(store: Store, how: Dispatch) -> Self {
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(supervise(store, how, stopped));
        Self { stop, running }
    }

    /// Waits until what is under way has been answered.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.running.await {
            tracing::error!(%error, "the dispatcher of webhooks ended early");
        }
    }
}

async fn supervise(store: Store, how: Dispatch, mut stopped: watch::Receiver<bool>) {
    let sender = Arc::new(Sender::new(how.loopback, how.patience));
    let mut running: JoinSet<(TenantId, Uuid)> = JoinSet::new();
    let mut known: HashSet<(TenantId, Uuid)> = HashSet::new();
    while !*stopped.borrow() {
        while let Some(ended) = running.try_join_next() {
            match ended {
                Ok(endpoint) => drop(known.remove(&endpoint)),
                Err(error) => tracing::error!(%error, "delivering to an endpoint ended early"),
            }
        }
        match store.deliverable().await {
            Ok(endpoints) => {
                for (tenant, id) in endpoints {
                    if known.insert((tenant, id)) {
                        running.spawn(follow(store.webhook(tenant, id), sender.clone(), stopped.clone()));
                    }
                }
            }
            Err(error) => {
                tracing::warn!(error = kvali_eventstore::chain(&error), "no webhook could be looked for");
            }
        }
        let _over = tokio::time::timeout(LOOK, stopped.changed()).await;
    }
    while running.join_next().await.is_some() {}
}

/// Until the endpoint is deleted or disabled.
async fn follow(
    endpoint: Endpoint,
    sender: Arc<Sender>,
    mut stopped: watch::Receiver<bool>,
) -> (TenantId, Uuid) {
    let which = (endpoint.tenant(), endpoint.id());
    let lease = (sender.patience + Duration::from_secs(10)) * u32::from(BATCH);
    while !*stopped.borrow() {
        match turn(&endpoint, &sender, lease, &mut stopped).await {
            Ok(true) | Err(SubscribeError::OldToken) => {}
            Ok(false) | Err(SubscribeError::NoSuch { .. }) => break,
            Err(error) => {
                tracing::warn!(endpoint = %which.1, error = kvali_eventstore::chain(&error), "a webhook rests");
                let _over = tokio::time::timeout(LOOK, stopped.changed()).await;
            }
        }
    }
    which
}

/// `false` if the endpoint is not delivered to any more.
async fn turn(
    endpoint: &Endpoint,
    sender: &Sender,
    lease: Duration,
    stopped: &mut watch::Receiver<bool>,
) -> Result<bool, SubscribeError> {
    if endpoint.target().await?.is_none() {
        return Ok(false);
    }
    let subscription = endpoint.subscription();
    let batch = subscription.next(Fetch { limit: BATCH, lease }, WAIT, stopped).await?;
    let Some(Batch { token, events, .. }) = batch else { return Ok(true) };
    let mut left: HashMap<Uuid, usize> = HashMap::new();
    for given in &events {
        *left.entry(given.recorded.stream.0).or_default() += 1;
    }
    for given in &events {
        let (stream, position) = (given.recorded.stream.0, given.recorded.position);
        if !left.contains_key(&stream) {
            continue;
        }
        if *stopped.borrow() {
            subscription.give_up(token).await?;
            return Ok(true);
        }
        match attempt(endpoint, sender, given).await? {
            Attempt::Delivered => drop(subscription.ack(token, Part::Each([position].into())).await?),
            Attempt::Gone => {
                subscription.give_up(token).await?;
                return Ok(false);
            }
            Attempt::Failed(reason) => {
                let pause = PAUSES[usize::try_from(given.tries).unwrap_or(0).min(PAUSES.len() - 1)];
                let part = Part::Each([position].into());
                subscription.nack(token, part, Some(Duration::from_secs(pause)), Some(reason)).await?;
                left.remove(&stream);
            }
        }
    }
    Ok(true)
}

enum Attempt {
    Delivered,
    /// 410: it never wants to hear of it again.
    Gone,
    Failed(String),
}

async fn attempt(endpoint: &Endpoint, sender: &Sender, given: &Given) -> Result<Attempt, Error> {
    // Anew for each: a secret may have been rotated, or the endpoint disabled.
    let Some((url, secrets)) = endpoint.target().await? else { return Ok(Attempt::Gone) };
    let recorded = &given.recorded;
    let body = cloud_event(recorded);
    let id = format!("msg_{}", recorded.event_id.0.simple());
    let message = Message { id: &id, timestamp: edge::now().timestamp(), body };
    let start = Instant::now();
    let outcome = sender.deliver(&url, &secrets, message).await;
    let took_ms = i32::try_from(start.elapsed().as_millis()).unwrap_or(i32::MAX);
    let status = match &outcome {
        Ok(status) => Some(*status),
        Err(failed) => failed.status(),
    };
    let failure = outcome.as_ref().err().map(|failed| kvali_eventstore::chain(failed));
    let delivery = Delivery {
        delivery_id: edge::new_id(),
        endpoint_id: endpoint.id(),
        position: recorded.position,
        event_id: recorded.event_id.0,
        attempt: given.tries + 1,
        took_ms,
        status: status.and_then(|status| i16::try_from(status.as_u16()).ok()),
        failure: failure.clone(),
    };
    endpoint.attempted(&delivery).await?;
    match (failure, status) {
        (None, _) => Ok(Attempt::Delivered),
        (Some(_), Some(StatusCode::GONE)) => {
            endpoint.disable(Some("the endpoint answered 410 Gone")).await?;
            tracing::warn!(tenant = %endpoint.tenant(), endpoint = %endpoint.id(), "a webhook is disabled: 410 Gone");
            Ok(Attempt::Gone)
        }
        (Some(reason), _) => Ok(Attempt::Failed(reason)),
    }
}
