//! Streams that a read model does not follow any more, since it could not fold one of their events.

use super::fold::{Unfoldable, Unit};
use crate::{Error, Store};
use chrono::{DateTime, Utc};
use kvali_domain::StreamId;
use sqlx::PgConnection;
use std::collections::HashSet;

/// One stream of one generation that was left at an event which cannot be folded.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Parked {
    pub projection: String,
    pub version: i32,
    pub generation: i32,
    pub live: bool,
    pub tenant_id: uuid::Uuid,
    pub stream_id: uuid::Uuid,
    /// The event; it and the later ones of its stream are missing in the tables.
    pub position: i64,
    pub error: String,
    pub parked_at: DateTime<Utc>,
}

impl Store {
    /// Every parked stream, of the generations that answer first.
    pub async fn parked(&self) -> Result<Vec<Parked>, Error> {
        sqlx::query_as(
            "select p.*, l.generation is not null as live from kvali.projection_parked p \
               left join kvali.projection_live l using (projection, version, generation) \
              order by live desc, p.projection, p.version, p.generation, p.tenant_id, p.position",
        )
        .fetch_all(&self.inner.projector)
        .await
        .map_err(Error::Read)
    }

    pub(super) async fn parked_streams(&self, unit: &Unit) -> Result<HashSet<StreamId>, Error> {
        let streams = sqlx::query_scalar(
            "select stream_id from kvali.projection_parked \
             where tenant_id = $1 and projection = $2 and version = $3 and generation = $4",
        )
        .bind(unit.tenant.0)
        .bind(unit.projection.name())
        .bind(unit.projection.version())
        .bind(unit.generation.generation)
        .fetch_all(&self.inner.projector)
        .await
        .map_err(Error::Read)?;
        Ok(streams.into_iter().map(StreamId).collect())
    }
}

/// Writes down, in the transaction of the batch, what is left out of it and why.
pub(super) async fn park(
    connection: &mut PgConnection,
    unit: &Unit,
    unfoldable: &[Unfoldable],
) -> Result<(), sqlx::Error> {
    for Unfoldable { position, stream, why } in unfoldable {
        tracing::error!(
            projection = unit.projection.name(),
            tenant = %unit.tenant,
            %stream,
            position,
            why,
            "a stream was parked: an event of it cannot be folded"
        );
        sqlx::query(
            "insert into kvali.projection_parked \
               (tenant_id, projection, version, generation, stream_id, position, error) \
             values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
        )
        .bind(unit.tenant.0)
        .bind(unit.projection.name())
        .bind(unit.projection.version())
        .bind(unit.generation.generation)
        .bind(stream.0)
        .bind(position)
        .bind(why)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
