//! One tenant's relay: whoever has its subscription sends page after page of the log; others stand by.

use super::server::PATIENCE;
use super::stream::{Place, Stream};
use super::{Heads, How, RelayError};
use crate::measured;
use async_nats::jetstream::ContextBuilder;
use kvali_domain::TenantId;
use kvali_eventstore::chain;
use kvali_eventstore::subscribe::{Alone, SubscribeError, Subscription};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a killed relay held is taken over after so long. That it is short does no harm: one that is only slow finds that
/// the stream has gone on without it.
const LEASE: Duration = Duration::from_secs(5);
/// Before what failed is tried again, and before one that stands by looks again.
const PAUSE: Duration = Duration::from_secs(1);

/// When a follower ends.
#[derive(Clone, Copy)]
pub(super) enum Until {
    ToldToStop,
    /// As soon as the stream has that position, or when told to stop.
    Position(i64),
}

/// What became of a tenant.
pub(super) struct Relayed {
    pub tenant: TenantId,
    /// Messages that this process has sent and the stream has taken.
    pub events: u64,
    /// The position up to which the log is in the stream, as far as this process knows.
    pub position: i64,
}

pub(super) struct Follower {
    how: Arc<How>,
    subscription: Subscription,
    until: Until,
    relayed: Relayed,
    /// What was told last of what fails, so that it is not told again every second; `None` once it goes on.
    failure: Option<String>,
    /// In what the stream was told to differ from one that would be made.
    differences: Vec<String>,
}

impl Follower {
    pub(super) fn new(how: Arc<How>, tenant: TenantId, until: Until) -> Self {
        let subscription = how.store.subscription(tenant, how.wanted.subscription());
        let relayed = Relayed { tenant, events: 0, position: 0 };
        Self { how, subscription, until, relayed, failure: None, differences: Vec::new() }
    }

    pub(super) async fn run(
        mut self,
        mut heads: watch::Receiver<Heads>,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<Relayed, RelayError> {
        while !*stopped.borrow() && !self.has_arrived() {
            match self.turn(&mut heads, &mut stopped).await {
                Ok(()) => self.failure = None,
                Err(error) if error.is_lasting() && self.has_end() => return Err(error),
                Err(error) => self.tell(&error),
            }
            if !self.has_arrived() {
                let _over = tokio::time::timeout(PAUSE, stopped.changed()).await;
            }
        }
        Ok(self.relayed)
    }

    fn has_end(&self) -> bool {
        matches!(self.until, Until::Position(_))
    }

    fn has_arrived(&self) -> bool {
        matches!(self.until, Until::Position(position) if self.relayed.position >= position)
    }

    fn tell(&mut self, error: &RelayError) {
        measured::relay_failed(self.relayed.tenant);
        let told = chain(error);
        if self.failure.as_ref() != Some(&told) {
            tracing::warn!(tenant = %self.relayed.tenant, error = told, "a tenant's relay rests; it is tried again");
        }
        self.failure = Some(told);
    }

    fn tell_of(&mut self, stream: &Stream, place: Place) {
        let (tenant, name) = (self.relayed.tenant, &stream.name);
        if !stream.differences.is_empty() && stream.differences != self.differences {
            self.differences.clone_from(&stream.differences);
            let differences = self.differences.join("; ");
            tracing::warn!(
                stream = name,
                differences,
                "the stream is not as it would be made; it is left as it is"
            );
        }
        if self.failure.is_none() {
            tracing::info!(%tenant, stream = name, after = place.position, "relaying");
        }
    }

    /// Until it is told to stop, or something fails, or at once if another has the tenant.
    async fn turn(
        &mut self,
        heads: &mut watch::Receiver<Heads>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), RelayError> {
        self.subscription.create(self.how.types.as_deref(), self.how.from).await?;
        let Some(alone) = self.subscription.take(LEASE).await? else {
            self.relayed.position = self.subscription.standing().await?.checkpoint;
            return Ok(());
        };
        let kept = Kept::of(&alone);
        let relayed = self.relay(&alone, heads, stopped).await;
        drop(kept);
        match alone.let_go().await {
            Ok(()) | Err(SubscribeError::OldToken | SubscribeError::NoSuch { .. }) => relayed,
            Err(error) => relayed.and(Err(error.into())),
        }
    }

    async fn relay(
        &mut self,
        alone: &Alone,
        heads: &mut watch::Receiver<Heads>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), RelayError> {
        let how = self.how.clone();
        let How { store, client, wanted, from, in_flight, .. } = &*how;
        // Of its own for each turn: what an earlier one still waits for takes no place in it.
        let context = ContextBuilder::new().timeout(PATIENCE).ack_timeout(PATIENCE);
        let context = context.max_ack_inflight(usize::from(*in_flight)).build(client.clone());
        let tenant = self.relayed.tenant;
        let stream = Stream::open(context, wanted, tenant).await?;
        let begin = self.subscription.place(*from).await?;
        let mut place = stream.place(store, alone, begin).await?;
        self.tell_of(&stream, place);
        let mut page = alone.read(place.position, *in_flight).await?;
        while !*stopped.borrow() {
            self.relayed.position = place.position;
            if self.has_arrived() {
                break;
            }
            if page.through == place.position {
                newer(tenant, place, heads, stopped).await;
                page = alone.read(place.position, *in_flight).await?;
                continue;
            }
            let (before, through) = (place.sequence, page.through);
            let (sent, next) =
                tokio::join!(stream.publish(&page, alone.epoch, &mut place), alone.read(through, *in_flight));
            self.count(place.sequence - before);
            alone.settle(place.position).await.map_err(RelayError::of_settling)?;
            sent?;
            self.failure = None;
            page = next?;
        }
        self.relayed.position = place.position;
        Ok(())
    }

    fn count(&mut self, messages: u64) {
        self.relayed.events += messages;
        measured::relayed(self.relayed.tenant, messages);
    }
}

/// Waits until the log is longer, or somebody says stop.
async fn newer(
    tenant: TenantId,
    place: Place,
    heads: &mut watch::Receiver<Heads>,
    stopped: &mut watch::Receiver<bool>,
) {
    let is_longer = |heads: &Heads| heads.get(&tenant).is_some_and(|head| *head > place.position);
    // Whoever tells the heads outlives the followers.
    let longer = async { heads.wait_for(is_longer).await.is_ok() };
    tokio::select! {
        _ = longer => {}
        _ = stopped.changed() => {}
    }
}

/// Keeps a subscription until it is dropped, or another has it.
struct Kept(JoinHandle<()>);

impl Kept {
    fn of(alone: &Alone) -> Self {
        let alone = alone.clone();
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(LEASE / 3).await;
                match alone.extend(LEASE).await {
                    Ok(_) => {}
                    Err(SubscribeError::OldToken) => return,
                    Err(error) => tracing::warn!(error = chain(&error), "a lease could not be prolonged"),
                }
            }
        }))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.abort();
    }
}
