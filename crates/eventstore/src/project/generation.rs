//! Generations: builds of a read model, each in a Postgres schema of its own.

use super::views::are_held;
use super::{Projection, detached, wrote};
use crate::project::fold::Unit;
use crate::{Error, Store};
use futures_util::{StreamExt, TryStreamExt, stream};
use kvali_domain::TenantId;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Tenants that are built side by side.
const TENANTS_AT_ONCE: usize = 4;

/// Two builders at once wait for each other here instead of drawing the same number.
const LOCK: &str = "lock table kvali.projection_generation in share row exclusive mode";

const NEWEST: &str = "select generation, schema_name from kvali.projection_generation \
     where projection = $1 and version = $2 and until is null order by generation desc limit 1";

/// One build of a read model.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Generation {
    pub generation: i32,
    /// The Postgres schema that holds its tables.
    pub schema_name: String,
}

impl Store {
    /// Folds what the read model lacks of `tenant`'s log. Returns where it stands: at the head or beyond the
    /// head of the moment of the call.
    pub async fn catch_up(
        &self,
        projection: Arc<dyn Projection>,
        tenant: TenantId,
        progress: &(dyn Fn(i64, i64) + Sync),
    ) -> Result<(Generation, i64), Error> {
        let head = self.head(tenant).await?;
        loop {
            let generation = self.live(&*projection).await?;
            let unit = Unit::new(projection.clone(), generation.clone(), tenant);
            match self.advance(&unit, head, None, progress).await {
                // A rebuild took its place; the next round meets the one that answers now.
                Err(error) if self.live(&*projection).await? != generation => {
                    tracing::debug!(%error, "the generation was replaced");
                }
                advanced => return Ok((generation, advanced?)),
            }
        }
    }

    /// Builds a new generation from zero beside the live one, then makes it the live one. The one before is kept.
    pub async fn rebuild(
        &self,
        projection: Arc<dyn Projection>,
        progress: &(dyn Fn(i64, i64) + Sync),
    ) -> Result<Generation, Error> {
        let next = self.create_generation(&*projection).await?;
        self.build(&projection, &next, progress).await?;
        self.make_live(&*projection, &next).await?;
        // What came in while the pointer moved.
        self.build(&projection, &next, &|_, _| {}).await?;
        self.drop_unused(&*projection).await?;
        self.live(&*projection).await
    }

    /// The generation that answers; the first is made on first use.
    pub async fn live(&self, projection: &dyn Projection) -> Result<Generation, Error> {
        if let Some(generation) = self.find_live(projection).await? {
            return Ok(generation);
        }
        let made = match self.newest(projection).await? {
            Some(begun) => begun,
            None => self.first(projection).await?,
        };
        self.make_live(projection, &made).await?;
        // Another process may have been first; its generation answers then.
        Ok(self.find_live(projection).await?.unwrap_or(made))
    }

    /// The newest generation, whether it answers already or not.
    async fn newest(&self, projection: &dyn Projection) -> Result<Option<Generation>, Error> {
        sqlx::query_as(NEWEST)
            .bind(projection.name())
            .bind(projection.version())
            .fetch_optional(&self.inner.projector)
            .await
            .map_err(Error::Read)
    }

    /// Makes the first generation, unless another process was quicker.
    async fn first(&self, projection: &dyn Projection) -> Result<Generation, Error> {
        let (name, version, ddl) = (projection.name(), projection.version(), projection.schema());
        let pool = self.inner.projector.clone();
        detached(async move {
            let mut connection = pool.acquire().await?;
            let mut tx = connection.begin().await?;
            tx.execute(LOCK).await?;
            let newest = sqlx::query_as(NEWEST).bind(name).bind(version).fetch_optional(&mut *tx).await?;
            let first = if let Some(newest) = newest {
                newest
            } else {
                let first = draw(&mut tx, name, version).await?;
                create_tables(&mut tx, &first, ddl).await?;
                first
            };
            tx.commit().await?;
            Ok(first)
        })
        .await?
        .map_err(wrote(projection))
    }

    /// Makes the first generation of each read model that has none of its version.
    pub(super) async fn begin_missing(&self, models: &[Arc<dyn Projection>]) -> Result<(), Error> {
        for model in models {
            if self.newest(&**model).await?.is_none() {
                self.first(&**model).await?;
            }
        }
        Ok(())
    }

