//! Durable subscriptions: members of a group share the log, whoever is killed; each event once or more, streams in order.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

use kvali_domain::access::Role;
use kvali_domain::pipeline::Policy;
use kvali_domain::{StreamId, TenantId};
use kvali_eventstore::subscribe::{Batch, Fetch, From, Part, SubscribeError, Subscription};
use kvali_eventstore::{Options, Store};
use kvali_tests::backlog::{busy, deals_that_move};
use kvali_tests::http::Server;
use kvali_tests::random::Dice;
use kvali_tests::samples::Sales;
use kvali_tests::{Database, new_id, tenant};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

const LONG: Duration = Duration::from_secs(600);
const PATIENCE: Duration = Duration::from_secs(60);

fn ask(limit: u16) -> Fetch {
    Fetch { limit, lease: LONG }
}

/// The next batch, which must come.
async fn next(subscription: &Subscription, ask: Fetch) -> Batch {
    let (_, mut stopped) = watch::channel(false);
    subscription.next(ask, PATIENCE, &mut stopped).await.unwrap().expect("something comes")
}

fn places(batch: &Batch) -> Vec<i64> {
    batch.events.iter().map(|given| given.recorded.position).collect()
}

fn at(position: i64) -> Part {
    Part::Each([position].into())
}

fn position(event: &Value) -> i64 {
    event["position"].as_str().unwrap().parse().unwrap()
}

/// A subscription from the beginning, and the log that it is of: so many deals, each moved so often.
async fn followed(database: &Database, deals: usize, moves: usize) -> (Store, Subscription, TenantId) {
    let store = database.connect().await;
    let sales = busy(&store, 1, deals, moves).await;
    let subscription = store.subscription(sales.tenant, "warehouse");
    assert!(subscription.create(None, From::Beginning).await.unwrap());
    (store, subscription, sales.tenant)
}

/// The lease of that token is over.
async fn run_out(database: &Database, token: i64) {
    let over = "update kvali.subscription_lease set leased_until = '-infinity' where token = $1";
    let mut admin = database.admin().await;
    let over = sqlx::query(over).bind(token).execute(&mut admin).await.unwrap();
    assert_eq!(over.rows_affected(), 1);
}

/// What all members of a group saw together.
#[derive(Default)]
struct Seen {
    /// How often each event was given out.
    times: BTreeMap<i64, u32>,
    /// By stream: versions that somebody settled, or tried to.
    settled: HashMap<StreamId, BTreeSet<i32>>,
}

impl Seen {
    /// Each event comes after all that came before it in its stream were settled, or are in the same batch before it.
    fn take(&mut self, batch: &Batch) {
        let mut here: HashMap<StreamId, BTreeSet<i32>> = HashMap::new();
        for given in &batch.events {
            let event = &given.recorded;
            let (settled, here) =
                (self.settled.entry(event.stream).or_default(), here.entry(event.stream).or_default());
            let missing =
                (1..event.version).find(|before| !settled.contains(before) && !here.contains(before));
            assert_eq!(missing, None, "{} of {} came too early", event.version, event.stream);
            here.insert(event.version);
            *self.times.entry(event.position).or_default() += 1;
        }
    }

    fn settle(&mut self, batch: &Batch) {
        for given in &batch.events {
            self.settled.entry(given.recorded.stream).or_default().insert(given.recorded.version);
        }
    }
}

