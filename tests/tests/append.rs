//! The log: order, conflicts, idempotency, claims.

use kvali_domain::deal::{External, Open};
use kvali_domain::pipeline::Policy;
use kvali_domain::{DealId, Personal, PipelineId, UserId, deal, user};
use kvali_eventstore::{Answer, Outcome, Plan, Rehearsal};
use kvali_tests::random::Company;
use kvali_tests::samples::{CONTRACT, LEAD, OFFER, Sales, create_pipeline, move_to};
use kvali_tests::{Database, accepted, envelope, new_id, order, refused, tenant};
use std::collections::HashMap;

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_moves_from_command_to_event() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::default()).await;
    let deal = sales.open_deal(&store).await;
    let answer = accepted(store.handle(order(deal.stream(), move_to(OFFER)), envelope(sales.tenant)).await);
    assert_eq!(answer.first_position, Some(4));
    let already = accepted(store.handle(order(deal.stream(), move_to(OFFER)), envelope(sales.tenant)).await);
    assert_eq!((already.first_position, already.event_count), (None, 0));
    let words = refused(store.handle(order(deal.stream(), move_to(LEAD)), envelope(sales.tenant)).await);
    assert!(words.contains("Contract"), "{words}");
    let events = store.read(sales.tenant, 0, 100).await.unwrap();
    let types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["pipeline.created", "loss_reason.defined", "deal.opened", "deal.stage_changed"]);
    store.close().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_writers_on_one_stream_each_version_has_exactly_one() {
    let database = Database::create().await;
    // Three processes' worth of stores, so that caches disagree.
    let stores = [database.connect().await, database.connect().await, database.connect().await];
    let sales = Sales::set_up(&stores[0], tenant(1), Policy::PERMISSIVE).await;
    let deal = sales.open_deal(&stores[0]).await;
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let (store, tenant) = (stores[n % 3].clone(), sales.tenant);
            tokio::spawn(async move {
                let target = [LEAD, OFFER, CONTRACT][n % 3];
                let mut envelope = envelope(tenant);
                envelope.expected_version = Some(1);
                store.handle(order(deal.stream(), move_to(target)), envelope).await
            })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        match task.await.unwrap().unwrap() {
            Outcome::Accepted(answer) if answer.event_count > 0 => winners += 1,
            Outcome::Accepted(_) => {}
            Outcome::Refused(refusal) => assert_eq!(refusal.code(), "stale_version"),
            Outcome::Reused => panic!("every command has an id of its own"),
        }
    }
    assert_eq!(winners, 1, "one writer moves the deal from version 1");
    let free: Vec<_> = (0..64)
        .map(|n| {
            let (store, tenant) = (stores[n % 3].clone(), sales.tenant);
            tokio::spawn(async move {
                let value = kvali_domain::Money {
                    amount: (i64::try_from(n).unwrap() + 1).into(),
                    currency: kvali_domain::money::Currency::parse("EUR").unwrap(),
                };
                accepted(
                    store
                        .handle(order(deal.stream(), deal::Command::SetValue { value }), envelope(tenant))
                        .await,
                )
            })
        })
        .collect();
    for task in free {
        assert_eq!(
            task.await.unwrap().event_count,
            1,
            "without an expected version every writer gets its turn"
        );
    }
    let versions: Vec<_> = stores[0]
        .stream(sales.tenant, deal.stream())
        .await
        .unwrap()
        .iter()
        .map(|event| event.version)
        .collect();
    assert_eq!(versions, (1..=66).collect::<Vec<_>>());
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_id_gets_its_first_outcome_again_and_serves_one_request_only() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::default()).await;
    let deal = sales.open_deal(&store).await;
    let once = envelope(sales.tenant);
    let first = accepted(store.handle(order(deal.stream(), move_to(OFFER)), once.clone()).await);
    accepted(store.handle(order(deal.stream(), move_to(CONTRACT)), envelope(sales.tenant)).await);
    let again = accepted(store.handle(order(deal.stream(), move_to(OFFER)), once.clone()).await);
    assert_eq!((again.first_position, again.event_count, again.known), (first.first_position, 1, true));
    let other = store.handle(order(deal.stream(), move_to(CONTRACT)), once).await;
    assert!(matches!(other, Ok(Outcome::Reused)), "{other:?}");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_command_is_recorded_and_may_be_sent_again_corrected() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::default()).await;
    let deal = sales.open_deal(&store).await;
    let same_id = envelope(sales.tenant);
    let words = refused(store.handle(order(deal.stream(), move_to(CONTRACT)), same_id.clone()).await);
    assert!(words.contains("skips") && words.contains("\"Offer\""), "{words}");
    accepted(store.handle(order(deal.stream(), move_to(OFFER)), same_id).await);
    let recorded: (String, String) = sqlx::query_as("select code, command_type from kvali.refusal")
        .fetch_one(&mut database.admin().await)
        .await
        .unwrap();
    assert_eq!(recorded, ("skips".to_owned(), "MoveDeal".to_owned()));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pipelines_cannot_take_one_name_at_once() {
    let database = Database::create().await;
    let stores = [database.connect().await, database.connect().await];
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let store = stores[n % 2].clone();
            tokio::spawn(async move {
                let create = create_pipeline("Sales", Policy::default());
                store.handle(order(PipelineId(new_id()).stream(), create), envelope(tenant(1))).await.unwrap()
            })
        })
        .collect();
    let mut taken = 0;
    for task in tasks {
        if let Outcome::Refused(refusal) = task.await.unwrap() {
            assert_eq!(refusal.code(), "taken");
            assert!(refusal.to_string().contains("sales"), "{refusal}");
            taken += 1;
        }
    }
    assert_eq!(taken, 15);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_one_batch_are_judged_in_order() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::default()).await;
    let external = |id: &str| Open {
        external: Some(External { source: "crm".into(), id: id.into() }),
        ..Open::new(sales.pipeline)
    };
    let (first, second, third) = (DealId(new_id()), DealId(new_id()), DealId(new_id()));
    let taken = Open { owner: Some(UserId(new_id())), ..external("2") };
    let orders = [
        // Two deals of one external id; then one opened wrongly and, at once, rightly; then chains of moves.
        order(first.stream(), deal::Command::Open(external("1"))),
        order(second.stream(), deal::Command::Open(external("1"))),
        order(third.stream(), deal::Command::Open(taken)),
        order(third.stream(), deal::Command::Open(external("2"))),
        order(first.stream(), move_to(OFFER)),
        order(first.stream(), move_to(LEAD)),
        order(first.stream(), move_to(CONTRACT)),
        order(second.stream(), move_to(OFFER)),
    ];
    let plans: Vec<_> = orders.into_iter().map(|order| Plan::new(order, envelope(sales.tenant))).collect();
    let outcomes = store.handle_all(sales.tenant, &plans).await.unwrap();
    let words: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Accepted(_) => "accepted".to_owned(),
            Outcome::Refused(refusal) => refusal.code(),
            Outcome::Reused => "reused".to_owned(),
        })
        .collect();
    let expected = [
        "accepted",
        "taken",
        "owner_not_active",
        "accepted",
        "accepted",
        "backward",
        "accepted",
        "no_such_deal",
    ];
    assert_eq!(words, expected);
    let again = store.handle_all(sales.tenant, &plans).await.unwrap();
    let known =
        again.iter().filter(|outcome| matches!(outcome, Outcome::Accepted(answer) if answer.known)).count();
    assert_eq!(known, 4, "the same batch again adds nothing");
    database.drop().await;
}

