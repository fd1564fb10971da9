//! (d) Replay of a tenant's log in pages, decoded, against COPY BINARY of the same rows to the client.

use crate::ground::Ground;
use crate::measure::{Leg, Pair};
use crate::sales::{LEAD, OFFER, Sales, new_id};
use crate::{Scale, raw};
use kvali_domain::DealId;
use sqlx::Executor;
use std::time::Instant;

/// Events of one stream: one opening and nine moves.
pub(crate) const EVENTS: usize = 10;
const PAGE: i64 = 5_000;

pub async fn run(ground: &Ground, scale: Scale) {
    let sales = Sales::set_up(&ground.store).await;
    let streams = scale.replay / EVENTS;
    println!("(d) {} events of {streams} deals, one tenant, {EVENTS} events per stream.", scale.replay);
    fill(&sales, streams).await;
    let mut connection = ground.connect().await;
    let tenant = sales.tenant;
    // A table of its own, so that COPY reads these rows and no others.
    let table = "create table raw.replay (like kvali.event including indexes)";
    connection.execute(table).await.expect("the table is new");
    let copied = sqlx::query(
        "insert into raw.replay select * from kvali.event where tenant_id = $1 order by position",
    )
    .bind(tenant.0)
    .execute(&mut connection)
    .await
    .expect("the rows are copied");
    let count = usize::try_from(copied.rows_affected()).expect("a count of rows");
    connection.execute("vacuum analyze raw.replay, kvali.event").await.expect("a superuser may say so");
    ground.settle().await;
    let ordered = format!("(select * from kvali.event where tenant_id = '{tenant}' order by position)");
    for (label, source) in [("table", "raw.replay"), ("in order of position", ordered.as_str())] {
        let mut pair = Pair::default();
        for _ in 0..scale.rounds {
            let start = Instant::now();
            raw::copy_out(&mut connection, source).await;
            let raw = Leg::of(count, start.elapsed());
            let start = Instant::now();
            assert_eq!(replay(&sales).await, count);
            pair.push(raw, Leg::of(count, start.elapsed()));
        }
        pair.print(&format!("(d) COPY of the {label}"));
    }
}

async fn replay(sales: &Sales) -> usize {
    let (mut after, mut count) = (0, 0);
    loop {
        let page = sales.store.read(sales.tenant, after, PAGE).await.expect("the log is whole");
        let Some(last) = page.last() else { return count };
        after = last.position;
        count += page.len();
    }
}

pub(crate) async fn fill(sales: &Sales, streams: usize) {
    for chunk in 0..streams.div_ceil(5_000) {
        let deals: Vec<_> = (0..5_000.min(streams - chunk * 5_000)).map(|_| DealId(new_id())).collect();
        let opened: Vec<_> = deals.iter().map(|deal| sales.plan(sales.open(*deal))).collect();
        sales.batch(&opened).await;
        for lap in 1..EVENTS {
            let to = if lap % 2 == 1 { OFFER } else { LEAD };
            let moved: Vec<_> = deals.iter().map(|deal| sales.plan(Sales::move_to(*deal, to))).collect();
            sales.batch(&moved).await;
        }
    }
}
