//! Tenants are apart, also where a statement forgets to say whose rows it means: what the catalogue says, table by table,
//! and what the service's roles see.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

use kvali_domain::TenantId;
use kvali_domain::pipeline::Policy;
use kvali_tests::samples::Sales;
use kvali_tests::{Database, tenant};
use sqlx::{AssertSqlSafe, Executor, PgConnection};

/// Tables that no tenant owns, and why.
const SHARED: [(&str, &str); 3] = [
    ("kvali.migration", "the schema's own history"),
    ("kvali.projection_generation", "builds of read models, of all tenants"),
    ("kvali.projection_live", "which build answers, for all tenants"),
];

/// Tables of read models whose rows are told apart by hashes under the tenant's own key, and not by a policy.
const BY_KEYED_HASH: &str = "compared";

/// What each role may do to the tables of the write side; a right that is not listed is not to be had.
const RIGHTS: [(&str, &str, &str); 33] = [
    ("kvali.analyst", "kvali_app", "SELECT"),
    ("kvali.claim", "kvali_app", "DELETE INSERT SELECT"),
    ("kvali.command", "kvali_app", "INSERT SELECT"),
    ("kvali.denial", "kvali_app", "INSERT SELECT"),
    ("kvali.event", "kvali_app", "INSERT SELECT"),
    ("kvali.event", "kvali_projector", "SELECT"),
    ("kvali.job", "kvali_app", "DELETE INSERT SELECT"),
    ("kvali.job_part", "kvali_app", "DELETE INSERT SELECT"),
    ("kvali.job_row", "kvali_app", "DELETE INSERT SELECT"),
    ("kvali.key_use", "kvali_app", "INSERT SELECT"),
    ("kvali.ledger", "kvali_app", "INSERT SELECT"),
    ("kvali.ledger", "kvali_projector", "SELECT"),
    ("kvali.migration", "kvali_app", "SELECT"),
    ("kvali.personal_read", "kvali_app", "INSERT SELECT"),
    ("kvali.projection_checkpoint", "kvali_app", "SELECT"),
    ("kvali.projection_checkpoint", "kvali_projector", "DELETE INSERT SELECT UPDATE"),
    ("kvali.projection_generation", "kvali_app", "SELECT"),
    ("kvali.projection_generation", "kvali_projector", "DELETE INSERT SELECT UPDATE"),
    ("kvali.projection_live", "kvali_app", "SELECT"),
    ("kvali.projection_live", "kvali_projector", "DELETE INSERT SELECT UPDATE"),
    ("kvali.projection_parked", "kvali_app", "SELECT"),
    ("kvali.projection_parked", "kvali_projector", "DELETE INSERT SELECT UPDATE"),
    ("kvali.refusal", "kvali_app", "INSERT SELECT"),
    ("kvali.subject_key", "kvali_app", "INSERT SELECT"),
    ("kvali.subject_key", "kvali_projector", "SELECT"),
    ("kvali.subscription", "kvali_app", "DELETE INSERT SELECT"),
    ("kvali.subscription_lease", "kvali_app", "DELETE INSERT SELECT"),
    ("kvali.subscription_stream", "kvali_app", "DELETE INSERT SELECT"),
    ("kvali.tally", "kvali_app", "INSERT SELECT"),
    ("kvali.tenant_key", "kvali_app", "INSERT SELECT"),
    ("kvali.tenant_key", "kvali_projector", "SELECT"),
    ("kvali.webhook", "kvali_app", "DELETE INSERT SELECT"),
    ("kvali.webhook_delivery", "kvali_app", "DELETE INSERT SELECT"),
];

/// Two tenants with the same doings, and every read model built of them.
async fn two_tenants() -> (Database, [TenantId; 2]) {
    let database = Database::create().await;
    let store = database.connect().await;
    let tenants = [tenant(1), tenant(2)];
    for tenant in tenants {
        let sales = Sales::set_up(&store, tenant, Policy::PERMISSIVE).await;
        for _ in 0..3 {
            sales.open_deal(&store).await;
        }
        for model in kvali_projections::all() {
            store.catch_up(model, tenant, &|_, _| {}).await.unwrap();
        }
    }
    store.close().await;
    (database, tenants)
}

