//! What somebody asked for without the right to it, kept for the audit trail.

use crate::{Error, Store};
use kvali_domain::{ActorId, TenantId};
use sqlx::PgExecutor;
use uuid::Uuid;

#[derive(Clone, Debug)]
pub struct Denial {
    pub tenant: TenantId,
    pub id: Uuid,
    pub actor: ActorId,
    /// The right that is missing.
    pub permission: &'static str,
    /// The command's word, or what was to be read.
    pub what: String,
    pub credential: String,
    pub request_id: String,
    pub source_address: Option<String>,
}

impl Store {
    pub async fn record_denial(&self, denial: &Denial) -> Result<(), Error> {
        insert(denial, &mut *self.connection(denial.tenant).await?).await.map_err(Error::Read)
    }
}

async fn insert(denial: &Denial, executor: impl PgExecutor<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into kvali.denial \
           (tenant_id, denial_id, actor, permission, what, credential, request_id, source_address) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(denial.tenant.0)
    .bind(denial.id)
    .bind(denial.actor.0)
    .bind(denial.permission)
    .bind(&denial.what)
    .bind(&denial.credential)
    .bind(&denial.request_id)
    .bind(&denial.source_address)
    .execute(executor)
    .await?;
    Ok(())
}
