//! Connections that act for one tenant: row-level security shows them its rows and no other's.

use crate::{Error, Store};
use kvali_domain::TenantId;
use sqlx::pool::PoolConnection;
use sqlx::postgres::Postgres;
use sqlx::{AssertSqlSafe, PgPool, PgTransaction};

/// A connection that acts for `tenant` until it goes back. Whoever takes it next says anew for whom.
pub(crate) async fn acting_for(
    pool: &PgPool,
    tenant: TenantId,
) -> Result<PoolConnection<Postgres>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    sqlx::query("select set_config('kvali.tenant', $1, false)")
        .bind(tenant.to_string())
        .execute(&mut *connection)
        .await?;
    Ok(connection)
}

/// Begins a transaction that acts for `tenant`, in one round trip.
pub(crate) async fn begin_for(
    pool: &PgPool,
    tenant: TenantId,
) -> Result<PgTransaction<'static>, sqlx::Error> {
    // `set` takes no bound value; an id is made of hexadecimal digits.
    pool.begin_with(AssertSqlSafe(format!("begin; set local kvali.tenant = '{tenant}'"))).await
}

/// The same, to lock something that others wait for: whoever stops in the middle of it, frozen or cut off, is ended by
/// Postgres and keeps nobody waiting.
pub(crate) async fn begin_locking(
    pool: &PgPool,
    tenant: TenantId,
) -> Result<PgTransaction<'static>, sqlx::Error> {
    let begin = format!(
        "begin; set local kvali.tenant = '{tenant}'; set local idle_in_transaction_session_timeout = '5s'"
    );
    pool.begin_with(AssertSqlSafe(begin)).await
}

impl Store {
    /// A connection of the service's role that acts for `tenant`.
    pub async fn connection(&self, tenant: TenantId) -> Result<PoolConnection<Postgres>, Error> {
        acting_for(&self.inner.pool, tenant).await.map_err(Error::Read)
    }
}
