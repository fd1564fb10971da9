//! What every read model must show: the same rows live and rebuilt whatever the page, the same answers then and now.

use crate::Database;
use crate::office::Office;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kvali_domain::TenantId;
use kvali_eventstore::project::{AsOf, Batch, Projection, Query};
use kvali_eventstore::{Options, Store};
use kvali_projections::conversion_funnel::ConversionFunnel;
use sqlx::PgConnection;
use std::sync::Arc;

pub fn quiet(_: i64, _: i64) {}

/// Folds the log in pages of odd sizes while it grows, then rebuilds it in pages of 1, 7 and all at once.
pub async fn rows_are_the_same_for_any_page(model: Arc<dyn Projection>, seed: u64, clicks: usize) {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, crate::tenant(1), seed).await;
    for n in 0..clicks {
        office.click().await;
        if n % 11 == 0 {
            store.catch_up(model.clone(), office.tenant(), &quiet).await.expect("the model follows");
        }
    }
    let (live, position) =
        store.catch_up(model.clone(), office.tenant(), &quiet).await.expect("the model follows");
    assert_eq!(position, store.head(office.tenant()).await.expect("the head is read"));
    let expected = database.rows(&live.schema_name).await;
    assert!(expected.len() > clicks / 10, "the comparison has something to compare");
    for page in [1, 7, u16::MAX] {
        let paged = Store::connect(Options { page, ..database.options() }).await.expect("the store connects");
        let rebuilt = paged.rebuild(model.clone(), &quiet).await.expect("the model is rebuilt");
        let rows = database.rows(&rebuilt.schema_name).await;
        for (row, expected) in rows.iter().zip(&expected) {
            assert_eq!(row, expected, "seed {seed}, pages of {page}");
        }
        assert_eq!(rows.len(), expected.len(), "seed {seed}, pages of {page}");
        paged.close().await;
    }
    let parked = store.parked().await.expect("the parked are read");
    assert!(parked.is_empty(), "{parked:?}");
    database.drop().await;
}

/// The answer now, with T at the last event.
pub async fn now<Q: Query>(store: &Store, model: Arc<dyn Projection>, tenant: TenantId, query: Q) -> Q::Answer
where
    Q::Error: std::fmt::Debug,
{
    let at = last(store, tenant).await;
    store.ask(model, tenant, AsOf::NOW, at, &quiet, query).await.expect("the model answers").answer
}

/// The answer as of a position.
pub async fn then<Q: Query>(
    store: &Store,
    model: Arc<dyn Projection>,
    tenant: TenantId,
    position: i64,
    query: Q,
) -> Q::Answer
where
    Q::Error: std::fmt::Debug,
{
    let (as_of, at) = (AsOf::position(position), last(store, tenant).await);
    store.ask(model, tenant, as_of, at, &quiet, query).await.expect("the model answers").answer
}

async fn last(store: &Store, tenant: TenantId) -> DateTime<Utc> {
    let head = store.head(tenant).await.expect("the head is read");
    store.recorded_at(tenant, head).await.expect("the log is read").expect("there is an event")
}

/// The funnel of the next release.
#[derive(Default)]
pub struct Raised {
    /// What it shows to analysts.
    pub views: &'static str,
}

#[async_trait]
impl Projection for Raised {
    fn name(&self) -> &'static str {
        ConversionFunnel.name()
    }

    fn version(&self) -> i32 {
        ConversionFunnel.version() + 1
    }

    fn schema(&self) -> &'static str {
        ConversionFunnel.schema()
    }

    fn views(&self) -> &'static str {
        self.views
    }

    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        ConversionFunnel.apply(batch, into).await
    }
}
