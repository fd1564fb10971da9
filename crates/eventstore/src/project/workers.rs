//! Workers: any number of them, in any number of processes, share the units of all read models.

use super::Projection;
use super::lease::Leased;
use crate::{Error, Store};
use chrono::DateTime;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Events that a unit may fold before others have their turn.
const TURN: i64 = 10_000;
/// The heads of the logs are looked at so often: more often while they move, less while they rest. Appends of this
/// process are told at once; this is for those of others, and the guarantee for all.
const SOONEST: Duration = Duration::from_millis(10);
const LATEST: Duration = Duration::from_millis(320);
/// How long a worker waits at most before it looks for a unit by itself: for a lease of another that ran out, a rest
/// that is over, a timer.
const PATIENCE: Duration = Duration::from_millis(500);
/// So often it is looked whether what analysts see stands on what answers: a program of before may have moved the pointer.
const VIEWS: Duration = Duration::from_secs(10);

/// What a process works at.
#[derive(Clone)]
pub struct Workload {
    pub models: Vec<Arc<dyn Projection>>,
    /// Units that are folded at once.
    pub at_once: usize,
    /// The id of this process among all that work.
    pub worker: Uuid,
}

/// Workers of this process. They stop when they are told to, each after the turn that it is at.
pub struct Workers {
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
}

impl Workers {
    /// Builds what was never built, and follows the log.
    pub fn start(store: &Store, workload: &Workload) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        running.spawn(tick(store.clone(), workload.models.clone(), stopped.clone()));
        running.spawn(let_views_follow(store.clone(), workload.models.clone(), stopped.clone()));
        for _ in 0..workload.at_once.max(1) {
            running.spawn(work(store.clone(), workload.clone(), stopped.clone()));
        }
        Self { stop, running }
    }

    /// Waits until every worker has let go of its unit.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.running.join_next().await.is_some() {}
    }
}

/// One ticker per process: looks whether any log has moved, and wakes the workers once however many events there are.
async fn tick(store: Store, models: Vec<Arc<dyn Projection>>, mut stopped: watch::Receiver<bool>) {
    let (mut last, mut pause) = (None, SOONEST);
    while !*stopped.borrow() {
        match look_round(&store, &models, last).await {
            Ok(seen) => {
                pause = if last == Some(seen) { (pause * 2).min(LATEST) } else { SOONEST };
                last = Some(seen);
            }
            Err(error) => {
                pause = LATEST;
                tracing::warn!(error = crate::chain(&error), "the heads of the logs could not be read");
            }
        }
        wait(pause, &mut stopped).await;
    }
}

async fn look_round(
    store: &Store,
    models: &[Arc<dyn Projection>],
    last: Option<Movement>,
) -> Result<Movement, Error> {
    let seen = store.movement().await?;
    if last.is_none_or(|last| (last.tenants, last.generations) != (seen.tenants, seen.generations)) {
        store.begin_missing(models).await?;
        store.make_units(models).await?;
    }
    store.let_ready_answer(models).await?;
    if last != Some(seen) {
        store.inner.moved.send_replace(());
    }
    Ok(seen)
}

async fn let_views_follow(
    store: Store,
    models: Vec<Arc<dyn Projection>>,
    mut stopped: watch::Receiver<bool>,
) {
    while !*stopped.borrow() {
        if let Err(error) = store.let_views_follow(&models).await {
            tracing::warn!(error = crate::chain(&error), "what analysts see could not be renewed");
        }
        wait(VIEWS, &mut stopped).await;
    }
}

async fn work(store: Store, workload: Workload, mut stopped: watch::Receiver<bool>) {
    let mut moved = store.inner.moved.subscribe();
    while !*stopped.borrow() {
        moved.borrow_and_update();
        match turn(&store, &workload).await {
            Ok(true) => {}
            Ok(false) => {
                tokio::select! {
                    _ = moved.changed() => {}
                    () = wait(PATIENCE, &mut stopped) => {}
                }
            }
            Err(error) => {
                tracing::warn!(error = crate::chain(&error), "a worker found no unit");
                wait(PATIENCE, &mut stopped).await;
            }
        }
    }
}

async fn wait(pause: Duration, stopped: &mut watch::Receiver<bool>) {
    // Told to stop, or left alone by whoever would tell: both end the wait.
    let _over = tokio::time::timeout(pause, stopped.changed()).await;
}

/// Folds one unit for a turn; `false` if there is none to fold.
async fn turn(store: &Store, workload: &Workload) -> Result<bool, Error> {
    let Some(leased) = store.lease(workload.worker, &workload.models).await? else {
        return Ok(false);
    };
    match store.take_turn(&leased).await {
        // Done; or another has it now, or nobody needs it any more.
        Ok(()) | Err(Error::LeaseLost { .. } | Error::GenerationGone { .. }) => {}
        Err(error) => {
            tracing::error!(
                projection = leased.unit.projection.name(),
                tenant = %leased.unit.tenant,
                error = crate::chain(&error),
                "folding failed; it is tried again later"
            );
            store.rest(&leased.unit, &error).await?;
        }
    }
    Ok(true)
}

/// Changes whenever any log moves, or a tenant begins one, or a generation is made.
#[derive(Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
struct Movement {
    tenants: i64,
    generations: i64,
    events: i64,
}

impl Store {
    async fn take_turn(&self, leased: &Leased) -> Result<(), Error> {
        let Leased { unit, position, head, live } = leased;
        let at = self.advance(unit, (*head).min(position + TURN), None, &|_, _| {}).await?;
        // What does not answer yet sends nothing; it is looked at again as soon as it does.
        let timer_at =
            if *live && at >= *head { self.send_due(unit).await? } else { Some(DateTime::UNIX_EPOCH) };
        self.release(unit, at, timer_at).await
    }

    async fn movement(&self) -> Result<Movement, Error> {
        sqlx::query_as(
            "select count(*) as tenants, coalesce(sum(head), 0)::bigint as events, \
                    (select count(*) from kvali.projection_generation where until is null) as generations \
               from kvali.ledger",
        )
        .fetch_one(&self.inner.projector)
        .await
        .map_err(Error::Read)
    }
}
