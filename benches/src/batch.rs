//! (c) Batch append of commands that open streams, against COPY BINARY of the same event rows.

use crate::ground::Ground;
use crate::measure::{Leg, Pair};
use crate::open_stream::template;
use crate::sales::{Sales, new_id};
use crate::{Scale, raw};
use kvali_domain::{DealId, StreamId};
use std::time::Instant;

pub async fn run(ground: &Ground, scale: Scale) {
    let count = scale.batch;
    println!(
        "(c) {count} OpenDeal commands through one `handle_all`: 1 event per command, {count} new streams, one"
    );
    println!(
        "    tenant; each row of the log comes with one in kvali.command. Raw: one COPY BINARY of the event rows."
    );
    let sales = Sales::set_up(&ground.store).await;
    let template = template(&sales).await;
    let mut connection = ground.connect().await;
    let mut pair = Pair::default();
    for _ in 0..scale.rounds {
        ground.settle().await;
        let rows: Vec<_> =
            (0..count).map(|_| raw::row(&template, sales.tenant, StreamId(new_id()), 1)).collect();
        let start = Instant::now();
        raw::copy_in(&mut connection, &rows).await;
        let copied = Leg::of(count, start.elapsed());
        drop(rows);
        ground.settle().await;
        let orders: Vec<_> = (0..count).map(|_| sales.open(DealId(new_id()))).collect();
        let start = Instant::now();
        let plans: Vec<_> = orders.into_iter().map(|order| sales.plan(order)).collect();
        sales.batch(&plans).await;
        pair.push(copied, Leg::of(count, start.elapsed()));
    }
    pair.print("(c) batch append");
}
