//! Projections: what a batch of events does to a read model, each event exactly once.
//!
//! The batch and the checkpoint commit together, and the checkpoint moves by compare-and-set, so whatever is
//! killed, and however many work at once, no event counts twice or not at all.

mod as_of;
mod fold;
mod generation;
mod lease;
mod live;
mod look;
mod park;
mod past;
mod status;
mod timers;
mod views;
mod workers;

pub use as_of::{AsOf, Cut, Known};
pub use generation::Generation;
pub use look::{Answered, Look, Query};
pub use park::Parked;
pub use status::Status;
pub use timers::{TIMER, Timed, Timers};
pub use workers::{Workers, Workload};

use crate::{Error, KeyedIds, Opened};
use async_trait::async_trait;
use kvali_domain::TenantId;
use sqlx::PgConnection;

/// A read model: a name, a version, tables, and what events do to them.
#[async_trait]
pub trait Projection: Send + Sync {
    fn name(&self) -> &'static str;

    /// Raised with every change of the tables or of what events do to them; then it is built anew.
    fn version(&self) -> i32;

    /// Creates the tables; `{schema}` stands for the generation's schema.
    fn schema(&self) -> &'static str;

    /// Creates, or replaces, what analysts see of it in `kvali_sql`; `{schema}` stands for the generation's schema.
    fn views(&self) -> &'static str {
        ""
    }

    /// Folds `batch` into the tables, in the transaction that `into` is in.
    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error>;

    /// What the passing of time alone calls for, by the live tables and `look.at`.
    async fn timers(&self, _look: &mut Look<'_>) -> Result<Timers, sqlx::Error> {
        Ok(Timers::default())
    }
}

/// Events of one tenant in order of position, for one generation of a read model.
pub struct Batch<'a> {
    pub tenant: TenantId,
    pub schema: &'a str,
    pub events: &'a [Opened],
    /// Hashes under the tenant's key, for read models that look up what must not stand in clear.
    pub keyed: &'a KeyedIds,
}

/// Runs database work to its end even if the caller stops waiting: a transaction is never left half-way.
async fn detached<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Error> {
    tokio::spawn(work).await.map_err(Error::Task)
}

fn wrote(projection: &dyn Projection) -> impl FnOnce(sqlx::Error) -> Error + use<> {
    let projection = projection.name();
    move |source| Error::ReadModel { projection, source }
}
