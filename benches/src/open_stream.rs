//! (a) Commands that open a new stream, one event each, against single-row inserts of the same event row.

use crate::ground::Ground;
use crate::measure::{Pair, Worker, drive};
use crate::sales::{Sales, new_id};
use crate::{IN_FLIGHT, Scale, TENANTS, raw};
use kvali_domain::{DealId, Recorded, StreamId};
use sqlx::PgConnection;
use std::sync::Arc;

pub async fn run(ground: &Ground, scale: Scale) {
    println!(
        "(a) OpenDeal through `handle`: 1 event per command, every command opens a stream; each row of the"
    );
    println!(
        "    log comes with one in kvali.command. Raw: one prepared INSERT per transaction and connection."
    );
    for tenants in TENANTS {
        let sales = Sales::set_up_many(&ground.store, tenants).await;
        let template = template(&sales[0]).await;
        for in_flight in IN_FLIGHT {
            ground.settle().await;
            let mut pair = Pair::default();
            for _ in 0..scale.rounds {
                let mut inserters = Vec::with_capacity(in_flight);
                for n in 0..in_flight {
                    let sales = sales[n % tenants].clone();
                    inserters.push(Inserter {
                        sales,
                        connection: ground.connect().await,
                        template: template.clone(),
                    });
                }
                let openers = (0..in_flight).map(|n| Opener { sales: sales[n % tenants].clone() }).collect();
                pair.push(drive(inserters, scale.leg).await, drive(openers, scale.leg).await);
            }
            pair.print(&format!("(a) {in_flight:>3} in flight, {tenants:>2} tenants"));
        }
    }
}

/// The event of a deal that was just opened.
pub(crate) async fn template(sales: &Sales) -> Arc<Recorded> {
    let answer = sales.carry_out(sales.open(DealId(new_id()))).await;
    let position = answer.first_position.expect("the deal is new");
    let events = sales.store.read(sales.tenant, position - 1, 1).await.expect("the log is read");
    Arc::new(events.into_iter().next().expect("the event is there"))
}

struct Inserter {
    sales: Arc<Sales>,
    connection: PgConnection,
    template: Arc<Recorded>,
}

impl Worker for Inserter {
    async fn step(&mut self) {
        let row = raw::row(&self.template, self.sales.tenant, StreamId(new_id()), 1);
        raw::insert(&mut self.connection, &row).await;
    }
}

struct Opener {
    sales: Arc<Sales>,
}

impl Worker for Opener {
    async fn step(&mut self) {
        self.sales.carry_out(self.sales.open(DealId(new_id()))).await;
    }
}
