//! (j) A named funnel read by its standing counters, against the same question folded over all deals.

use crate::Scale;
use crate::ground::Ground;
use crate::measure::percentile;
use crate::sales::{LEAD, OFFER, Sales, WON, new_id, now};
use kvali_domain::funnel::{Command, Corrections, Definition, PopulationKind, Rule, Start, Step};
use kvali_domain::{DealId, FunnelId, Order, Personal, StageId, UserId, user};
use kvali_eventstore::project::{AsOf, Projection};
use kvali_projections::conversion_funnel::{
    Breakdown, ConversionFunnel, Population, funnel_named, ground as facts, standing,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Of each deal: a quarter of a million deals make the events that are replayed at full scale.
const EVENTS: usize = 4;
const OWNERS: usize = 200;
const SIDE_BY_SIDE: usize = 5_000;
const READS: usize = 1_000;
const NAME: &str = "Main";

pub async fn run(ground: &Ground, scale: Scale) {
    let deals = scale.replay / EVENTS;
    println!(
        "(j) {deals} deals of {OWNERS} owners, {EVENTS} events each; every read asks for the head first."
    );
    let sales = Sales::set_up(&ground.store).await;
    let owners = hire(&sales).await;
    for start in (0..deals).step_by(SIDE_BY_SIDE) {
        fill(&sales, &owners, SIDE_BY_SIDE.min(deals - start)).await;
    }
    let model: Arc<dyn Projection> = Arc::new(ConversionFunnel);
    let catch_up = || ground.store.catch_up(model.clone(), sales.tenant, &|_, _| {});
    catch_up().await.expect("the deals are folded");
    sales.carry_out(define(&sales)).await;
    let start = Instant::now();
    catch_up().await.expect("the funnel is counted");
    println!("    counted over all deals when it was defined: {:.2} s", start.elapsed().as_secs_f64());
    ground.settle().await;
    let mut took = Vec::with_capacity(READS);
    for _ in 0..READS {
        let start = Instant::now();
        let read = standing(&sales.store, sales.tenant, NAME, AsOf::NOW, now(), &|_, _| {}).await;
        took.push(start.elapsed());
        let counts = read.expect("the counters are there").counts;
        assert_eq!(usize::try_from(counts.cases).ok(), Some(deals));
    }
    took.sort_unstable();
    let at = |percent| millis(percentile(&took, percent).expect("there were reads"));
    println!("    {READS} reads of the standing counters: p50 {:.2} ms, p99 {:.2} ms", at(50), at(99));
    let start = Instant::now();
    fold(&sales).await;
    println!("    the same question over all deals: {:.0} ms", millis(start.elapsed()));
}

async fn fold(sales: &Sales) {
    let named = funnel_named(&sales.store, sales.tenant, NAME, None, now(), &|_, _| {}).await;
    let named = named.expect("the funnel is there");
    let pipeline = named.pipeline().to_string();
    let corrections = named.definition.corrections;
    let facts =
        facts(&sales.store, sales.tenant, pipeline.as_str(), AsOf::NOW, corrections, now(), &|_, _| {}).await;
    let facts = facts.expect("the pipeline is there");
    let mut asked = named.asked(Population::All, facts.at);
    asked.by = Breakdown::Owner;
    let answer = facts.funnel(asked).expect("the definition holds");
    assert!(answer.counts.cases > 0);
}

async fn hire(sales: &Sales) -> Vec<UserId> {
    let owners: Vec<UserId> = (0..OWNERS).map(|_| UserId(new_id())).collect();
    for (nth, &user) in owners.iter().enumerate() {
        let register = user::Command::Register { user, name: Personal::new(format!("Seller {nth}")) };
        sales.carry_out(Order { stream: user.stream(), command: register.into() }).await;
    }
    owners
}

/// Each deal is opened and goes to the offer and back; half are won, the others make a second offer.
async fn fill(sales: &Sales, owners: &[UserId], count: usize) {
    let deals: Vec<DealId> = (0..count).map(|_| DealId(new_id())).collect();
    let open = |(nth, deal): (usize, &DealId)| sales.plan(sales.open_for(*deal, owners[nth % owners.len()]));
    sales.batch(&deals.iter().enumerate().map(open).collect::<Vec<_>>()).await;
    for to in [OFFER, LEAD] {
        sales
            .batch(&deals.iter().map(|deal| sales.plan(Sales::move_to(*deal, to))).collect::<Vec<_>>())
            .await;
    }
    let end = |(nth, deal): (usize, &DealId)| {
        sales.plan(if nth % 2 == 0 { Sales::win(*deal) } else { Sales::move_to(*deal, OFFER) })
    };
    sales.batch(&deals.iter().enumerate().map(end).collect::<Vec<_>>()).await;
}

fn define(sales: &Sales) -> Order {
    let step = |name: &str, stage: StageId| Step { name: name.into(), stages: vec![stage] };
    let definition = Definition {
        pipeline: sales.pipeline(),
        steps: vec![step("Lead", LEAD), step("Offer", OFFER), step("Won", WON)],
        rule: Rule::Ordered,
        window: None,
        start: Start::First,
        population: PopulationKind::All,
        corrections: Corrections::Effective,
        impute_lost: false,
    };
    let command = Command::Define { name: NAME.into(), definition };
    Order { stream: FunnelId(new_id()).stream(), command: command.into() }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
