//! Relays and servers that are killed in the middle of what they do.

use crate::ground::{Ground, Nats, assert_same, log};
use kvali_domain::pipeline::Policy;
use kvali_tests::backlog::deals_that_move;
use kvali_tests::samples::Sales;
use kvali_tests::tenant;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Kills of the relay; `.ci/long` asks for more. After every third the server is killed, too.
const KILLS: u64 = 6;
/// Messages that a relay has sent before it is killed.
const BEFORE_A_KILL: u64 = 300;
const WRITERS: u128 = 8;

fn kills() -> u64 {
    let asked = std::env::var("KVALI_TEST_KILLS").ok();
    asked.map_or(KILLS, |kills| kills.parse().expect("KVALI_TEST_KILLS is a number"))
}

/// Writers that append until they are told to stop, half of them to each of two tenants.
struct Writers {
    stop: Arc<AtomicBool>,
    running: tokio::task::JoinSet<()>,
}

impl Writers {
    async fn start(ground: &Ground, sales: &[Arc<Sales>; 2]) -> Self {
        let (stop, mut running) = (Arc::new(AtomicBool::new(false)), tokio::task::JoinSet::new());
        for n in 0..WRITERS {
            // Each as a process of its own would.
            let (store, stop) = (ground.database.connect().await, stop.clone());
            let sales = sales[usize::from(n % 2 == 1)].clone();
            running.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    deals_that_move(&store, &sales, 5, 9).await;
                }
                store.close().await;
            });
        }
        Self { stop, running }
    }

    async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.running.join_next().await {
            ended.expect("the writers write");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_and_servers_killed_in_mid_stream_lose_nothing_and_send_nothing_twice() {
    let (ground, mut nats) = (Ground::new().await, Nats::start().await);
    let store = ground.database.connect().await;
    let tenants = [tenant(1), tenant(2)];
    let sales = [
        Arc::new(Sales::set_up(&store, tenants[0], Policy::PERMISSIVE).await),
        Arc::new(Sales::set_up(&store, tenants[1], Policy::PERMISSIVE).await),
    ];
    let writers = Writers::start(&ground, &sales).await;
    let context = nats.context().await;
    // Shorter than the pause after each kill: what was sent then is not known by its id any more.
    let memory = ["--dedup-seconds", "1"];
    let mut behind = 0;
    for n in 0..kills() {
        let before = if n == 0 { 0 } else { nats.info(&context, tenants[0]).await.state.messages };
        let mut relay = ground.start(&nats, &memory);
        nats.has(tenants[0], before + BEFORE_A_KILL).await;
        relay.is_at_work();
        relay.kill();
        let checkpoint = store.subscription(tenants[0], "nats:KVALI").standing().await.unwrap().checkpoint;
        let sent = i64::try_from(nats.info(&context, tenants[0]).await.state.messages).unwrap();
        behind += usize::from(checkpoint < sent);
        if n % 3 == 1 {
            // Of a relay that goes on, the server is killed.
            let _relay = ground.start(&nats, &memory);
            nats.has(tenants[0], u64::try_from(sent).unwrap() + BEFORE_A_KILL).await;
            nats.kill();
            nats.start_again();
            let sent = nats.info(&context, tenants[0]).await.state.messages;
            nats.has(tenants[0], sent + BEFORE_A_KILL).await;
        }
    }
    writers.stop().await;
    ground.once(&nats, &memory).events();
    let mut events = 0;
    for tenant in tenants {
        let log = log(&store, tenant).await;
        assert_same(&nats.messages(tenant).await, &log, 1);
        events += log.len();
    }
    assert!(behind > 0, "none of {} kills met a relay with messages beyond its checkpoint", kills());
    println!("{events} events, {} kills, {behind} of them with messages sent beyond the checkpoint", kills());
    ground.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_the_checkpoint_moved_is_not_sent_again_however_long_ago() {
    let (ground, nats) = (Ground::new().await, Nats::start().await);
    let store = ground.database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    deals_that_move(&store, &sales, 20, 4).await;
    ground.once(&nats, &["--dedup-seconds", "1"]).events();
    // As if it had been killed between the acknowledgement of the last fifty and its checkpoint.
    let mut admin = ground.database.admin().await;
    let moved = sqlx::query("update kvali.subscription set cursor = cursor - 50 where name = 'nats:KVALI'");
    assert_eq!(moved.execute(&mut admin).await.unwrap().rows_affected(), 1);
    forgotten(&nats).await;
    deals_that_move(&store, &sales, 2, 4).await;
    assert_eq!(ground.once(&nats, &[]).events(), 10, "only what is new");
    assert_same(&nats.messages(tenant(1)).await, &log(&store, tenant(1)).await, 1);
    ground.database.drop().await;
}

/// Waits until the server remembers no id of the stream any more.
async fn forgotten(nats: &Nats) {
    let info = nats.stream(tenant(1)).await.cached_info().clone();
    let window = info.config.duplicate_window;
    assert_eq!(window, Duration::from_secs(1));
    let sent_at = info.state.last_timestamp.unix_timestamp_nanos();
    let is_past = || {
        let now = kvali_tests::now().timestamp_nanos_opt().unwrap();
        i128::from(now) - sent_at > 2 * i128::try_from(window.as_nanos()).unwrap()
    };
    while !is_past() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_relay_is_at_work_and_another_takes_over_when_it_is_killed() {
    let (ground, nats) = (Ground::new().await, Nats::start().await);
    let store = ground.database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let mut first = ground.start(&nats, &[]);
    nats.has(tenant(1), 2).await;
    let mut second = ground.start(&nats, &[]);
    deals_that_move(&store, &sales, 10, 4).await;
    nats.has(tenant(1), 52).await;
    first.is_at_work();
    first.kill();
    deals_that_move(&store, &sales, 10, 4).await;
    nats.has(tenant(1), 102).await;
    second.is_at_work();
    assert_eq!(second.terminate().code(), Some(0));
    assert_same(&nats.messages(tenant(1)).await, &log(&store, tenant(1)).await, 1);
    ground.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_stopped_past_its_lease_and_continued_sends_nothing_in_between() {
    use nix::sys::signal::{Signal, kill};
    let (ground, nats) = (Ground::new().await, Nats::start().await);
    let store = ground.database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    deals_that_move(&store, &sales, 200, 9).await;
    let mut asleep = ground.start(&nats, &["--in-flight", "50"]);
    nats.has(tenant(1), 200).await;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(asleep.0.id()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let mut awake = ground.start(&nats, &[]);
    let head = u64::try_from(store.head(tenant(1)).await.unwrap()).unwrap();
    nats.has(tenant(1), head).await;
    kill(pid, Signal::SIGCONT).unwrap();
    deals_that_move(&store, &sales, 50, 9).await;
    nats.has(tenant(1), head + 500).await;
    asleep.is_at_work();
    awake.is_at_work();
    assert_same(&nats.messages(tenant(1)).await, &log(&store, tenant(1)).await, 1);
    ground.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_delays_and_loses_nothing() {
    let (ground, mut nats) = (Ground::new().await, Nats::start().await);
    let store = ground.database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    nats.kill();
    let mut relay = ground.start(&nats, &[]);
    deals_that_move(&store, &sales, 10, 4).await;
    relay.is_at_work();
    nats.start_again();
    nats.has(tenant(1), 52).await;
    nats.kill();
    deals_that_move(&store, &sales, 10, 4).await;
    nats.start_again();
    nats.has(tenant(1), 102).await;
    relay.is_at_work();
    assert_same(&nats.messages(tenant(1)).await, &log(&store, tenant(1)).await, 1);
    ground.database.drop().await;
}
