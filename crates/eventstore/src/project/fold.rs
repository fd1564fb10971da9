//! Folding: page by page, each in one transaction with the checkpoint that it moves.

use super::lease::Lease;
use super::park::park;
use super::{Batch, Cut, Generation, Projection, detached, wrote};
use crate::acting::begin_for;
use crate::read::{self, Damaged};
use crate::{Error, KeyedIds, Opened, Store};
use kvali_domain::{StreamId, TenantId};
use sqlx::{PgConnection, PgPool};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Events that are folded in memory before the read model is written, at first and at most.
const FIRST_PAGE: i64 = 2_000;
const LARGEST_PAGE: i64 = 10_000;
/// A page grows while it takes less, and shrinks when it takes several times as much: a transaction that is open for
/// long keeps others waiting.
const QUICK: Duration = Duration::from_millis(700);
const SLOW: Duration = Duration::from_secs(2);

/// Postgres ends a session that says nothing for so long within a transaction; see the projector's role.
const IDLE_AT_MOST: Duration = Duration::from_secs(5);

/// One tenant's part of one generation of a read model.
#[derive(Clone)]
pub(super) struct Unit {
    pub projection: Arc<dyn Projection>,
    pub generation: Generation,
    pub tenant: TenantId,
    /// Of a worker; whoever folds without one is refused by nobody and refuses nobody.
    pub lease: Option<Lease>,
}

impl Unit {
    pub(super) fn new(projection: Arc<dyn Projection>, generation: Generation, tenant: TenantId) -> Self {
        Self { projection, generation, tenant, lease: None }
    }
}

/// What came of one batch.
#[derive(PartialEq, Eq)]
enum Moved {
    Yes,
    /// The checkpoint was not where it was left.
    No,
}

impl Store {
    /// Applies pages until `until`; the next page is read while one is applied. What `cut` leaves out is not folded.
    pub(super) async fn advance(
        &self,
        unit: &Unit,
        until: i64,
        mut cut: Option<Cut>,
        progress: &(dyn Fn(i64, i64) + Sync),
    ) -> Result<i64, Error> {
        let mut at = self.checkpoint(unit).await?;
        let mut parked = self.parked_streams(unit).await?;
        let mut size = self.inner.page.min(FIRST_PAGE);
        let mut ahead = None;
        while at < until {
            let read = ahead.take().unwrap_or_else(|| self.page_after(unit.tenant, at, size, until));
            let page = read.await.map_err(Error::Task)??;
            let Some(to) = page.last().map(position) else {
                return Err(Error::Gap { expected: at + 1, found: until });
            };
            if to < until {
                ahead = Some(self.page_after(unit.tenant, to, size, until));
            }
            let start = Instant::now();
            let page = Page::sift(page, at, to, &mut parked, cut.as_mut());
            match self.fold_page(unit, page, &mut parked).await? {
                Moved::Yes => at = to,
                // Another was there first. A cut remembers what it has left out, so it cannot go on from there.
                Moved::No if cut.is_some() => return Err(gone(unit)),
                Moved::No => {
                    at = self.checkpoint(unit).await?;
                    parked = self.parked_streams(unit).await?;
                    ahead = None;
                }
            }
            size = self.next_size(size, start.elapsed());
            progress(at, until);
        }
        Ok(at)
    }

    fn next_size(&self, size: i64, took: Duration) -> i64 {
        let next = if took < QUICK {
            size * 2
        } else if took > SLOW {
            size / 2
        } else {
            size
        };
        next.clamp(1, self.inner.page.min(LARGEST_PAGE))
    }

    fn page_after(
        &self,
        tenant: TenantId,
        at: i64,
        size: i64,
        until: i64,
    ) -> tokio::task::JoinHandle<Result<Vec<Result<Opened, Damaged>>, Error>> {
        let store = self.clone();
        tokio::spawn(async move {
            let page = read::page(&store.inner.projector, tenant, at, size.min(until - at)).await?;
            read::open(&store.inner.keyring, &store.inner.projector, tenant, page).await
        })
    }

