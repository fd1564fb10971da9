//! Connecting: the server's version, roles, migrations, and pools that act in a role.

use crate::Error;
use crate::keyring::MasterKey;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, SqlSafeStr};
use std::str::FromStr;
use std::time::Duration;

/// The oldest server that Kvali runs on.
const OLDEST: i32 = 15;

/// Each does one thing and goes forward.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "log", include_str!("../../../schemas/sql/0001_log.sql")),
    (2, "commands", include_str!("../../../schemas/sql/0002_commands.sql")),
    (3, "keys", include_str!("../../../schemas/sql/0003_keys.sql")),
    (4, "append", include_str!("../../../schemas/sql/0004_append.sql")),
    (5, "projections", include_str!("../../../schemas/sql/0005_projections.sql")),
    (6, "privileges", include_str!("../../../schemas/sql/0006_privileges.sql")),
    (7, "workers", include_str!("../../../schemas/sql/0007_workers.sql")),
    (8, "denials", include_str!("../../../schemas/sql/0008_denials.sql")),
    (9, "subscriptions", include_str!("../../../schemas/sql/0009_subscriptions.sql")),
    (10, "webhooks", include_str!("../../../schemas/sql/0010_webhooks.sql")),
    (11, "personal reads", include_str!("../../../schemas/sql/0011_personal_reads.sql")),
    (12, "key use", include_str!("../../../schemas/sql/0012_key_use.sql")),
    (13, "row security", include_str!("../../../schemas/sql/0013_row_security.sql")),
    (14, "jobs", include_str!("../../../schemas/sql/0014_jobs.sql")),
    (15, "analysts", include_str!("../../../schemas/sql/0015_analysts.sql")),
];

/// What a connection may do: see `schemas/sql/0006_privileges.sql`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    App,
    /// The app role on connections that append and do nothing else.
    Appender,
    Projector,
}

impl Role {
    fn set(self) -> &'static str {
        match self {
            Self::App => "set role kvali_app",
            // One plan for every size of call, by key: planning anew takes longer than a small append, and a
            // plan made while the log was small would scan it when it is large.
            Self::Appender => {
                "set role kvali_app; set plan_cache_mode = force_generic_plan; set enable_seqscan = off; \
                 set enable_bitmapscan = off; set enable_hashjoin = off; set enable_mergejoin = off"
            }
            // A worker that stopped in the middle of a page must not keep its locks from the one that takes over.
            Self::Projector => "set role kvali_projector; set idle_in_transaction_session_timeout = '5s'",
        }
    }
}

/// How to connect. Not `Debug`: a URL may hold a password.
#[derive(Clone)]
pub struct Options {
    /// `postgres://…`; the database is created if it is missing.
    pub url: String,
    /// Connections for reads; appends and projections have half as many of their own.
    pub connections: u32,
    pub master_key: MasterKey,
    /// Folded states kept in memory, at most.
    pub cached_states: usize,
    /// Events that are folded into a read model at once, at most.
    pub page: u16,
}

impl Options {
    pub fn new(url: impl Into<String>, master_key: MasterKey) -> Self {
        Self { url: url.into(), connections: 20, master_key, cached_states: 200_000, page: 10_000 }
    }
}

pub(crate) struct Pools {
    pub app: PgPool,
    pub appender: PgPool,
    pub projector: PgPool,
}

/// Brings the database to the present schema and opens a pool for each role.
pub(crate) async fn pools(options: &Options) -> Result<Pools, Error> {
    let connect = PgConnectOptions::from_str(&options.url)
        .map_err(Error::Url)?
        .application_name("kvali")
        .statement_cache_capacity(256);
    prepare(&connect).await?;
    let half = options.connections.div_ceil(2);
    Ok(Pools {
        app: pool(&connect, Role::App, options.connections).await?,
        appender: pool(&connect, Role::Appender, half).await?,
        projector: pool(&connect, Role::Projector, half).await?,
    })
}

impl crate::Store {
    /// The newest migration in the database, and the newest that this program knows.
    pub async fn schema(&self) -> Result<(i64, i64), Error> {
        let applied =
            sqlx::query_scalar("select coalesce(max(version), 0) from kvali.migration where success")
                .fetch_one(&self.inner.pool)
                .await
                .map_err(Error::Read)?;
        Ok((applied, newest()))
    }
}

