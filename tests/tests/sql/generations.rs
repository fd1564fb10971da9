//! Views stand on the generation that answers.

use crate::{end, model, quiet, two_tenants};
use kvali_domain::pipeline::Policy;
use kvali_eventstore::Error;
use kvali_projections::conversion_funnel::ConversionFunnel;
use kvali_tests::analyst::Analyst;
use kvali_tests::models::Raised;
use kvali_tests::samples::Sales;
use kvali_tests::{Database, tenant};
use sqlx::{Executor, PgConnection};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn views_answer_from_the_live_generation_after_rebuilds_and_a_rollback() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    sales.open_deal(&store).await;
    let mut analyst = Analyst::of(&database, &store, tenant(1)).await;
    let generation = "select generation from read_models where read_model = 'conversion_funnel'";
    let deals = "select count(*) from deals";
    assert_eq!((analyst.ask::<i32>(generation).await, analyst.ask::<i64>(deals).await), (1, 1));
    // A rebuilt one knows what the one before does not, which stands still from then on.
    for (n, built) in [(2, 2), (3, 3)] {
        sales.open_deal(&store).await;
        let rebuilt = store.rebuild(model(), &quiet).await.unwrap();
        assert_eq!(rebuilt.generation, built);
        assert_eq!((analyst.ask::<i32>(generation).await, analyst.ask::<i64>(deals).await), (built, n));
        assert_eq!(analyst.rows("stage_visits").await.len(), usize::try_from(n).unwrap());
    }
    let before = store.roll_back(&ConversionFunnel).await.unwrap();
    assert_eq!(before.generation, 2);
    assert_eq!((analyst.ask::<i32>(generation).await, analyst.ask::<i64>(deals).await), (2, 2));
    store.catch_up(model(), tenant(1), &quiet).await.unwrap();
    assert_eq!(analyst.ask::<i64>(deals).await, 3);
    let on: Vec<String> = sqlx::query_scalar(STAND_ON).fetch_all(&mut database.admin().await).await.unwrap();
    assert_eq!(on.iter().filter(|schema| schema.contains("conversion_funnel")).count(), 1, "{on:?}");
    assert!(on.contains(&before.schema_name), "{on:?}");
    let nothing = store.roll_back(&ConversionFunnel).await.unwrap_err();
    assert!(matches!(nothing, Error::NothingBefore { .. }), "{nothing}");
    end(database, &store, vec![(tenant(1), analyst)]).await;
}

/// The schemas of the tables that views stand on.
const STAND_ON: &str = "select distinct t.relnamespace::regnamespace::text from pg_rewrite r \
    join pg_class w on w.oid = r.ev_class and w.relnamespace = 'kvali_sql'::regnamespace \
    join pg_depend d on d.objid = r.oid and d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass \
    join pg_class t on t.oid = d.refobjid and t.relkind = 'r' order by 1";

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_waits_for_an_analyst_who_reads_and_then_takes_over() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    sales.open_deal(&store).await;
    let mut analyst = Analyst::of(&database, &store, tenant(1)).await;
    analyst.connection.execute("begin; select count(*) from deals").await.unwrap();
    let rebuilding = tokio::spawn({
        let store = store.clone();
        async move { store.rebuild(model(), &quiet).await }
    });
    let mut admin = database.admin().await;
    while !waits(&mut admin).await {
        assert!(!rebuilding.is_finished(), "it took the view from its reader");
    }
    // Meanwhile the service answers as ever, from the generation before.
    assert_eq!(store.live(&ConversionFunnel).await.unwrap().generation, 1);
    analyst.connection.execute("commit").await.unwrap();
    assert_eq!(rebuilding.await.unwrap().unwrap().generation, 2);
    assert_eq!(analyst.ask::<i64>("select count(*) from deals").await, 1);
    end(database, &store, vec![(tenant(1), analyst)]).await;
}

async fn waits(admin: &mut PgConnection) -> bool {
    sqlx::query_scalar(
        "select exists (select from pg_locks l where not l.granted and l.mode = 'AccessExclusiveLock' \
           and l.database = (select oid from pg_database where datname = current_database()))",
    )
    .fetch_one(admin)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn views_of_a_database_of_before_are_made_when_they_are_looked_for() {
    let (database, store, [one, _]) = two_tenants().await;
    let mut analyst = Analyst::of(&database, &store, one).await;
    let deals = analyst.rows("deals").await;
    database
        .admin()
        .await
        .execute("update kvali.projection_live set views = null; drop view kvali_sql.stage_visits, kvali_sql.deals")
        .await
        .unwrap();
    analyst.refused("select count(*) from deals").await;
    assert!(store.let_views_follow(&kvali_projections::all()).await.unwrap());
    assert_eq!(analyst.rows("deals").await, deals);
    end(database, &store, vec![(one, analyst)]).await;
}

/// A release whose read model has another version, and shows a column more.
fn newer() -> Arc<Raised> {
    let views = "create or replace view kvali_sql.teams with (security_invoker = true) as \
           select n.id as team_id, n.name, n.kind from {schema}.name n where n.kind = 'team'";
    Arc::new(Raised { views })
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_versions_side_by_side_the_newest_that_answers_has_the_views() {
    let (database, store, [one, _]) = two_tenants().await;
    let mut analyst = Analyst::of(&database, &store, one).await;
    store.catch_up(newer(), one, &quiet).await.unwrap();
    let columns =
        "select count(*) from pg_attribute where attrelid = 'kvali_sql.teams'::regclass and attnum > 0";
    let stands = "select pg_get_viewdef('kvali_sql.teams'::regclass) like '%_v5_g1%'";
    assert_eq!(analyst.ask::<i64>(columns).await, 3);
    assert!(analyst.ask::<bool>(stands).await);
    // The program of before rebuilds its own, and leaves the views to the newer one.
    store.rebuild(model(), &quiet).await.unwrap();
    assert!(store.let_views_follow(&[model(), newer()]).await.unwrap());
    assert_eq!(analyst.ask::<i64>(columns).await, 3);
    assert!(analyst.ask::<bool>(stands).await);
    end(database, &store, vec![(one, analyst)]).await;
}
