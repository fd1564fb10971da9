//! Projections: what a batch of events does to a read model, each event exactly once.
//!
//! The batch and the checkpoint commit together, and the checkpoint moves by compare-and-set, so whatever is
//! killed, and however many work at once, no event counts twice or not at all.

use crate::read::{self, Opened};
use crate::{Error, KeyedIds, Store};
use async_trait::async_trait;
use kvali_domain::TenantId;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::sync::Arc;

/// Events that are folded in memory before the read model is written.
const PAGE: i64 = 10_000;

/// A read model: a name, a version, tables, and what events do to them.
#[async_trait]
pub trait Projection: Send + Sync {
    fn name(&self) -> &'static str;

    /// Raised with every change of the tables or of what events do to them; then it is built anew.
    fn version(&self) -> i32;

    /// Creates the tables; `{schema}` stands for the generation's schema.
    fn schema(&self) -> &'static str;

    /// Folds `batch` into the tables, in the transaction that `into` is in.
    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error>;
}

/// Events of one tenant in order of position, for one generation of a read model.
pub struct Batch<'a> {
    pub tenant: TenantId,
    pub schema: &'a str,
    pub events: &'a [Opened],
    /// Hashes under the tenant's key, for read models that look up what must not stand in clear.
    pub keyed: &'a KeyedIds,
}

/// One build of a read model.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Generation {
    pub generation: i32,
    /// The Postgres schema that holds its tables.
    pub schema_name: String,
}

