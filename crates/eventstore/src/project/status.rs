//! Where the read models stand, and how far behind the log.

use super::{Generation, Projection};
use crate::{Error, Store};
use chrono::{DateTime, Utc};
use kvali_domain::TenantId;

/// Where a generation of a read model stands for one tenant.
#[derive(Clone, PartialEq, Debug, sqlx::FromRow)]
pub struct Status {
    pub projection: String,
    pub version: i32,
    pub generation: i32,
    /// Whether it is the one that answers.
    pub live: bool,
    pub tenant_id: uuid::Uuid,
    pub position: i64,
    pub head: i64,
    /// For how long the first event that it lacks has stood in the log; 0 if it lacks none.
    pub lag_seconds: f64,
    /// Streams that it does not follow any more.
    pub parked: i64,
    /// The worker that folds it now.
    pub holder: Option<uuid::Uuid>,
    /// Why folding failed the last time, if it did, and when it is tried again.
    pub failure: Option<String>,
    pub retry_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Every generation and tenant, but for those of the past.
    pub async fn projection_status(&self) -> Result<Vec<Status>, Error> {
        sqlx::query_as(include_str!("status.sql")).fetch_all(&self.inner.projector).await.map_err(Error::Read)
    }

    pub(super) async fn parked_count(
        &self,
        projection: &dyn Projection,
        generation: &Generation,
        tenant: TenantId,
    ) -> Result<i64, Error> {
        sqlx::query_scalar(
            "select count(*) from kvali.projection_parked \
             where tenant_id = $1 and projection = $2 and version = $3 and generation = $4",
        )
        .bind(tenant.0)
        .bind(projection.name())
        .bind(projection.version())
        .bind(generation.generation)
        .fetch_one(&self.inner.projector)
        .await
        .map_err(Error::Read)
    }
}
