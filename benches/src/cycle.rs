//! (b) Load, decide, append on existing streams, against SELECT of the stream and INSERT of the next event.

use crate::ground::Ground;
use crate::measure::{Pair, Worker, drive};
use crate::sales::{LEAD, OFFER, Sales};
use crate::{IN_FLIGHT, Scale, TENANTS, raw};
use kvali_domain::{DealId, Recorded};
use sqlx::PgConnection;
use std::sync::Arc;

/// Streams of one turn, over all tenants.
const DEALS: usize = 2_000;

pub async fn run(ground: &Ground, scale: Scale) {
    println!(
        "(b) MoveDeal through `handle`: 1 event per command, on {DEALS} deals of 3 events at the start of each"
    );
    println!(
        "    turn, new ones each turn; every deal has one sender. States are cached, as they normally are."
    );
    println!(
        "    Raw: SELECT of the stream, not decoded, then INSERT in a transaction, one connection each."
    );
    for tenants in TENANTS {
        let sales = Sales::set_up_many(&ground.store, tenants).await;
        for in_flight in IN_FLIGHT {
            measure(ground, scale, &sales, in_flight, Memory::Kept).await;
        }
        measure(ground, scale, &sales, 32, Memory::Dropped).await;
    }
}

/// What becomes of the cached states of deals and pipelines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Kept,
    /// Before every command.
    Dropped,
}

async fn measure(ground: &Ground, scale: Scale, sales: &[Arc<Sales>], in_flight: usize, memory: Memory) {
    let mut pair = Pair::default();
    for _ in 0..scale.rounds {
        let deals = prepare(ground, sales).await;
        ground.settle().await;
        let own = |n: usize| -> Vec<Deal> { deals.iter().skip(n).step_by(in_flight).cloned().collect() };
        let mut raw = Vec::with_capacity(in_flight);
        for n in 0..in_flight {
            let connection = ground.connect().await;
            raw.push(SelectInsert { connection, deals: own(n), next: 0 });
        }
        let ours = (0..in_flight).map(|n| Mover { deals: own(n), next: 0, memory }).collect();
        pair.push(drive(raw, scale.leg).await, drive(ours, scale.leg).await);
    }
    let tenants = sales.len();
    let cache = if memory == Memory::Kept { "" } else { ", no cache" };
    pair.print(&format!("(b) {in_flight:>3} in flight, {tenants:>2} tenants{cache}"));
}

#[derive(Clone)]
struct Deal {
    sales: Arc<Sales>,
    id: DealId,
    template: Arc<Recorded>,
}

/// The same streams for both sides.
async fn prepare(ground: &Ground, sales: &[Arc<Sales>]) -> Vec<Deal> {
    let each = DEALS / sales.len();
    let mut by_tenant = Vec::with_capacity(sales.len());
    for sales in sales {
        let ids = sales.deals(each).await;
        let head = sales.store.head(sales.tenant).await.expect("the ledger is read");
        let last = sales.store.read(sales.tenant, head - 1, 1).await.expect("the log is read").remove(0);
        let template = Arc::new(last);
        let deal = |id| Deal { sales: sales.clone(), id, template: template.clone() };
        by_tenant.push(ids.into_iter().map(deal).collect::<Vec<_>>());
    }
    // Tenants take turns, so that all of them are busy all the time.
    let deals: Vec<_> = (0..each).flat_map(|n| by_tenant.iter().map(move |deals| deals[n].clone())).collect();
    let tenants: Vec<_> = sales.iter().map(|sales| sales.tenant).collect();
    let streams: Vec<_> = deals.iter().map(|deal| deal.id.stream()).collect();
    raw::take_over(&mut ground.connect().await, &tenants, &streams).await;
    deals
}

struct SelectInsert {
    connection: PgConnection,
    deals: Vec<Deal>,
    next: usize,
}

impl Worker for SelectInsert {
    async fn step(&mut self) {
        let deal = &self.deals[self.next % self.deals.len()];
        let (tenant, stream) = (deal.sales.tenant, deal.id.stream());
        let version = raw::select_stream(&mut self.connection, tenant, stream).await;
        let row = raw::row(&deal.template, tenant, stream, version + 1);
        raw::insert(&mut self.connection, &row).await;
        self.next += 1;
    }
}

struct Mover {
    deals: Vec<Deal>,
    next: usize,
    memory: Memory,
}

impl Worker for Mover {
    async fn step(&mut self) {
        let deal = &self.deals[self.next % self.deals.len()];
        let lap = self.next / self.deals.len();
        if self.memory == Memory::Dropped {
            deal.sales.store.drop_cache();
        }
        let to = if lap.is_multiple_of(2) { OFFER } else { LEAD };
        deal.sales.carry_out(Sales::move_to(deal.id, to)).await;
        self.next += 1;
    }
}
