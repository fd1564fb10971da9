//! Read models: exactly once, the same when rebuilt, and as they were known then.

use kvali_domain::pipeline::Policy;
use kvali_domain::{DealId, Occurred, StageId, deal, merge};
use kvali_eventstore::Store;
use kvali_eventstore::project::{AsOf, Projection};
use kvali_projections::conversion_funnel::{
    Basis, ConversionFunnel, Corrections, Definition, Facts, Rule, Step, ground,
};
use kvali_tests::random::Company;
use kvali_tests::samples::{CONTRACT, INTAKE, LEAD, OFFER, REPAIR, Sales, WON, move_to, transfer};
use kvali_tests::{Database, accepted, envelope, now, order, tenant};
use std::sync::Arc;

fn model() -> Arc<dyn Projection> {
    Arc::new(ConversionFunnel)
}

fn quiet(_: i64, _: i64) {}

/// What the facts answer, apart from T.
fn answers(facts: &Facts) -> Vec<serde_json::Value> {
    let steps = [("Lead", LEAD), ("Offer", OFFER), ("Contract", CONTRACT), ("Won", WON)];
    let steps: Vec<Step> =
        steps.into_iter().map(|(name, stage)| Step { name: name.into(), stages: vec![stage] }).collect();
    Rule::ALL
        .into_iter()
        .map(|(rule, _)| {
            let definition = Definition::new(steps.clone(), rule, facts.at);
            let mut answer = serde_json::to_value(facts.funnel(definition).expect("the definition holds"))
                .expect("an answer is JSON");
            answer.as_object_mut().expect("an answer is an object").remove("at");
            answer
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_read_model_equals_the_live_one_row_for_row() {
    for seed in 0..4 {
        let database = Database::create().await;
        let store = database.connect().await;
        let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
        let mut company = Company::found(&store, sales, seed).await;
        let tenant = company.sales.tenant;
        for n in 0..300 {
            let (order, envelope) = company.click();
            store.handle(order, envelope).await.unwrap();
            if n % (3 + i64::try_from(seed).unwrap() * 7) == 0 {
                store.catch_up(model(), tenant, &quiet).await.unwrap();
            }
        }
        let (live, position) = store.catch_up(model(), tenant, &quiet).await.unwrap();
        assert_eq!(position, store.head(tenant).await.unwrap());
        let before = database.rows(&live.schema_name).await;
        let rebuilt = store.rebuild(model(), &quiet).await.unwrap();
        assert_ne!(rebuilt.generation, live.generation);
        assert_eq!(database.rows(&rebuilt.schema_name).await, before, "seed {seed}");
        assert!(before.len() > 20, "the comparison has something to compare");
        let service = company.service.to_string();
        let transferred = before.iter().any(|row| row.starts_with("visit: ") && row.contains(&service));
        assert!(transferred, "some deals were transferred");
        assert_eq!(store.live(&ConversionFunnel).await.unwrap(), rebuilt);
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_position_answers_as_the_live_model_did_then() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let mut company = Company::found(&store, sales, 7).await;
    let tenant = company.sales.tenant;
    let mut then = Vec::new();
    for n in 0..200 {
        let (order, envelope) = company.click();
        store.handle(order, envelope).await.unwrap();
        if n % 20 == 0 {
            let facts = ground(&store, tenant, "Sales", AsOf::NOW, Corrections::Effective, now(), &quiet)
                .await
                .unwrap();
            let recorded = store.recorded_at(tenant, facts.position).await.unwrap().unwrap();
            then.push((facts.position, recorded, answers(&facts)));
        }
    }
    for (position, recorded, expected) in then {
        for as_of in [AsOf::position(position), AsOf::known(recorded)] {
            let facts =
                ground(&store, tenant, "sales", as_of, Corrections::Effective, now(), &quiet).await.unwrap();
            assert_eq!(facts.position, position);
            assert_eq!(answers(&facts), expected, "as of {as_of:?}");
        }
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_at_once_count_every_event_once() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let mut company = Company::found(&store, sales, 3).await;
    let tenant = company.sales.tenant;
    let mut workers = Vec::new();
    for round in 0..30 {
        for _ in 0..5 {
            let (order, envelope) = company.click();
            store.handle(order, envelope).await.unwrap();
        }
        let other = if round % 3 == 0 { database.connect().await } else { store.clone() };
        workers.push(tokio::spawn(async move { other.catch_up(model(), tenant, &quiet).await.map(drop) }));
    }
    for worker in workers {
        worker.await.unwrap().unwrap();
    }
    let (live, _) = store.catch_up(model(), tenant, &quiet).await.unwrap();
    let before = database.rows(&live.schema_name).await;
    let rebuilt = store.rebuild(model(), &quiet).await.unwrap();
    assert_eq!(database.rows(&rebuilt.schema_name).await, before);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_pipeline_or_position_is_named_with_what_there_is() {
    let database = Database::create().await;
    let store = database.connect().await;
    Sales::set_up(&store, tenant(1), Policy::default()).await;
    let ask = |name: &'static str, as_of| {
        let store = store.clone();
        async move {
            let facts = ground(&store, tenant(1), name, as_of, Corrections::Effective, now(), &quiet).await;
            facts.unwrap_err().to_string()
        }
    };
    assert_eq!(ask("Service", AsOf::NOW).await, "there is no pipeline \"Service\"; there are \"Sales\"");
    assert_eq!(
        ask("Sales", AsOf::position(99)).await,
        "position 99 is not in the log, which reaches from 0 to 2"
    );
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuilds_at_once_leave_one_model_that_answers() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let mut company = Company::found(&store, sales, 5).await;
    let tenant = company.sales.tenant;
    for _ in 0..100 {
        let (order, envelope) = company.click();
        store.handle(order, envelope).await.unwrap();
    }
    let mut rebuilds = Vec::new();
    for _ in 0..4 {
        let (rebuilding, asking) = (database.connect().await, store.clone());
        rebuilds.push(tokio::spawn(async move { rebuilding.rebuild(model(), &quiet).await.map(drop) }));
        rebuilds.push(tokio::spawn(async move { asking.catch_up(model(), tenant, &quiet).await.map(drop) }));
    }
    for rebuild in rebuilds {
        // One that was overtaken says so; none may leave the pointer nowhere.
        let _overtaken = rebuild.await.unwrap();
    }
    let (live, position) = store.catch_up(model(), tenant, &quiet).await.unwrap();
    assert_eq!(position, store.head(tenant).await.unwrap());
    assert_eq!(store.live(&ConversionFunnel).await.unwrap(), live);
    assert!(database.rows(&live.schema_name).await.len() > 20);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_deals_are_counted_once_and_twice_again_when_told_apart() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let (survivor, loser) = (sales.open_deal(&store).await, sales.open_deal(&store).await);
    let send = async |deal: DealId, command: deal::Command| {
        accepted(store.handle(order(deal.stream(), command), envelope(sales.tenant)).await);
        store.head(sales.tenant).await.unwrap()
    };
    let currency = kvali_domain::money::Currency::parse("GEL").unwrap();
    let value = kvali_domain::Money { amount: 250.into(), currency };
    send(loser, deal::Command::SetValue { value }).await;
    let apart = send(survivor, move_to(OFFER)).await;
    let seen = [(survivor, 2), (loser, 2)].map(|(id, version)| merge::Seen { id, version });
    let merge = merge::Merge { losers: vec![loser], seen: seen.to_vec(), choices: vec![] };
    let merged = send(survivor, deal::Command::Merge(merge)).await;
    // Sent to the one that is gone, it reaches the one that is there.
    send(loser, move_to(CONTRACT)).await;
    let again = send(survivor, deal::Command::Unmerge(merge::Unmerge { merge: 1, chain: false })).await;
    let snapshot = async |as_of: AsOf| {
        let facts = ground(&store, sales.tenant, "Sales", as_of, Corrections::Effective, now(), &quiet)
            .await
            .unwrap();
        let snapshot = &answers(&facts)[0]["stages"];
        [0, 1, 2].map(|step| snapshot[step]["count"].as_i64().unwrap())
    };
    assert_eq!(snapshot(AsOf::position(apart)).await, [1, 1, 0]);
    assert_eq!(snapshot(AsOf::position(merged)).await, [0, 1, 0]);
    assert_eq!(snapshot(AsOf::position(again)).await, [1, 0, 1]);
    assert_eq!(snapshot(AsOf::NOW).await, [1, 0, 1], "and the live model says the same");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_happened_by_an_instant_keeps_a_deals_own_order() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let deal = DealId(kvali_tests::new_id());
    let at = |text: &str| Occurred::Instant { at: text.parse().unwrap() };
    let steps: [(deal::Command, Occurred); 3] = [
        (deal::Command::Open(deal::Open::new(sales.pipeline)), at("2024-01-01T09:00:00Z")),
        (move_to(OFFER), at("2024-02-01T09:00:00Z")),
        (deal::Command::CloseWon { pipeline_version: None }, Occurred::Unknown),
    ];
    for (command, occurred) in steps {
        accepted(
            store.handle(order(deal.stream(), command), envelope(sales.tenant).occurred(occurred)).await,
        );
    }
    let stock = async |as_of: &str| {
        let as_of = AsOf::happened(as_of.parse().unwrap());
        let facts = ground(&store, sales.tenant, "Sales", as_of, Corrections::Effective, now(), &quiet)
            .await
            .unwrap();
        let snapshot = &answers(&facts)[0]["stages"];
        [0, 1, 2, 3].map(|step| snapshot[step]["count"].as_i64().unwrap())
    };
    assert_eq!(stock("2023-12-31T00:00:00Z").await, [0, 0, 0, 0]);
    assert_eq!(
        stock("2024-01-15T00:00:00Z").await,
        [1, 0, 0, 0],
        "the undated win came after a move that had not"
    );
    assert_eq!(stock("2024-02-15T00:00:00Z").await, [0, 0, 0, 1]);
    database.drop().await;
}

/// What the facts of a pipeline say of its steps: standing, entered, and dropped as left, in order of the steps.
async fn told(
    store: &Store,
    sales: &Sales,
    (pipeline, stages): (&str, [StageId; 2]),
    as_of: AsOf,
) -> [[i64; 3]; 2] {
    let facts = ground(store, sales.tenant, pipeline, as_of, Corrections::Effective, now(), &quiet)
        .await
        .expect("the facts are read");
    let of = |rule| {
        let steps = stages.map(|stage| Step { name: stage.to_string(), stages: vec![stage] }).to_vec();
        let answer = facts.funnel(Definition::new(steps, rule, facts.at)).expect("the definition holds");
        serde_json::to_value(answer).expect("an answer is JSON")["stages"].clone()
    };
    let (standing, entered) = (of(Rule::Snapshot), of(Rule::Entered));
    [0, 1].map(|step| {
        let count = |answer: &serde_json::Value| answer[step]["count"].as_i64().expect("a count");
        [count(&standing), count(&entered), entered[step]["dropped"]["left"].as_i64().unwrap_or(0)]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transferred_deal_is_a_case_of_both_pipelines_and_stands_in_one() {
    const IN_SALES: (&str, [StageId; 2]) = ("Sales", [LEAD, OFFER]);
    const IN_SERVICE: (&str, [StageId; 2]) = ("Service", [INTAKE, REPAIR]);
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let service = sales.service(&store, "Service").await;
    let deal = DealId(kvali_tests::new_id());
    let at = |day: u32| format!("2024-01-{day:02}T09:00:00Z").parse().unwrap();
    let mut positions = Vec::new();
    for (day, command) in [
        (1, deal::Command::Open(deal::Open::new(sales.pipeline))),
        (3, transfer(service, REPAIR)),
        (7, transfer(sales.pipeline, OFFER)),
        (9, transfer(service, INTAKE)),
        (11, deal::Command::CloseWon { pipeline_version: None }),
    ] {
        let envelope = envelope(sales.tenant).occurred(Occurred::Instant { at: at(day) });
        accepted(store.handle(order(deal.stream(), command), envelope).await);
        positions.push(store.head(sales.tenant).await.unwrap());
        // As the facts of the live model were at each step.
        store.catch_up(model(), sales.tenant, &quiet).await.unwrap();
    }
    let (opened, there, back) = ([[1, 1, 0], [0, 0, 0]], [[0, 1, 1], [0, 0, 0]], [[0, 1, 0], [1, 1, 0]]);
    let (away, nobody) = ([[0, 1, 0], [0, 1, 0]], [[0, 0, 0], [0, 0, 0]]);
    let (repaired, gone, again) = ([[0, 0, 0], [1, 1, 0]], [[0, 0, 0], [0, 1, 0]], [[1, 1, 0], [0, 1, 0]]);
    let won = [[0, 1, 0], [0, 1, 0]];
    let expected = [(opened, nobody), (there, repaired), (back, gone), (away, again), (away, won)];
    for (at_step, (in_sales, in_service)) in expected.into_iter().enumerate() {
        let (position, day) = (AsOf::position(positions[at_step]), [1, 3, 7, 9, 11][at_step]);
        for as_of in [position, AsOf::happened(at(day))] {
            assert_eq!(told(&store, &sales, IN_SALES, as_of).await, in_sales, "{as_of:?}");
            assert_eq!(told(&store, &sales, IN_SERVICE, as_of).await, in_service, "{as_of:?}");
        }
    }
    assert_eq!(told(&store, &sales, IN_SALES, AsOf::NOW).await, away, "the live model says the same");
    assert_eq!(told(&store, &sales, IN_SERVICE, AsOf::NOW).await, won);
    let (live, _) = store.catch_up(model(), sales.tenant, &quiet).await.unwrap();
    let before = database.rows(&live.schema_name).await;
    let rebuilt = store.rebuild(model(), &quiet).await.unwrap();
    assert_eq!(database.rows(&rebuilt.schema_name).await, before);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_is_won_in_the_pipeline_where_it_was_closed_and_its_time_there_begins_at_the_transfer() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let service = sales.service(&store, "Service").await;
    let deal = DealId(kvali_tests::new_id());
    for (day, command) in [
        (1, deal::Command::Open(deal::Open::new(sales.pipeline))),
        (3, transfer(service, INTAKE)),
        (9, deal::Command::CloseWon { pipeline_version: None }),
    ] {
        let at = format!("2024-01-{day:02}T09:00:00Z").parse().unwrap();
        let envelope = envelope(sales.tenant).occurred(Occurred::Instant { at });
        accepted(store.handle(order(deal.stream(), command), envelope).await);
    }
    for (pipeline, won, days) in [("Sales", 0, None), ("Service", 1, Some(6.0))] {
        let facts = ground(&store, sales.tenant, pipeline, AsOf::NOW, Corrections::Effective, now(), &quiet)
            .await
            .unwrap();
        let definition = Definition::new(Vec::new(), Rule::Entered, facts.at);
        assert_eq!(facts.win_rate(Basis::Closed, &definition).won, won, "{pipeline}");
        assert_eq!(facts.win_rate(Basis::Cohort, &definition).created, Some(1), "{pipeline}");
        let cycle = facts.cycle(&definition).won.mean_seconds.map(|seconds| seconds / 86_400.0);
        assert_eq!(cycle, days, "{pipeline}");
        let velocity = facts.velocity(&definition).currencies;
        assert_eq!(velocity.iter().map(|of| of.won).sum::<u64>(), won, "{pipeline}");
        assert_eq!(velocity.iter().map(|of| of.open).sum::<u64>(), 0, "{pipeline}");
    }
    database.drop().await;
}