    /// Folds a page as one batch; where that fails for what its events say, in ever smaller ones, until the event is
    /// found and its stream parked; also where folding takes longer than Postgres waits.
    async fn fold_page(
        &self,
        unit: &Unit,
        page: Page,
        parked: &mut HashSet<StreamId>,
    ) -> Result<Moved, Error> {
        let mut left = vec![Arc::new(page)];
        while let Some(page) = left.pop() {
            let start = Instant::now();
            match self.apply(unit, page.clone()).await {
                Ok(Moved::No) => return Ok(Moved::No),
                Ok(Moved::Yes) => {}
                Err(error) if is_gone(&error) && start.elapsed() > IDLE_AT_MOST && page.events.len() > 1 => {
                    let events = page.events.len();
                    tracing::info!(%error, events, "a batch took longer than Postgres waits; its halves are tried");
                    left.extend(page.halves().map(Arc::new));
                }
                Err(error) if !is_poison(&error) || page.events.is_empty() => return Err(error),
                Err(error) if page.events.len() == 1 => {
                    let page = page.without_its_event(&error);
                    parked.extend(page.unfoldable.iter().map(|event| event.stream));
                    left.push(Arc::new(page));
                    left = left.iter().map(|page| Arc::new(page.without(parked))).collect();
                }
                Err(error) => {
                    tracing::debug!(%error, events = page.events.len(), "a batch failed; its halves are tried");
                    left.extend(page.halves().map(Arc::new));
                }
            }
        }
        Ok(Moved::Yes)
    }

    /// One batch and its checkpoint in one transaction.
    async fn apply(&self, unit: &Unit, page: Arc<Page>) -> Result<Moved, Error> {
        let pool = self.inner.projector.clone();
        let wrote = wrote(&*unit.projection);
        let (unit, keyed) = (unit.clone(), self.keyed_ids(unit.tenant).await?);
        detached(async move { apply(&pool, &unit, &page, &keyed).await }).await?.map_err(wrote)
    }

    async fn checkpoint(&self, unit: &Unit) -> Result<i64, Error> {
        sqlx::query(
            "insert into kvali.projection_checkpoint (tenant_id, projection, version, generation, position) \
             select $1, projection, version, generation, 0 from kvali.projection_generation \
              where projection = $2 and version = $3 and generation = $4 \
             on conflict do nothing",
        )
        .bind(unit.tenant.0)
        .bind(unit.projection.name())
        .bind(unit.projection.version())
        .bind(unit.generation.generation)
        .execute(&self.inner.projector)
        .await
        .map_err(wrote(&*unit.projection))?;
        // A second statement: it sees the row of whoever was first.
        let row: Option<(i64, i64)> = sqlx::query_as(
            "select position, epoch from kvali.projection_checkpoint \
             where tenant_id = $1 and projection = $2 and version = $3 and generation = $4",
        )
        .bind(unit.tenant.0)
        .bind(unit.projection.name())
        .bind(unit.projection.version())
        .bind(unit.generation.generation)
        .fetch_optional(&self.inner.projector)
        .await
        .map_err(wrote(&*unit.projection))?;
        let (position, epoch) = row.ok_or_else(|| gone(unit))?;
        match &unit.lease {
            Some(lease) if lease.epoch != epoch => {
                Err(Error::LeaseLost { projection: unit.projection.name() })
            }
            _ => Ok(position),
        }
    }
}

/// The checkpoint moves first: while its row is locked nobody else takes the unit, and whoever was overtaken, or slept
/// past its lease, has written nothing.
async fn apply(pool: &PgPool, unit: &Unit, page: &Page, keyed: &KeyedIds) -> Result<Moved, sqlx::Error> {
    let mut tx = begin_for(pool, unit.tenant).await?;
    let moved = sqlx::query(
        "update kvali.projection_checkpoint \
            set position = $6, updated_at = clock_timestamp(), failure = null, failures = 0, timer_at = '-infinity', \
                leased_until = case when $7 is null then leased_until else clock_timestamp() + $8 end \
          where tenant_id = $1 and projection = $2 and version = $3 and generation = $4 and position = $5 \
            and ($7 is null or epoch = $7)",
    )
    .bind(unit.tenant.0)
    .bind(unit.projection.name())
    .bind(unit.projection.version())
    .bind(unit.generation.generation)
    .bind(page.from)
    .bind(page.to)
    .bind(unit.lease.as_ref().map(|lease| lease.epoch))
    .bind(Lease::TERM)
    .execute(&mut *tx)
    .await?;
    if moved.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(Moved::No);
    }
    write(&mut tx, unit, page, keyed).await?;
    tx.commit().await?;
    Ok(Moved::Yes)
}

