//! Worker processes that are killed, or stopped and continued, in the middle of what they do.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

use chrono::{DateTime, TimeDelta, Utc};
use kvali_domain::pipeline::Policy;
use kvali_eventstore::project::{Workers, Workload};
use kvali_eventstore::{MasterKey, Options, Store};
use kvali_projections::conversion_funnel::ConversionFunnel;
use kvali_tests::backlog::{busy, caught_up, deals_that_move};
use kvali_tests::samples::Sales;
use kvali_tests::{Database, new_id, tenant};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Kills, and events for each; `.ci/long` asks for more.
const KILLS: usize = 4;
const EVENTS_PER_KILL: usize = 2_000;

fn kills() -> usize {
    let asked = std::env::var("KVALI_TEST_KILLS").ok();
    asked.map_or(KILLS, |kills| kills.parse().expect("KVALI_TEST_KILLS is a number"))
}

fn workload() -> Workload {
    Workload { models: kvali_projections::all(), at_once: 2, worker: new_id() }
}

/// What the tests below run as a process of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is a worker, which works until it is killed; the other tests of this file start it"]
async fn a_worker_process() {
    let at = |name| std::env::var(name).expect("the tests of this file set it");
    let key = MasterKey::load_or_create(&PathBuf::from(at("KVALI_TEST_MASTER_KEY"))).unwrap();
    let store = Store::connect(Options::new(at("KVALI_TEST_DATABASE"), key)).await.unwrap();
    let _working = Workers::start(&store, &workload());
    std::future::pending::<()>().await;
}

/// A worker process of a database whose key lies in a file.
struct Ground {
    database: Database,
    dir: TempDir,
}

impl Ground {
    async fn new() -> Self {
        let mut database = Database::create().await;
        let dir = TempDir::new().unwrap();
        database.master_key = MasterKey::load_or_create(&dir.path().join("master.key")).unwrap();
        Self { database, dir }
    }

    fn start(&self) -> Process {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "a_worker_process"])
            .env("KVALI_TEST_DATABASE", &self.database.url)
            .env("KVALI_TEST_MASTER_KEY", self.dir.path().join("master.key"))
            .stdout(Stdio::null())
            .spawn();
        Process(child.unwrap())
    }

    /// Waits until the process has written to a read model and not yet committed, or until there is nothing left to fold.
    async fn in_the_middle(&self, store: &Store, process: &mut Process) -> bool {
        let mut admin = self.database.admin().await;
        loop {
            assert!(process.0.try_wait().unwrap().is_none(), "the worker goes on until it is killed");
            let writing: bool = sqlx::query_scalar(
                "select exists (select from pg_stat_activity \
                  where datname = current_database() and backend_xid is not null and usename is not null \
                    and pid in (select pid from pg_locks l join pg_class c on c.oid = l.relation \
                                 where c.relname = 'projection_checkpoint' and l.mode = 'RowExclusiveLock'))",
            )
            .fetch_one(&mut admin)
            .await
            .unwrap();
            if writing {
                return true;
            }
            let status = store.projection_status().await.unwrap();
            if !status.is_empty() && status.iter().all(|row| row.position == row.head) {
                return false;
            }
        }
    }
}

struct Process(Child);

impl Process {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        kill(pid, signal).unwrap();
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _dead_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Of every read model: what is live equals what a rebuild from zero gives.
async fn assert_whole(database: &Database, store: &Store) {
    for model in kvali_projections::all() {
        let live = store.live(&*model).await.unwrap();
        let rows = database.rows(&live.schema_name).await;
        let rebuilt = store.rebuild(model.clone(), &|_, _| {}).await.unwrap();
        let fresh = database.rows(&rebuilt.schema_name).await;
        assert!(rows == fresh, "{}: {} rows live, {} rebuilt", model.name(), rows.len(), fresh.len());
    }
    assert!(store.parked().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_the_middle_leaves_every_table_equal_to_a_rebuild() {
    let ground = Ground::new().await;
    let store = ground.database.connect().await;
    let sales = [
        Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await,
        Sales::set_up(&store, tenant(2), Policy::PERMISSIVE).await,
    ];
    let mut in_the_middle = 0;
    for n in 0..kills() {
        // More of the log for each, so that there is always something in the middle of which to be killed.
        deals_that_move(&store, &sales[n % 2], EVENTS_PER_KILL / 10, 9).await;
        let mut process = ground.start();
        in_the_middle += usize::from(ground.in_the_middle(&store, &mut process).await);
        process.kill();
    }
    assert!(in_the_middle >= kills() / 2, "{in_the_middle} of {} were killed while they wrote", kills());
    let last = ground.start();
    for model in kvali_projections::all() {
        caught_up(&store, &*model).await;
    }
    last.kill();
    println!("{in_the_middle} of {} kills met a worker with a page written and not committed", kills());
    assert_whole(&ground.database, &store).await;
    ground.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_held_is_held_by_another_within_ten_seconds() {
    let ground = Ground::new().await;
    let store = ground.database.connect().await;
    let mut admin = ground.database.admin().await;
    let held =
        "select holder, clock_timestamp() from kvali.projection_checkpoint where holder is not null limit 1";
    // It may have done all that there was, and given back what it held, just before it is killed.
    let mut met = None;
    for tenant in 1..=20 {
        busy(&store, tenant, 400, 9).await;
        let mut process = ground.start();
        let in_the_middle = ground.in_the_middle(&store, &mut process).await;
        process.kill();
        met = sqlx::query_as(held).fetch_optional(&mut admin).await.unwrap().filter(|_| in_the_middle);
        if met.is_some() {
            break;
        }
    }
    let (killed, since): (uuid::Uuid, DateTime<Utc>) =
        met.expect("one of twenty was killed while it held something");
    let standing_in = Workers::start(&ground.database.connect().await, &workload());
    let still =
        "select exists (select from kvali.projection_checkpoint where holder = $1), clock_timestamp()";
    let took = loop {
        let (is_held, at): (bool, DateTime<Utc>) =
            sqlx::query_as(still).bind(killed).fetch_one(&mut admin).await.unwrap();
        if !is_held {
            break at - since;
        }
        assert!(at - since < TimeDelta::seconds(10), "the killed one holds work after {}", at - since);
    };
    println!("what the killed worker held was held by another after {} ms", took.num_milliseconds());
    standing_in.stop().await;
    ground.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stopped_past_its_lease_and_continued_spoils_nothing() {
    let ground = Ground::new().await;
    let store = ground.database.connect().await;
    busy(&store, 1, 400, 9).await;
    let mut asleep = ground.start();
    assert!(ground.in_the_middle(&store, &mut asleep).await, "there was something to be stopped in");
    asleep.signal(Signal::SIGSTOP);
    let standing_in = Workers::start(&ground.database.connect().await, &workload());
    for model in kvali_projections::all() {
        caught_up(&store, &*model).await;
    }
    let stands = store.live(&ConversionFunnel).await.unwrap();
    let before = ground.database.rows(&stands.schema_name).await;
    asleep.signal(Signal::SIGCONT);
    // It has work again, beside the one that stood in for it.
    busy(&store, 2, 50, 9).await;
    for model in kvali_projections::all() {
        caught_up(&store, &*model).await;
    }
    standing_in.stop().await;
    asleep.kill();
    let after = ground.database.rows(&stands.schema_name).await;
    assert!(before.iter().all(|row| after.contains(row)), "what stood before it woke stands");
    assert_whole(&ground.database, &store).await;
    ground.database.drop().await;
}
