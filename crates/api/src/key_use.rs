//! Notes when a key was last used: beside the request, and at most once a minute for each key.

use crate::{Api, edge};
use dashmap::DashMap;
use kvali_domain::{ApiKeyId, TenantId};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(60);
/// More keys than this are not remembered; those that are forgotten are noted once more.
const REMEMBERED: usize = 10_000;

/// When this process noted a use of each key.
#[derive(Default)]
pub(crate) struct NotedUses(DashMap<ApiKeyId, Instant>);

impl NotedUses {
    /// Whether it is time to note a use; of several who ask at once, one is told so.
    fn is_due(&self, key: ApiKeyId) -> bool {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        let now = Instant::now();
        let mut is_due = false;
        let noted = self.0.entry(key).and_modify(|noted| {
            if now.duration_since(*noted) >= EVERY {
                (*noted, is_due) = (now, true);
            }
        });
        noted.or_insert_with(|| {
            is_due = true;
            now
        });
        is_due
    }
}

impl Api {
    pub(crate) fn key_is_used(&self, tenant: TenantId, key: ApiKeyId) {
        if !self.inner.noted_uses.is_due(key) {
            return;
        }
        let store = self.store().clone();
        tokio::spawn(async move {
            if let Err(error) = store.key_was_used(tenant, key, edge::now()).await {
                tracing::warn!(error = kvali_eventstore::chain(&error), %key, "a key's use was not noted");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::NotedUses;
    use kvali_domain::ApiKeyId;
    use uuid::Uuid;

    #[test]
    fn a_use_is_noted_once_a_minute_for_each_key() {
        let (noted, key) = (NotedUses::default(), ApiKeyId(Uuid::from_u128(1)));
        assert!(noted.is_due(key) && !noted.is_due(key));
        assert!(noted.is_due(ApiKeyId(Uuid::from_u128(2))));
        noted.0.alter(&key, |_, at| at.checked_sub(super::EVERY).expect("a minute ago"));
        assert!(noted.is_due(key) && !noted.is_due(key));
    }
}