/// Every table with the tenant in it, and every other one.
async fn tables(admin: &mut PgConnection) -> Vec<(String, String, bool)> {
    sqlx::query_as(
        "select n.nspname || '.' || c.relname, c.relname::text, \
                exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnotnull) \
           from pg_class c join pg_namespace n on n.oid = c.relnamespace \
          where n.nspname like 'kvali%' and c.relkind in ('r', 'p') order by 1",
    )
    .fetch_all(admin)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_belongs_to_tenants_and_is_fenced() {
    let (database, _) = two_tenants().await;
    let mut admin = database.admin().await;
    let all = tables(&mut admin).await;
    assert!(all.len() > 40, "{all:?}");
    for (table, _, owned) in &all {
        assert_eq!(!owned, SHARED.iter().any(|(shared, _)| shared == table), "{table} has a tenant: {owned}");
    }
    let unfenced: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
           join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnotnull \
          where n.nspname like 'kvali%' and c.relkind in ('r', 'p') \
            and not (c.relrowsecurity and c.relforcerowsecurity \
                     and exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenant'))",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(unfenced, [""; 0]);
    let open: Vec<(String, String)> = sqlx::query_as(
        "select c.relname::text, p.polname::text from pg_policy p join pg_class c on c.oid = p.polrelid \
          where p.polname <> 'tenant' order by 1, 2",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    let open: Vec<_> = open.iter().map(|(table, policy)| (table.as_str(), policy.as_str())).collect();
    let known = [
        ("analyst", "own"),
        (BY_KEYED_HASH, "by_keyed_hash"),
        ("job", "workers"),
        ("ledger", "workers"),
        ("projection_checkpoint", "workers"),
        ("projection_parked", "workers"),
        ("webhook", "workers"),
    ];
    assert_eq!(open, known);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_leads_with_the_tenant() {
    let (database, _) = two_tenants().await;
    let mut admin = database.admin().await;
    let keys: Vec<(String, String, Option<String>)> = sqlx::query_as(
        "select n.nspname || '.' || t.relname, i.relname::text, a.attname::text \
           from pg_index x join pg_class t on t.oid = x.indrelid join pg_class i on i.oid = x.indexrelid \
           join pg_namespace n on n.oid = t.relnamespace \
           left join pg_attribute a on a.attrelid = t.oid and a.attnum = x.indkey[0] \
          where n.nspname like 'kvali%' order by 1, 2",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert!(keys.len() > 40);
    for (table, key, leads) in &keys {
        let excepted = SHARED.iter().any(|(shared, _)| shared == table) || key == "compared_keys";
        assert!(excepted || leads.as_deref() == Some("tenant_id"), "{table}: {key} leads with {leads:?}");
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_has_the_rights_that_it_needs_and_no_other() {
    let (database, _) = two_tenants().await;
    let mut admin = database.admin().await;
    let rights: Vec<(String, String, String)> = sqlx::query_as(
        "select table_schema || '.' || table_name, grantee::text, string_agg(privilege_type::text, ' ' order by privilege_type) \
           from information_schema.role_table_grants \
          where table_schema = 'kvali' and grantee <> 'kvali_owner' group by 1, 2 order by 1, 2",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    let rights: Vec<_> = rights.iter().map(|(table, role, may)| (&table[..], &role[..], &may[..])).collect();
    assert_eq!(rights, RIGHTS);
    // Read models are the projector's; the service reads them and no more.
    let read_models: Vec<String> = sqlx::query_scalar(
        "select distinct grantee || ' ' || privilege_type from information_schema.role_table_grants \
          where table_schema like 'kvali\\_%' and table_schema <> 'kvali_sql' and grantee <> 'kvali_projector'",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(read_models, ["kvali_app SELECT"]);
    // Views are whoever's made them; analysts read them, and of the tables beneath no more than the columns named there.
    let views: Vec<String> = sqlx::query_scalar(
        "select distinct grantee || ' ' || privilege_type from information_schema.role_table_grants \
          where table_schema = 'kvali_sql' and grantee not in ('kvali_owner', 'kvali_projector')",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(views, ["kvali_analyst SELECT"]);
    let beyond: Vec<String> = sqlx::query_scalar(BEYOND_THE_VIEWS).fetch_all(&mut admin).await.unwrap();
    assert_eq!(beyond, [""; 0], "analysts may read columns that no view names");
    let by_their_makers: Vec<String> = sqlx::query_scalar(
        "select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
          where n.nspname like 'kvali%' and p.prosecdef",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(by_their_makers, [""; 0], "no function acts with its maker's rights");
    database.drop().await;
}

/// Columns that analysts may read although no view names them, and rights of theirs that are not to read.
const BEYOND_THE_VIEWS: &str = "select p.table_schema || '.' || p.table_name || '.' || p.column_name || ' ' || p.privilege_type \
       from information_schema.column_privileges p \
      where p.grantee = 'kvali_analyst' and p.table_schema <> 'kvali_sql' and p.table_name <> 'analyst' \
        and (p.privilege_type <> 'SELECT' or not exists ( \
          select from pg_depend d join pg_rewrite r on r.oid = d.objid and d.classid = 'pg_rewrite'::regclass \
            join pg_class w on w.oid = r.ev_class and w.relnamespace = 'kvali_sql'::regnamespace \
            join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid and a.attname = p.column_name \
           where d.refobjid = format('%I.%I', p.table_schema, p.table_name)::regclass)) \
      order by 1";

#[tokio::test(flavor = "multi_thread")]
async fn every_view_asks_its_reader_for_the_rights_and_not_its_maker() {
    let (database, _) = two_tenants().await;
    let mut admin = database.admin().await;
    let views: Vec<(String, bool)> = sqlx::query_as(
        "select oid::regclass::text, relnamespace = 'kvali_sql'::regnamespace \
                and coalesce(reloptions, '{}') @> '{security_invoker=true}' \
           from pg_class where relkind in ('v', 'm') and relnamespace::regnamespace::text like 'kvali%' order by 1",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert!(views.len() > 15, "{views:?}");
    assert!(views.iter().all(|(_, is_invokers)| *is_invokers), "{views:?}");
    let nobodys: Vec<String> = sqlx::query_scalar(
        "select rolname::text from pg_roles r where rolname like 'kvali\\_%' and rolname not like 'kvali\\_test%' \
           and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication) order by 1",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(nobodys, [""; 0], "a role of Kvali's has rights over the server");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_forgets_the_tenant_meets_one_tenants_rows() {
    let (database, [one, other]) = two_tenants().await;
    let mut admin = database.admin().await;
    let mut met = 0;
    for (table, name, owned) in tables(&mut admin).await {
        if !owned || name == BY_KEYED_HASH {
            continue;
        }
        let count = || {
            AssertSqlSafe(format!(
                "select count(*), count(*) filter (where tenant_id <> '{other}') from {table}"
            ))
        };
        let (all, _): (i64, i64) = sqlx::query_as(count()).fetch_one(&mut admin).await.unwrap();
        let readable: bool = sqlx::query_scalar("select has_table_privilege('kvali_app', $1, 'select')")
            .bind(&table)
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert!(readable, "{table}");
        admin
            .execute(AssertSqlSafe(format!("set role kvali_app; set kvali.tenant = '{other}'")))
            .await
            .unwrap();
        let (seen, of_others): (i64, i64) = sqlx::query_as(count()).fetch_one(&mut admin).await.unwrap();
        admin.execute("reset kvali.tenant").await.unwrap();
        let (unsaid, _): (i64, i64) = sqlx::query_as(count()).fetch_one(&mut admin).await.unwrap();
        admin.execute("reset role").await.unwrap();
        assert_eq!((of_others, unsaid), (0, 0), "{table}");
        assert!(all == 0 || seen < all, "{table}: {seen} of {all}");
        met += usize::from(seen > 0);
    }
    assert!(met > 15, "only {met} tables had rows");
    // Nor can it write a row of another one's.
    admin.execute(AssertSqlSafe(format!("set role kvali_app; set kvali.tenant = '{one}'"))).await.unwrap();
    let claim =
        |of: TenantId| AssertSqlSafe(format!("insert into kvali.claim values ('{of}', 'k', 'k', '{of}')"));
    admin.execute(claim(one)).await.unwrap();
    let refused = admin.execute(claim(other)).await.unwrap_err().to_string();
    assert!(refused.contains("row-level security"), "{refused}");
    database.drop().await;
}