    pub async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        let tenants = sqlx::query_scalar("select tenant_id from kvali.ledger order by tenant_id")
            .fetch_all(&self.inner.projector)
            .await
            .map_err(Error::Read)?;
        Ok(tenants.into_iter().map(TenantId).collect())
    }

    /// Folds every tenant's log, several tenants at once. Progress is told over all of them.
    async fn build(
        &self,
        projection: &Arc<dyn Projection>,
        generation: &Generation,
        progress: &(dyn Fn(i64, i64) + Sync),
    ) -> Result<(), Error> {
        let mut heads = Vec::new();
        for tenant in self.tenants().await? {
            heads.push((tenant, self.head(tenant).await?));
        }
        let all = heads.iter().map(|(_, head)| head).sum();
        let folded = AtomicI64::new(0);
        let tenants = heads.into_iter().map(|(tenant, head)| {
            let folded = &folded;
            async move {
                let unit = Unit::new(projection.clone(), generation.clone(), tenant);
                let last = AtomicI64::new(0);
                let told = move |at: i64, _| {
                    let more = at - last.swap(at, Ordering::Relaxed);
                    progress(folded.fetch_add(more, Ordering::Relaxed) + more, all);
                };
                self.advance(&unit, head, None, &told).await
            }
        });
        stream::iter(tenants).buffer_unordered(TENANTS_AT_ONCE).try_for_each(async |_| Ok(())).await
    }

    async fn create_generation(&self, projection: &dyn Projection) -> Result<Generation, Error> {
        let (name, version, ddl) = (projection.name(), projection.version(), projection.schema());
        let pool = self.inner.projector.clone();
        detached(async move {
            let mut connection = pool.acquire().await?;
            let mut tx = connection.begin().await?;
            let made = draw(&mut tx, name, version).await?;
            create_tables(&mut tx, &made, ddl).await?;
            tx.commit().await?;
            Ok(made)
        })
        .await?
        .map_err(wrote(projection))
    }

    /// Drops the generations of this version that are older than the one before the live one.
    async fn drop_unused(&self, projection: &dyn Projection) -> Result<(), Error> {
        let (name, version) = (projection.name(), projection.version());
        let pool = self.inner.projector.clone();
        let dropped = detached(async move {
            let mut connection = pool.acquire().await?;
            let mut tx = connection.begin().await?;
            tx.execute("set local lock_timeout = '5s'").await?;
            let live: i32 = sqlx::query_scalar(
                "select generation from kvali.projection_live where projection = $1 and version = $2 for update",
            )
            .bind(name)
            .bind(version)
            .fetch_one(&mut *tx)
            .await?;
            let old: Vec<i32> = sqlx::query_scalar(
                "select generation from kvali.projection_generation \
                  where projection = $1 and version = $2 and until is null and generation < $3 \
                  order by generation desc offset 1",
            )
            .bind(name)
            .bind(version)
            .bind(live)
            .fetch_all(&mut *tx)
            .await?;
            drop_generations(&mut tx, name, version, &old).await?;
            tx.commit().await
        });
        match dropped.await? {
            // An analyst still reads it; the next rebuild drops it.
            Err(error) if are_held(&error) => Ok(()),
            dropped => dropped.map_err(wrote(projection)),
        }
    }
}

/// The next generation's number and name.
pub(super) async fn draw(
    connection: &mut PgConnection,
    projection: &str,
    version: i32,
) -> Result<Generation, sqlx::Error> {
    connection.execute(LOCK).await?;
    let generation: i32 = sqlx::query_scalar(
        "select coalesce(max(generation), 0) + 1 from kvali.projection_generation \
         where projection = $1 and version = $2",
    )
    .bind(projection)
    .bind(version)
    .fetch_one(&mut *connection)
    .await?;
    let schema_name = format!("kvali_{projection}_v{version}_g{generation}");
    sqlx::query(
        "insert into kvali.projection_generation (projection, version, generation, schema_name) \
         values ($1, $2, $3, $4)",
    )
    .bind(projection)
    .bind(version)
    .bind(generation)
    .bind(&schema_name)
    .execute(&mut *connection)
    .await?;
    Ok(Generation { generation, schema_name })
}

pub(super) async fn create_tables(
    connection: &mut PgConnection,
    Generation { schema_name, .. }: &Generation,
    ddl: &str,
) -> Result<(), sqlx::Error> {
    // A schema's name cannot be bound; it is made of a constant and two numbers.
    let ddl = format!(
        "create schema {schema_name}; {} grant usage on schema {schema_name} to kvali_app; \
         grant select on all tables in schema {schema_name} to kvali_app; \
         call kvali.fence_all('{schema_name}');",
        ddl.replace("{schema}", schema_name)
    );
    connection.execute(AssertSqlSafe(ddl)).await.map(drop)
}

pub(super) async fn drop_generations(
    connection: &mut PgConnection,
    projection: &str,
    version: i32,
    generations: &[i32],
) -> Result<(), sqlx::Error> {
    let schemas: Vec<String> = sqlx::query_scalar(
        "delete from kvali.projection_generation \
         where projection = $1 and version = $2 and generation = any($3) returning schema_name",
    )
    .bind(projection)
    .bind(version)
    .bind(generations)
    .fetch_all(&mut *connection)
    .await?;
    for table in ["projection_checkpoint", "projection_parked"] {
        // The names are these two; identifiers cannot be bound.
        let statement = format!(
            "delete from kvali.{table} where projection = $1 and version = $2 and generation = any($3)"
        );
        sqlx::query(AssertSqlSafe(statement))
            .bind(projection)
            .bind(version)
            .bind(generations)
            .execute(&mut *connection)
            .await?;
    }
    for schema in schemas {
        // A schema's name cannot be bound; these were made by `draw`.
        connection.execute(AssertSqlSafe(format!("drop schema if exists {schema} cascade"))).await?;
    }
    Ok(())
}
