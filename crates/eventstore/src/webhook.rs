//! Endpoints that events are sent to. Each follows the log by a durable subscription of its own; its secrets are sealed by
//! the tenant's key.

use crate::subscribe::{From, SubscribeError, Subscription};
use crate::{Error, Store};
use chacha20poly1305::Key;
use chacha20poly1305::aead::Generate;
use chrono::{DateTime, Utc};
use kvali_domain::TenantId;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// What signs a message: 256 random bits. Not `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(pub [u8; 32]);

#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Webhook {
    pub endpoint_id: Uuid,
    pub url: String,
    pub created_at: DateTime<Utc>,
    pub disabled_at: Option<DateTime<Utc>>,
    pub disabled_reason: Option<String>,
    /// Until when the secret before the present one signs too.
    pub previous_until: Option<DateTime<Utc>>,
}

/// One attempt to deliver.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Delivery {
    pub delivery_id: Uuid,
    pub endpoint_id: Uuid,
    pub position: i64,
    pub event_id: Uuid,
    /// 1 for the first.
    pub attempt: i32,
    pub took_ms: i32,
    /// Of the answer, if there was one.
    pub status: Option<i16>,
    pub failure: Option<String>,
}

/// When an attempt was made, which is its place in the list of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attempt {
    pub at: DateTime<Utc>,
    pub delivery_id: Uuid,
}

/// Attempts are kept so long.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// One endpoint of one tenant.
#[derive(Clone)]
pub struct Endpoint {
    store: Store,
    tenant: TenantId,
    id: Uuid,
}

impl Store {
    pub fn webhook(&self, tenant: TenantId, endpoint: Uuid) -> Endpoint {
        Endpoint { store: self.clone(), tenant, id: endpoint }
    }

    pub async fn webhooks(&self, tenant: TenantId) -> Result<Vec<Webhook>, Error> {
        sqlx::query_as(
            "select endpoint_id, url, created_at, disabled_at, disabled_reason, previous_until from kvali.webhook \
             where tenant_id = $1 order by created_at, endpoint_id",
        )
        .bind(tenant.0)
        .fetch_all(&mut *self.connection(tenant).await?)
        .await
        .map_err(Error::Read)
    }

    /// Every endpoint of every tenant that is not disabled.
    pub async fn deliverable(&self) -> Result<Vec<(TenantId, Uuid)>, Error> {
        let rows: Vec<(Uuid, Uuid)> =
            sqlx::query_as("select tenant_id, endpoint_id from kvali.webhook where disabled_at is null")
                .fetch_all(&self.inner.projector)
                .await
                .map_err(Error::Read)?;
        Ok(rows.into_iter().map(|(tenant, endpoint)| (TenantId(tenant), endpoint)).collect())
    }
}

impl Endpoint {
    pub fn id(&self) -> Uuid {
        self.id
    }

    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// How far it has come. A name with a colon is no service's.
    pub fn subscription(&self) -> Subscription {
        self.store.subscription(self.tenant, format!("webhook:{}", self.id))
    }

    /// The secret is told here and nowhere else.
    pub async fn create(
        &self,
        url: &str,
        types: Option<&[String]>,
        from: From,
    ) -> Result<SigningSecret, SubscribeError> {
        // First, so that no endpoint is without one.
        self.subscription().create(types, from).await?;
        let (secret, sealed) = self.new_secret().await?;
        sqlx::query(
            "insert into kvali.webhook (tenant_id, endpoint_id, url, secret) values ($1, $2, $3, $4)",
        )
        .bind(self.tenant.0)
        .bind(self.id)
        .bind(url)
        .bind(sealed)
        .execute(&mut *self.store.connection(self.tenant).await?)
        .await
        .map_err(Error::Read)?;
        Ok(secret)
    }

    pub async fn standing(&self) -> Result<Option<Webhook>, Error> {
        let all = self.store.webhooks(self.tenant).await?;
        Ok(all.into_iter().find(|webhook| webhook.endpoint_id == self.id))
    }

    /// Answers with a new secret; the one before signs too for so long.
    pub async fn rotate(&self, keep: Duration) -> Result<Option<SigningSecret>, Error> {
        let (secret, sealed) = self.new_secret().await?;
        let rotated = sqlx::query(
            "update kvali.webhook set previous = secret, previous_until = clock_timestamp() + $4, secret = $3 \
             where tenant_id = $1 and endpoint_id = $2",
        )
        .bind(self.tenant.0)
        .bind(self.id)
        .bind(sealed)
        .bind(keep)
        .execute(&mut *self.store.connection(self.tenant).await?)
        .await
        .map_err(Error::Read)?;
        Ok((rotated.rows_affected() == 1).then_some(secret))
    }

