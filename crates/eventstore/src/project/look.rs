//! Questions to a read model: one consistent look at one state of it.

use super::{Generation, Projection, detached};
use crate::acting::begin_for;
use crate::project::as_of::AsOf;
use crate::{Error, Store};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kvali_domain::TenantId;
use sqlx::{Executor, PgConnection};
use std::sync::Arc;

/// A read-only transaction that sees one state of a read model from beginning to end.
pub struct Look<'a> {
    pub tenant: TenantId,
    /// The Postgres schema that holds the tables.
    pub schema: &'a str,
    /// The position that the tables stand at.
    pub position: i64,
    /// T: the instant that the answer stands at.
    pub at: DateTime<Utc>,
    pub connection: &'a mut PgConnection,
}

/// A question to a read model. It is asked of the live tables and of past states alike.
#[async_trait]
pub trait Query: Send + 'static {
    type Answer: Send + 'static;
    type Error: From<Error> + From<sqlx::Error> + Send + 'static;

    async fn ask(self, look: &mut Look<'_>) -> Result<Self::Answer, Self::Error>;
}

/// An answer, and what it rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answered<A> {
    pub answer: A,
    pub position: i64,
    pub at: DateTime<Utc>,
    /// Streams that are missing in it, since an event of theirs could not be folded.
    pub parked: i64,
}

impl Store {
    /// Asks the read model as of `as_of`, brought there first; `now` is T when the question names no instant.
    pub async fn ask<Q: Query>(
        &self,
        projection: Arc<dyn Projection>,
        tenant: TenantId,
        as_of: AsOf,
        now: DateTime<Utc>,
        progress: &(dyn Fn(i64, i64) + Sync),
        query: Q,
    ) -> Result<Answered<Q::Answer>, Q::Error> {
        if as_of == AsOf::NOW {
            let (generation, _) = self.catch_up(projection.clone(), tenant, progress).await?;
            return self.ask_live(projection, &generation, tenant, now, query).await;
        }
        self.ask_past(projection, tenant, as_of, now, progress, query).await
    }

    async fn ask_live<Q: Query>(
        &self,
        projection: Arc<dyn Projection>,
        generation: &Generation,
        tenant: TenantId,
        at: DateTime<Utc>,
        query: Q,
    ) -> Result<Answered<Q::Answer>, Q::Error> {
        let parked = self.parked_count(&*projection, generation, tenant).await?;
        let (pool, generation) = (self.inner.pool.clone(), generation.clone());
        detached(async move {
            let mut tx = begin_for(&pool, tenant).await?;
            tx.execute(SNAPSHOT).await?;
            let position = sqlx::query_scalar(
                "select position from kvali.projection_checkpoint \
                 where tenant_id = $1 and projection = $2 and version = $3 and generation = $4",
            )
            .bind(tenant.0)
            .bind(projection.name())
            .bind(projection.version())
            .bind(generation.generation)
            .fetch_one(&mut *tx)
            .await?;
            let schema = &generation.schema_name;
            let mut look = Look { tenant, schema, position, at, connection: &mut tx };
            let answer = query.ask(&mut look).await;
            tx.commit().await?;
            Ok(Answered { answer: answer?, position, at, parked })
        })
        .await?
    }
}

impl Store {
    /// Asks the log itself, without a read model.
    pub async fn ask_log<Q: Query>(
        &self,
        tenant: TenantId,
        at: DateTime<Utc>,
        query: Q,
    ) -> Result<Q::Answer, Q::Error> {
        let pool = self.inner.pool.clone();
        detached(async move {
            let mut tx = begin_for(&pool, tenant).await?;
            tx.execute(SNAPSHOT).await?;
            let head = sqlx::query_scalar("select head from kvali.ledger where tenant_id = $1")
                .bind(tenant.0)
                .fetch_optional(&mut *tx)
                .await?;
            let position = head.unwrap_or(0);
            let mut look = Look { tenant, schema: "kvali", position, at, connection: &mut tx };
            let answer = query.ask(&mut look).await;
            tx.commit().await?;
            answer
        })
        .await?
    }
}

/// Every statement of a look sees the same state, and none writes.
pub(super) const SNAPSHOT: &str = "set transaction isolation level repeatable read, read only";
