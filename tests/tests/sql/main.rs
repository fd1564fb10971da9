//! Analysts query by SQL: views of one tenant, of the generation that answers, without personal texts, and nothing else.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

mod counts;
mod dictionary;
mod generations;
mod grants;
mod reach;

use kvali_domain::TenantId;
use kvali_domain::pipeline::Policy;
use kvali_eventstore::Store;
use kvali_eventstore::project::Projection;
use kvali_projections::conversion_funnel::ConversionFunnel;
use kvali_tests::analyst::Analyst;
use kvali_tests::samples::Sales;
use kvali_tests::{Database, tenant};
use std::sync::Arc;

fn quiet(_: i64, _: i64) {}

fn model() -> Arc<dyn Projection> {
    Arc::new(ConversionFunnel)
}

/// Two tenants with three deals each, of different pipelines.
async fn two_tenants() -> (Database, Store, [TenantId; 2]) {
    let database = Database::create().await;
    let store = database.connect().await;
    let tenants = [tenant(1), tenant(2)];
    for tenant in tenants {
        let sales = Sales::set_up(&store, tenant, Policy::PERMISSIVE).await;
        for _ in 0..3 {
            sales.open_deal(&store).await;
        }
    }
    (database, store, tenants)
}

async fn end(database: Database, store: &Store, analysts: Vec<(TenantId, Analyst)>) {
    for (tenant, Analyst { role, connection }) in analysts {
        drop(connection);
        assert!(store.revoke_analyst(tenant, &role).await.unwrap());
    }
    store.close().await;
    database.drop().await;
}
