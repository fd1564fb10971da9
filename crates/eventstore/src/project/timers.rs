//! What the passing of time alone calls for: ordinary commands, with ids that follow from what is due.

use super::fold::Unit;
use super::look::{Look, SNAPSHOT};
use super::{detached, wrote};
use crate::acting::begin_for;
use crate::{Envelope, Error, Outcome, Store};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use kvali_domain::{ActorId, Channel, CommandId, Occurred, Order};
use sqlx::Executor;
use std::time::Duration;
use uuid::Uuid;

/// Who sends what the clock calls for.
pub const TIMER: ActorId = ActorId(Uuid::from_u128(0x7_13e5));

/// A command that an instant calls for.
#[derive(Clone, Debug)]
pub struct Timed {
    pub order: Order,
    /// The instant that it was due at, which is when it happened.
    pub due: DateTime<Utc>,
    /// What it is, apart from the others of its stream, such as `overdue`: with stream and instant it makes the
    /// command's id, so that one thing due is one command, whoever sends it and however often.
    pub key: String,
}

/// What is due, and when the next thing will be.
#[derive(Clone, Default, Debug)]
pub struct Timers {
    pub due: Vec<Timed>,
    /// The earliest instant after `look.at` that something may be due at; `None` as long as no event changes it.
    pub next: Option<DateTime<Utc>>,
}

/// How long something due waits after the rules have refused it: they see what the read model does not.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);
/// Commands under way at once.
const AT_ONCE: usize = 64;

impl Store {
    /// Sends what is due by the live tables; answers with when to look again.
    pub(super) async fn send_due(&self, unit: &Unit) -> Result<Option<DateTime<Utc>>, Error> {
        let (now, timers) = self.look_for_timers(unit).await?;
        if timers.due.is_empty() {
            return Ok(timers.next);
        }
        let ids = self.keyed_ids(unit.tenant).await?;
        let sent = timers.due.into_iter().map(|timed| {
            let text =
                format!("{}\u{1f}{}\u{1f}{}", timed.order.stream, timed.due.timestamp_micros(), timed.key);
            let id = CommandId(ids.named("timer", &text));
            let envelope = Envelope::new(unit.tenant, id, TIMER, Channel::Timer, now);
            self.handle(timed.order, envelope.occurred(Occurred::Instant { at: timed.due }))
        });
        let outcomes: Vec<Outcome> = stream::iter(sent).buffer_unordered(AT_ONCE).try_collect().await?;
        let refused: Vec<_> =
            outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Refused(_))).collect();
        let Some(Outcome::Refused(first)) = refused.first() else { return Ok(Some(now)) };
        tracing::warn!(
            projection = unit.projection.name(),
            tenant = %unit.tenant,
            refused = refused.len(),
            %first,
            "what was due by the read model was refused"
        );
        let again = now + REFUSED_PAUSE;
        Ok(Some(timers.next.map_or(again, |next| next.min(again))))
    }

    async fn look_for_timers(&self, unit: &Unit) -> Result<(DateTime<Utc>, Timers), Error> {
        let (pool, wrote, unit) = (self.inner.pool.clone(), wrote(&*unit.projection), unit.clone());
        detached(async move {
            let mut tx = begin_for(&pool, unit.tenant).await?;
            tx.execute(SNAPSHOT).await?;
            let (at, position) = sqlx::query_as(
                "select clock_timestamp(), position from kvali.projection_checkpoint \
                 where tenant_id = $1 and projection = $2 and version = $3 and generation = $4",
            )
            .bind(unit.tenant.0)
            .bind(unit.projection.name())
            .bind(unit.projection.version())
            .bind(unit.generation.generation)
            .fetch_one(&mut *tx)
            .await?;
            let schema = &unit.generation.schema_name;
            let mut look = Look { tenant: unit.tenant, schema, position, at, connection: &mut tx };
            let timers = unit.projection.timers(&mut look).await?;
            tx.commit().await?;
            Ok((at, timers))
        })
        .await?
        .map_err(wrote)
    }
}
