//! Personal data: sealed in the log from the first event on, gone with its key, and no count depends on it.

use kvali_domain::pipeline::Policy;
use kvali_domain::{ContactId, Event, Personal, SubjectId, UserId, contact, deal, merge, subject, user};
use kvali_eventstore::project::{AsOf, Projection};
use kvali_eventstore::{Outcome, Plan};
use kvali_projections::conversion_funnel::{
    Breakdown, ConversionFunnel, Corrections, Definition, Rule, Step, ground,
};
use kvali_tests::samples::{LEAD, OFFER, Sales, WON, move_to};
use kvali_tests::{Database, accepted, cluster, envelope, new_id, now, order, refused, tenant};
use sqlx::AssertSqlSafe;
use std::sync::Arc;

const NAME: &str = "Tamar Bagrationi-Unmistakable";

fn model() -> Arc<dyn Projection> {
    Arc::new(ConversionFunnel)
}

/// As Postgres writes a `bytea`.
fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// A user with a telling name who opens, comments on and loses a deal.
async fn history(store: &kvali_eventstore::Store) -> (Sales, UserId) {
    let sales = Sales::set_up(store, tenant(1), Policy::PERMISSIVE).await;
    let user = UserId(new_id());
    let register = user::Command::Register { user, name: Personal::new(NAME) };
    accepted(store.handle(order(user.stream(), register), envelope(sales.tenant)).await);
    let deal = sales.open_deal(store).await;
    let commands = [
        deal::Command::assign(user),
        move_to(OFFER),
        deal::Command::CloseLost {
            reason: Some(sales.reason),
            stage: None,
            comment: Personal::new(format!("{NAME} says it is too dear")),
            pipeline_version: None,
        },
    ];
    for command in commands {
        accepted(store.handle(order(deal.stream(), command), envelope(sales.tenant)).await);
    }
    (sales, user)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_name_stands_in_clear_in_no_write_side_table_and_no_log_file() {
    let database = Database::create().await;
    // Everything that the server is sent is logged, with every bound value.
    let mut admin = database.admin().await;
    for setting in
        ["log_statement = 'all'", "log_min_duration_statement = 0", "log_parameter_max_length = -1"]
    {
        let statement = format!("alter database {} set {setting}", database.name);
        sqlx::query(AssertSqlSafe(statement)).execute(&mut admin).await.unwrap();
    }
    let store = database.connect().await;
    let (sales, _) = history(&store).await;
    let opened = store.open(sales.tenant, store.read(sales.tenant, 0, 100).await.unwrap()).await.unwrap();
    let readable = opened.iter().any(|opened| match &opened.event {
        Event::User(user::Event::Registered(event)) => event.name.as_deref() == Some(NAME),
        _ => false,
    });
    assert!(readable, "whoever has the key reads the name");

    let hex = hex(NAME);
    let rows = database.rows("kvali").await;
    assert!(rows.iter().any(|row| row.contains("user.registered")), "the rows are those of the log");
    for row in rows {
        assert!(!row.contains(NAME) && !row.contains(&hex), "{row}");
    }
    let log: String =
        sqlx::query_scalar("select pg_read_file(current_setting('data_directory') || '/../postgres.log')")
            .fetch_one(&mut admin)
            .await
            .unwrap();
    assert!(log.contains("call kvali.append"), "the server logged the appends");
    assert!(!log.contains(NAME) && !log.contains(&hex));
    assert!(!format!("{opened:?}").contains(NAME), "debug output hides personal values");
    database.drop().await;
    let _still_running = cluster();
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_key_makes_a_name_unreadable_and_leaves_every_count() {
    let database = Database::create().await;
    let store = database.connect().await;
    let (sales, user) = history(&store).await;
    let quiet = |_: i64, _: i64| {};
    let answer = async |store: &kvali_eventstore::Store| {
        let facts = ground(store, sales.tenant, "Sales", AsOf::NOW, Corrections::Effective, now(), &quiet)
            .await
            .unwrap();
        let step = |name: &str, stage| Step { name: name.into(), stages: vec![stage] };
        let steps = vec![step("Lead", LEAD), step("Offer", OFFER), step("Won", WON)];
        let mut definition = Definition::new(steps, Rule::Ordered, now());
        definition.by = Breakdown::Owner;
        let mut answer = serde_json::to_value(facts.funnel(definition).unwrap()).unwrap();
        answer.as_object_mut().unwrap().remove("at");
        (answer, facts.owners[&user].clone())
    };
    let (before, name) = answer(&store).await;
    assert_eq!(name.as_deref(), Some(NAME));
    accepted(store.erase(SubjectId::from(user), envelope(sales.tenant)).await);
    let (after, name) = answer(&store).await;
    assert_eq!(after, before);
    assert_eq!(name, None, "the read model dropped the name");

    let (live, _) = store.catch_up(model(), sales.tenant, &quiet).await.unwrap();
    let rows = database.rows(&live.schema_name).await;
    assert!(rows.iter().all(|row| !row.contains(NAME)));
    let rebuilt = store.rebuild(model(), &quiet).await.unwrap();
    assert_eq!(database.rows(&rebuilt.schema_name).await, rows, "a rebuild cannot bring it back");
    for store in [store, database.connect().await] {
        let events = store.read(sales.tenant, 0, 100).await.unwrap();
        for opened in store.open(sales.tenant, events).await.unwrap() {
            if let Event::User(user::Event::Registered(event)) = opened.event {
                assert_eq!(event.name.as_deref(), None);
                assert!(opened.recorded.personal.is_some(), "the sealed bytes stay as they were written");
            }
        }
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_recorded_about_an_erased_person_again() {
    let database = Database::create().await;
    let store = database.connect().await;
    let user = UserId(new_id());
    accepted(store.erase(SubjectId::from(user), envelope(tenant(1))).await);
    let register = user::Command::Register { user, name: Personal::new(NAME) };
    let words = refused(store.handle(order(user.stream(), register), envelope(tenant(1))).await);
    assert!(words.contains("erased"), "{words}");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_a_crash_cut_short_is_made_good_by_the_same_command_alone_or_among_others() {
    let database = Database::create().await;
    let store = database.connect().await;
    let [anna, twin] = [(); 2].map(|()| ContactId(new_id()));
    for contact in [anna, twin] {
        let create = contact::Create { full: Personal::new(NAME), ..Default::default() };
        accepted(
            store
                .handle(order(contact.stream(), contact::Command::Create(create)), envelope(tenant(1)))
                .await,
        );
    }
    let seen = [anna, twin].map(|id| merge::Seen { id, version: 1 }).to_vec();
    let choices = vec![merge::Choice { field: "name".to_owned(), from: anna }];
    let merge = contact::Command::Merge(merge::Merge { losers: vec![twin], seen, choices });
    accepted(store.handle(order(anna.stream(), merge), envelope(tenant(1))).await);
    let mut admin = database.admin().await;
    // The server lets nobody bring a key back; here it looks away.
    sqlx::query("set session_replication_role = replica").execute(&mut admin).await.unwrap();
    let keys = "select subject_id, wrapped from kvali.subject_key where wrapped is not null order by 1";
    let before: Vec<(uuid::Uuid, Vec<u8>)> = sqlx::query_as(keys).fetch_all(&mut admin).await.unwrap();
    assert_eq!(before.len(), 2, "a key for each of the two");

    let subject = SubjectId::from(anna);
    let erase = order(subject.stream(), subject::Command::Erase { subject });
    let once = envelope(tenant(1));
    let plans = || [Plan::new(erase.clone(), once.clone())];
    accepted(store.handle(erase.clone(), once.clone()).await);
    for among_others in [false, true] {
        // As the crash leaves it: the log has the erasure, and the keys are there.
        for (subject, wrapped) in &before {
            sqlx::query("update kvali.subject_key set wrapped = $2, erased_at = null where subject_id = $1")
                .bind(subject)
                .bind(wrapped)
                .execute(&mut admin)
                .await
                .unwrap();
        }
        let store = database.connect().await;
        if among_others {
            assert!(matches!(
                store.handle_all(tenant(1), &plans()).await.unwrap()[..],
                [Outcome::Accepted(ref answer)] if answer.known
            ));
        } else {
            accepted(store.handle(erase.clone(), once.clone()).await);
        }
        let left: Vec<(uuid::Uuid, Vec<u8>)> = sqlx::query_as(keys).fetch_all(&mut admin).await.unwrap();
        assert!(left.is_empty(), "both keys are gone, also that of the merged one");
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_master_key_opens_nothing_and_says_so() {
    let mut database = Database::create().await;
    let store = database.connect().await;
    history(&store).await;
    database.master_key = kvali_eventstore::MasterKey::generate();
    let stranger = database.connect().await;
    let events = stranger.read(tenant(1), 0, 100).await.unwrap();
    let error = stranger.open(tenant(1), events).await.unwrap_err();
    assert!(error.to_string().contains("KVALI_MASTER_KEY"), "{error}");
    database.drop().await;
}
