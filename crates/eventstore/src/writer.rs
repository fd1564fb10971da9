//! One writer per tenant: while one append is in flight, commands queue up and travel together in the next.
//! No wait is added; whatever is there when the last append returns, goes.

use crate::log::{self, Prepared, Verdict};
use dashmap::DashMap;
use kvali_domain::{CommandId, StreamId, TenantId, Version};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// What one call carries at most, so that neither latency nor memory grows without bound.
const MAX_EVENTS: usize = 4_000;
const MAX_BYTES: usize = 8 << 20;
/// Commands waiting in this process, at most; more of them wait before they enter a queue.
const MAX_WAITING: usize = 16_384;
/// Tries of a call whose fate is unknown. Command ids make the repetition harmless.
const ATTEMPTS: u32 = 6;

type Reply = Result<Vec<Verdict>, Arc<sqlx::Error>>;

pub(crate) struct Writers {
    lines: Arc<Lines>,
    queues: DashMap<TenantId, Arc<Queue>>,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Whether a task is at work on this queue.
    served: bool,
}

/// Commands that travel in one call, in this order: later ones may build on earlier ones.
struct Job {
    commands: Vec<Prepared>,
    reply: oneshot::Sender<Reply>,
}

impl Writers {
    pub(crate) fn new(pool: PgPool) -> Self {
        let room = Arc::new(Semaphore::new(MAX_WAITING));
        Self { lines: Arc::new(Lines::new(pool)), queues: DashMap::new(), room }
    }

    /// Appends `commands` in order. The append goes on to its end even if the caller stops waiting.
    pub(crate) async fn append(&self, tenant: TenantId, commands: Vec<Prepared>) -> Reply {
        let wanted = u32::try_from(commands.len().clamp(1, MAX_WAITING)).unwrap_or(1);
        let room = self.room.clone().acquire_many_owned(wanted).await;
        let _room = room.expect("the semaphore is never closed");
        let (reply, answer) = oneshot::channel();
        let queue = self.queues.entry(tenant).or_default().clone();
        if queue.push(Job { commands, reply }) {
            tokio::spawn(serve(self.lines.clone(), tenant, queue));
        }
        answer.await.unwrap_or_else(|_| Err(Arc::new(sqlx::Error::WorkerCrashed)))
    }

    pub(crate) async fn close(&self) {
        self.lines.close().await;
    }
}

impl Queue {
    /// Whether the caller must start the task that serves the queue.
    fn push(&self, job: Job) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.jobs.push_back(job);
        !std::mem::replace(&mut waiting.served, true)
    }

    /// The jobs of the next call; `None` ends the serving.
    fn take(&self) -> Option<Vec<Job>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = Load::fill(&mut waiting.jobs);
        waiting.served = !jobs.is_empty();
        waiting.served.then_some(jobs)
    }
}

async fn serve(lines: Arc<Lines>, tenant: TenantId, queue: Arc<Queue>) {
    loop {
        // Those just answered go first: what they send next travels together, not one ahead of the rest. This
        // waits for no time, and for nobody who is not ready to run.
        tokio::task::yield_now().await;
        let Some(jobs) = queue.take() else { return };
        deliver(&lines, tenant, jobs).await;
    }
}

/// Sends one call; if the database refuses it as a whole, each job alone, so that one cannot spoil the rest.
async fn deliver(lines: &Lines, tenant: TenantId, jobs: Vec<Job>) {
    let commands: Vec<&Prepared> = jobs.iter().flat_map(|job| &job.commands).collect();
    match call(lines, tenant, &commands).await {
        Ok(verdicts) => {
            let mut verdicts = verdicts.into_iter();
            for job in jobs {
                let own = verdicts.by_ref().take(job.commands.len()).collect();
                let _nobody_waits = job.reply.send(Ok(own));
            }
        }
        Err(error) if jobs.len() == 1 || !is_answer(&error) => {
            let error = Arc::new(error);
            for job in jobs {
                let _nobody_waits = job.reply.send(Err(error.clone()));
            }
        }
        Err(_) => {
            for job in jobs {
                Box::pin(deliver(lines, tenant, vec![job])).await;
            }
        }
    }
}

