//! A job on its way in: its parts are kept as they come, and it is there for workers when all of it is.

use super::{Proof, Sender, place};
use crate::keyring::TenantKey;
use crate::{Error, Store};
use kvali_domain::TenantId;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Whoever sends nothing for so long has broken off.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is known of a job before its rows.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub id: Uuid,
    pub sender: Sender,
    pub format: &'static str,
    /// Of every row, where it is said once for all.
    pub command: Option<&'static str>,
    pub dry_run: bool,
}

/// How an upload is met.
pub enum Receipt {
    New(Receiving),
    /// It was sent before.
    Known(Known),
    /// It is being sent at this moment, by another request.
    Busy,
}

/// A job that was received before, and what was sent then.
pub struct Known {
    hash: Vec<u8>,
    hasher: blake3::Hasher,
}

/// A job that is being received, and whose it is while that goes on.
pub struct Receiving {
    store: Store,
    tenant: TenantId,
    key: Arc<TenantKey>,
    id: Uuid,
    token: i64,
    parts: i32,
    hasher: blake3::Hasher,
}

impl Store {
    /// Begins to receive a job. `said` is what makes two of them the same one, beside what is sent.
    pub async fn receive_job(&self, tenant: TenantId, new: &NewJob, said: &str) -> Result<Receipt, Error> {
        let key = self.inner.keyring.tenant(tenant).await?;
        let mut hasher = key.hasher();
        hasher.update(said.as_bytes());
        let Sender { actor, proof, request_id, source_address } = &new.sender;
        let (key_id, issuer, subject) = match proof {
            Proof::Key(key) => (Some(key.0), None, None),
            Proof::Token { issuer, subject } => (None, Some(issuer), Some(subject)),
        };
        let mut connection = self.connection(tenant).await?;
        let token: Option<i64> = sqlx::query_scalar(include_str!("begin.sql"))
            .bind(tenant.0)
            .bind(new.id)
            .bind(actor.0)
            .bind(key_id)
            .bind(issuer)
            .bind(subject)
            .bind(request_id)
            .bind(source_address)
            .bind(new.format)
            .bind(new.command)
            .bind(new.dry_run)
            .bind(PATIENCE)
            .fetch_optional(&mut *connection)
            .await
            .map_err(Error::Read)?;
        if let Some(token) = token {
            let (store, id) = (self.clone(), new.id);
            return Ok(Receipt::New(Receiving { store, tenant, key, id, token, parts: 0, hasher }));
        }
        let hash: Option<Option<Vec<u8>>> =
            sqlx::query_scalar("select request_hash from kvali.job where tenant_id = $1 and job_id = $2")
                .bind(tenant.0)
                .bind(new.id)
                .fetch_optional(&mut *connection)
                .await
                .map_err(Error::Read)?;
        Ok(hash.flatten().map_or(Receipt::Busy, |hash| Receipt::Known(Known { hash, hasher })))
    }
}

impl Known {
    /// What is sent once more.
    pub fn passes(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    pub fn is_the_same(&self) -> bool {
        self.hasher.finalize().as_bytes() == self.hash.as_slice()
    }
}

impl Receiving {
    /// What is sent, as it comes.
    pub fn passes(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Keeps the next rows; `false`, if somebody else receives the job by now.
    pub async fn add_part(&mut self, rows: i32, bytes: &[u8]) -> Result<bool, Error> {
        let sealed = self.key.seal(bytes, &place(self.id, self.parts));
        let added = sqlx::query(include_str!("add_part.sql"))
            .bind(self.tenant.0)
            .bind(self.id)
            .bind(self.token)
            .bind(self.parts)
            .bind(sealed)
            .bind(rows)
            .bind(PATIENCE)
            .execute(&mut *self.store.connection(self.tenant).await?)
            .await
            .map_err(Error::Read)?;
        self.parts += 1;
        Ok(added.rows_affected() == 1)
    }

    /// All of it is there; `false`, if somebody else receives the job by now.
    pub async fn complete(self) -> Result<bool, Error> {
        let completed = sqlx::query(
            "update kvali.job set received_at = clock_timestamp(), turn_at = clock_timestamp(), request_hash = $4, \
                    held = false, leased_until = '-infinity' \
              where tenant_id = $1 and job_id = $2 and token = $3 and received_at is null",
        )
        .bind(self.tenant.0)
        .bind(self.id)
        .bind(self.token)
        .bind(self.hasher.finalize().as_bytes().as_slice())
        .execute(&mut *self.store.connection(self.tenant).await?)
        .await
        .map_err(Error::Read)?;
        Ok(completed.rows_affected() == 1)
    }

    /// Keeps nothing of it.
    pub async fn abandon(self) -> Result<(), Error> {
        sqlx::query(
            "with gone as (delete from kvali.job where tenant_id = $1 and job_id = $2 and token = $3 \
                              and received_at is null returning job_id) \
             delete from kvali.job_part p using gone where p.tenant_id = $1 and p.job_id = gone.job_id",
        )
        .bind(self.tenant.0)
        .bind(self.id)
        .bind(self.token)
        .execute(&mut *self.store.connection(self.tenant).await?)
        .await
        .map_err(Error::Read)?;
        Ok(())
    }
}