/// Reads and settles, fails now and then, and goes on until everything is settled.
async fn member(
    subscription: Subscription,
    seen: Arc<Mutex<Seen>>,
    number: u64,
    until: watch::Receiver<bool>,
) {
    let mut dice = Dice::new(number);
    let mut until = until;
    while !*until.borrow() {
        let lease = Duration::from_millis(500);
        let limit = u16::try_from(1 + dice.roll(40)).unwrap();
        let found = subscription.next(Fetch { limit, lease }, Duration::from_secs(1), &mut until).await;
        let Some(batch) = found.unwrap() else { continue };
        seen.lock().unwrap().take(&batch);
        tokio::task::yield_now().await;
        if dice.roll(10) == 0 {
            let failed = batch.events[usize::try_from(dice.roll(batch.events.len() as u64)).unwrap()]
                .recorded
                .position;
            let nacked =
                subscription.nack(batch.token, at(failed), Some(Duration::from_millis(1)), None).await;
            assert!(nacked.is_ok() || matches!(nacked, Err(SubscribeError::OldToken)), "{nacked:?}");
            // The others are given to somebody else when the lease runs out.
            continue;
        }
        seen.lock().unwrap().settle(&batch);
        match subscription.ack(batch.token, Part::All).await {
            Ok(acked) => assert_eq!(acked.left, 0),
            Err(SubscribeError::OldToken) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_are_killed_and_resumed_miss_nothing_and_keep_the_order_of_every_stream() {
    let database = Database::create().await;
    let server = Server::start(database.connect().await).await;
    let key = server.key(tenant(1), Role::Integration).await;
    let sales = Arc::new(Sales::set_up(&server.store, tenant(1), Policy::PERMISSIVE).await);
    let subscription = server.store.subscription(tenant(1), "warehouse");
    subscription.create(None, From::Beginning).await.unwrap();
    // Two processes, whose members do not know of each other.
    let stores = [server.store.clone(), database.connect().await];
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (done, until) = watch::channel(false);
    let killing = {
        let (seen, until) = (seen.clone(), until.clone());
        tokio::spawn(async move {
            let mut dice = Dice::new(7);
            let mut members: Vec<_> = Vec::new();
            let mut number = 0;
            let mut stopped = until.clone();
            while !*stopped.borrow() {
                while members.len() < 4 {
                    number += 1;
                    let store = &stores[usize::try_from(number % 2).unwrap()];
                    let subscription = store.subscription(tenant(1), "warehouse");
                    members.push(tokio::spawn(member(subscription, seen.clone(), number, until.clone())));
                }
                let pause = Duration::from_millis(dice.roll(120));
                let _over = tokio::time::timeout(pause, stopped.changed()).await;
                let killed = members.swap_remove(usize::try_from(dice.roll(4)).unwrap());
                killed.abort();
                // Whatever it panicked with is the test's own failure.
                if let Err(error) = killed.await {
                    assert!(error.is_cancelled(), "{error}");
                }
            }
            for member in members {
                member.await.unwrap();
            }
            stores[1].close().await;
        })
    };
    let mut writers = JoinSet::new();
    let server = Arc::new(server);
    for _ in 0..16 {
        let (server, key, sales) = (server.clone(), key.clone(), sales.clone());
        writers.spawn(async move {
            for _ in 0..4 {
                let path = format!("/v1/company/{}/create-company", new_id());
                server.post(&key, &path, &[], &json!({ "name": "Acme" })).await.ok();
                deals_that_move(&server.store, &sales, 2, 3).await;
            }
        });
    }
    writers.join_all().await;
    let head = server.store.head(tenant(1)).await.unwrap();
    let settled = async {
        while subscription.standing().await.unwrap().checkpoint < head {
            assert!(!killing.is_finished(), "a member failed");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("all is settled in the end");
    done.send_replace(true);
    killing.await.unwrap();
    let parked = subscription.parked().await.unwrap();
    assert!(parked.is_empty(), "{parked:?}");
    let positions: Vec<i64> = seen.lock().unwrap().times.keys().copied().collect();
    assert_eq!(positions, (1..=head).collect::<Vec<_>>());
    // Nothing is left behind but the cursor.
    let mut admin = database.admin().await;
    let rows = "select (select count(*) from kvali.subscription_lease) + (select count(*) from kvali.subscription_stream)";
    assert_eq!(sqlx::query_scalar::<_, i64>(rows).fetch_one(&mut admin).await.unwrap(), 0);
    drop(admin);
    server.tell_to_stop();
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_have_different_streams_in_hand_at_once() {
    let database = Database::create().await;
    let (store, subscription, tenant) = followed(&database, 5, 4).await;
    let head = store.head(tenant).await.unwrap();
    let first = next(&subscription, ask(7)).await;
    // Of the rest, whatever is of a stream that the first has in hand is held back.
    let mut others = Vec::new();
    while let Some(batch) = subscription.fetch(ask(3)).await.unwrap() {
        others.push(batch);
    }
    let streams =
        |batch: &Batch| batch.events.iter().map(|given| given.recorded.stream).collect::<BTreeSet<_>>();
    let mut busy = streams(&first);
    for other in &others {
        assert!(busy.is_disjoint(&streams(other)), "{other:?}");
        busy.extend(streams(other));
    }
    let mut seen: Vec<i64> = places(&first);
    seen.extend(others.iter().flat_map(places));
    subscription.ack(first.token, Part::All).await.unwrap();
    for other in others {
        subscription.ack(other.token, Part::All).await.unwrap();
    }
    while let Some(batch) = subscription.fetch(ask(1_000)).await.unwrap() {
        seen.extend(places(&batch));
        subscription.ack(batch.token, Part::All).await.unwrap();
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=head).collect::<Vec<_>>());
    assert_eq!(subscription.standing().await.unwrap().lag_events(), 0);
    store.close().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ran_out_is_given_to_another_and_its_token_is_refused() {
    let database = Database::create().await;
    let (store, subscription, _) = followed(&database, 3, 1).await;
    let slow = next(&subscription, ask(1)).await;
    run_out(&database, slow.token).await;
    let again = next(&database.connect().await.subscription(tenant(1), "warehouse"), ask(1)).await;
    assert_eq!(places(&again), places(&slow));
    assert!(again.token > slow.token);
    assert_eq!(again.events[0].tries, 1);
    for refused in [
        subscription.ack(slow.token, Part::All).await.err(),
        subscription.nack(slow.token, Part::All, None, None).await.err(),
        subscription.extend(slow.token, LONG).await.err(),
    ] {
        assert!(matches!(refused, Some(SubscribeError::OldToken)), "{refused:?}");
    }
    assert_eq!(subscription.ack(again.token, Part::All).await.unwrap().left, 0);
    let kept = next(&subscription, ask(1)).await;
    run_out(&database, kept.token).await;
    // Nobody else has it yet, so it is kept, or settled, as if it had not run out.
    subscription.extend(kept.token, LONG).await.unwrap();
    assert!(places(&next(&subscription, ask(1)).await) > places(&kept));
    assert_eq!(subscription.ack(kept.token, Part::All).await.unwrap().left, 0);
    store.close().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_fails_ten_times_is_parked_whole_and_replayed_in_order_while_the_rest_goes_on() {
    let database = Database::create().await;
    let (store, subscription, tenant) = followed(&database, 6, 5).await;
    let head = store.head(tenant).await.unwrap();
    let deal = store.read(tenant, 0, head).await.unwrap();
    let sick = deal.iter().rev().find(|event| event.event_type == "deal.stage_changed").unwrap().stream;
    let of_sick = |event: &&kvali_domain::Recorded| event.stream == sick;
    let sick_places: Vec<i64> = deal.iter().filter(of_sick).map(|event| event.position).collect();
    let (mut healthy, mut failures, mut parked) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(batch) = subscription.fetch(ask(10)).await.unwrap() {
        let bad = batch.events.iter().find(|given| given.recorded.stream == sick);
        if let Some(bad) = bad {
            failures.push((bad.recorded.position, bad.tries));
            let reason = Some("no such customer".to_owned());
            let back =
                subscription.nack(batch.token, at(bad.recorded.position), Some(Duration::ZERO), reason).await;
            let back = back.unwrap();
            parked.extend(back.parked);
            if back.left == 0 {
                continue;
            }
        }
        healthy.extend(
            batch
                .events
                .iter()
                .filter(|given| given.recorded.stream != sick)
                .map(|given| given.recorded.position),
        );
        subscription.ack(batch.token, Part::All).await.unwrap();
    }
    assert_eq!(failures, (0..10).map(|tries| (sick_places[0], tries)).collect::<Vec<_>>());
    assert_eq!(parked, [sick.0]);
    healthy.sort_unstable();
    let others: Vec<i64> =
        deal.iter().filter(|event| event.stream != sick).map(|event| event.position).collect();
    assert_eq!(healthy, others);
    let told = subscription.parked().await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].stream_id, told[0].position, told[0].tries), (sick.0, sick_places[0], 10));
    assert_eq!(told[0].failure.as_deref(), Some("no such customer"));
    let standing = subscription.standing().await.unwrap();
    assert_eq!((standing.lag_events(), standing.parked, standing.behind), (0, 1, 0));

    assert_eq!(subscription.replay(Some(StreamId(new_id()))).await.unwrap(), 0);
    assert_eq!(subscription.replay(Some(sick)).await.unwrap(), 1);
    let mut replayed = Vec::new();
    while let Some(batch) = subscription.fetch(ask(2)).await.unwrap() {
        replayed.extend(places(&batch));
        subscription.ack(batch.token, Part::All).await.unwrap();
    }
    assert_eq!(replayed, sick_places);
    assert_eq!(subscription.standing().await.unwrap().parked, 0);
    store.close().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pause_after_a_failure_doubles() {
    let database = Database::create().await;
    let (store, subscription, _) = followed(&database, 1, 1).await;
    let mut admin = database.admin().await;
    for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0] {
        let batch = next(&subscription, ask(1)).await;
        subscription.nack(batch.token, Part::All, None, None).await.unwrap();
        let pause = "update kvali.subscription_stream s set retry_at = '-infinity' from kvali.subscription_stream o \
                     where s.stream_id = o.stream_id and o.retry_at > '-infinity' \
                     returning extract(epoch from o.retry_at - clock_timestamp())::float8";
        let pause: f64 = sqlx::query_scalar(pause).fetch_one(&mut admin).await.unwrap();
        assert!(pause <= expected && pause > expected - 1.0, "{pause} is not {expected}");
    }
    drop(admin);
    store.close().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_kills_its_reader_parks_its_own_stream_and_no_other() {
    let database = Database::create().await;
    let (store, subscription, tenant) = followed(&database, 30, 2).await;
    let head = store.head(tenant).await.unwrap();
    let events = store.read(tenant, 0, head).await.unwrap();
    let poison = events.iter().find(|event| event.event_type == "deal.opened").unwrap();
    let mut settled = BTreeSet::new();
    while let Some(batch) = subscription.fetch(ask(50)).await.unwrap() {
        if places(&batch).contains(&poison.position) {
            // Nobody hears of it again.
            run_out(&database, batch.token).await;
            continue;
        }
        settled.extend(places(&batch));
        subscription.ack(batch.token, Part::All).await.unwrap();
    }
    let parked = subscription.parked().await.unwrap();
    assert_eq!(parked.iter().map(|stream| stream.stream_id).collect::<Vec<_>>(), [poison.stream.0]);
    let others = events.iter().filter(|event| event.stream != poison.stream);
    assert_eq!(settled, others.map(|event| event.position).collect());
    store.close().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewound_subscription_gives_out_again_what_comes_after_and_what_was_still_owed() {
    let database = Database::create().await;
    let (store, subscription, tenant) = followed(&database, 4, 3).await;
    let head = store.head(tenant).await.unwrap();
    let owed = next(&subscription, ask(1)).await;
    let mut rest = Vec::new();
    while let Some(batch) = subscription.fetch(ask(100)).await.unwrap() {
        rest.extend(places(&batch));
        subscription.ack(batch.token, Part::All).await.unwrap();
    }
    assert!(!rest.contains(&places(&owed)[0]));
    let middle = head / 2;
    assert_eq!(subscription.rewind(From::Position(middle)).await.unwrap(), middle);
    let refused = subscription.ack(owed.token, Part::All).await;
    assert!(matches!(refused, Err(SubscribeError::OldToken)), "{refused:?}");
    let mut again = BTreeSet::new();
    while let Some(batch) = subscription.fetch(ask(100)).await.unwrap() {
        again.extend(places(&batch));
        subscription.ack(batch.token, Part::All).await.unwrap();
    }
    assert!(again.contains(&places(&owed)[0]), "what was in hand is owed");
    assert!((middle + 1..=head).all(|position| again.contains(&position)), "{again:?}");

    let instant = store.recorded_at(tenant, middle).await.unwrap().unwrap();
    let last = store.position_at(tenant, instant).await.unwrap();
    assert_eq!(subscription.rewind(From::Instant(instant)).await.unwrap(), last);
    let batch = next(&subscription, ask(1)).await;
    assert_eq!(places(&batch), [last + 1]);
    subscription.ack(batch.token, Part::All).await.unwrap();
    let beyond = subscription.rewind(From::Position(head + 1)).await;
    assert!(beyond.is_err_and(|error| error.to_string().contains("is not in the log")));
    assert_eq!(subscription.rewind(From::Now).await.unwrap(), head);
    assert!(subscription.fetch(ask(1)).await.unwrap().is_none());
    store.close().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_a_service_fetches_settles_and_rewinds() {
    let database = Database::create().await;
    let server = Server::start(database.connect().await).await;
    let key = server.key(tenant(1), Role::Integration).await;
    let sales = Sales::set_up(&server.store, tenant(1), Policy::PERMISSIVE).await;
    deals_that_move(&server.store, &sales, 3, 2).await;
    let definition = json!({ "name": "warehouse", "types": ["deal.*"], "from": "beginning" });
    let post = async |path: &str, body: &Value| {
        server.post(&key, &format!("/v1/subscriptions{path}"), &[], body).await
    };
    let created = post("", &definition).await;
    assert_eq!(created.status.as_u16(), 201, "{}", created.body);
    assert_eq!(post("", &definition).await.status.as_u16(), 200);
    post("", &json!({ "name": "warehouse" })).await.refused(409, "name_taken");
    let feed = server.get(&key, "/v1/events?types=deal.*&limit=1000").await.ok();
    let batch = post("/warehouse/fetch", &json!({ "limit": 1000, "lease": "60s" })).await.ok();
    let mut events = batch["events"].clone();
    for event in events.as_array_mut().unwrap() {
        assert_eq!(event.as_object_mut().unwrap().remove("attempt"), Some(json!(1)));
    }
    assert_eq!(events, feed, "the same shape as in the feed");
    let (token, first) = (&batch["token"], &events[0]["position"]);
    assert_eq!(server.get(&key, "/v1/subscriptions").await.ok()[0]["in_hand"], json!(9));
    assert_eq!(
        post("/warehouse/extend", &json!({ "token": token, "lease": "90s" })).await.status.as_u16(),
        200
    );
    let acked = post("/warehouse/ack", &json!({ "token": token, "up_to": first })).await.ok();
    assert_eq!(acked["left"], 8);
    let back =
        json!({ "token": token, "positions": [events[1]["position"]], "pause": "0s", "reason": "full" });
    let back = post("/warehouse/nack", &back).await.ok();
    let again = post("/warehouse/fetch", &json!({ "wait": "5s" })).await.ok();
    assert_eq!(again["events"][0]["position"], events[1]["position"]);
    assert_eq!(again["events"][0]["attempt"], 2);
    assert_eq!(back["given_back"].as_u64().unwrap() + back["left"].as_u64().unwrap(), 8);
    post("/warehouse/ack", &json!({ "token": again["token"] })).await.ok();
    post("/warehouse/ack", &json!({ "token": again["token"] })).await.refused(409, "old_token");
    post("/warehouse/rewind", &json!({ "from": "now" })).await.ok();
    assert_eq!(server.get(&key, "/v1/subscriptions/warehouse/parked").await.ok(), json!([]));
    assert_eq!(post("/warehouse/parked/replay", &json!({})).await.ok()["replayed"], 0);
    let gone = server.send(hyper::Method::DELETE, "/v1/subscriptions/warehouse", &key, &[], "").await;
    assert_eq!(gone.status.as_u16(), 204);
    post("/warehouse/fetch", &json!({})).await.refused(404, "not_found");
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_follow_or_asks_for_nonsense_is_told_so() {
    let database = Database::create().await;
    let server = Server::start(database.connect().await).await;
    let key = server.key(tenant(1), Role::Integration).await;
    let sales = server.key(tenant(1), Role::Sales).await;
    let stranger = server.key(tenant(2), Role::Integration).await;
    let post = async |key: &str, path: &str, body: Value| {
        server.post(key, &format!("/v1/subscriptions{path}"), &[], &body).await
    };
    assert_eq!(post(&key, "", json!({ "name": "w" })).await.status.as_u16(), 201);
    post(&sales, "", json!({ "name": "s" })).await.refused(403, "forbidden");
    post(&sales, "/w/fetch", json!({})).await.refused(403, "forbidden");
    post(&stranger, "/w/fetch", json!({})).await.refused(404, "not_found");
    assert_eq!(server.get(&stranger, "/v1/subscriptions").await.ok(), json!([]));
    let bad = [
        ("", json!({ "name": "" }), "name"),
        ("", json!({ "name": "webhook:1" }), "name"),
        ("", json!({ "name": "W" }), "name"),
        ("", json!({ "name": "x".repeat(101) }), "name"),
        ("", json!({ "name": "x", "types": ["deal.closed"] }), "types"),
        ("", json!({ "name": "x", "types": [""] }), "types"),
        ("", json!({ "name": "x", "from": "tomorrow" }), "from"),
        ("", json!({ "name": "x", "from": {} }), "from"),
        ("", json!({ "name": "x", "colour": 1 }), "colour"),
        ("/w/fetch", json!({ "limit": 0 }), "limit"),
        ("/w/fetch", json!({ "limit": 5001 }), "limit"),
        ("/w/fetch", json!({ "limit": -1 }), "limit"),
        ("/w/fetch", json!({ "lease": "0s" }), "lease"),
        ("/w/fetch", json!({ "lease": "1d" }), "lease"),
        ("/w/fetch", json!({ "wait": "61s" }), "wait"),
        ("/w/ack", json!({}), "token"),
        ("/w/ack", json!({ "token": "x" }), "token"),
        ("/w/ack", json!({ "token": "1", "up_to": 1, "positions": [1] }), "up_to"),
        ("/w/nack", json!({ "token": "1", "pause": "8000000s" }), "pause"),
        ("/w/nack", json!({ "token": "1", "reason": "\u{0}" }), "reason"),
        ("/w/parked/replay", json!({ "stream": "x" }), "stream"),
    ];
    for (path, body, field) in bad {
        let told = post(&key, path, body.clone()).await.refused(400, "malformed");
        assert_eq!(told["field"], field, "{path} {body}: {told}");
    }
    post(&key, "", json!({ "name": "x", "from": 1_000_000 })).await.refused(400, "no_such_position");
    post(&key, "/w/ack", json!({ "token": "1" })).await.refused(409, "old_token");
    post(&key, "/W!/fetch", json!({})).await.refused(404, "not_found");
    server.stop().await;
    database.drop().await;
}

/// A way to the database that swallows the words `until` and whatever comes after them, as of a member that is frozen there.
fn way_that_ends(database: &Database, until: &'static str) -> (TempDir, String, watch::Receiver<bool>) {
    let server = PgConnectOptions::from_str(&database.url).unwrap();
    let name = format!(".s.PGSQL.{}", server.get_port());
    let target = server.get_socket().expect("the tests' cluster has a socket").join(&name);
    let dir = TempDir::new().unwrap();
    let way = UnixListener::bind(dir.path().join(&name)).unwrap();
    let (ended, is_ended) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((client, _)) = way.accept().await {
            let (mut asks, mut is_told) = client.into_split();
            let (mut tells, mut is_asked) = UnixStream::connect(&target).await.unwrap().into_split();
            tokio::spawn(async move { tokio::io::copy(&mut tells, &mut is_told).await });
            let ended = ended.clone();
            tokio::spawn(async move {
                let mut words = vec![0; 100_000];
                while let Ok(count @ 1..) = asks.read(&mut words).await {
                    if *ended.borrow()
                        || words[..count].windows(until.len()).any(|some| some == until.as_bytes())
                    {
                        ended.send_replace(true);
                        std::future::pending::<()>().await;
                    }
                    is_asked.write_all(&words[..count]).await.unwrap();
                }
            });
        }
    });
    let url =
        format!("postgres:///{}?host={}&user=kvali&sslmode=disable", database.name, dir.path().display());
    (dir, url, is_ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_frozen_in_a_transaction_keeps_the_subscription_from_nobody() {
    let database = Database::create().await;
    let (_store, subscription, tenant) = followed(&database, 3, 1).await;
    let (_dir, url, mut is_frozen) = way_that_ends(&database, "set cursor =");
    let frozen = Store::connect(Options { url, ..database.options() }).await.unwrap();
    let alone = frozen.subscription(tenant, "warehouse").take(Duration::from_secs(1)).await.unwrap().unwrap();
    let settling = tokio::spawn(async move { alone.settle(2).await });
    is_frozen.wait_for(|is_frozen| *is_frozen).await.unwrap();
    // It waits for the lock, and the lease of a second is over by then.
    let taken = tokio::time::timeout(PATIENCE, subscription.take(LONG)).await;
    let taken = taken.expect("Postgres ends who holds the lock and says nothing").unwrap().unwrap();
    assert_eq!(taken.checkpoint, 0, "nothing was settled");
    settling.await.unwrap().unwrap_err();
    taken.settle(3).await.unwrap();
    assert_eq!(subscription.standing().await.unwrap().checkpoint, 3);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_leave_nothing_idle_in_a_transaction_and_lose_no_event() {
    let database = Database::create().await;
    let server = Arc::new(Server::start(database.connect().await).await);
    let key = server.key(tenant(1), Role::Integration).await;
    let sales = Sales::set_up(&server.store, tenant(1), Policy::PERMISSIVE).await;
    deals_that_move(&server.store, &sales, 20, 3).await;
    let subscription = server.store.subscription(tenant(1), "w");
    subscription.create(None, From::Beginning).await.unwrap();
    let mut seen = BTreeSet::new();
    for turn in 0..60_u64 {
        let body = json!({ "limit": 3, "lease": "1s" });
        let fetched = server.post(&key, "/v1/subscriptions/w/fetch", &[], &body);
        let Ok(answer) = tokio::time::timeout(Duration::from_micros(turn * 211), fetched).await else {
            continue;
        };
        let batch = answer.ok();
        seen.extend(batch["events"].as_array().unwrap().iter().map(position));
        let body = json!({ "token": batch["token"] });
        let acked = server.post(&key, "/v1/subscriptions/w/ack", &[], &body);
        let _hung_up = tokio::time::timeout(Duration::from_micros(turn * 97), acked).await;
    }
    let head = server.store.head(tenant(1)).await.unwrap();
    while subscription.standing().await.unwrap().checkpoint < head {
        let batch = next(&subscription, ask(1_000)).await;
        seen.extend(places(&batch));
        subscription.ack(batch.token, Part::All).await.unwrap();
    }
    let parked = subscription.parked().await.unwrap();
    assert!(parked.is_empty(), "{parked:?}");
    assert_eq!(seen, (1..=head).collect());
    let mut admin = database.admin().await;
    let idle = "select count(*) from pg_stat_activity \
                where datname = current_database() and state like 'idle in transaction%'";
    assert_eq!(sqlx::query_scalar::<_, i64>(idle).fetch_one(&mut admin).await.unwrap(), 0);
    drop(admin);
    server.tell_to_stop();
    database.drop().await;
}