async fn call(lines: &Lines, tenant: TenantId, commands: &[&Prepared]) -> Result<Vec<Verdict>, sqlx::Error> {
    let mut attempt = 0;
    loop {
        match lines.append(tenant, commands).await {
            Err(error) if attempt + 1 < ATTEMPTS && !is_answer(&error) => {
                tracing::warn!(%tenant, attempt, error = %error, "append interrupted, sending it again");
                tokio::time::sleep(Duration::from_millis(20 << (2 * attempt))).await;
                attempt += 1;
            }
            other => return other,
        }
    }
}

/// The connections that append. They are kept out of the pool between calls, which would send a ping each time
/// one comes back; the latest is used first, since its caches are warm.
struct Lines {
    pool: PgPool,
    free: Semaphore,
    idle: Mutex<Vec<PoolConnection<Postgres>>>,
}

impl Lines {
    fn new(pool: PgPool) -> Self {
        let connections = usize::try_from(pool.options().get_max_connections()).unwrap_or(1);
        Self { pool, free: Semaphore::new(connections), idle: Mutex::default() }
    }

    async fn append(&self, tenant: TenantId, commands: &[&Prepared]) -> Result<Vec<Verdict>, sqlx::Error> {
        let _one = self.free.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.pool.acquire().await?,
        };
        let verdicts = log::append(&mut connection, tenant, commands).await;
        if verdicts.is_ok() {
            let mut idle = self.idle();
            // Asked under the lock: `close` empties the list after it has closed the semaphore.
            if !self.free.is_closed() {
                idle.push(connection);
            }
        } else {
            // It may stand inside a transaction, or half-way through an answer: never use it again.
            connection.close_on_drop();
        }
        verdicts
    }

    fn idle(&self) -> MutexGuard<'_, Vec<PoolConnection<Postgres>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn close(&self) {
        self.free.close();
        self.idle().clear();
        self.pool.close().await;
    }
}

/// Whether the database has spoken for good: everything else may be sent again.
pub(crate) fn is_answer(error: &sqlx::Error) -> bool {
    let Some(code) = error.as_database_error().and_then(sqlx::error::DatabaseError::code) else {
        return !matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Tls(_)
        );
    };
    // Connection failures, rollbacks by the server, shutdown, and CALL inside a foreign transaction.
    let passing = ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)) || code == "2D000";
    !passing
}

/// What one call carries so far. Two commands travel together only if their order is plain: a stream's
/// versions follow on, no command id occurs twice, and no claim that can be refused meets an earlier one. What does not fit waits for the next call.
#[derive(Default)]
struct Load {
    ids: HashSet<CommandId>,
    versions: HashMap<StreamId, Version>,
    claims: HashSet<(&'static str, String)>,
    events: usize,
    bytes: usize,
}

impl Load {
    fn fill(waiting: &mut VecDeque<Job>) -> Vec<Job> {
        let mut load = Self::default();
        let mut taken = Vec::new();
        let mut left = VecDeque::new();
        while let Some(job) = waiting.pop_front() {
            if taken.is_empty() || load.fits(&job) {
                load.add(&job);
                taken.push(job);
            } else {
                left.push_back(job);
            }
            if load.events >= MAX_EVENTS || load.bytes >= MAX_BYTES {
                break;
            }
        }
        left.append(waiting);
        *waiting = left;
        taken
    }

    fn fits(&self, job: &Job) -> bool {
        let mut here = HashMap::new();
        job.commands.iter().all(|command| {
            let follows = command.needs.iter().all(|need| {
                let at = here.get(&need.stream).or_else(|| self.versions.get(&need.stream)).copied();
                here.insert(need.stream, need.version + need.adds);
                at.is_none_or(|at| at == need.version)
            });
            let claims = &mut command.claims.iter().filter(|claim| claim.demand);
            follows
                && !self.ids.contains(&command.command_id)
                && claims.all(|claim| !self.claims.contains(&(claim.kind, claim.key.clone())))
        })
    }

    fn add(&mut self, job: &Job) {
        for command in &job.commands {
            self.ids.insert(command.command_id);
            for need in &command.needs {
                self.versions.insert(need.stream, need.version + need.adds);
            }
            self.claims.extend(command.claims.iter().map(|claim| (claim.kind, claim.key.clone())));
            self.claims.extend(command.steps.iter().map(|step| (step.kind, step.key.clone())));
            self.events += command.events.len().max(1);
            self.bytes += command.events.iter().map(|event| event.data.len() + 300).sum::<usize>();
        }
    }
}
