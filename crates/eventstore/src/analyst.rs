//! Analysts: database roles that read the views of `kvali_sql`, each for the tenant that it was granted.
//!
//! What such a role may read follows from its membership in `kvali_analyst`, and whose rows from a row of `kvali.analyst`;
//! nothing follows from what its session sets.

use crate::{Error, Store};
use chrono::{DateTime, Utc};
use kvali_domain::TenantId;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// A role to be made. Not `Debug`: it holds a password.
pub struct Grant<'a> {
    pub role: &'a str,
    pub password: &'a str,
    /// Who or what it is for.
    pub label: &'a str,
    /// Connections that it may have at once.
    pub connections: u16,
    /// What a statement of its may take unless it says otherwise.
    pub statement_timeout_s: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Analyst {
    pub role: String,
    pub label: String,
    pub granted_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Makes a role that may sign in and read the views, and sees rows of `tenant` alone.
    pub async fn grant_analyst(&self, tenant: TenantId, grant: &Grant<'_>) -> Result<(), Error> {
        let mut connection = self.as_itself().await?;
        let done = granted(&mut connection, tenant, grant).await;
        end(connection).await;
        done.map_err(failed)
    }

    /// Those of `tenant`, also revoked ones, the oldest first.
    pub async fn analysts(&self, tenant: TenantId) -> Result<Vec<Analyst>, Error> {
        sqlx::query_as(
            "select role_name::text as role, label, granted_at, revoked_at from kvali.analyst \
              where tenant_id = $1 order by granted_at, role_name",
        )
        .bind(tenant.0)
        .fetch_all(&mut *self.connection(tenant).await?)
        .await
        .map_err(Error::Read)
    }

    /// Ends its sessions and drops it; `false` if `tenant` has no such analyst. Its rows are shut first, whatever becomes of
    /// the role, so it may be called again.
    pub async fn revoke_analyst(&self, tenant: TenantId, role: &str) -> Result<bool, Error> {
        let mut connection = self.as_itself().await?;
        let done = match shut(&mut connection, tenant, role).await {
            Ok(true) => dropped(&mut connection, role).await.map(|()| true),
            other => other,
        };
        end(connection).await;
        done.map_err(failed)
    }

    /// A connection of the user that the URL names, in no role of Kvali's.
    async fn as_itself(&self) -> Result<PgConnection, Error> {
        let mut connection = self.inner.pool.acquire().await.map_err(Error::Read)?.detach();
        connection.execute("reset role").await.map_err(Error::Read)?;
        Ok(connection)
    }
}

async fn granted(
    connection: &mut PgConnection,
    tenant: TenantId,
    grant: &Grant<'_>,
) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin().await?;
    // Neither identifiers nor passwords can be bound in these statements; `format` quotes them.
    let statements: String = sqlx::query_scalar(
        "select format('set local password_encryption = ''scram-sha-256''; \
           create role %1$I login inherit password %2$L connection limit %3$s in role kvali_analyst; \
           alter role %1$I set statement_timeout = %4$L; \
           alter role %1$I set idle_in_transaction_session_timeout = ''1min''; \
           alter role %1$I set search_path = kvali_sql', $1, $2, $3, $4)",
    )
    .bind(grant.role)
    .bind(grant.password)
    .bind(i32::from(grant.connections))
    .bind(format!("{}s", grant.statement_timeout_s))
    .fetch_one(&mut *tx)
    .await?;
    tx.execute(AssertSqlSafe(statements)).await?;
    own(&mut tx, tenant).await?;
    sqlx::query("insert into kvali.analyst (tenant_id, role_name, label) values ($1, $2, $3)")
        .bind(tenant.0)
        .bind(grant.role)
        .bind(grant.label)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

async fn shut(connection: &mut PgConnection, tenant: TenantId, role: &str) -> Result<bool, sqlx::Error> {
    let mut tx = connection.begin().await?;
    own(&mut tx, tenant).await?;
    let shut = sqlx::query(
        "update kvali.analyst set revoked_at = coalesce(revoked_at, clock_timestamp()) \
          where tenant_id = $1 and role_name = $2",
    )
    .bind(tenant.0)
    .bind(role)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(shut.rows_affected() > 0)
}

/// Only who is a member of a role may end its sessions and drop what it left, such as temporary tables and large objects.
async fn dropped(connection: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin().await?;
    let statements: Option<String> = sqlx::query_scalar(
        "select format('grant %1$I to current_user; \
           select pg_terminate_backend(pid) from pg_stat_activity where usename = %1$L; \
           drop owned by %1$I; drop role %1$I', rolname) from pg_roles where rolname = $1",
    )
    .bind(role)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(statements) = statements {
        tx.execute(AssertSqlSafe(statements)).await?;
    }
    tx.commit().await
}

/// From here on in the transaction: as the owner of the tables, for `tenant`.
async fn own(tx: &mut PgConnection, tenant: TenantId) -> Result<(), sqlx::Error> {
    // `set` takes no bound value; an id is made of hexadecimal digits.
    let act = format!("set local role kvali_owner; set local kvali.tenant = '{tenant}'");
    tx.execute(AssertSqlSafe(act)).await.map(drop)
}

async fn end(connection: PgConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "the connection ended by itself");
    }
}

fn failed(error: sqlx::Error) -> Error {
    match &error {
        sqlx::Error::Database(refused) if refused.code().as_deref() == Some("42501") => {
            Error::MayNotMakeRoles(error)
        }
        _ => Error::Analyst(error),
    }
}
