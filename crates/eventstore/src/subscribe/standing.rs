//! Where subscriptions stand, and which streams they have parked.

use super::{SubscribeError, Subscription};
use crate::{Error, Store};
use chrono::{DateTime, Utc};
use kvali_domain::{StreamId, TenantId};
use uuid::Uuid;

#[derive(Clone, PartialEq, Debug, sqlx::FromRow)]
pub struct Standing {
    pub tenant_id: Uuid,
    pub name: String,
    pub types: Option<Vec<String>>,
    pub created_at: DateTime<Utc>,
    /// Every event up to here is settled, or parked, or of no wanted type.
    pub checkpoint: i64,
    pub head: i64,
    /// Events that members have now.
    pub in_hand: i64,
    /// Streams that wait for another try, or for their turn.
    pub behind: i64,
    /// Streams that are not given out any more.
    pub parked: i64,
    /// For how long the first event that is not settled has stood in the log; 0 if there is none.
    pub lag_seconds: f64,
}

impl Standing {
    /// Events of the log that are not settled, whatever their type.
    pub fn lag_events(&self) -> i64 {
        self.head - self.checkpoint
    }
}

#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct ParkedStream {
    pub stream_id: Uuid,
    /// The first event that is not given out; later ones of the stream are not either.
    pub position: i64,
    pub tries: i32,
    pub failure: Option<String>,
    pub parked_at: DateTime<Utc>,
}

impl Store {
    /// Every subscription of a tenant.
    pub async fn subscriptions(&self, tenant: TenantId) -> Result<Vec<Standing>, Error> {
        self.standing(tenant, None).await
    }

    async fn standing(&self, tenant: TenantId, name: Option<&str>) -> Result<Vec<Standing>, Error> {
        sqlx::query_as(include_str!("standing.sql"))
            .bind(tenant.0)
            .bind(name)
            .fetch_all(&mut *self.connection(tenant).await?)
            .await
            .map_err(Error::Read)
    }
}

impl Subscription {
    pub async fn standing(&self) -> Result<Standing, SubscribeError> {
        let found = self.store.standing(self.tenant, Some(&self.name)).await?;
        found.into_iter().next().ok_or_else(|| self.no_such())
    }

    /// In the order of the log.
    pub async fn parked(&self) -> Result<Vec<ParkedStream>, SubscribeError> {
        self.standing().await?;
        sqlx::query_as(
            "select stream_id, position, tries, failure, parked_at from kvali.subscription_stream \
             where tenant_id = $1 and subscription = $2 and parked_at is not null order by position",
        )
        .bind(self.tenant.0)
        .bind(&self.name)
        .fetch_all(&mut *self.connection().await?)
        .await
        .map_err(SubscribeError::read)
    }

    /// Gives parked streams out again, from the event that they were parked at: one, or all. Answers with how many.
    pub async fn replay(&self, stream: Option<StreamId>) -> Result<u64, SubscribeError> {
        self.standing().await?;
        let replayed = sqlx::query(
            "update kvali.subscription_stream set parked_at = null, tries = 0, retry_at = '-infinity' \
             where tenant_id = $1 and subscription = $2 and parked_at is not null and ($3::uuid is null or stream_id = $3)",
        )
        .bind(self.tenant.0)
        .bind(&self.name)
        .bind(stream.map(|stream| stream.0))
        .execute(&mut *self.connection().await?)
        .await
        .map_err(SubscribeError::read)?;
        self.store.hint();
        Ok(replayed.rows_affected())
    }
}
