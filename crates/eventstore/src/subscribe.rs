//! Durable subscriptions: members of a group share the log between them. Every event is given out once or more, and those
//! of a stream in order: the next one only when the one before is settled.
//!
//! A subscription is a cursor, one row for each batch in hand, and one for each stream that is behind. So a group that
//! catches up keeps two rows, however long the log is.

mod alone;
mod fetch;
mod settle;
mod standing;

pub use alone::{Alone, Page};
pub use fetch::{Batch, Fetch, Given};
pub use settle::{Acked, GivenBack, Part};
pub use standing::{ParkedStream, Standing};

use crate::{Error, Store};
use chrono::{DateTime, Utc};
use dashmap::DashMap;
use kvali_domain::TenantId;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use std::sync::Arc;
use tokio::sync::Mutex;

/// A stream is parked when one of its events was given back so often.
pub const MOST_TRIES: i32 = 10;

/// One subscription of one tenant. Cheap to clone.
#[derive(Clone)]
pub struct Subscription {
    store: Store,
    tenant: TenantId,
    name: String,
}

/// Where a subscription begins, or begins anew: after that place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    Beginning,
    Now,
    Position(i64),
    /// After the last event that was recorded by then.
    Instant(DateTime<Utc>),
}

#[derive(thiserror::Error, Debug)]
pub enum SubscribeError {
    #[error("there is no subscription {name:?}; create it first")]
    NoSuch { name: String },
    #[error("there is a subscription {name:?} with other types; delete it first, or choose another name")]
    Exists { name: String },
    #[error(
        "nothing is in hand under this token: all of it is settled, or the lease ran out and its events were given to \
         others; fetch again"
    )]
    OldToken,
    #[error(
        "the event at position {position} is not in hand under this token; those that were fetched with it are"
    )]
    NotInHand { position: i64 },
    #[error("the log was restored since; rewind the subscription to a position of the log as it is now")]
    AnotherLog,
    #[error("other members of the group were quicker {attempts} times in a row; fetch again")]
    Crowded { attempts: u32 },
    #[error(transparent)]
    Store(#[from] Error),
}

impl SubscribeError {
    fn read(error: sqlx::Error) -> Self {
        Self::Store(Error::Read(error))
    }
}

/// Members of one process wait for each other, rather than find at the end that another was quicker.
#[derive(Default)]
pub(crate) struct Lines(DashMap<(TenantId, String), Arc<Mutex<()>>>);

impl Lines {
    fn of(&self, subscription: &Subscription) -> Arc<Mutex<()>> {
        let key = (subscription.tenant, subscription.name.clone());
        Arc::clone(&self.0.entry(key).or_default())
    }

    fn forget(&self, subscription: &Subscription) {
        self.0.remove(&(subscription.tenant, subscription.name.clone()));
    }
}

impl Store {
    /// A subscription by its name, which need not be there.
    pub fn subscription(&self, tenant: TenantId, name: impl Into<String>) -> Subscription {
        Subscription { store: self.clone(), tenant, name: name.into() }
    }
}

impl Subscription {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Begins after `from`. The same again changes nothing and answers `false`.
    pub async fn create(&self, types: Option<&[String]>, from: From) -> Result<bool, SubscribeError> {
        let position = self.place(from).await?;
        let created = sqlx::query(
            "insert into kvali.subscription (tenant_id, name, types, epoch, cursor) \
             values ($1, $2, $3, coalesce((select epoch from kvali.ledger where tenant_id = $1), 1), $4) \
             on conflict do nothing",
        )
        .bind(self.tenant.0)
        .bind(&self.name)
        .bind(types)
        .bind(position)
        .execute(&mut *self.connection().await?)
        .await
        .map_err(SubscribeError::read)?;
        if created.rows_affected() == 1 {
            return Ok(true);
        }
        let there = self.standing().await?;
        if there.types.as_deref() == types {
            Ok(false)
        } else {
            Err(SubscribeError::Exists { name: self.name.clone() })
        }
    }

    /// With all that it keeps. What members have in hand, they settle in vain.
    pub async fn delete(&self) -> Result<(), SubscribeError> {
        let deleted = sqlx::query(
            "with lease as (delete from kvali.subscription_lease where tenant_id = $1 and subscription = $2), \
                  stream as (delete from kvali.subscription_stream where tenant_id = $1 and subscription = $2) \
             delete from kvali.subscription where tenant_id = $1 and name = $2",
        )
        .bind(self.tenant.0)
        .bind(&self.name)
        .execute(&mut *self.connection().await?)
        .await
        .map_err(SubscribeError::read)?;
        self.store.inner.lines.forget(self);
        if deleted.rows_affected() == 1 { Ok(()) } else { Err(self.no_such()) }
    }

    /// The position after which `from` begins.
    pub async fn place(&self, from: From) -> Result<i64, SubscribeError> {
        let head = self.store.head(self.tenant).await?;
        match from {
            From::Beginning => Ok(0),
            From::Now => Ok(head),
            From::Position(position) if (0..=head).contains(&position) => Ok(position),
            From::Position(position) => Err(Error::NoSuchPosition { position, head }.into()),
            From::Instant(at) => Ok(self.store.position_at(self.tenant, at).await?),
        }
    }

    async fn connection(&self) -> Result<PoolConnection<Postgres>, Error> {
        self.store.connection(self.tenant).await
    }

    fn no_such(&self) -> SubscribeError {
        SubscribeError::NoSuch { name: self.name.clone() }
    }
}

/// Whether an event is of one of the types that are wanted.
fn is_wanted(types: Option<&[String]>, event_type: &str) -> bool {
    let Some(types) = types else { return true };
    let aggregate = event_type.split_once('.').map(|(aggregate, _)| aggregate);
    types
        .iter()
        .any(|word| word == event_type || word.strip_suffix(".*").is_some_and(|of| Some(of) == aggregate))
}

#[cfg(test)]
mod tests {
    use super::is_wanted;

    #[test]
    fn a_type_is_wanted_by_its_name_or_by_its_aggregate() {
        let types = ["deal.won".to_owned(), "task.*".to_owned()];
        let wanted = ["deal.won", "task.done", "deal.lost", "tasks.done", "task"];
        let wanted = wanted.map(|event_type| is_wanted(Some(&types), event_type));
        assert_eq!(wanted, [true, true, false, false, false]);
        assert!(is_wanted(None, "deal.lost"));
    }
}