    /// Nothing is delivered any more, until it is enabled. `None` enables it.
    pub async fn disable(&self, reason: Option<&str>) -> Result<bool, Error> {
        let changed = sqlx::query(
            "update kvali.webhook set disabled_reason = $3, disabled_at = case when $3 is not null then clock_timestamp() end \
             where tenant_id = $1 and endpoint_id = $2",
        )
        .bind(self.tenant.0)
        .bind(self.id)
        .bind(reason)
        .execute(&mut *self.store.connection(self.tenant).await?)
        .await
        .map_err(Error::Read)?;
        Ok(changed.rows_affected() == 1)
    }

    /// With its subscription and the list of its attempts.
    pub async fn delete(&self) -> Result<bool, SubscribeError> {
        let deleted = sqlx::query(
            "with attempts as (delete from kvali.webhook_delivery where tenant_id = $1 and endpoint_id = $2) \
             delete from kvali.webhook where tenant_id = $1 and endpoint_id = $2",
        )
        .bind(self.tenant.0)
        .bind(self.id)
        .execute(&mut *self.store.connection(self.tenant).await?)
        .await
        .map_err(Error::Read)?;
        match self.subscription().delete().await {
            Ok(()) | Err(SubscribeError::NoSuch { .. }) => Ok(deleted.rows_affected() == 1),
            Err(other) => Err(other),
        }
    }

    /// Where to deliver to and what signs, the newest first; `None` if it is deleted or disabled.
    pub async fn target(&self) -> Result<Option<(String, Vec<SigningSecret>)>, Error> {
        let row: Option<(String, Vec<u8>, Option<Vec<u8>>)> = sqlx::query_as(
            "select url, secret, case when previous_until > clock_timestamp() then previous end from kvali.webhook \
             where tenant_id = $1 and endpoint_id = $2 and disabled_at is null",
        )
        .bind(self.tenant.0)
        .bind(self.id)
        .fetch_optional(&mut *self.store.connection(self.tenant).await?)
        .await
        .map_err(Error::Read)?;
        let Some((url, secret, previous)) = row else { return Ok(None) };
        let key = self.store.inner.keyring.tenant(self.tenant).await?;
        let opened = std::iter::once(secret).chain(previous).map(|sealed| {
            let bytes = key.open(&sealed, self.id.as_bytes()).and_then(|bytes| bytes.try_into().ok());
            bytes.map(SigningSecret).ok_or(Error::WrongMasterKey)
        });
        Ok(Some((url, opened.collect::<Result<_, _>>()?)))
    }

    /// Records an attempt, and forgets those of long ago.
    pub async fn attempted(&self, delivery: &Delivery) -> Result<(), Error> {
        sqlx::query(
            "with old as (delete from kvali.webhook_delivery \
                           where tenant_id = $1 and endpoint_id = $3 and at < clock_timestamp() - $10) \
             insert into kvali.webhook_delivery \
               (tenant_id, delivery_id, endpoint_id, position, event_id, attempt, took_ms, status, failure) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(self.tenant.0)
        .bind(delivery.delivery_id)
        .bind(delivery.endpoint_id)
        .bind(delivery.position)
        .bind(delivery.event_id)
        .bind(delivery.attempt)
        .bind(delivery.took_ms)
        .bind(delivery.status)
        .bind(&delivery.failure)
        .bind(KEPT)
        .execute(&mut *self.store.connection(self.tenant).await?)
        .await
        .map_err(Error::Read)?;
        Ok(())
    }

    /// Attempts before that one, or all: the newest first.
    pub async fn deliveries(
        &self,
        after: Option<Attempt>,
        limit: i64,
    ) -> Result<Vec<(Attempt, Delivery)>, Error> {
        use sqlx::{FromRow, Row};
        let rows = sqlx::query(
            "select * from kvali.webhook_delivery where tenant_id = $1 and endpoint_id = $2 \
             and ($3::timestamptz is null or (at, delivery_id) < ($3, $4)) order by at desc, delivery_id desc limit $5",
        )
        .bind(self.tenant.0)
        .bind(self.id)
        .bind(after.map(|attempt| attempt.at))
        .bind(after.map(|attempt| attempt.delivery_id))
        .bind(limit)
        .fetch_all(&mut *self.store.connection(self.tenant).await?)
        .await
        .map_err(Error::Read)?;
        rows.iter()
            .map(|row| {
                let delivery = Delivery::from_row(row)?;
                let attempt = Attempt { at: row.try_get("at")?, delivery_id: delivery.delivery_id };
                Ok((attempt, delivery))
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(Error::Read)
    }

    async fn new_secret(&self) -> Result<(SigningSecret, Vec<u8>), Error> {
        let key = self.store.inner.keyring.tenant(self.tenant).await?;
        let secret = SigningSecret(Key::generate().into());
        let sealed = key.seal(&secret.0, self.id.as_bytes());
        Ok((secret, sealed))
    }
}