async fn write(
    connection: &mut PgConnection,
    unit: &Unit,
    page: &Page,
    keyed: &KeyedIds,
) -> Result<(), sqlx::Error> {
    if !page.events.is_empty() {
        let schema = &unit.generation.schema_name;
        let batch = Batch { tenant: unit.tenant, schema, events: &page.events, keyed };
        unit.projection.apply(&batch, connection).await?;
    }
    park(connection, unit, &page.unfoldable).await
}

/// What a step of the checkpoint folds, and what it leaves out for good.
struct Page {
    from: i64,
    to: i64,
    events: Vec<Opened>,
    unfoldable: Vec<Unfoldable>,
}

/// The first event of a stream that cannot be folded.
#[derive(Clone)]
pub(super) struct Unfoldable {
    pub position: i64,
    pub stream: StreamId,
    pub why: String,
}

impl Page {
    /// Parts the events that are folded from those of parked streams, those behind a cut, and the damaged ones.
    fn sift(
        read: Vec<Result<Opened, Damaged>>,
        from: i64,
        to: i64,
        parked: &mut HashSet<StreamId>,
        mut cut: Option<&mut Cut>,
    ) -> Self {
        let mut page = Self { from, to, events: Vec::with_capacity(read.len()), unfoldable: Vec::new() };
        for event in read {
            match event {
                Ok(opened) if parked.contains(&opened.recorded.stream) => {}
                Ok(opened) if cut.as_mut().is_some_and(|cut| cut.leaves_out(&opened)) => {}
                Ok(opened) => page.events.push(opened),
                Err(Damaged { position, stream, error }) => {
                    if parked.insert(stream) {
                        page.unfoldable.push(Unfoldable { position, stream, why: crate::chain(&error) });
                    }
                }
            }
        }
        page
    }

    /// The second half, which is to be folded after the first, and the first.
    fn halves(&self) -> [Self; 2] {
        let (first, second) = self.events.split_at(self.events.len() / 2);
        let middle = first.last().map_or(self.from, |event| event.recorded.position);
        let (before, after) = self.unfoldable.iter().cloned().partition(|event| event.position <= middle);
        [
            Self { from: middle, to: self.to, events: second.to_vec(), unfoldable: after },
            Self { from: self.from, to: middle, events: first.to_vec(), unfoldable: before },
        ]
    }

    fn without_its_event(&self, error: &Error) -> Self {
        let mut unfoldable = self.unfoldable.clone();
        unfoldable.extend(self.events.iter().map(|event| Unfoldable {
            position: event.recorded.position,
            stream: event.recorded.stream,
            why: crate::chain(error),
        }));
        Self { from: self.from, to: self.to, events: Vec::new(), unfoldable }
    }

    fn without(&self, parked: &HashSet<StreamId>) -> Self {
        let events = self.events.iter().filter(|event| !parked.contains(&event.recorded.stream));
        Self {
            from: self.from,
            to: self.to,
            events: events.cloned().collect(),
            unfoldable: self.unfoldable.clone(),
        }
    }
}

fn position(event: &Result<Opened, Damaged>) -> i64 {
    event.as_ref().map_or_else(|damaged| damaged.position, |event| event.recorded.position)
}

fn gone(unit: &Unit) -> Error {
    Error::GenerationGone { projection: unit.projection.name() }
}

/// Whether the connection was lost.
fn is_gone(error: &Error) -> bool {
    let Error::ReadModel { source, .. } = error else { return false };
    match source {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().as_deref() == Some(IDLE_TOO_LONG),
        _ => false,
    }
}

/// `idle_in_transaction_session_timeout`.
const IDLE_TOO_LONG: &str = "25P03";

/// Whether the failure comes of what the events say, so that it would come again. Everything else passes.
fn is_poison(error: &Error) -> bool {
    match error {
        Error::ReadModel { source, .. } => match source {
            // Data exceptions, broken constraints, and statements that Postgres does not understand.
            sqlx::Error::Database(error) => {
                error.code().is_some_and(|code| ["22", "23", "42"].contains(&&code[..2.min(code.len())]))
            }
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_) => true,
            _ => false,
        },
        Error::Task(error) => error.is_panic(),
        _ => false,
    }
}