/// Parts of a long batch are decided while the ones before them are appended; nobody may see a difference.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_batch_gives_what_its_commands_give_one_by_one() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let mut company = Company::found(&store, sales, 7).await;
    company.deals = (0..200).map(|_| DealId(new_id())).collect();
    let mut clicks: Vec<_> = (0..2_400).map(|_| company.click()).collect();
    // Retries, in another part than their first try.
    let retries: Vec<_> = clicks.iter().skip(40).step_by(97).cloned().collect();
    clicks.extend(retries);
    let plans: Vec<_> = clicks.into_iter().map(|(order, envelope)| Plan::new(order, envelope)).collect();
    let mut rehearsal = Rehearsal::default();
    let foretold = store.rehearse(tenant(1), &mut rehearsal, &plans).await.unwrap();
    let outcomes = store.handle_all(tenant(1), &plans).await.unwrap();
    let words = |outcome: &Outcome| match outcome {
        Outcome::Accepted(Answer { event_count, known, .. }) => format!("{event_count} {known}"),
        Outcome::Refused(refusal) => refusal.to_string(),
        Outcome::Reused => "reused".to_owned(),
    };
    for (at, (foretold, outcome)) in foretold.iter().zip(&outcomes).enumerate() {
        // A rehearsal does not keep how many events a known command has.
        let known = matches!(outcome, Outcome::Accepted(Answer { known: true, .. }));
        assert!(known || words(foretold) == words(outcome), "command {at}: {foretold:?}, then {outcome:?}");
    }
    let accepted = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Accepted(_))).count();
    assert!((500..2_300).contains(&accepted), "{accepted} of {} accepted", outcomes.len());
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_batches_on_the_same_deals_lose_and_double_nothing() {
    let database = Database::create().await;
    let stores = [database.connect().await, database.connect().await];
    let sales = Sales::set_up(&stores[0], tenant(1), Policy::PERMISSIVE).await;
    let mut company = Company::found(&stores[0], sales, 11).await;
    company.deals = (0..40).map(|_| DealId(new_id())).collect();
    let before = stores[0].head(tenant(1)).await.unwrap();
    let tasks: Vec<_> = stores
        .iter()
        .map(|store| {
            let plans: Vec<_> = (0..1_300).map(|_| company.click()).map(|(o, e)| Plan::new(o, e)).collect();
            let store = store.clone();
            tokio::spawn(async move {
                let outcomes = store.handle_all(tenant(1), &plans).await.unwrap();
                let ids = plans.iter().map(|plan| plan.envelope.command_id);
                ids.zip(outcomes).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut counts = HashMap::new();
    for task in tasks {
        for (id, outcome) in task.await.unwrap() {
            if let Outcome::Accepted(answer) = outcome {
                counts.insert(id, answer.event_count);
            }
        }
    }
    let mut found = HashMap::new();
    for event in stores[1].read(tenant(1), before, 10_000).await.unwrap() {
        *found.entry(event.command).or_insert(0) += 1;
    }
    counts.retain(|_, count| *count > 0);
    assert_eq!(found, counts);
    assert!(counts.len() > 300, "{} commands had events", counts.len());
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_cannot_be_stored_is_refused_by_itself() {
    let database = Database::create().await;
    let store = database.connect().await;
    let names = ["Nino", "Gio\0rgi", "Tamar"];
    let plans: Vec<_> = names
        .map(|name| {
            let user = UserId(new_id());
            let register = user::Command::Register { user, name: Personal::new(name) };
            Plan::new(order(user.stream(), register), envelope(tenant(1)))
        })
        .into();
    let outcomes = store.handle_all(tenant(1), &plans).await.unwrap();
    let accepted: Vec<_> = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Accepted(_))).collect();
    assert_eq!(accepted, [true, false, true]);
    let words = refused(
        store
            .handle(
                order(PipelineId(new_id()).stream(), create_pipeline("A\0B", Policy::default())),
                envelope(tenant(1)),
            )
            .await,
    );
    assert!(words.contains("U+0000"), "{words}");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_commands_of_a_tenant_may_come_all_at_once() {
    let database = Database::create().await;
    let stores = [database.connect().await, database.connect().await];
    let tasks: Vec<_> = (0..24)
        .map(|n| {
            let store = stores[n % 2].clone();
            tokio::spawn(async move {
                let user = UserId(new_id());
                let register = user::Command::Register { user, name: Personal::new("Nino") };
                accepted(store.handle(order(user.stream(), register), envelope(tenant(9))).await)
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(stores[0].head(tenant(9)).await.unwrap(), 24);
    database.drop().await;
}
