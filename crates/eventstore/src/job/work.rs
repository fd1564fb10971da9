//! A job at work: leased, its parts opened, and what became of their rows written down.

use super::{Proof, RowVerdict, Sender, Verdict, place};
use crate::{Answer, Error, Store};
use kvali_domain::{ActorId, ApiKeyId, CommandId, TenantId};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// After failures in a row a job rests for so long, doubled each time, up to the last; in milliseconds.
const FIRST_REST: f64 = 500.0;
const LONGEST_REST: f64 = 60_000.0;
/// Jobs that are looked at for one that is free.
const LOOKED_AT: i64 = 16;

/// A job that is this worker's for now.
pub struct Leased {
    store: Store,
    pub tenant: TenantId,
    pub id: Uuid,
    pub sender: Sender,
    pub dry_run: bool,
    pub cancelled: bool,
    /// Whoever held it before did not let go: rows of the next part may have been carried out already.
    pub in_doubt: bool,
    pub parts: i32,
    pub next_part: i32,
    token: i64,
    term: Duration,
}

/// What is to come after a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Settled {
    pub more: bool,
    pub cancelled: bool,
}

#[derive(sqlx::FromRow)]
struct Given {
    token: i64,
    in_doubt: bool,
    cancelled: bool,
    dry_run: bool,
    parts: i32,
    next_part: i32,
    actor: Uuid,
    key_id: Option<Uuid>,
    issuer: Option<String>,
    subject: Option<String>,
    request_id: String,
    source_address: Option<String>,
}

impl Given {
    fn sender(self) -> Sender {
        let proof = match self.key_id {
            Some(key) => Proof::Key(ApiKeyId(key)),
            None => Proof::Token {
                issuer: self.issuer.unwrap_or_default(),
                subject: self.subject.unwrap_or_default(),
            },
        };
        let Self { request_id, source_address, .. } = self;
        Sender { actor: ActorId(self.actor), proof, request_id, source_address }
    }
}

impl Store {
    /// Takes the job whose last turn is longest ago, among those that nobody holds.
    pub async fn lease_job(&self, term: Duration) -> Result<Option<Leased>, Error> {
        let free: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "select tenant_id, job_id from kvali.job \
              where finished_at is null and received_at is not null \
                and leased_until < clock_timestamp() and retry_at <= clock_timestamp() \
              order by turn_at limit $1",
        )
        .bind(LOOKED_AT)
        .fetch_all(&self.inner.projector)
        .await
        .map_err(Error::Read)?;
        for (tenant, id) in free {
            if let Some(leased) = self.lease_of(TenantId(tenant), id, term).await? {
                return Ok(Some(leased));
            }
        }
        Ok(None)
    }

    /// `None`, if another worker was quicker.
    async fn lease_of(&self, tenant: TenantId, id: Uuid, term: Duration) -> Result<Option<Leased>, Error> {
        let given: Option<Given> = sqlx::query_as(include_str!("lease.sql"))
            .bind(tenant.0)
            .bind(id)
            .bind(term)
            .fetch_optional(&mut *self.connection(tenant).await?)
            .await
            .map_err(Error::Read)?;
        Ok(given.map(|given| Leased {
            store: self.clone(),
            tenant,
            id,
            dry_run: given.dry_run,
            cancelled: given.cancelled,
            in_doubt: given.in_doubt,
            parts: given.parts,
            next_part: given.next_part,
            token: given.token,
            term,
            sender: given.sender(),
        }))
    }

    /// Which of these commands were carried out before, and what came of each.
    pub async fn carried_out(
        &self,
        tenant: TenantId,
        commands: &[CommandId],
    ) -> Result<HashMap<CommandId, Answer>, Error> {
        let ids: Vec<Uuid> = commands.iter().map(|command| command.0).collect();
        let rows: Vec<(Uuid, Option<i64>, i32)> = sqlx::query_as(
            "select c.command_id, c.first_position, c.event_count from unnest($2::uuid[]) x (id) \
             cross join lateral (select * from kvali.command where tenant_id = $1 and command_id = x.id limit 1) c",
        )
        .bind(tenant.0)
        .bind(ids)
        .fetch_all(&mut *self.connection(tenant).await?)
        .await
        .map_err(Error::Read)?;
        let answers = rows.into_iter();
        Ok(answers.map(|(id, first, count)| (CommandId(id), Answer::known(first, count))).collect())
    }
}

