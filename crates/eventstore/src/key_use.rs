//! When each key was last used.

use crate::{Error, Store};
use chrono::{DateTime, Utc};
use kvali_domain::{ApiKeyId, TenantId};
use std::collections::HashMap;
use uuid::Uuid;

impl Store {
    /// Notes that `key` was used at `at`, unless something later is noted.
    pub async fn key_was_used(
        &self,
        tenant: TenantId,
        key: ApiKeyId,
        at: DateTime<Utc>,
    ) -> Result<(), Error> {
        sqlx::query(
            "insert into kvali.key_use as u (tenant_id, key_id, last_used) values ($1, $2, $3) \
             on conflict (tenant_id, key_id) do update set last_used = excluded.last_used \
             where u.last_used < excluded.last_used",
        )
        .bind(tenant.0)
        .bind(key.0)
        .bind(at)
        .execute(&mut *self.connection(tenant).await?)
        .await
        .map_err(Error::Keys)?;
        Ok(())
    }

    /// Those of the tenant's keys that were ever used, to the minute.
    pub async fn key_uses(&self, tenant: TenantId) -> Result<HashMap<ApiKeyId, DateTime<Utc>>, Error> {
        let rows: Vec<(Uuid, DateTime<Utc>)> =
            sqlx::query_as("select key_id, last_used from kvali.key_use where tenant_id = $1")
                .bind(tenant.0)
                .fetch_all(&mut *self.connection(tenant).await?)
                .await
                .map_err(Error::Keys)?;
        Ok(rows.into_iter().map(|(key, at)| (ApiKeyId(key), at)).collect())
    }
}
