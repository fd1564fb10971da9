//! Logs and streams that are not what they were.

use crate::ground::{Ground, Nats, Ran, assert_same, log, name};
use kvali_domain::pipeline::Policy;
use kvali_tests::backlog::{busy, deals_that_move};
use kvali_tests::samples::Sales;
use kvali_tests::tenant;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_imported_elsewhere_counts_anew_and_waits_to_be_told_from_where() {
    let (ground, nats) = (Ground::new().await, Nats::start().await);
    let store = ground.database.connect().await;
    busy(&store, 1, 10, 4).await;
    ground.once(&nats, &[]).events();
    // As an import leaves it.
    let mut admin = ground.database.admin().await;
    sqlx::query("update kvali.ledger set epoch = epoch + 1").execute(&mut admin).await.unwrap();
    let said = ground.once(&nats, &[]).said(1);
    assert!(said.contains("rewind the subscription"), "{said}");
    let tenant_words = tenant(1).to_string();
    let rewind = ["--tenant", &tenant_words, "subscriptions", "rewind", "nats:KVALI", "--from", "beginning"];
    Ran::of(&mut ground.kvali(&rewind)).said(0);
    let log = log(&store, tenant(1)).await;
    assert_eq!(ground.once(&nats, &[]).events(), u64::try_from(log.len()).unwrap());
    let got = nats.messages(tenant(1)).await;
    let (before, after) = got.split_at(log.len());
    assert_same(before, &log, 1);
    assert_same(after, &log, 2);
    ground.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_has_events_of_another_history_is_not_gone_on_with() {
    let nats = Nats::start().await;
    for n in 0..2 {
        let ground = Ground::new().await;
        let store = ground.database.connect().await;
        busy(&store, 1, 10, 4).await;
        if n == 0 {
            ground.once(&nats, &[]).events();
        } else {
            let said = ground.once(&nats, &[]).said(1);
            assert!(
                said.contains("restored to a moment before") && said.contains("delete the stream"),
                "{said}"
            );
        }
        ground.database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_deleted_gets_everything_anew_and_one_that_was_emptied_what_is_new() {
    let (ground, nats) = (Ground::new().await, Nats::start().await);
    let store = ground.database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    deals_that_move(&store, &sales, 10, 4).await;
    assert_eq!(ground.once(&nats, &[]).events(), 52);
    nats.context().await.delete_stream(name(tenant(1))).await.unwrap();
    assert_eq!(ground.once(&nats, &[]).events(), 52);
    assert_same(&nats.messages(tenant(1)).await, &log(&store, tenant(1)).await, 1);
    nats.stream(tenant(1)).await.purge().await.unwrap();
    deals_that_move(&store, &sales, 2, 4).await;
    assert_eq!(ground.once(&nats, &[]).events(), 10);
    assert_same(&nats.messages(tenant(1)).await, &log(&store, tenant(1)).await[52..], 1);
    ground.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_writes_into_the_stream_breaks_nothing() {
    let (ground, nats) = (Ground::new().await, Nats::start().await);
    let store = ground.database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    deals_that_move(&store, &sales, 10, 4).await;
    ground.once(&nats, &[]).events();
    let subject = format!("kvali.{}.deal.won", tenant(1));
    nats.context().await.publish(subject, "not ours".into()).await.unwrap().await.unwrap();
    deals_that_move(&store, &sales, 2, 4).await;
    assert_eq!(ground.once(&nats, &[]).events(), 10);
    let stream = nats.stream(tenant(1)).await;
    assert_eq!(stream.cached_info().state.messages, 63);
    ground.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_full_is_waited_for() {
    let (ground, nats) = (Ground::new().await, Nats::start().await);
    let store = ground.database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    deals_that_move(&store, &sales, 10, 4).await;
    let log = log(&store, tenant(1)).await;
    let mut relay = ground.start(&nats, &["--max-bytes", "20000"]);
    let context = nats.context().await;
    // No room for one more.
    while nats.info(&context, tenant(1)).await.state.bytes < 19_000 {
        relay.is_at_work();
    }
    assert!(nats.info(&context, tenant(1)).await.state.messages < u64::try_from(log.len()).unwrap());
    let mut larger = nats.stream(tenant(1)).await.cached_info().config.clone();
    larger.max_bytes = -1;
    context.update_stream(larger).await.unwrap();
    nats.has(tenant(1), u64::try_from(log.len()).unwrap()).await;
    relay.is_at_work();
    assert_same(&nats.messages(tenant(1)).await, &log, 1);
    ground.database.drop().await;
}
