//! (k) One consumer of a durable subscription that catches up, in the process and over HTTP, against COPY BINARY of the
//! same rows to the client.

use crate::ground::Ground;
use crate::measure::{Leg, Pair};
use crate::replay::{EVENTS, fill};
use crate::sales::Sales;
use crate::{Scale, raw};
use http_body_util::BodyExt;
use hyper::Method;
use kvali_domain::access::Role;
use kvali_eventstore::subscribe::{Fetch, From, Part};
use kvali_tests::http::Server;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sqlx::Executor;
use std::time::{Duration, Instant};

/// Events in a batch.
const BATCH: u16 = 2_000;

pub async fn run(ground: &Ground, scale: Scale) {
    let sales = Sales::set_up(&ground.store).await;
    println!("(k) {} events of one tenant; batches of {BATCH}, each fetched and acknowledged.", scale.replay);
    fill(&sales, scale.replay / EVENTS).await;
    let server = Server::start(ground.store.clone()).await;
    let key = server.key(sales.tenant, Role::Integration).await;
    let mut connection = ground.connect().await;
    connection.execute("vacuum analyze kvali.event").await.expect("a superuser may say so");
    ground.settle().await;
    let head = ground.store.head(sales.tenant).await.expect("the log is there");
    let count = usize::try_from(head).expect("a position");
    let source =
        format!("(select * from kvali.event where tenant_id = '{}' order by position)", sales.tenant);
    let (mut within, mut over_http) = (Pair::default(), Pair::default());
    for round in 0..scale.rounds {
        let start = Instant::now();
        raw::copy_out(&mut connection, &source).await;
        let raw = Leg::of(count, start.elapsed());
        let name = format!("round-{round}");
        let subscription = ground.store.subscription(sales.tenant, &name);
        assert!(subscription.create(None, From::Beginning).await.expect("the name is new"));
        let start = Instant::now();
        let ask = Fetch { limit: BATCH, lease: Duration::from_secs(60) };
        let mut seen = 0;
        while let Some(batch) = subscription.fetch(ask).await.expect("the log is whole") {
            seen += batch.events.len();
            subscription.ack(batch.token, Part::All).await.expect("it is in hand");
        }
        assert_eq!(seen, count);
        within.push(raw.clone(), Leg::of(count, start.elapsed()));
        subscription.rewind(From::Beginning).await.expect("it is there");
        let start = Instant::now();
        assert_eq!(drain(&server, &key, &name).await, count);
        over_http.push(raw, Leg::of(count, start.elapsed()));
    }
    within.print("(k) through the store");
    over_http.print("(k) over HTTP");
    server.stop().await;
}

#[derive(Deserialize)]
struct Fetched {
    token: Option<String>,
    events: Vec<IgnoredAny>,
}

async fn drain(server: &Server, key: &str, name: &str) -> usize {
    let fetch = format!("{{\"limit\":{BATCH},\"lease\":\"60s\"}}");
    let mut seen = 0;
    loop {
        let body = post(server, key, &format!("/v1/subscriptions/{name}/fetch"), fetch.clone()).await;
        let Fetched { token, events } = serde_json::from_slice(&body).expect("a batch");
        let Some(token) = token else { return seen };
        seen += events.len();
        post(server, key, &format!("/v1/subscriptions/{name}/ack"), format!("{{\"token\":\"{token}\"}}"))
            .await;
    }
}

async fn post(server: &Server, key: &str, path: &str, body: String) -> Vec<u8> {
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let answer = server.begin(Method::POST, path, &headers, body).await.expect("the server answers");
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.into_body().collect().await.expect("the answer is whole").to_bytes().into()
}
