//! Jobs: many commands that are sent at once and carried out by workers, part by part and in their order. What the rows are
//! made of is for the sender and the worker to agree on; here they are bytes, sealed by the tenant's key until they are done.
//!
//! A job is held by whoever receives it or works at it, by the database's clock. Each holder has a newer token than the one
//! before, and what an older one writes is not taken.

mod receive;
mod work;

pub use receive::{Known, NewJob, Receipt, Receiving};
pub use work::{Ended, Leased, Settled};

use crate::{Error, Store};
use chrono::{DateTime, Utc};
use kvali_domain::{ActorId, ApiKeyId, CommandId, StreamId, TenantId};
use std::time::Duration;
use uuid::Uuid;

/// What became of the rows can be read so long after the end of the job.
pub const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Who sent a job, and what proved that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sender {
    pub actor: ActorId,
    pub proof: Proof,
    /// Of the request that it was sent with.
    pub request_id: String,
    pub source_address: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proof {
    Key(ApiKeyId),
    Token { issuer: String, subject: String },
}

/// How a job stands.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Job {
    pub job_id: Uuid,
    pub actor: Uuid,
    pub request_id: String,
    pub format: String,
    pub command: Option<String>,
    pub dry_run: bool,
    /// `waiting`, `running`, `cancelling`, `finished`, `cancelled` or `stopped`.
    pub state: String,
    /// Why it was stopped.
    pub reason: Option<String>,
    pub rows: i32,
    pub accepted: i32,
    pub already_so: i32,
    pub refused: i32,
    pub malformed: i32,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Job {
    pub fn done(&self) -> i32 {
        self.accepted + self.already_so + self.refused + self.malformed
    }

    /// Until when its verdicts can be read, if it has ended.
    pub fn kept_until(&self) -> Option<DateTime<Utc>> {
        self.finished_at.map(|at| at + KEPT)
    }
}

/// What became of one row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowVerdict {
    /// From 1.
    pub number: i32,
    /// Where in what was sent it begins, from 1.
    pub line: i32,
    pub verdict: Verdict,
    /// The status that it would have had as a request of its own.
    pub status: i16,
    pub command: Option<CommandOfRow>,
    /// The position of its first event; `None` without events, and for those of a dry run.
    pub first_position: Option<i64>,
    pub event_count: i32,
    /// JSON that says what is wrong with it.
    pub problem: Option<String>,
}

/// What a row that was understood asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandOfRow {
    pub name: String,
    pub id: CommandId,
    pub stream: StreamId,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Accepted,
    AlreadySo,
    Refused,
    Malformed,
}

impl Verdict {
    pub const ALL: [Self; 4] = [Self::Accepted, Self::AlreadySo, Self::Refused, Self::Malformed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::AlreadySo => "already_so",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
        }
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("{0:?} is no verdict; the verdicts are accepted, already_so, refused, malformed")]
pub struct NotAVerdict(String);

impl std::str::FromStr for Verdict {
    type Err = NotAVerdict;
    fn from_str(text: &str) -> Result<Self, NotAVerdict> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
            .ok_or_else(|| NotAVerdict(text.to_owned()))
    }
}

const SELECT: &str = "select job_id, actor, request_id, format, command, dry_run, reason, rows, accepted, already_so, \
    refused, malformed, created_at, started_at, finished_at, \
    case when ended is not null then ended when cancelled_at is not null then 'cancelling' \
         when started_at is not null then 'running' else 'waiting' end as state \
    from kvali.job where tenant_id = $1 and received_at is not null";

impl Store {
    /// A job that was received whole.
    pub async fn job(&self, tenant: TenantId, job: Uuid) -> Result<Option<Job>, Error> {
        // Made of the constant above.
        sqlx::query_as(sqlx::AssertSqlSafe(format!("{SELECT} and job_id = $2")))
            .bind(tenant.0)
            .bind(job)
            .fetch_optional(&mut *self.connection(tenant).await?)
            .await
            .map_err(Error::Read)
    }

