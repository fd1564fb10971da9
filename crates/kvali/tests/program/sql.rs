use crate::support::Kvali;
use sqlx::{Connection, PgConnection};
use std::path::Path;

const MOVES: &str = "deal,stage,actor,occurred_at
D-1,Lead,Nino,2024-01-01
D-1,Offer,Nino,2024-01-02
D-2,Lead,Gio,2024-01-03
";

fn count(url: &str, question: &'static str) -> Result<i64, sqlx::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query_scalar(question).fetch_one(&mut connection).await
    })
}

#[test]
fn an_analyst_is_granted_a_url_listed_and_revoked() {
    let kvali = Kvali::new("sql-granted");
    let moves: &Path = &kvali.file("moves.csv", MOVES);
    kvali.import(0, moves, &[]);
    let granted = kvali.json(0, &["sql", "grant", "Power BI"]);
    let (role, url) = (granted["role"].as_str().unwrap(), granted["url"].as_str().unwrap());
    assert_eq!(count(url, "select count(*) from stage_visits").unwrap(), 3);
    assert_eq!(count(url, "select count(*) from events where event_type = 'deal.opened'").unwrap(), 2);
    // A name says nothing of the tenant, and the list nothing of the password.
    assert!(role.starts_with("kvali_analyst_") && !role.contains("sql-granted"));
    let list = kvali.json(0, &["sql", "list"]);
    assert_eq!((&list[0]["role"], &list[0]["label"]), (&granted["role"], &"Power BI".into()));
    assert!(
        list[0]["revoked_at"].is_null() && !list.to_string().contains(granted["password"].as_str().unwrap())
    );

    let unknown = kvali.fails(1, &["sql", "revoke", "kvali_analyst_nobody"]);
    assert!(unknown.contains("the tenant has no analyst kvali_analyst_nobody"), "{unknown}");
    let others = Kvali::new("sql-other").fails(1, &["sql", "revoke", role]);
    assert!(others.contains("the tenant has no analyst"), "{others}");
    kvali.json(0, &["sql", "revoke", role]);
    assert!(count(url, "select count(*) from stage_visits").is_err());
    assert!(!kvali.json(0, &["sql", "list"])[0]["revoked_at"].is_null());
}
