//! (g) Read models that follow the log while it is appended to at full rate, against appending alone; (h) how long after
//! its append an event is visible in every read model, at a steady thousand a second.

use crate::ground::Ground;
use crate::measure::{Leg, Pair, Worker, drive, percentile};
use crate::sales::{Sales, new_id};
use crate::{Scale, replay};
use kvali_domain::DealId;
use kvali_eventstore::Store;
use kvali_eventstore::project::{Workers, Workload};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const IN_FLIGHT: usize = 32;
const PER_SECOND: u32 = 1_000;
/// Deals that are there before.
const DEALS: usize = 2_000;

pub async fn full_rate(ground: &Ground, scale: Scale) {
    println!(
        "(g) OpenDeal through `handle`, {IN_FLIGHT} in flight, one tenant, while workers of this process fold"
    );
    println!("    every event into every read model ({}), against the same without workers.", names());
    let sales = Sales::set_up(&ground.store).await;
    replay::fill(&sales, DEALS).await;
    let mut pair = Pair::default();
    let mut folded = Vec::new();
    for _ in 0..scale.rounds {
        follow(&ground.store).await.stop().await;
        ground.settle().await;
        let alone = drive(openers(&sales), scale.leg).await;
        let workers = follow(&ground.store).await;
        let (start, from) = (Instant::now(), head(&sales).await);
        let beside = drive(openers(&sales), scale.leg).await;
        caught_up(&sales).await;
        let all = usize::try_from(head(&sales).await - from).expect("the log grows");
        folded.push(Leg::of(all, start.elapsed()));
        workers.stop().await;
        pair.push(alone, beside);
    }
    pair.print("(g) appending beside workers");
    for leg in folded {
        println!("    {} events appended and folded into all read models: {:.0}/s", leg.count, leg.rate());
    }
}

pub async fn visible(ground: &Ground, scale: Scale) {
    println!(
        "(h) {PER_SECOND} OpenDeal a second, one tenant: from the answer of the append until the event is in every"
    );
    println!("    read model ({}).", names());
    let sales = Sales::set_up(&ground.store).await;
    replay::fill(&sales, DEALS).await;
    let workers = follow(&ground.store).await;
    caught_up(&sales).await;
    let appended: Arc<Mutex<VecDeque<(i64, Instant)>>> = Arc::default();
    let watch = tokio::spawn(watch(sales.clone(), appended.clone()));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let start = Instant::now();
    let mut sent = tokio::task::JoinSet::new();
    while start.elapsed() < scale.leg * 8 {
        ticks.tick().await;
        let (sales, appended) = (sales.clone(), appended.clone());
        sent.spawn(async move {
            let answer = sales.carry_out(sales.open(DealId(new_id()))).await;
            let position = answer.first_position.expect("the deal is new");
            appended.lock().expect("nobody panics").push_back((position, Instant::now()));
        });
    }
    let count = sent.len();
    while sent.join_next().await.is_some() {}
    let rate = Leg::of(count, start.elapsed()).rate();
    caught_up(&sales).await;
    // One more, so that the watch sees that all are there.
    appended.lock().expect("nobody panics").push_back((i64::MAX, Instant::now()));
    let mut waits = watch.await.expect("the watch does not panic");
    workers.stop().await;
    waits.sort_unstable();
    assert_eq!(waits.len(), count, "every event became visible");
    let at = |percent| percentile(&waits, percent).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    println!(
        "(h) {count} events at {rate:.0}/s: visible after p50 {:.1}, p99 {:.1}, at most {:.1} ms",
        at(50),
        at(99),
        at(100)
    );
}

/// Notes how long each event took, until it meets one that never comes.
async fn watch(sales: Arc<Sales>, appended: Arc<Mutex<VecDeque<(i64, Instant)>>>) -> Vec<Duration> {
    let mut waits = Vec::new();
    while !take_visible(position(&sales).await, &appended, &mut waits) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    waits
}

/// Takes those that are visible by now; whether the one that never comes is among them.
fn take_visible(stands: i64, appended: &Mutex<VecDeque<(i64, Instant)>>, waits: &mut Vec<Duration>) -> bool {
    let now = Instant::now();
    let mut appended = appended.lock().expect("nobody panics");
    // Answers of one call come in any order.
    appended.retain(|(position, at)| {
        let visible = *position <= stands;
        if visible {
            waits.push(now.saturating_duration_since(*at));
        }
        !visible
    });
    appended.iter().any(|(position, _)| *position == i64::MAX)
}

/// Where the read model that is furthest behind stands.
async fn position(sales: &Sales) -> i64 {
    sqlx::query_scalar(
        "select coalesce(min(c.position), 0) from kvali.projection_live l \
           join kvali.projection_checkpoint c using (projection, version, generation) where c.tenant_id = $1",
    )
    .bind(sales.tenant.0)
    .fetch_one(&mut *sales.store.connection(sales.tenant).await.expect("there is a connection"))
    .await
    .expect("the checkpoints are read")
}

async fn head(sales: &Sales) -> i64 {
    sales.store.head(sales.tenant).await.expect("the ledger is read")
}

async fn caught_up(sales: &Sales) {
    while position(sales).await < head(sales).await {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Workers of all read models, once all of them answer.
async fn follow(store: &Store) -> Workers {
    let models = kvali_projections::all();
    for model in &models {
        store.live(&**model).await.expect("the read model is made");
    }
    let workers = Workers::start(store, &Workload { models, at_once: 2, worker: new_id() });
    loop {
        let status = store.projection_status().await.expect("the status is read");
        if status.iter().all(|row| row.position == row.head) {
            return workers;
        }
    }
}

fn names() -> String {
    kvali_projections::all().iter().map(|model| model.name()).collect::<Vec<_>>().join(", ")
}

struct Opener(Arc<Sales>);

impl Worker for Opener {
    async fn step(&mut self) {
        self.0.carry_out(self.0.open(DealId(new_id()))).await;
    }
}

fn openers(sales: &Arc<Sales>) -> Vec<Opener> {
    (0..IN_FLIGHT).map(|_| Opener(sales.clone())).collect()
}
