//! The log as its readers and auditors see it.

use kvali_domain::pipeline::Policy;
use kvali_domain::{DealId, deal};
use kvali_eventstore::{Error, Options, Store};
use kvali_tests::samples::{CONTRACT, LEAD, OFFER, Sales, move_to};
use kvali_tests::{Database, accepted, envelope, new_id, order, tenant};
use sqlx::{AssertSqlSafe, Executor};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test(flavor = "multi_thread")]
async fn positions_have_no_gap_and_followers_miss_nothing_while_many_write() {
    let database = Database::create().await;
    let stores = [database.connect().await, database.connect().await];
    let mut sales = Vec::new();
    for n in 1..=2 {
        sales.push(Arc::new(Sales::set_up(&stores[0], tenant(n), Policy::PERMISSIVE).await));
    }
    let done = Arc::new(AtomicBool::new(false));
    let followers: Vec<_> = sales
        .iter()
        .map(|sales| {
            let (store, tenant, done) = (stores[1].clone(), sales.tenant, done.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                loop {
                    // Order matters: what is written before `done` is set is there for the read after it.
                    let last_round = done.load(Ordering::SeqCst);
                    let after = i64::try_from(seen.len()).unwrap();
                    let page = store.read(tenant, after, 7).await.unwrap();
                    if page.is_empty() && last_round {
                        return seen;
                    }
                    seen.extend(page.into_iter().map(|event| (event.position, event.event_id)));
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..24)
        .map(|n| {
            let (store, sales) = (stores[n % 2].clone(), sales[n % 3 % 2].clone());
            tokio::spawn(async move {
                for _ in 0..5 {
                    let deal = sales.open_deal(&store).await;
                    for stage in [OFFER, CONTRACT, LEAD] {
                        accepted(
                            store.handle(order(deal.stream(), move_to(stage)), envelope(sales.tenant)).await,
                        );
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let mut total = 0;
    for (follower, sales) in followers.into_iter().zip(&sales) {
        let seen = follower.await.unwrap();
        let head = stores[0].head(sales.tenant).await.unwrap();
        let positions: Vec<i64> = seen.iter().map(|(position, _)| *position).collect();
        assert_eq!(positions, (1..=head).collect::<Vec<_>>());
        total += head;
    }
    assert_eq!(total, 2 * 2 + 24 * 5 * 4, "every acknowledged event has a position");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_cancelled_at_any_moment_loses_no_acknowledged_append() {
    let database = Database::create().await;
    // Few connections, so that one left in a bad state would serve others.
    let store = Store::connect(Options { connections: 2, ..database.options() }).await.unwrap();
    let sales = Arc::new(Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await);
    let acknowledged = Arc::new(std::sync::Mutex::new(Vec::new()));
    let requests: Vec<_> = (0..600_u64)
        .map(|n| {
            let (store, sales, acknowledged) = (store.clone(), sales.clone(), acknowledged.clone());
            let request = tokio::spawn(async move {
                let deal = DealId(new_id());
                let open = deal::Command::Open(deal::Open::new(sales.pipeline));
                let answer = accepted(store.handle(order(deal.stream(), open), envelope(sales.tenant)).await);
                acknowledged.lock().unwrap().push((answer.first_position.unwrap(), deal));
            });
            tokio::spawn(async move {
                // The moment of the hang-up differs for each; a third of them stay to the end.
                if n % 3 != 0 {
                    for _ in 0..(n * 7 % 400) {
                        tokio::task::yield_now().await;
                    }
                    request.abort();
                }
                request.await.is_ok()
            })
        })
        .collect();
    let mut finished = 0;
    for request in requests {
        finished += usize::from(request.await.unwrap());
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!((200..600).contains(&finished), "some hang up and some stay: {finished} of 600 stayed");
    // A fresh process looks at what the database has.
    let auditor = database.connect().await;
    let mut log = Vec::new();
    loop {
        let page = auditor.read(sales.tenant, i64::try_from(log.len()).unwrap(), 500).await.unwrap();
        if page.is_empty() {
            break;
        }
        log.extend(page);
    }
    for (position, deal) in &acknowledged {
        let event = &log[usize::try_from(position - 1).unwrap()];
        assert_eq!((event.position, event.stream), (*position, deal.stream()));
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_refuses_to_change_or_remove_events() {
    let database = Database::create().await;
    let store = database.connect().await;
    Sales::set_up(&store, tenant(1), Policy::default()).await;
    let statements = [
        "update kvali.event set data = '{}'",
        "delete from kvali.event",
        "truncate kvali.event",
        "update kvali.command set event_count = 0",
        "delete from kvali.command",
    ];
    let mut admin = database.admin().await;
    for role in ["kvali_app", "kvali_projector", "kvali_owner", "kvali"] {
        for statement in statements {
            let acting = format!("set role {role}; set kvali.tenant = '{}'", tenant(1));
            admin.execute(AssertSqlSafe(acting)).await.unwrap();
            let refused = admin.execute(statement).await;
            admin.execute("reset role").await.unwrap();
            // The owner and the superuser have the privilege; the trigger stops them. Truncating what is not the
            // log itself is theirs to do.
            assert!(refused.is_err(), "{role}: {statement}");
        }
    }
    assert_eq!(store.read(tenant(1), 0, 10).await.unwrap().len(), 2);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_log_stops_its_readers() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::default()).await;
    sales.open_deal(&store).await;
    let mut admin = database.admin().await;
    admin.execute("alter table kvali.event disable trigger all").await.unwrap();
    admin.execute("delete from kvali.event where position = 2").await.unwrap();
    let error = store.read(sales.tenant, 0, 10).await.unwrap_err();
    assert!(matches!(error, Error::Gap { expected: 2, found: 3 }), "{error}");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folded_state_is_the_same_from_the_cache_and_from_the_log() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let mut company = kvali_tests::random::Company::found(&store, sales, 11).await;
    let other = database.connect().await;
    for n in 0..300 {
        let (order, envelope) = company.click();
        // The other process's cache goes stale, and drops now and then; its decisions must not differ.
        let store = if n % 2 == 0 { &store } else { &other };
        if n % 17 == 0 {
            store.drop_cache();
        }
        store.handle(order, envelope).await.unwrap();
    }
    for deal in &company.deals {
        let events = store.stream(company.sales.tenant, deal.stream()).await.unwrap();
        let versions: Vec<i32> = events.iter().map(|event| event.version).collect();
        assert_eq!(versions, (1..=i32::try_from(events.len()).unwrap()).collect::<Vec<_>>());
        let state = store.state(company.sales.tenant, deal.stream()).await.unwrap();
        assert_eq!(state.map_or(0, |(version, _)| usize::try_from(version).unwrap()), events.len());
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_or_newer_database_is_named_for_what_it_is() {
    let database = Database::create().await;
    let mut options = database.options();
    options.url = "postgres://kvali@127.0.0.1:1/kvali".into();
    let Err(error) = Store::connect(options).await else { panic!("nothing listens there") };
    assert!(error.to_string().contains("connecting to Postgres failed"), "{error}");
    let mut options = database.options();
    options.url = "not a url".into();
    let Err(error) = Store::connect(options).await else { panic!("that is no URL") };
    assert!(error.to_string().contains("postgres://"), "{error}");
    database
        .admin()
        .await
        .execute("insert into kvali.migration (version, description, success, checksum, execution_time) values (999, 'future', true, '', 0)")
        .await
        .unwrap();
    let Err(error) = Store::connect(database.options()).await else { panic!("that schema is newer") };
    assert!(error.to_string().contains("use a newer Kvali"), "{error}");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_prepare_one_empty_database_at_once() {
    let database = Database::empty().await;
    let connecting: Vec<_> = (0..6).map(|_| tokio::spawn(Store::connect(database.options()))).collect();
    for connected in connecting {
        connected.await.unwrap().unwrap();
    }
    database.drop().await;
}
