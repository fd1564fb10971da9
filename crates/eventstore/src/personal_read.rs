//! Who was shown whose personal texts, kept for the audit trail.

use crate::{Error, Store};
use kvali_domain::{ActorId, TenantId};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Records of one read that are named, at most: as many as the largest answers hold.
const NAMED: usize = 2_000;

#[derive(Clone, Debug)]
pub struct PersonalRead {
    pub tenant: TenantId,
    pub id: Uuid,
    pub actor: ActorId,
    pub credential: String,
    pub request_id: String,
    pub source_address: Option<String>,
    /// What was asked for; not the words searched for, which may be somebody's name.
    pub what: &'static str,
    /// The records whose texts are shown. Of very many, the first are named and all are counted.
    pub shown: BTreeSet<Uuid>,
    /// Of the feed: the first and the last position.
    pub positions: Option<(i64, i64)>,
}

impl Store {
    pub async fn record_personal_read(&self, read: &PersonalRead) -> Result<(), Error> {
        let named: Vec<Uuid> = read.shown.iter().copied().take(NAMED).collect();
        sqlx::query(
            "insert into kvali.personal_read (tenant_id, read_id, actor, credential, request_id, source_address, \
               what, shown, shown_count, first_position, last_position) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(read.tenant.0)
        .bind(read.id)
        .bind(read.actor.0)
        .bind(&read.credential)
        .bind(&read.request_id)
        .bind(&read.source_address)
        .bind(read.what)
        .bind(named)
        .bind(i32::try_from(read.shown.len()).unwrap_or(i32::MAX))
        .bind(read.positions.map(|(first, _)| first))
        .bind(read.positions.map(|(_, last)| last))
        .execute(&mut *self.connection(read.tenant).await?)
        .await
        .map_err(Error::Read)?;
        Ok(())
    }
}