    /// The newest first; of everybody, or of one sender.
    pub async fn jobs(&self, tenant: TenantId, of: Option<ActorId>, limit: i64) -> Result<Vec<Job>, Error> {
        let whose = if of.is_some() { "and actor = $3" } else { "and $3::uuid is null" };
        // Made of the constants above.
        sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "{SELECT} {whose} order by created_at desc, job_id limit $2"
        )))
        .bind(tenant.0)
        .bind(limit)
        .bind(of.map(|actor| actor.0))
        .fetch_all(&mut *self.connection(tenant).await?)
        .await
        .map_err(Error::Read)
    }

    /// How many of the tenant's jobs have not ended, those that are being sent included.
    pub async fn open_jobs(&self, tenant: TenantId) -> Result<i64, Error> {
        sqlx::query_scalar("select count(*) from kvali.job where tenant_id = $1 and finished_at is null")
            .bind(tenant.0)
            .fetch_one(&mut *self.connection(tenant).await?)
            .await
            .map_err(Error::Read)
    }

    /// What became of the rows after number `after`, in their order; of all, or those with one verdict.
    pub async fn job_rows(
        &self,
        tenant: TenantId,
        job: Uuid,
        verdict: Option<Verdict>,
        after: i32,
        limit: i64,
    ) -> Result<Vec<RowVerdict>, Error> {
        let which = if verdict.is_some() { "and verdict = $5" } else { "and $5::text is null" };
        // Made of constants.
        let rows: Vec<StoredRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select * from kvali.job_row where tenant_id = $1 and job_id = $2 and number > $3 {which} \
             order by number limit $4"
        )))
        .bind(tenant.0)
        .bind(job)
        .bind(after)
        .bind(limit)
        .bind(verdict.map(Verdict::as_str))
        .fetch_all(&mut *self.connection(tenant).await?)
        .await
        .map_err(Error::Read)?;
        Ok(rows.into_iter().map(StoredRow::told).collect())
    }

    /// Nothing more is begun; what is done stays done, and a job that has ended stays as it is.
    pub async fn cancel_job(&self, tenant: TenantId, job: Uuid) -> Result<(), Error> {
        sqlx::query(include_str!("job/cancel.sql"))
            .bind(tenant.0)
            .bind(job)
            .execute(&mut *self.connection(tenant).await?)
            .await
            .map_err(Error::Read)?;
        Ok(())
    }

    /// Forgets jobs that ended long ago, and uploads that broke off.
    pub async fn forget_jobs(&self) -> Result<(), Error> {
        let old: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "select tenant_id, job_id from kvali.job where finished_at < clock_timestamp() - $1 \
                or (received_at is null and leased_until < clock_timestamp()) limit 1000",
        )
        .bind(KEPT)
        .fetch_all(&self.inner.projector)
        .await
        .map_err(Error::Read)?;
        for (tenant, job) in old {
            sqlx::query(include_str!("job/forget.sql"))
                .bind(tenant)
                .bind(job)
                .bind(KEPT)
                .execute(&mut *self.connection(TenantId(tenant)).await?)
                .await
                .map_err(Error::Read)?;
        }
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
struct StoredRow {
    number: i32,
    line: i32,
    verdict: String,
    status: i16,
    command: Option<String>,
    command_id: Option<Uuid>,
    stream_id: Option<Uuid>,
    first_position: Option<i64>,
    event_count: i32,
    problem: Option<String>,
}

impl StoredRow {
    fn told(self) -> RowVerdict {
        let verdict = self.verdict.parse().expect("the table takes these verdicts alone");
        let command = self
            .command
            .zip(self.command_id)
            .zip(self.stream_id)
            .map(|((name, id), stream)| CommandOfRow { name, id: CommandId(id), stream: StreamId(stream) });
        let Self { number, line, status, first_position, event_count, problem, .. } = self;
        RowVerdict { number, line, verdict, status, command, first_position, event_count, problem }
    }
}

/// What binds a sealed part to its place.
fn place(job: Uuid, part: i32) -> Vec<u8> {
    [job.as_bytes().as_slice(), &part.to_be_bytes()].concat()
}
