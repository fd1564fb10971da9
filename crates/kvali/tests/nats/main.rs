//! `kvali relay nats` as a process, against a real nats-server.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

mod ground;
mod killed;
mod restored;

use async_nats::jetstream::stream::Config;
use ground::{Ground, Nats, Ran, STREAM, assert_same, log, name};
use kvali_domain::pipeline::Policy;
use kvali_domain::{Personal, contact};
use kvali_tests::backlog::busy;
use kvali_tests::samples::Sales;
use kvali_tests::{accepted, envelope, new_id, order, tenant};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_made_for_each_tenant_and_has_its_log() {
    let (ground, nats) = (Ground::new().await, Nats::start().await);
    let store = ground.database.connect().await;
    for n in [1, 2] {
        busy(&store, n, 20, 3).await;
    }
    let head = store.head(tenant(1)).await.unwrap() + store.head(tenant(2)).await.unwrap();
    // A petabyte.
    let said = ground.once(&nats, &["--max-bytes", "1000000000000000"]).said(1);
    assert!(said.contains("no room") && said.contains("--max-bytes"), "{said}");
    let ran = ground.once(&nats, &["--keep-days", "30", "--max-bytes", "10000000"]);
    assert_eq!(ran.events(), u64::try_from(head).unwrap());
    for n in [1, 2] {
        assert_same(&nats.messages(tenant(n)).await, &log(&store, tenant(n)).await, 1);
    }
    let made = nats.stream(tenant(1)).await.cached_info().config.clone();
    assert_eq!(made.subjects, [format!("kvali.{}.>", tenant(1))]);
    assert_eq!(made.duplicate_window, Duration::from_secs(120));
    assert_eq!(made.max_age, Duration::from_secs(30 * 86_400));
    assert_eq!(made.max_bytes, 10_000_000);
    assert_eq!(ground.once(&nats, &[]).events(), 0, "it is there");
    ground.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_wanted_types_go_out_and_no_personal_text() {
    let (ground, nats) = (Ground::new().await, Nats::start().await);
    let store = ground.database.connect().await;
    busy(&store, 1, 3, 1).await;
    let create = contact::Command::Create(contact::Create {
        full: Personal::new("Nino Abashidze"),
        ..contact::Create::default()
    });
    let order = order(kvali_domain::StreamId(new_id()), create);
    accepted(store.handle(order, envelope(tenant(1))).await);
    assert_eq!(ground.once(&nats, &["--type", "contact.*", "--type", "deal.opened"]).events(), 4);
    let got = nats.messages(tenant(1)).await;
    let types: Vec<_> =
        got.iter().map(|message| message.event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["deal.opened", "deal.opened", "deal.opened", "contact.created"]);
    assert!(!got.iter().any(|message| message.event.to_string().contains("Nino")), "names stay here");
    let said = ground.once(&nats, &["--type", "deal.won"]).said(1);
    assert!(said.contains("with other types"), "{said}");
    ground.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_there_is_left_as_it_is_and_told() {
    let (ground, nats) = (Ground::new().await, Nats::start().await);
    let store = ground.database.connect().await;
    Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let context = nats.context().await;
    let config = Config {
        name: name(tenant(1)),
        subjects: vec!["kvali.>".to_owned()],
        max_age: Duration::from_secs(3_600),
        duplicate_window: Duration::from_secs(60),
        ..Config::default()
    };
    let before = context.create_stream(config).await.unwrap().cached_info().config.clone();
    let ran = ground.once(&nats, &[]);
    assert_eq!(ran.events(), 2);
    let said = ran.said(0);
    for words in ["left as it is", "max_age is 3600 s and not 0 s", "duplicate_window is 60 s and not 120 s"]
    {
        assert!(said.contains(words), "{words:?} is not said: {said}");
    }
    assert_eq!(nats.stream(tenant(1)).await.cached_info().config, before);

    context.delete_stream(name(tenant(1))).await.unwrap();
    let other = Config { name: name(tenant(1)), subjects: vec!["other.>".to_owned()], ..Config::default() };
    context.create_stream(other).await.unwrap();
    let said = ground.once(&nats, &[]).said(1);
    assert!(said.contains("takes other.> and not kvali.") && said.contains("--subject"), "{said}");
    ground.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_who_it_is_is_told_without_a_secret_on_the_command_line() {
    let ground = Ground::new().await;
    let nats = Nats::with(&["--user", "kvali", "--pass", "s3cret"]).await;
    let relay = |words: &[&str]| {
        let url = nats.url();
        ground.kvali(&[&["--format", "json", "relay", "nats", "--once", "--server", &url], words].concat())
    };
    let said = Ran::of(&mut relay(&[])).said(1);
    assert!(said.contains("does not let Kvali in") && said.contains("KVALI_NATS_PASSWORD"), "{said}");
    let said = Ran::of(&mut relay(&["--user", "kvali"])).said(1);
    assert!(said.contains("has no password"), "{said}");
    let said = Ran::of(relay(&["--user", "kvali"]).env("KVALI_NATS_PASSWORD", "wrong")).said(1);
    assert!(said.contains("does not let Kvali in"), "{said}");
    assert_eq!(Ran::of(relay(&["--user", "kvali"]).env("KVALI_NATS_PASSWORD", "s3cret")).events(), 0);
    let address = nats.url().replace("//", "//kvali:s3cret@");
    let said = Ran::of(&mut ground.kvali(&["relay", "nats", "--server", &address])).said(2);
    assert!(said.contains("KVALI_NATS_PASSWORD"), "{said}");
    let said = Ran::of(&mut relay(&["--creds", "/nowhere/kvali.creds"])).said(1);
    assert!(said.contains("cannot read credentials from /nowhere/kvali.creds"), "{said}");
    ground.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_and_messages_are_measured_and_a_relay_told_to_stop_ends_well() {
    let (ground, nats) = (Ground::new().await, Nats::start().await);
    let store = ground.database.connect().await;
    busy(&store, 1, 10, 2).await;
    let head = store.head(tenant(1)).await.unwrap();
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut relay = ground.start(&nats, &["--metrics", &address]);
    nats.has(tenant(1), u64::try_from(head).unwrap()).await;
    let begun = std::time::Instant::now();
    let (sent, lag) = (
        format!("kvali_relay_messages_total{{tenant=\"{}\"}} {head}", tenant(1)),
        format!("kvali_subscription_lag_events{{subscription=\"nats:{STREAM}\",tenant=\"{}\"}} 0", tenant(1)),
    );
    loop {
        relay.is_at_work();
        let told = scrape(&address).unwrap_or_default();
        if told.contains(&sent) && told.contains(&lag) {
            break;
        }
        assert!(begun.elapsed() < ground::PATIENCE, "{told}");
    }
    assert_eq!(relay.terminate().code(), Some(0));
    ground.database.drop().await;
}

fn scrape(address: &str) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: kvali\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
