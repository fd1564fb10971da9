//! Generations that answer for the past: built when they are asked for, and kept for those who ask next.

use super::as_of::Bounds;
use super::fold::Unit;
use super::generation::{create_tables, draw, drop_generations};
use super::look::{Answered, SNAPSHOT};
use super::{AsOf, Cut, Generation, Look, Projection, Query, detached, wrote};
use crate::acting::begin_for;
use crate::{Error, Store};
use chrono::{DateTime, Utc};
use kvali_domain::TenantId;
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::sync::Arc;

/// Past states of one read model that are kept, of all tenants. Those asked for in the last minutes are kept besides.
const KEPT: i64 = 24;

impl Store {
    pub(super) async fn ask_past<Q: Query>(
        &self,
        projection: Arc<dyn Projection>,
        tenant: TenantId,
        as_of: AsOf,
        now: DateTime<Utc>,
        progress: &(dyn Fn(i64, i64) + Sync),
        query: Q,
    ) -> Result<Answered<Q::Answer>, Q::Error> {
        let bounds = self.bounds(tenant, as_of, now).await?;
        let generation = self.past(&projection, tenant, bounds, progress).await?;
        let (pool, parked) =
            (self.inner.pool.clone(), self.parked_count(&*projection, &generation, tenant).await?);
        detached(async move {
            let mut tx = begin_for(&pool, tenant).await?;
            tx.execute(SNAPSHOT).await?;
            let Bounds { position, at, .. } = bounds;
            let schema = &generation.schema_name;
            let mut look = Look { tenant, schema, position, at, connection: &mut tx };
            let answer = query.ask(&mut look).await;
            tx.commit().await?;
            Ok(Answered { answer: answer?, position, at, parked })
        })
        .await?
    }

    /// The generation of that past, built if there is none yet.
    async fn past(
        &self,
        projection: &Arc<dyn Projection>,
        tenant: TenantId,
        bounds: Bounds,
        progress: &(dyn Fn(i64, i64) + Sync),
    ) -> Result<Generation, Error> {
        if let Some(kept) = self.find_past(&**projection, tenant, bounds).await? {
            return Ok(kept);
        }
        // One at a time: whoever asks the same meanwhile finds it here.
        let _one = self.inner.past.lock().await;
        if let Some(kept) = self.find_past(&**projection, tenant, bounds).await? {
            return Ok(kept);
        }
        let made = self.begin_past(&**projection, tenant, bounds).await?;
        let unit = Unit::new(projection.clone(), made.clone(), tenant);
        self.advance(&unit, bounds.position, bounds.happened.map(Cut::at), progress).await?;
        // A schema's name cannot be bound; `draw` made it.
        sqlx::query(AssertSqlSafe(format!("insert into {}.standing values (true)", made.schema_name)))
            .execute(&self.inner.projector)
            .await
            .map_err(wrote(&**projection))?;
        self.drop_past(&**projection).await?;
        Ok(made)
    }

    async fn find_past(
        &self,
        projection: &dyn Projection,
        tenant: TenantId,
        bounds: Bounds,
    ) -> Result<Option<Generation>, Error> {
        let known: Vec<Generation> = sqlx::query_as(
            "update kvali.projection_generation set asked_at = clock_timestamp() \
              where tenant_id = $1 and projection = $2 and version = $3 and until = $4 \
                and happened is not distinct from $5 \
             returning generation, schema_name",
        )
        .bind(tenant.0)
        .bind(projection.name())
        .bind(projection.version())
        .bind(bounds.position)
        .bind(bounds.happened)
        .fetch_all(&self.inner.projector)
        .await
        .map_err(wrote(projection))?;
        for generation in known {
            if self.stands(projection, &generation).await? {
                return Ok(Some(generation));
            }
        }
        Ok(None)
    }

    /// Whether it was built to its end, and no crash has emptied it since.
    async fn stands(&self, projection: &dyn Projection, generation: &Generation) -> Result<bool, Error> {
        let statement = format!("select exists (select from {}.standing)", generation.schema_name);
        sqlx::query_scalar(AssertSqlSafe(statement))
            .fetch_one(&self.inner.projector)
            .await
            .map_err(wrote(projection))
    }

    async fn begin_past(
        &self,
        projection: &dyn Projection,
        tenant: TenantId,
        bounds: Bounds,
    ) -> Result<Generation, Error> {
        let (name, version) = (projection.name(), projection.version());
        // What a crash takes is built again when it is asked for, so nothing of it need reach the disk twice.
        let ddl = projection.schema().replace("create table", "create unlogged table")
            + " create unlogged table {schema}.standing (complete boolean not null);";
        let pool = self.inner.projector.clone();
        detached(async move {
            let mut connection = pool.acquire().await?;
            let mut tx = connection.begin().await?;
            let made = draw(&mut tx, name, version).await?;
            create_tables(&mut tx, &made, &ddl).await?;
            sqlx::query(
                "update kvali.projection_generation \
                    set tenant_id = $1, until = $5, happened = $6, asked_at = clock_timestamp() \
                  where projection = $2 and version = $3 and generation = $4",
            )
            .bind(tenant.0)
            .bind(name)
            .bind(version)
            .bind(made.generation)
            .bind(bounds.position)
            .bind(bounds.happened)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(made)
        })
        .await?
        .map_err(wrote(projection))
    }

    /// Drops what was not asked for lately, beyond those that are kept.
    async fn drop_past(&self, projection: &dyn Projection) -> Result<(), Error> {
        let (name, version) = (projection.name(), projection.version());
        let pool = self.inner.projector.clone();
        detached(async move {
            let mut connection = pool.acquire().await?;
            let mut tx = connection.begin().await?;
            let old: Vec<i32> = sqlx::query_scalar(
                "select generation from (select generation, asked_at from kvali.projection_generation \
                   where projection = $1 and version = $2 and until is not null \
                   order by asked_at desc offset $3) x \
                  where asked_at < clock_timestamp() - interval '10 minutes'",
            )
            .bind(name)
            .bind(version)
            .bind(KEPT)
            .fetch_all(&mut *tx)
            .await?;
            drop_generations(&mut tx, name, version, &old).await?;
            tx.commit().await
        })
        .await?
        .map_err(wrote(projection))
    }
}