/// Where a read model stands for one tenant.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Status {
    pub projection: String,
    pub version: i32,
    pub generation: i32,
    pub live: bool,
    pub tenant_id: uuid::Uuid,
    pub position: i64,
    pub head: i64,
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
            match self.advance(projection.clone(), &generation, tenant, head, progress).await {
                // A rebuild took its place; the next round meets the one that answers now.
                Err(error) if self.live(&*projection).await? != generation => {
                    tracing::debug!(%error, "the generation was replaced");
                }
                advanced => return Ok((generation, advanced?)),
            }
        }
    }

    /// Builds a new generation from zero beside the live one, then makes it the live one.
    pub async fn rebuild(
        &self,
        projection: Arc<dyn Projection>,
        progress: &(dyn Fn(i64, i64) + Sync),
    ) -> Result<Generation, Error> {
        let next = self.create_generation(&*projection).await?;
        for tenant in self.tenants().await? {
            let head = self.head(tenant).await?;
            self.advance(projection.clone(), &next, tenant, head, progress).await?;
        }
        self.make_live(&*projection, &next).await?;
        // What came in while the pointer moved.
        for tenant in self.tenants().await? {
            let head = self.head(tenant).await?;
            self.advance(projection.clone(), &next, tenant, head, &|_, _| {}).await?;
        }
        self.drop_unused(&*projection).await?;
        self.live(&*projection).await
    }

    /// The generation that answers; the first is made on first use.
    pub async fn live(&self, projection: &dyn Projection) -> Result<Generation, Error> {
        if let Some(generation) = self.find_live(projection).await? {
            return Ok(generation);
        }
        let made = self.create_generation(projection).await?;
        sqlx::query(
            "insert into kvali.projection_live (projection, version, generation) values ($1, $2, $3) \
             on conflict do nothing",
        )
        .bind(projection.name())
        .bind(projection.version())
        .bind(made.generation)
        .execute(&self.inner.projector)
        .await
        .map_err(wrote(projection))?;
        // Another process may have been first; its generation answers then.
        Ok(self.find_live(projection).await?.unwrap_or(made))
    }

    pub async fn projection_status(&self) -> Result<Vec<Status>, Error> {
        sqlx::query_as(
            "select g.projection, g.version, g.generation, l.generation is not null as live, d.tenant_id, \
                    coalesce(c.position, 0) as position, d.head \
               from kvali.projection_generation g cross join kvali.ledger d \
               left join kvali.projection_live l using (projection, version, generation) \
               left join kvali.projection_checkpoint c using (projection, version, generation, tenant_id) \
              order by g.projection, g.version, g.generation, d.tenant_id",
        )
        .fetch_all(&self.inner.projector)
        .await
        .map_err(Error::Read)
    }

    async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        let tenants = sqlx::query_scalar("select tenant_id from kvali.ledger order by tenant_id")
            .fetch_all(&self.inner.projector)
            .await
            .map_err(Error::Read)?;
        Ok(tenants.into_iter().map(TenantId).collect())
    }

    async fn find_live(&self, projection: &dyn Projection) -> Result<Option<Generation>, Error> {
        sqlx::query_as(
            "select generation, schema_name from kvali.projection_live \
               join kvali.projection_generation using (projection, version, generation) \
              where projection = $1 and version = $2",
        )
        .bind(projection.name())
        .bind(projection.version())
        .fetch_optional(&self.inner.projector)
        .await
        .map_err(Error::Read)
    }

    async fn create_generation(&self, projection: &dyn Projection) -> Result<Generation, Error> {
        let (name, version, schema) = (projection.name(), projection.version(), projection.schema());
        let pool = self.inner.projector.clone();
        detached(async move {
            let mut connection = pool.acquire().await?;
            let mut tx = connection.begin().await?;
            // Two builders at once wait for each other here instead of drawing the same number.
            sqlx::query("lock table kvali.projection_generation in share row exclusive mode")
                .execute(&mut *tx)
                .await?;
            let generation: i32 = sqlx::query_scalar(
                "select coalesce(max(generation), 0) + 1 from kvali.projection_generation \
                 where projection = $1 and version = $2",
            )
            .bind(name)
            .bind(version)
            .fetch_one(&mut *tx)
            .await?;
            let schema_name = format!("kvali_{name}_v{version}_g{generation}");
            sqlx::query("insert into kvali.projection_generation values ($1, $2, $3, $4)")
                .bind(name)
                .bind(version)
                .bind(generation)
                .bind(&schema_name)
                .execute(&mut *tx)
                .await?;
            // A schema's name cannot be bound; it is made of a constant and two numbers.
            let ddl = format!(
                "create schema {schema_name}; {} grant usage on schema {schema_name} to kvali_app; \
                 grant select on all tables in schema {schema_name} to kvali_app;",
                schema.replace("{schema}", &schema_name)
            );
            tx.execute(AssertSqlSafe(ddl)).await?;
            tx.commit().await?;
            Ok(Generation { generation, schema_name })
        })
        .await?
        .map_err(wrote(projection))
    }

    async fn make_live(&self, projection: &dyn Projection, next: &Generation) -> Result<(), Error> {
        // Forward only, and only to a generation that still stands: another rebuild may have been quicker.
        sqlx::query(
            "insert into kvali.projection_live (projection, version, generation) \
             select projection, version, generation from kvali.projection_generation \
              where projection = $1 and version = $2 and generation = $3 \
             on conflict (projection, version) do update set generation = excluded.generation \
              where projection_live.generation < excluded.generation",
        )
        .bind(projection.name())
        .bind(projection.version())
        .bind(next.generation)
        .execute(&self.inner.projector)
        .await
        .map_err(wrote(projection))?;
        Ok(())
    }

    /// Drops the generations of this version that are older than the live one.
    async fn drop_unused(&self, projection: &dyn Projection) -> Result<(), Error> {
        let (name, version) = (projection.name(), projection.version());
        let pool = self.inner.projector.clone();
        detached(async move {
            let mut connection = pool.acquire().await?;
            let mut tx = connection.begin().await?;
            let generation: i32 = sqlx::query_scalar(
                "select generation from kvali.projection_live where projection = $1 and version = $2 for update",
            )
            .bind(name)
            .bind(version)
            .fetch_one(&mut *tx)
            .await?;
            let old: Vec<String> = sqlx::query_scalar(
                "delete from kvali.projection_generation \
                 where projection = $1 and version = $2 and generation < $3 returning schema_name",
            )
            .bind(name)
            .bind(version)
            .bind(generation)
            .fetch_all(&mut *tx)
            .await?;
            sqlx::query(
                "delete from kvali.projection_checkpoint \
                 where projection = $1 and version = $2 and generation < $3",
            )
            .bind(name)
            .bind(version)
            .bind(generation)
            .execute(&mut *tx)
            .await?;
            for schema in old {
                // A schema's name cannot be bound; these were made by `create_generation`.
                tx.execute(AssertSqlSafe(format!("drop schema if exists {schema} cascade"))).await?;
            }
            tx.commit().await
        })
        .await?
        .map_err(wrote(projection))
    }

    /// Applies pages until `head`; the next page is read while one is applied.
    async fn advance(
        &self,
        projection: Arc<dyn Projection>,
        generation: &Generation,
        tenant: TenantId,
        head: i64,
        progress: &(dyn Fn(i64, i64) + Sync),
    ) -> Result<i64, Error> {
        let mut at = self.checkpoint(&*projection, generation, tenant).await?;
        let mut ahead = None;
        while at < head {
            let events = match ahead.take() {
                Some(task) => joined(task).await??,
                None => self.opened_page(tenant, at).await?,
            };
            let after = events.last().map_or(at, |event| event.recorded.position);
            if after == at {
                return Err(Error::Gap { expected: at + 1, found: head });
            }
            if after < head {
                let store = self.clone();
                ahead = Some(tokio::spawn(async move { store.opened_page(tenant, after).await }));
            }
            let moved = self.apply(&projection, generation, tenant, at, events).await?;
            if moved {
                at = after;
            } else {
                // Another worker was there first; go on from where it left.
                at = self.checkpoint(&*projection, generation, tenant).await?;
                ahead = None;
            }
            progress(at, head);
        }
        Ok(at)
    }

    async fn opened_page(&self, tenant: TenantId, after: i64) -> Result<Vec<Opened>, Error> {
        let page = read::page(&self.inner.projector, tenant, after, PAGE).await?;
        read::open(&self.inner.keyring, &self.inner.projector, tenant, page).await
    }

    async fn checkpoint(
        &self,
        projection: &dyn Projection,
        generation: &Generation,
        tenant: TenantId,
    ) -> Result<i64, Error> {
        sqlx::query(
            "insert into kvali.projection_checkpoint (tenant_id, projection, version, generation, position) \
             select $1, projection, version, generation, 0 from kvali.projection_generation \
              where projection = $2 and version = $3 and generation = $4 \
             on conflict do nothing",
        )
        .bind(tenant.0)
        .bind(projection.name())
        .bind(projection.version())
        .bind(generation.generation)
        .execute(&self.inner.projector)
        .await
        .map_err(wrote(projection))?;
        // A second statement: it sees the row of whoever was first.
        sqlx::query_scalar(
            "select position from kvali.projection_checkpoint \
             where tenant_id = $1 and projection = $2 and version = $3 and generation = $4",
        )
        .bind(tenant.0)
        .bind(projection.name())
        .bind(projection.version())
        .bind(generation.generation)
        .fetch_optional(&self.inner.projector)
        .await
        .map_err(wrote(projection))?
        .ok_or(Error::GenerationGone { projection: projection.name() })
    }

    /// One batch and its checkpoint in one transaction; `false` if the checkpoint had moved.
    async fn apply(
        &self,
        projection: &Arc<dyn Projection>,
        generation: &Generation,
        tenant: TenantId,
        from: i64,
        events: Vec<Opened>,
    ) -> Result<bool, Error> {
        let pool = self.inner.projector.clone();
        let (projection, generation) = (projection.clone(), generation.clone());
        let wrote = wrote(&*projection);
        let keyed = self.keyed_ids(tenant).await?;
        detached(async move {
            let mut connection = pool.acquire().await?;
            let mut tx = connection.begin().await?;
            let to = events.last().map_or(from, |event| event.recorded.position);
            let moved = sqlx::query(
                "update kvali.projection_checkpoint set position = $6, updated_at = clock_timestamp() \
                 where tenant_id = $1 and projection = $2 and version = $3 and generation = $4 and position = $5",
            )
            .bind(tenant.0)
            .bind(projection.name())
            .bind(projection.version())
            .bind(generation.generation)
            .bind(from)
            .bind(to)
            .execute(&mut *tx)
            .await?;
            if moved.rows_affected() == 0 {
                tx.rollback().await?;
                return Ok(false);
            }
            let batch = Batch { tenant, schema: &generation.schema_name, events: &events, keyed: &keyed };
            projection.apply(&batch, &mut tx).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await?
        .map_err(wrote)
    }
}

/// Runs database work to its end even if the caller stops waiting: a transaction is never left half-way.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
) -> Result<Result<T, sqlx::Error>, Error> {
    joined(tokio::spawn(work)).await
}

async fn joined<T>(task: tokio::task::JoinHandle<T>) -> Result<T, Error> {
    task.await.map_err(Error::Task)
}

fn wrote(projection: &dyn Projection) -> impl FnOnce(sqlx::Error) -> Error + use<> {
    let projection = projection.name();
    move |source| Error::ReadModel { projection, source }
}
