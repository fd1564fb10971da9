//! Workers share the work, survive each other, and leave nothing out in silence.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

use async_trait::async_trait;
use kvali_domain::pipeline::Policy;
use kvali_domain::{DealId, TenantId};
use kvali_eventstore::project::{AsOf, Batch, Look, Projection, Query, Workers, Workload};
use kvali_eventstore::{Options, Store};
use kvali_projections::AskError;
use kvali_projections::conversion_funnel::{ConversionFunnel, Corrections, ground};
use kvali_tests::backlog::{busy, caught_up, deals_that_move};
use kvali_tests::models::Raised;
use kvali_tests::random::Company;
use kvali_tests::samples::{OFFER, Sales, move_to};
use kvali_tests::{Database, accepted, envelope, new_id, now, order, tenant};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

fn funnel() -> Arc<dyn Projection> {
    Arc::new(ConversionFunnel)
}

fn quiet(_: i64, _: i64) {}

fn workers(store: &Store, model: Arc<dyn Projection>) -> Workers {
    Workers::start(store, &Workload { models: vec![model], at_once: 2, worker: new_id() })
}

/// The live rows, and those of a rebuild from zero.
async fn live_and_rebuilt(
    database: &Database,
    store: &Store,
    model: Arc<dyn Projection>,
) -> (Vec<String>, Vec<String>) {
    let live = store.live(&*model).await.unwrap();
    let rows = database.rows(&live.schema_name).await;
    let rebuilt = store.rebuild(model, &quiet).await.unwrap();
    assert_ne!(live, rebuilt);
    (rows, database.rows(&rebuilt.schema_name).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_becomes_visible_without_being_asked_for() {
    let database = Database::create().await;
    let (store, apart) = (database.connect().await, database.connect().await);
    let working = workers(&apart, funnel());
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let mut company = Company::found(&store, sales, 11).await;
    for _ in 0..100 {
        let (order, envelope) = company.click();
        store.handle(order, envelope).await.unwrap();
    }
    caught_up(&store, &ConversionFunnel).await;
    working.stop().await;
    let (live, rebuilt) = live_and_rebuilt(&database, &store, funnel()).await;
    assert!(live.len() > 20);
    assert_eq!(live, rebuilt);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_share_tenants_and_none_waits_for_a_large_one() {
    let database = Database::create().await;
    let store = database.connect().await;
    let large = busy(&store, 1, 1_000, 9).await.tenant;
    let mut small = Vec::new();
    for n in 2..14 {
        small.push(busy(&store, n, 10, 3).await.tenant);
    }
    // Pages of a hundred make the large tenant long.
    let mut working = Vec::new();
    for _ in 0..3 {
        let options = Options { page: 100, ..database.options() };
        working.push(workers(&Store::connect(options).await.unwrap(), funnel()));
    }
    let stands = async || store.projection_status().await.unwrap();
    let mut overtaken = false;
    loop {
        let status = stands().await;
        let behind = |tenant: TenantId| {
            status.iter().find(|row| row.tenant_id == tenant.0).is_none_or(|row| row.position < row.head)
        };
        if small.iter().all(|tenant| !behind(*tenant)) {
            overtaken |= behind(large);
            if !behind(large) {
                break;
            }
        }
        tokio::task::yield_now().await;
    }
    assert!(overtaken, "twelve small tenants were done while the large one was not");
    for working in working {
        working.stop().await;
    }
    let (live, rebuilt) = live_and_rebuilt(&database, &store, funnel()).await;
    assert_eq!(live, rebuilt);
    database.drop().await;
}

/// A funnel whose next page waits in the middle of its transaction.
struct Gated {
    entered: Semaphore,
    opened: Semaphore,
}

#[async_trait]
impl Projection for Gated {
    fn name(&self) -> &'static str {
        ConversionFunnel.name()
    }

    fn version(&self) -> i32 {
        ConversionFunnel.version()
    }

    fn schema(&self) -> &'static str {
        ConversionFunnel.schema()
    }

    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        ConversionFunnel.apply(batch, into).await?;
        self.entered.add_permits(1);
        self.opened.acquire().await.expect("the gate is never closed").forget();
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_sleeps_past_its_lease_is_stood_in_for_and_cannot_commit() {
    let database = Database::create().await;
    let (store, asleep) = (database.connect().await, database.connect().await);
    busy(&store, 1, 20, 5).await;
    store.live(&ConversionFunnel).await.unwrap();
    let gated = Arc::new(Gated { entered: Semaphore::new(0), opened: Semaphore::new(0) });
    let sleeping =
        Workers::start(&asleep, &Workload { models: vec![gated.clone()], at_once: 1, worker: new_id() });
    gated.entered.acquire().await.unwrap().forget();
    let standing_in = workers(&store, funnel());
    caught_up(&store, &ConversionFunnel).await;
    let live = store.live(&ConversionFunnel).await.unwrap();
    let before = database.rows(&live.schema_name).await;
    // It wakes, tries to commit, and goes on as one worker among others.
    gated.opened.add_permits(Semaphore::MAX_PERMITS >> 1);
    busy(&store, 2, 5, 5).await;
    caught_up(&store, &ConversionFunnel).await;
    sleeping.stop().await;
    standing_in.stop().await;
    let (after, rebuilt) = live_and_rebuilt(&database, &store, funnel()).await;
    assert!(before.iter().all(|row| after.contains(row)), "what stood stands");
    assert_eq!(after, rebuilt);
    database.drop().await;
}

/// A funnel that cannot bear one deal: it fails on it, or falls over.
struct Touchy {
    deal: DealId,
    falls_over: bool,
}

#[async_trait]
impl Projection for Touchy {
    fn name(&self) -> &'static str {
        "touchy"
    }

    fn version(&self) -> i32 {
        1
    }

    fn schema(&self) -> &'static str {
        ConversionFunnel.schema()
    }

    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        if batch.events.iter().any(|event| event.recorded.stream == self.deal.stream()) {
            assert!(!self.falls_over, "the fold has a bug");
            into.execute("select 1 / 0").await?;
        }
        ConversionFunnel.apply(batch, into).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_folded_parks_its_stream_and_the_rest_goes_on() {
    for falls_over in [false, true] {
        let database = Database::create().await;
        let store = database.connect().await;
        let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
        let mut deals = Vec::new();
        for _ in 0..6 {
            deals.push(sales.open_deal(&store).await);
        }
        for deal in &deals {
            accepted(store.handle(order(deal.stream(), move_to(OFFER)), envelope(sales.tenant)).await);
        }
        let model: Arc<dyn Projection> = Arc::new(Touchy { deal: deals[2], falls_over });
        let working = workers(&store, model.clone());
        caught_up(&store, &*model).await;
        working.stop().await;
        let parked = store.parked().await.unwrap();
        assert_eq!(parked.len(), 1);
        assert_eq!(parked[0].stream_id, deals[2].0);
        assert_eq!(parked[0].position, 5, "the event that opened it");
        let why = if falls_over { "panicked" } else { "division by zero" };
        assert!(parked[0].error.contains(why), "{}", parked[0].error);
        let live = store.live(&*model).await.unwrap();
        let rows = database.rows(&live.schema_name).await;
        let of = |deal: &DealId| rows.iter().filter(|row| row.contains(&deal.to_string())).count();
        let counts: Vec<usize> = deals.iter().map(of).collect();
        assert_eq!(counts, [3, 3, 0, 3, 3, 3], "a deal and two visits each, but for the parked one");
        database.drop().await;
    }
}

async fn alter(database: &Database, change: &str) {
    let mut admin = database.admin().await;
    let statement = format!(
        "alter table kvali.event disable trigger all; update kvali.event set {change}; \
         alter table kvali.event enable trigger all"
    );
    admin.execute(AssertSqlSafe(statement)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_event_is_parked_and_reported_and_comes_back_once_it_is_mended() {
    let cases = [
        ("data = '{\"pipeline\": 7}'", "cannot be read"),
        ("event_type = 'deal.exploded'", "deal.exploded"),
        ("channel = 'telepathy'", "telepathy"),
        ("schema_version = 99", "99"),
    ];
    for (change, told) in cases {
        let database = Database::create().await;
        let store = database.connect().await;
        let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
        let (altered, whole) = (sales.open_deal(&store).await, sales.open_deal(&store).await);
        let mut admin = database.admin().await;
        admin.execute("create table before as select * from kvali.event").await.unwrap();
        alter(&database, &format!("{change} where position = 3")).await;
        let working = workers(&store, funnel());
        caught_up(&store, &ConversionFunnel).await;
        working.stop().await;
        let parked = store.parked().await.unwrap();
        assert_eq!(parked.len(), 1, "{change}");
        assert_eq!((parked[0].stream_id, parked[0].position), (altered.0, 3));
        assert!(parked[0].error.contains(told), "{change}: {}", parked[0].error);
        let status = store.projection_status().await.unwrap();
        assert_eq!(status[0].parked, 1);
        let facts = async || {
            let corrections = Corrections::Effective;
            ground(&store, sales.tenant, "Sales", AsOf::NOW, corrections, now(), &quiet).await.unwrap()
        };
        let live = store.live(&ConversionFunnel).await.unwrap();
        let rows = database.rows(&live.schema_name).await;
        assert!(rows.iter().any(|row| row.contains(&whole.to_string())));
        assert!(!rows.iter().any(|row| row.contains(&altered.to_string())));
        let _answers_as_far_as_it_knows = facts().await;
        alter(
            &database,
            "(data, event_type, channel, schema_version) = \
             (select b.data, b.event_type, b.channel, b.schema_version from before b \
               where b.tenant_id = event.tenant_id and b.position = event.position)",
        )
        .await;
        let rebuilt = store.rebuild(funnel(), &quiet).await.unwrap();
        let rows = database.rows(&rebuilt.schema_name).await;
        assert!(rows.iter().any(|row| row.contains(&altered.to_string())));
        assert!(store.parked().await.unwrap().iter().all(|parked| !parked.live));
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_version_is_built_beside_the_one_that_answers() {
    let database = Database::create().await;
    let store = database.connect().await;
    for n in 1..5 {
        busy(&store, n, 40, 5).await;
    }
    let old = workers(&store, funnel());
    caught_up(&store, &ConversionFunnel).await;
    let live = store.live(&ConversionFunnel).await.unwrap();
    let before = database.rows(&live.schema_name).await;
    let next = workers(&database.connect().await, Arc::new(Raised::default()));
    caught_up(&store, &Raised::default()).await;
    let raised = store.live(&Raised::default()).await.unwrap();
    assert_eq!(database.rows(&raised.schema_name).await, before);
    assert_eq!(
        store.live(&ConversionFunnel).await.unwrap(),
        live,
        "whoever runs the old release is answered by it"
    );
    busy(&store, 9, 4, 5).await;
    caught_up(&store, &ConversionFunnel).await;
    caught_up(&store, &Raised::default()).await;
    old.stop().await;
    next.stop().await;
    assert_eq!(
        database.rows(&live.schema_name).await,
        database.rows(&raised.schema_name).await,
        "both follow the log"
    );
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_generation_before_answers_again_when_asked_to() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = busy(&store, 1, 10, 3).await;
    let (first, _) = store.catch_up(funnel(), tenant(1), &quiet).await.unwrap();
    assert!(store.roll_back(&ConversionFunnel).await.is_err(), "there is none before the first");
    let second = store.rebuild(funnel(), &quiet).await.unwrap();
    deals_that_move(&store, &sales, 10, 3).await;
    store.catch_up(funnel(), tenant(1), &quiet).await.unwrap();
    assert_eq!(store.roll_back(&ConversionFunnel).await.unwrap(), first);
    let (answering, position) = store.catch_up(funnel(), tenant(1), &quiet).await.unwrap();
    assert_eq!(answering, first);
    assert_eq!(position, store.head(tenant(1)).await.unwrap(), "it folds what it missed");
    assert_eq!(database.rows(&first.schema_name).await, database.rows(&second.schema_name).await);
    database.drop().await;
}

/// Counts the pages that are folded.
struct Counted(AtomicUsize);

#[async_trait]
impl Projection for Counted {
    fn name(&self) -> &'static str {
        ConversionFunnel.name()
    }

    fn version(&self) -> i32 {
        ConversionFunnel.version()
    }

    fn schema(&self) -> &'static str {
        ConversionFunnel.schema()
    }

    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        ConversionFunnel.apply(batch, into).await
    }
}

/// How many deals there are.
struct Deals;

#[async_trait]
impl Query for Deals {
    type Answer = i64;
    type Error = AskError;

    async fn ask(self, look: &mut Look<'_>) -> Result<i64, Self::Error> {
        let statement = format!("select count(*) from {}.deal where tenant_id = $1", look.schema);
        let count = sqlx::query_scalar(AssertSqlSafe(statement)).bind(look.tenant.0);
        Ok(count.fetch_one(&mut *look.connection).await?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_state_is_built_once_and_again_when_a_crash_has_emptied_it() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = busy(&store, 1, 10, 3).await;
    let then = store.head(tenant(1)).await.unwrap();
    deals_that_move(&store, &sales, 10, 3).await;
    let counted = Arc::new(Counted(AtomicUsize::new(0)));
    let deals = async || {
        let asked = store.ask(counted.clone(), tenant(1), AsOf::position(then), now(), &quiet, Deals).await;
        let asked = asked.unwrap();
        assert_eq!((asked.position, asked.parked), (then, 0));
        asked.answer
    };
    assert_eq!(deals().await, 10);
    let pages = counted.0.load(Ordering::Relaxed);
    assert!(pages > 0);
    assert_eq!((deals().await, deals().await), (10, 10));
    assert_eq!(counted.0.load(Ordering::Relaxed), pages, "nothing is folded again");
    // As a crash of the server leaves unlogged tables.
    let mut admin = database.admin().await;
    let schema: String =
        sqlx::query_scalar("select schema_name from kvali.projection_generation where until is not null")
            .fetch_one(&mut admin)
            .await
            .unwrap();
    for table in ["standing", "deal", "visit", "pipeline", "owner"] {
        admin.execute(AssertSqlSafe(format!("truncate {schema}.{table}"))).await.unwrap();
    }
    assert_eq!(deals().await, 10);
    assert!(counted.0.load(Ordering::Relaxed) > pages);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_log_stops_its_tenant_and_no_other() {
    let database = Database::create().await;
    let store = database.connect().await;
    busy(&store, 1, 5, 3).await;
    busy(&store, 2, 5, 3).await;
    let mut admin = database.admin().await;
    admin
        .execute(AssertSqlSafe(format!(
            "alter table kvali.event disable trigger all; \
             delete from kvali.event where tenant_id = '{}' and position = 7",
            tenant(1)
        )))
        .await
        .unwrap();
    let working = workers(&store, funnel());
    let failure = loop {
        let status = store.projection_status().await.unwrap();
        let row = |n| status.iter().find(|row| row.tenant_id == tenant(n).0);
        if let (Some(one), Some(two)) = (row(1), row(2))
            && let (Some(failure), true) = (&one.failure, two.position == two.head)
        {
            assert!(one.retry_at.is_some(), "it is tried again");
            break failure.clone();
        }
        tokio::task::yield_now().await;
    };
    assert!(failure.contains("position 7 is missing"), "{failure}");
    working.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_model_is_the_same_whatever_the_size_of_a_page() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let mut company = Company::found(&store, sales, 21).await;
    for _ in 0..200 {
        let (order, envelope) = company.click();
        store.handle(order, envelope).await.unwrap();
    }
    for model in kvali_projections::all() {
        let mut seen = Vec::new();
        for page in [1, 7, 10_000] {
            let store = Store::connect(Options { page, ..database.options() }).await.unwrap();
            let made = store.rebuild(model.clone(), &quiet).await.unwrap();
            seen.push(database.rows(&made.schema_name).await);
        }
        assert_eq!(seen[0], seen[1], "{}", model.name());
        assert_eq!(seen[1], seen[2], "{}", model.name());
    }
    database.drop().await;
}

/// Folds large pages slower than Postgres waits for a session within a transaction.
struct Slow;

#[async_trait]
impl Projection for Slow {
    fn name(&self) -> &'static str {
        ConversionFunnel.name()
    }

    fn version(&self) -> i32 {
        ConversionFunnel.version()
    }

    fn schema(&self) -> &'static str {
        ConversionFunnel.schema()
    }

    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        if batch.events.len() > 40 {
            tokio::time::sleep(std::time::Duration::from_secs(6)).await;
        }
        ConversionFunnel.apply(batch, into).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_takes_longer_than_postgres_waits_is_folded_in_parts() {
    let database = Database::create().await;
    let store = database.connect().await;
    busy(&store, 1, 5, 9).await;
    let events = store.head(tenant(1)).await.unwrap();
    assert!((41..=80).contains(&events), "one page, and halves that are quick enough: {events}");
    let (generation, _) = store.catch_up(Arc::new(Slow), tenant(1), &quiet).await.unwrap();
    let rows = database.rows(&generation.schema_name).await;
    assert!(store.parked().await.unwrap().is_empty());
    let rebuilt = store.rebuild(funnel(), &quiet).await.unwrap();
    assert_eq!(database.rows(&rebuilt.schema_name).await, rows);
    database.drop().await;
}
