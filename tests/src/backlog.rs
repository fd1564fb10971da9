//! Many events quickly, and waiting until read models have them.

use crate::samples::{CONTRACT, LEAD, OFFER, Sales, move_to};
use crate::{envelope, new_id, order, tenant};
use kvali_domain::deal::{self, Open};
use kvali_domain::pipeline::Policy;
use kvali_domain::{Command, DealId};
use kvali_eventstore::project::Projection;
use kvali_eventstore::{Outcome, Plan, Store};
use std::time::{Duration, Instant};

/// What a read model may take to catch up in a test before something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

/// The `n`th tenant, with so many deals that were each moved so often.
pub async fn busy(store: &Store, n: u128, deals: usize, moves: usize) -> Sales {
    let sales = Sales::set_up(store, tenant(n), Policy::PERMISSIVE).await;
    deals_that_move(store, &sales, deals, moves).await;
    sales
}

/// More of them, side by side in the log.
pub async fn deals_that_move(store: &Store, sales: &Sales, deals: usize, moves: usize) {
    let deals: Vec<DealId> = (0..deals).map(|_| DealId(new_id())).collect();
    let all = |command: &dyn Fn() -> Command| -> Vec<Plan> {
        let plan = |deal: &DealId| Plan::new(order(deal.stream(), command()), envelope(sales.tenant));
        deals.iter().map(plan).collect()
    };
    send(store, sales, &all(&|| deal::Command::Open(Open::new(sales.pipeline)).into())).await;
    for n in 0..moves {
        send(store, sales, &all(&|| move_to([OFFER, CONTRACT, LEAD][n % 3]).into())).await;
    }
}

async fn send(store: &Store, sales: &Sales, plans: &[Plan]) {
    let outcomes = store.handle_all(sales.tenant, plans).await.expect("the database is there");
    let refused = outcomes.iter().find(|outcome| !matches!(outcome, Outcome::Accepted(_)));
    assert!(refused.is_none(), "{refused:?}");
}

/// Waits until `model` answers and stands at the head of every tenant's log.
pub async fn caught_up(store: &Store, model: &dyn Projection) {
    let start = Instant::now();
    loop {
        let status = store.projection_status().await.expect("the database is there");
        let mut live = status
            .iter()
            .filter(|row| row.live && row.projection == model.name() && row.version == model.version());
        let behind: Vec<_> = live.clone().filter(|row| row.position < row.head).collect();
        if live.next().is_some() && behind.is_empty() {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{} is still behind: {status:#?}", model.name());
    }
}
