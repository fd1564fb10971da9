//! What an analyst can reach, and what not.

use crate::{end, quiet, two_tenants};
use kvali_projections::conversion_funnel::ConversionFunnel;
use kvali_projections::search::Search;
use kvali_tests::analyst::Analyst;
use kvali_tests::office::Office;
use kvali_tests::{Database, accepted, envelope, new_id, order, tenant};
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn two_analysts_see_their_own_tenants_rows_whatever_they_set() {
    let (database, store, [one, other]) = two_tenants().await;
    let mut first = Analyst::of(&database, &store, one).await;
    let mut second = Analyst::of(&database, &store, other).await;
    let mut told = 0;
    for view in database.views().await {
        let (mine, theirs) = (first.rows(&view).await, second.rows(&view).await);
        for attempt in [
            format!("set kvali.tenant = '{other}'"),
            format!(
                "set session characteristics as transaction read only; set local kvali.tenant = '{other}'"
            ),
            "set row_security = on; reset all".to_owned(),
            "set role kvali_analyst; reset role".to_owned(),
        ] {
            first.connection.execute(AssertSqlSafe(attempt.clone())).await.unwrap();
            assert_eq!(first.rows(&view).await, mine, "{view} after {attempt}");
        }
        // What two tenants have alike, such as how far their read models are, is no row of the other's.
        let shared = ["read_models"].contains(&view.as_str());
        assert!(shared || !mine.iter().any(|row| theirs.contains(row)), "{view}: {mine:?} {theirs:?}");
        told += usize::from(!mine.is_empty() && !theirs.is_empty());
    }
    assert!(told >= 8, "only {told} views had rows of both");
    assert_eq!(first.ask::<i64>("select count(*) from deals").await, 3);
    // In the role that all of them share it is nobody's.
    first.connection.execute("set role kvali_analyst").await.unwrap();
    assert_eq!(first.ask::<i64>("select count(*) from kvali_sql.deals").await, 0);
    let off = first.refused("reset role; set row_security = off; select count(*) from kvali_sql.deals").await;
    assert!(off.contains("row-level security"), "{off}");
    end(database, &store, vec![(one, first), (other, second)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_is_known_in_one_database_of_a_server_only() {
    let (database, store, [one, _]) = two_tenants().await;
    let (elsewhere, there, _) = two_tenants().await;
    let analyst = Analyst::of(&database, &store, one).await;
    // The same tenant in another installation on the same server: the role may sign in, and sees nothing.
    let stays_away = Analyst::of(&elsewhere, &there, one).await;
    let mut abroad =
        Analyst { role: analyst.role.clone(), connection: Analyst::sign_in(&elsewhere, &analyst.role).await };
    assert_eq!(abroad.ask::<i64>("select count(*) from deals").await, 0);
    assert_eq!(abroad.ask::<i64>("select count(*) from events").await, 0);
    abroad.connection.close().await.unwrap();
    end(elsewhere, &there, vec![(one, stays_away)]).await;
    end(database, &store, vec![(one, analyst)]).await;
}
#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_reads_nothing_but_the_views_and_writes_nothing() {
    let (database, store, [one, _]) = two_tenants().await;
    let mut analyst = Analyst::of(&database, &store, one).await;
    let live = store.live(&ConversionFunnel).await.unwrap().schema_name;
    for statement in [
        "select personal from kvali.event",
        "select data from kvali.event",
        "select * from kvali.subject_key",
        "select * from kvali.tenant_key",
        "select * from kvali.analyst",
        "select request_hash from kvali.command",
        "select * from kvali.claim",
        "select kvali.recorded_at(gen_random_uuid(), 1)",
        "call kvali.append(null, null, null)",
        &format!("select * from {live}.deal"),
        "set role kvali_app",
        "set role kvali_owner",
        "set session authorization kvali",
        "create table kvali_sql.mine (n int)",
        "create table public.mine (n int)",
        "create view kvali_sql.mine as select 1",
        "create schema mine",
        "delete from kvali_sql.deals",
        "update kvali_sql.users set name = 'x'",
        "insert into kvali_sql.teams values (gen_random_uuid(), 'x')",
        "drop view kvali_sql.deals",
        "alter role current_user createrole",
        "copy (select 1) to program 'true'",
        "select pg_read_file('postgresql.conf')",
    ] {
        let told = analyst.refused(statement).await;
        let against = ["permission denied", "must be", "does not exist", "cannot"];
        assert!(against.iter().any(|words| told.contains(words)), "{statement}: {told}");
    }
    // Not even by the columns that the views name: the schemas beneath are shut, and of the log only these columns are open.
    let mut admin = database.admin().await;
    let open: Vec<String> = sqlx::query_scalar(
        "select distinct regexp_replace(table_schema, '_v[0-9]+_g[0-9]+$', '') || '.' || table_name \
           from information_schema.column_privileges where grantee = 'kvali_analyst' and table_schema <> 'kvali_sql' order by 1",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(open, BENEATH);
    let shut: Vec<String> = sqlx::query_scalar(
        "select nspname::text from pg_namespace where nspname like 'kvali%' \
           and has_schema_privilege('kvali_analyst', oid, 'usage') order by 1",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(shut, ["kvali_sql"]);
    end(database, &store, vec![(one, analyst)]).await;
}

/// The tables that views stand on.
const BENEATH: [&str; 26] = [
    "kvali.analyst",
    "kvali.event",
    "kvali.ledger",
    "kvali.projection_checkpoint",
    "kvali.projection_live",
    "kvali.projection_parked",
    "kvali_conversion_funnel.converted",
    "kvali_conversion_funnel.deal",
    "kvali_conversion_funnel.deal_field",
    "kvali_conversion_funnel.funnel",
    "kvali_conversion_funnel.funnel_count",
    "kvali_conversion_funnel.lead",
    "kvali_conversion_funnel.line",
    "kvali_conversion_funnel.member",
    "kvali_conversion_funnel.name",
    "kvali_conversion_funnel.owner",
    "kvali_conversion_funnel.pipeline",
    "kvali_conversion_funnel.stage_forecast",
    "kvali_conversion_funnel.visit",
    "kvali_field_completeness.field",
    "kvali_field_completeness.record",
    "kvali_field_completeness.tally",
    "kvali_overdue_tasks.activity_type",
    "kvali_overdue_tasks.deal",
    "kvali_overdue_tasks.person",
    "kvali_overdue_tasks.task",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_view_has_a_text_of_a_customer_a_key_or_a_hash() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 7).await;
    for _ in 0..250 {
        office.click().await;
    }
    let mut analyst = Analyst::of(&database, &store, tenant(1)).await;
    let (search, _) = store.catch_up(Arc::new(Search), tenant(1), &quiet).await.unwrap();
    let texts = format!(
        "select distinct text from {}.value where length(text) > 3 and text not in ('Tamar', 'Levan')",
        search.schema_name
    );
    let texts: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(texts)).fetch_all(&mut database.admin().await).await.unwrap();
    assert!(texts.len() > 30, "customers have names, e-mails and phones: {texts:?}");
    let mut rows = Vec::new();
    for view in database.views().await {
        rows.extend(analyst.rows(&view).await);
    }
    let names_a_colleague = |row: &String| row.contains("Tamar") || row.contains("Levan");
    assert!(rows.len() > 300 && rows.iter().any(names_a_colleague), "{} rows", rows.len());
    for row in &rows {
        let found = texts.iter().find(|text| row.contains(*text));
        assert!(found.is_none(), "{found:?} in {row}");
    }
    // By what the catalogue says as well: no bytes, and words of tables alone that hold no customer's.
    let words: Vec<String> = sqlx::query_scalar(
        "select table_name || '.' || column_name from information_schema.column_privileges p \
           join information_schema.columns c using (table_schema, table_name, column_name) \
          where p.grantee = 'kvali_analyst' and p.table_schema <> 'kvali_sql' \
            and (c.data_type = 'bytea' or column_name ~ 'name|text|subject|personal|hash|wrapped|known|profile|credential|address') \
          group by 1 order by 1",
    )
    .fetch_all(&mut database.admin().await)
    .await
    .unwrap();
    assert_eq!(
        words,
        ["analyst.role_name", "funnel.name", "name.name", "owner.name", "person.name", "pipeline.name"]
    );
    end(database, &store, vec![(tenant(1), analyst)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_digest_is_left_out_of_its_event() {
    let database = Database::create().await;
    let store = database.connect().await;
    let issue =
        serde_json::json!({ "key": new_id(), "name": "Till", "role": "sales", "digest": "0c".repeat(32) });
    let issue = kvali_domain::Command::decode("IssueApiKey", &issue).unwrap();
    accepted(store.handle(order(kvali_domain::access::STREAM, issue), envelope(tenant(1))).await);
    let mut analyst = Analyst::of(&database, &store, tenant(1)).await;
    let told: String =
        analyst.ask("select data::text from events where event_type = 'access.api_key_issued'").await;
    assert!(told.contains("Till") && !told.contains("0c0c"), "{told}");
    end(database, &store, vec![(tenant(1), analyst)]).await;
}
