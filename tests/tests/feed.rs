//! The feed of events: in order, without gaps, from any position, for readers that come and go.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

use http_body_util::BodyExt;
use hyper::Method;
use kvali_domain::access::Role;
use kvali_domain::pipeline::Policy;
use kvali_tests::backlog::deals_that_move;
use kvali_tests::http::Server;
use kvali_tests::samples::Sales;
use kvali_tests::{Database, new_id, tenant};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// `WRITERS` writers append so many events each.
const WRITERS: u64 = 16;
const EVENTS: u64 = 40;

fn position(event: &Value) -> i64 {
    event["position"].as_str().unwrap().parse().unwrap()
}

async fn write(server: Arc<Server>, key: String) {
    for _ in 0..EVENTS {
        let path = format!("/v1/company/{}/create-company", new_id());
        server.post(&key, &path, &[], &json!({ "name": "Acme" })).await.ok();
    }
}

/// Reads by long poll until `until`, leaving in the middle of a wait now and then, and goes on by its cursor.
async fn long_poll(server: Arc<Server>, key: String, until: i64) -> Vec<i64> {
    let (mut cursor, mut seen, mut turn) = ("0".to_owned(), Vec::new(), 0_u64);
    while seen.last().is_none_or(|last| *last < until) {
        turn += 1;
        let path = format!("/v1/events?after={cursor}&limit=7&wait=5s");
        let asked = server.get(&key, &path);
        // Now and then the answer is lost on its way.
        let patience =
            if turn.is_multiple_of(3) { Duration::from_micros(turn * 131 % 3_000) } else { Duration::MAX };
        let Ok(answer) = tokio::time::timeout(patience, asked).await else { continue };
        assert_eq!(answer.header("content-type"), Some("application/cloudevents-batch+json"));
        answer.header("kvali-cursor").unwrap().clone_into(&mut cursor);
        seen.extend(answer.ok().as_array().unwrap().iter().map(position));
    }
    seen
}

/// Reads server-sent events until `until`, hanging up after a few and coming back with the last id.
async fn server_sent(server: Arc<Server>, key: String, until: i64) -> Vec<i64> {
    let bearer = format!("Bearer {key}");
    let (mut last_id, mut seen) = ("0".to_owned(), Vec::new());
    while seen.last().is_none_or(|last| *last < until) {
        let headers =
            [("authorization", &*bearer), ("accept", "text/event-stream"), ("last-event-id", &*last_id)];
        let mut response = server.begin(Method::GET, "/v1/events", &headers, "").await.unwrap();
        let (mut text, before) = (String::new(), seen.len());
        while seen.len() < before + 23 && seen.last().is_none_or(|last| *last < until) {
            let Some(frame) = response.frame().await else { break };
            let Ok(bytes) = frame.unwrap().into_data() else { continue };
            text.push_str(std::str::from_utf8(&bytes).unwrap());
            while let Some((event, rest)) = text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                if let Some(data) = field("data: ") {
                    seen.push(position(&serde_json::from_str(data).unwrap()));
                }
                if let Some(id) = field("id: ") {
                    id.clone_into(&mut last_id);
                }
                text = rest.to_owned();
            }
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_come_and_go_see_every_event_once_and_in_order() {
    let database = Database::create().await;
    let server = Arc::new(Server::start(database.connect().await).await);
    let key = server.key(tenant(1), Role::Integration).await;
    let before = server.store.head(tenant(1)).await.unwrap();
    let until = before + i64::try_from(WRITERS * EVENTS).unwrap();
    let mut writers = JoinSet::new();
    let mut readers = JoinSet::new();
    for _ in 0..2 {
        readers.spawn(long_poll(server.clone(), key.clone(), until));
        readers.spawn(server_sent(server.clone(), key.clone(), until));
    }
    for _ in 0..WRITERS {
        writers.spawn(write(server.clone(), key.clone()));
    }
    writers.join_all().await;
    for seen in readers.join_all().await {
        assert_eq!(seen, (1..=until).collect::<Vec<_>>());
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_passes_what_it_names_and_moves_on_past_the_rest() {
    let database = Database::create().await;
    let server = Server::start(database.connect().await).await;
    let key = server.key(tenant(1), Role::Integration).await;
    let sales = Sales::set_up(&server.store, tenant(1), Policy::PERMISSIVE).await;
    deals_that_move(&server.store, &sales, 20, 3).await;
    let head = server.store.head(tenant(1)).await.unwrap();
    let all = server.get(&key, "/v1/events?limit=1000").await.ok();
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), usize::try_from(head).unwrap());
    let types: BTreeSet<&str> = all.iter().map(|event| event["type"].as_str().unwrap()).collect();
    for word in types {
        let expected: Vec<i64> = all.iter().filter(|event| event["type"] == word).map(position).collect();
        let (mut found, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let page = server.get(&key, &format!("/v1/events?types={word}&limit=3&after={cursor}")).await;
            let more = page.header("kvali-more") == Some("true");
            page.header("kvali-cursor").unwrap().clone_into(&mut cursor);
            found.extend(page.ok().as_array().unwrap().iter().map(position));
            if !more {
                break;
            }
        }
        assert_eq!(found, expected, "{word}");
    }
    let of_deals = server.get(&key, "/v1/events?types=deal.*&limit=1000").await.ok();
    let is_deals = |event: &&Value| event["type"].as_str().unwrap().starts_with("deal.");
    assert_eq!(of_deals.as_array().unwrap().len(), all.iter().filter(is_deals).count());
    let stream = &of_deals[0]["subject"];
    let of_one =
        server.get(&key, &format!("/v1/events?stream={}&limit=1000", stream.as_str().unwrap())).await.ok();
    let expected: Vec<&Value> = all.iter().filter(|event| event["subject"] == *stream).collect();
    assert_eq!(of_one.as_array().unwrap().iter().collect::<Vec<_>>(), expected);
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_is_answered_when_the_server_stops() {
    let database = Database::create().await;
    let server = Server::start(database.connect().await).await;
    let key = server.key(tenant(1), Role::Integration).await;
    let head = server.store.head(tenant(1)).await.unwrap();
    let bearer = format!("Bearer {key}");
    let path = format!("/v1/events?after={head}&wait=60s");
    let headers = [("authorization", &*bearer)];
    let (answered, ()) = tokio::join!(server.begin(Method::GET, &path, &headers, ""), async {
        // Until the request has got as far as the wait; sooner is answered as well.
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.tell_to_stop();
    });
    assert!(answered.unwrap().status().is_success());
    database.drop().await;
}
