//! The log on Postgres: append, read, handle commands, run projections.

mod acting;
pub mod analyst;
pub mod archive;
mod batch;
mod cache;
mod connect;
mod decided;
mod denial;
mod digest;
mod envelope;
mod handle;
pub mod job;
mod key_use;
mod keyring;
mod log;
mod personal_read;
pub mod project;
mod read;
mod rehearse;
pub mod subscribe;
pub mod webhook;
mod writer;

pub use connect::Options;
pub use denial::Denial;
pub use digest::{Digest, Fault, Inspection};
pub use envelope::Envelope;
pub use handle::{Answer, Appended, Choice, Outcome, Plan};
pub use keyring::{KeyedIds, MasterKey};
pub use personal_read::PersonalRead;
pub use read::Opened;
pub use rehearse::Rehearsal;

use connect::Pools;
use kvali_domain::TenantId;
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

/// The event store. Cheap to clone; every clone shares pools, cache and writers.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    pool: PgPool,
    projector: PgPool,
    cache: cache::Cache,
    writers: writer::Writers,
    keyring: keyring::Keyring,
    /// For keys that come from elsewhere or go there.
    master_key: MasterKey,
    /// Told when a log has moved, as far as this process knows.
    moved: watch::Sender<()>,
    /// Members of subscriptions that fetch.
    lines: subscribe::Lines,
    /// Held by whoever builds a past state of a read model.
    past: Mutex<()>,
    /// Events that are folded into a read model at once, at most.
    page: i64,
}