/// The newest migration that this program knows.
fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |(version, ..)| *version)
}

async fn pool(connect: &PgConnectOptions, role: Role, connections: u32) -> Result<PgPool, Error> {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        // A dead connection shows itself on use, and every use here is safe to repeat.
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                connection.execute(role.set()).await?;
                Ok(())
            })
        })
        .connect_with(connect.clone())
        .await
        .map_err(Error::Connect)
}

async fn prepare(connect: &PgConnectOptions) -> Result<(), Error> {
    let mut connection = open(connect).await?;
    let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::int / 10000")
        .fetch_one(&mut connection)
        .await
        .map_err(Error::Connect)?;
    new_enough(version)?;
    migrate(&mut connection).await?;
    connection.close().await.map_err(Error::Connect)
}

fn new_enough(version: i32) -> Result<(), Error> {
    if version < OLDEST { Err(Error::ServerTooOld { found: version, needed: OLDEST }) } else { Ok(()) }
}

/// Connects, creating the database if the server has none of that name.
async fn open(connect: &PgConnectOptions) -> Result<PgConnection, Error> {
    match PgConnection::connect_with(connect).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("3D000") => {
            let name = connect.get_database().unwrap_or("postgres").replace('"', "\"\"");
            let mut server = PgConnection::connect_with(&connect.clone().database("postgres"))
                .await
                .map_err(Error::Connect)?;
            // An identifier cannot be bound; it is quoted above.
            let created = server.execute(AssertSqlSafe(format!("create database \"{name}\""))).await;
            match created {
                Err(sqlx::Error::Database(error)) if is_duplicate(error.code().as_deref()) => {}
                other => {
                    other.map_err(Error::Connect)?;
                }
            }
            PgConnection::connect_with(connect).await.map_err(Error::Connect)
        }
        other => other.map_err(Error::Connect),
    }
}

/// Two processes may create the same database at once: `42P04`, or `23505` from the catalogue's index.
fn is_duplicate(code: Option<&str>) -> bool {
    matches!(code, Some("42P04" | "23505"))
}

async fn migrate(connection: &mut PgConnection) -> Result<(), Error> {
    if !has_roles(connection).await? {
        connection.execute(include_str!("../../../schemas/sql/roles.sql")).await.map_err(Error::Prepare)?;
    }
    let known = newest();
    match applied(connection).await? {
        version if version == known => return Ok(()),
        found if found > known => return Err(Error::DatabaseTooNew { found, known }),
        _ => {}
    }
    connection.execute("set role kvali_owner").await.map_err(Error::Prepare)?;
    let migrations = MIGRATIONS.iter().map(|(version, name, sql)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name("kvali.migration");
    migrator.run_direct(None, connection, false).await.map_err(Error::Migrate)
}

/// Whether the roles are there and may do their work: a copied or restored database brings no rights of its own.
async fn has_roles(connection: &mut PgConnection) -> Result<bool, Error> {
    sqlx::query_scalar(include_str!("connect/has_roles.sql"))
        .fetch_one(connection)
        .await
        .map_err(Error::Prepare)
}

/// The newest migration in the database; 0 for an empty one.
async fn applied(connection: &mut PgConnection) -> Result<i64, Error> {
    let prepared: bool = sqlx::query_scalar("select to_regclass('kvali.migration') is not null")
        .fetch_one(&mut *connection)
        .await
        .map_err(Error::Prepare)?;
    if !prepared {
        return Ok(0);
    }
    sqlx::query_scalar("select coalesce(max(version), 0) from kvali.migration where success")
        .fetch_one(connection)
        .await
        .map_err(Error::Prepare)
}

#[cfg(test)]
mod tests {
    use super::new_enough;

    #[test]
    fn a_server_that_is_too_old_is_told_which_one_is_needed() {
        let words = new_enough(14).unwrap_err().to_string();
        assert_eq!(words, "Postgres 14 is too old; Kvali needs 15 or newer");
        assert!(new_enough(15).is_ok());
    }
}
