//! How analysts come and go.

use crate::two_tenants;
use kvali_eventstore::analyst::Grant;
use kvali_eventstore::{Error, Options, Store};
use kvali_tests::analyst::Analyst;
use kvali_tests::new_id;
use sqlx::{AssertSqlSafe, Executor};

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_analyst_is_out_at_once() {
    let (database, store, [one, other]) = two_tenants().await;
    let mut analyst = Analyst::of(&database, &store, one).await;
    let kept: String = sqlx::query_scalar("select rolpassword from pg_authid where rolname = $1")
        .bind(&analyst.role)
        .fetch_one(&mut database.admin().await)
        .await
        .unwrap();
    assert!(kept.starts_with("SCRAM-SHA-256$"), "the password itself is kept nowhere");
    // What it leaves behind is no obstacle.
    analyst
        .connection
        .execute("create temporary table left_over (n int); select lo_create(0)")
        .await
        .unwrap();
    assert!(!store.revoke_analyst(other, &analyst.role).await.unwrap(), "it is no analyst of the other's");
    assert_eq!(analyst.ask::<i64>("select count(*) from deals").await, 3);
    assert!(store.revoke_analyst(one, &analyst.role).await.unwrap());
    let asked = sqlx::query("select count(*) from kvali_sql.deals").execute(&mut analyst.connection).await;
    assert!(asked.is_err(), "its session has ended");
    let there: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
        .bind(&analyst.role)
        .fetch_one(&mut database.admin().await)
        .await
        .unwrap();
    assert!(!there);
    let known = store.analysts(one).await.unwrap();
    assert!(known.len() == 1 && known[0].revoked_at.is_some(), "{known:?}");
    assert!(store.revoke_analyst(one, &analyst.role).await.unwrap(), "again is as once");
    store.close().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_user_who_may_not_make_roles_is_told_so() {
    let (database, store, [one, _]) = two_tenants().await;
    let user = format!("kvali_test_user_{}", new_id().simple());
    let mut admin = database.admin().await;
    let make = format!("create role {user} login; grant kvali_owner, kvali_app, kvali_projector to {user}");
    admin.execute(AssertSqlSafe(make)).await.unwrap();
    let url = database.url.replacen("kvali@", &format!("{user}@"), 1);
    let narrow = Store::connect(Options { connections: 4, ..Options::new(url, database.master_key.clone()) });
    let narrow = narrow.await.unwrap();
    let role = "kvali_analyst_never_made";
    let grant = Grant { role, password: "p", label: "l", connections: 1, statement_timeout_s: 1 };
    let told = narrow.grant_analyst(one, &grant).await.unwrap_err();
    assert!(matches!(told, Error::MayNotMakeRoles(_)), "{told}");
    assert!(narrow.analysts(one).await.unwrap().is_empty(), "nothing is left of it");
    narrow.close().await;
    store.close().await;
    admin.execute(AssertSqlSafe(format!("drop role {user}"))).await.unwrap();
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_createrole_and_no_more_grants_and_revokes() {
    let (database, store, [one, _]) = two_tenants().await;
    let user = format!("kvali_test_user_{}", new_id().simple());
    let mut admin = database.admin().await;
    let make = format!(
        "create role {user} login createrole; grant kvali_owner, kvali_app, kvali_projector to {user}; \
         do $$ begin if current_setting('server_version_num')::int >= 160000 then \
           grant kvali_analyst to {user} with admin option; end if; end $$"
    );
    admin.execute(AssertSqlSafe(make)).await.unwrap();
    let url = database.url.replacen("kvali@", &format!("{user}@"), 1);
    let narrow = Store::connect(Options { connections: 4, ..Options::new(url, database.master_key.clone()) });
    let narrow = narrow.await.unwrap();
    let mut analyst = Analyst::of(&database, &narrow, one).await;
    assert_eq!(analyst.ask::<i64>("select count(*) from deals").await, 3);
    analyst
        .connection
        .execute("create temporary table left_over (n int); select lo_create(0)")
        .await
        .unwrap();
    assert!(narrow.revoke_analyst(one, &analyst.role).await.unwrap());
    let asked = sqlx::query("select 1").execute(&mut analyst.connection).await;
    assert!(asked.is_err(), "its session has ended");
    narrow.close().await;
    store.close().await;
    admin.execute(AssertSqlSafe(format!("drop owned by {user}; drop role {user}"))).await.unwrap();
    database.drop().await;
}