impl Store {
    /// Connects, creates what is missing, and brings the schema up to date.
    pub async fn connect(options: Options) -> Result<Self, Error> {
        let Pools { app: pool, appender, projector } = connect::pools(&options).await?;
        let keyring = keyring::Keyring::new(pool.clone(), &options.master_key);
        let inner = Inner {
            writers: writer::Writers::new(appender),
            cache: cache::Cache::new(options.cached_states),
            pool,
            projector,
            keyring,
            master_key: options.master_key,
            moved: watch::Sender::new(()),
            lines: subscribe::Lines::default(),
            past: Mutex::new(()),
            page: i64::from(options.page.max(1)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The position of the last event of `tenant`; 0 when there is none.
    pub async fn head(&self, tenant: TenantId) -> Result<i64, Error> {
        let head = sqlx::query_scalar("select head from kvali.ledger where tenant_id = $1")
            .bind(tenant.0)
            .fetch_optional(&mut *self.connection(tenant).await?)
            .await
            .map_err(Error::Read)?;
        Ok(head.unwrap_or(0))
    }

    /// The position of the last event of every tenant that has one.
    pub async fn heads(&self) -> Result<HashMap<TenantId, i64>, Error> {
        let rows: Vec<(Uuid, i64)> = sqlx::query_as("select tenant_id, head from kvali.ledger")
            .fetch_all(&self.inner.projector)
            .await
            .map_err(Error::Read)?;
        Ok(rows.into_iter().map(|(tenant, head)| (TenantId(tenant), head)).collect())
    }

    /// The state of the log of `tenant`.
    pub async fn log_of(&self, tenant: TenantId) -> Result<LogState, Error> {
        let row: Option<(i64, i32)> =
            sqlx::query_as("select head, epoch from kvali.ledger where tenant_id = $1")
                .bind(tenant.0)
                .fetch_optional(&mut *self.connection(tenant).await?)
                .await
                .map_err(Error::Read)?;
        let (head, epoch) = row.unwrap_or((0, 1));
        Ok(LogState { head, epoch })
    }

    /// Told when a log has moved, as far as this process knows.
    pub fn moved(&self) -> watch::Receiver<()> {
        self.inner.moved.subscribe()
    }

    /// Tells whoever waits that a log has moved.
    pub fn hint(&self) {
        self.inner.moved.send_replace(());
    }

    /// Forgets all folded states; they are read again when needed.
    pub fn drop_cache(&self) {
        self.inner.cache.clear();
    }

    pub async fn close(&self) {
        self.inner.writers.close().await;
        self.inner.pool.close().await;
        self.inner.projector.close().await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogState {
    /// The position of the last event; 0 when there is none.
    pub head: i64,
    /// Raised when the log was restored from an export: positions of before are of another log.
    pub epoch: i32,
}

/// The error and its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

impl Error {
    /// Whether there was no connection to be had; whatever was asked, nothing was done.
    pub fn is_out_of_reach(&self) -> bool {
        let (Self::Read(error) | Self::Keys(error)) = self else { return false };
        matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
    }
}

#[derive(thiserror::Error, Debug)]
pub enum Error {
    #[error("the database URL cannot be read; it looks like postgres://user@host/database")]
    Url(#[source] sqlx::Error),
    #[error("connecting to Postgres failed")]
    Connect(#[source] sqlx::Error),
    #[error("Postgres {found} is too old; Kvali needs {needed} or newer")]
    ServerTooOld { found: i32, needed: i32 },
    #[error("the database is at schema {found} and this Kvali knows {known}; use a newer Kvali")]
    DatabaseTooNew { found: i64, known: i64 },
    #[error(
        "preparing the database failed; the first connection needs a role that may create roles and schemas"
    )]
    Prepare(#[source] sqlx::Error),
    #[error("migrating the database failed")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    #[error("reading the log failed")]
    Read(#[source] sqlx::Error),
    #[error("the append's fate is unknown; send the command again with the same id")]
    Append(#[source] Arc<sqlx::Error>),
    #[error("the database rejects the command's values, and would again; nothing was written")]
    Rejected(#[source] Arc<sqlx::Error>),
    #[error("this build of {projection} was replaced by a newer one; ask again")]
    GenerationGone { projection: &'static str },
    #[error("another worker has taken over {projection}")]
    LeaseLost { projection: &'static str },
    #[error("there is no build of {projection} before the one that answers; rebuild it instead")]
    NothingBefore { projection: &'static str },
    #[error(
        "sessions of analysts hold the views of {projection}, so it stays as it was; end them \
         (select pid, usename from pg_stat_activity where usename like 'kvali_analyst%') and try again"
    )]
    ViewsHeld { projection: &'static str },
    #[error("position {position} is not in the log, which reaches from 0 to {head}")]
    NoSuchPosition { position: i64, head: i64 },
    #[error("the log has a gap: position {expected} is missing and {found} comes next; the log is damaged")]
    Gap { expected: i64, found: i64 },
    #[error("stored event {position} cannot be read")]
    Decode { position: i64, source: kvali_domain::DecodeError },
    #[error("stored event {position} has {column} {value:?}, which this Kvali does not know")]
    Column { position: i64, column: &'static str, value: String },
    #[error("command id {0} was used before for another request; draw a new id")]
    CommandIdReused(kvali_domain::CommandId),
    #[error("records were merged and told apart while the command was decided; send it again")]
    Overtaken,
    #[error("the stream kept changing; {attempts} attempts met a conflict; send the command again")]
    Contended { attempts: u32 },
    #[error("reading or writing keys failed")]
    Keys(#[source] sqlx::Error),
    #[error(
        "the keys of this database are wrapped by another master key; give the one it was made with (KVALI_MASTER_KEY)"
    )]
    WrongMasterKey,
    #[error("a sealed value of {subject} does not open: it was altered, or moved from another event")]
    Unsealed { subject: kvali_domain::SubjectId },
    #[error(
        "the master key file {path} cannot be used; it holds 64 hexadecimal digits, readable by its owner only"
    )]
    MasterKeyFile { path: std::path::PathBuf, source: std::io::Error },
    #[error("projection {projection} failed at position {position}")]
    Project { projection: &'static str, position: i64, source: Box<Error> },
    #[error("writing read model {projection} failed")]
    ReadModel { projection: &'static str, source: sqlx::Error },
    #[error(
        "the database user may not make or drop roles of analysts; connect as a superuser, or as the user with \
         createrole by whom kvali_analyst was made"
    )]
    MayNotMakeRoles(#[source] sqlx::Error),
    #[error("changing the database role of an analyst failed")]
    Analyst(#[source] sqlx::Error),
    #[error("a background task ended early")]
    Task(#[source] tokio::task::JoinError),
}