impl Leased {
    /// The rows of a part; `None`, if somebody else has settled it.
    pub async fn part(&self, part: i32) -> Result<Option<Vec<u8>>, Error> {
        let sealed: Option<Vec<u8>> = sqlx::query_scalar(
            "select sealed from kvali.job_part where tenant_id = $1 and job_id = $2 and part = $3",
        )
        .bind(self.tenant.0)
        .bind(self.id)
        .bind(part)
        .fetch_optional(&mut *self.store.connection(self.tenant).await?)
        .await
        .map_err(Error::Read)?;
        let Some(sealed) = sealed else { return Ok(None) };
        let key = self.store.inner.keyring.tenant(self.tenant).await?;
        key.open(&sealed, &place(self.id, part)).map(Some).ok_or(Error::WrongMasterKey)
    }

    /// Holds it for another term; `false`, if somebody else has it.
    pub async fn renew(&self) -> Result<bool, Error> {
        let held = self
            .change(
                "update kvali.job set leased_until = clock_timestamp() + $4 \
                  where tenant_id = $1 and job_id = $2 and token = $3 and finished_at is null",
            )
            .bind(self.term);
        let held = held.execute(&mut *self.store.connection(self.tenant).await?).await;
        Ok(held.map_err(Error::Read)?.rows_affected() == 1)
    }

    /// Writes down what became of the rows of a part, whose texts are gone then; `None`, if somebody else has the job.
    pub async fn settle(&self, part: i32, rows: &[RowVerdict]) -> Result<Option<Settled>, Error> {
        let count = |verdict: Verdict| {
            let rows = rows.iter().filter(|row| row.verdict == verdict).count();
            i32::try_from(rows).expect("a part has a thousand rows or so")
        };
        sqlx::query_as(include_str!("settle.sql"))
            .bind(self.tenant.0)
            .bind(self.id)
            .bind(self.token)
            .bind(part)
            .bind(self.term)
            .bind(count(Verdict::Accepted))
            .bind(count(Verdict::AlreadySo))
            .bind(count(Verdict::Refused))
            .bind(count(Verdict::Malformed))
            .bind(list(rows, |row| row.number))
            .bind(list(rows, |row| row.line))
            .bind(list(rows, |row| row.verdict.as_str()))
            .bind(list(rows, |row| row.status))
            .bind(list(rows, |row| row.command.as_ref().map(|command| command.name.clone())))
            .bind(list(rows, |row| row.command.as_ref().map(|command| command.id.0)))
            .bind(list(rows, |row| row.command.as_ref().map(|command| command.stream.0)))
            .bind(list(rows, |row| row.first_position))
            .bind(list(rows, |row| row.event_count))
            .bind(list(rows, |row| row.problem.clone()))
            .fetch_optional(&mut *self.store.connection(self.tenant).await?)
            .await
            .map_err(Error::Read)
    }

    /// There is nothing left of it to be done, or nothing more shall be.
    pub async fn end(&self, ended: Ended, reason: Option<&str>) -> Result<(), Error> {
        let query = self.change(include_str!("end.sql")).bind(ended.as_str()).bind(reason);
        query.execute(&mut *self.store.connection(self.tenant).await?).await.map_err(Error::Read)?;
        Ok(())
    }

    /// Lets go of it after a turn, so that others have theirs.
    pub async fn release(&self) -> Result<(), Error> {
        let query = self.change(
            "update kvali.job set held = false, leased_until = '-infinity', turn_at = clock_timestamp() \
              where tenant_id = $1 and job_id = $2 and token = $3",
        );
        query.execute(&mut *self.store.connection(self.tenant).await?).await.map_err(Error::Read)?;
        Ok(())
    }

    /// Lets go of it after a failure, in doubt about what was done; it rests for a while, longer with each failure in a row.
    pub async fn rest(&self) -> Result<(), Error> {
        let query = self.change(
            "update kvali.job set leased_until = '-infinity', failures = failures + 1, turn_at = clock_timestamp(), \
                    retry_at = clock_timestamp() + least($4 * power(2, least(failures, 20)), $5) * interval '1 ms' \
              where tenant_id = $1 and job_id = $2 and token = $3",
        );
        let query = query.bind(FIRST_REST).bind(LONGEST_REST);
        query.execute(&mut *self.store.connection(self.tenant).await?).await.map_err(Error::Read)?;
        Ok(())
    }

    /// A statement on the job, as long as its lease holds.
    fn change(
        &self,
        statement: &'static str,
    ) -> sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments> {
        sqlx::query(statement).bind(self.tenant.0).bind(self.id).bind(self.token)
    }
}

/// How a job ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    Finished,
    Cancelled,
    /// Its sender may do nothing any more.
    Stopped,
}

impl Ended {
    fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped",
        }
    }
}

fn list<T>(rows: &[RowVerdict], of: impl FnMut(&RowVerdict) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}
