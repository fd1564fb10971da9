//! The client of services against a server: commands, questions, the feed, subscriptions.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

use kvali_client::{Client, Command, Error, Event};
use kvali_domain::access::Role;
use kvali_tests::http::Server;
use kvali_tests::{Database, new_id, tenant};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc;

async fn started(database: &Database) -> (Server, Client) {
    let server = Server::start(database.connect().await).await;
    let key = server.key(tenant(1), Role::Integration).await;
    let client = Client::new(&format!("http://{}", server.address), &key).unwrap();
    (server, client)
}

async fn create_company(client: &Client, name: &str) -> uuid::Uuid {
    let command = Command::new("company", new_id(), "create-company").with(&json!({ "name": name })).unwrap();
    client.send(&command).await.unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_counts_once_and_a_refusal_says_why() {
    let database = Database::create().await;
    let (server, client) = started(&database).await;
    let command = Command::new("company", None, "create-company").with(&json!({ "name": "Acme" })).unwrap();
    let command = command.idempotency_key("order-4711");
    let first = client.send(&command).await.unwrap();
    assert_eq!((first.outcome.as_str(), first.version), ("accepted", Some(1)));
    assert_eq!(client.send(&command).await.unwrap(), first);
    let stale =
        Command::new("company", first.id, "rename-company").with(&json!({ "name": "Acme Ltd" })).unwrap();
    match client.send(&stale.if_version(7)).await {
        Err(Error::Problem { status: 412, code, .. }) => assert_eq!(code, "stale_version"),
        other => panic!("{other:?}"),
    }
    let history: Value = client.stream(first.id).await.unwrap();
    assert_eq!(history["version"], 1);
    let me: Value = client.ask("me", &[]).await.unwrap();
    assert_eq!(me["role"], "integration");
    match client.ask::<Value>("search", &[("text", "x")]).await {
        Err(Error::Problem { status: 403, .. }) => {}
        other => panic!("{other:?}"),
    }
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_goes_on_after_the_cursor_that_was_kept() {
    let database = Database::create().await;
    let (server, client) = started(&database).await;
    for n in 0..7 {
        create_company(&client, &format!("Acme {n}")).await;
    }
    let head = server.store.head(tenant(1)).await.unwrap();
    let (mut seen, mut cursor) = (Vec::new(), "0".to_owned());
    while seen.last().is_none_or(|last| *last < head) {
        // Each page by a reader that knows nothing but the cursor.
        let page = client.feed(cursor).types(&["company.*"]).limit(3).next().await.unwrap();
        seen.extend(page.events.iter().map(|event| event.position));
        assert!(page.events.iter().all(|event| event.event_type.starts_with("company.")));
        cursor = page.cursor;
    }
    assert_eq!(seen.len(), 7);
    let mut waiting = client.feed(cursor);
    let (page, id) = tokio::join!(waiting.next(), create_company(&client, "Late"));
    assert_eq!(page.unwrap().events[0].stream, id);
    assert!(matches!(Client::new("ftp://x", "k"), Err(Error::Address(_))));
    assert!(matches!(Client::new("http://x", "k\n"), Err(Error::Key)));
    server.tell_to_stop();
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_given_each_event_until_it_succeeds_and_goes_on_where_it_was_killed() {
    let database = Database::create().await;
    let (server, client) = started(&database).await;
    let subscription = client.subscription("warehouse").limit(4).lease(Duration::from_secs(5));
    subscription.create(Some(&["company.*"]), "beginning").await.unwrap();
    let mut expected = Vec::new();
    for n in 0..9 {
        expected.push(create_company(&client, &format!("Acme {n}")).await);
    }
    let (done, mut told) = mpsc::unbounded_channel();
    let flaky = expected[2];
    let service = |done: mpsc::UnboundedSender<uuid::Uuid>| {
        let subscription = subscription.clone();
        tokio::spawn(async move {
            let handled = |event: Event| {
                let closed = event.stream == flaky && event.attempt == 1;
                let told = if closed { Err("the warehouse is closed") } else { Ok(event.stream) };
                let told = told.and_then(|stream| done.send(stream).map_err(|_| "the test is over"));
                std::future::ready(told)
            };
            subscription.run(handled).await
        })
    };
    let mut seen = Vec::new();
    let first = service(done.clone());
    while seen.len() < 3 {
        seen.push(told.recv().await.unwrap());
    }
    first.abort();
    let second = service(done);
    while !expected.iter().all(|id| seen.contains(id)) {
        seen.push(tokio::time::timeout(Duration::from_secs(30), told.recv()).await.unwrap().unwrap());
    }
    assert!(seen.iter().all(|id| expected.contains(id)));
    second.abort();
    server.tell_to_stop();
    database.drop().await;
}
