//! Every view and column says what it means, and docs/sql.md is written from that.

use crate::{end, two_tenants};
use kvali_tests::analyst::Analyst;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::fmt::Write;

#[tokio::test(flavor = "multi_thread")]
async fn every_view_says_what_each_of_its_columns_means() {
    let (database, store, [one, _]) = two_tenants().await;
    let analyst = Analyst::of(&database, &store, one).await;
    let mut admin = database.admin().await;
    let silent: Vec<String> = sqlx::query_scalar(
        "select c.relname || '.' || coalesce(a.attname, '') from pg_class c \
           left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 \
          where c.relnamespace = 'kvali_sql'::regnamespace \
            and (obj_description(c.oid) is null or col_description(c.oid, a.attnum) is null) order by 1",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(silent, [""; 0], "every view and column has a comment");
    assert!(database.views().await.len() > 15);
    the_dictionary_is_the_catalogues(&mut admin).await;
    end(database, &store, vec![(one, analyst)]).await;
}

/// `KVALI_BLESS=1` writes it.
async fn the_dictionary_is_the_catalogues(admin: &mut PgConnection) {
    let page = dictionary(admin).await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sql.md");
    if std::env::var_os("KVALI_BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/sql.md is not what the catalogue says; run\n    KVALI_BLESS=1 cargo test -p kvali-tests --test sql\nand commit it"
    );
}

const DICTIONARY: &str = "select c.relname::text, obj_description(c.oid), a.attname::text, \
        format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum), \
        coalesce((select string_agg(distinct substring(t.relnamespace::regnamespace::text from '^kvali_(.*)_v[0-9]+_g[0-9]+$'), '') \
           from pg_rewrite r join pg_depend d on d.objid = r.oid and d.classid = 'pg_rewrite'::regclass \
           join pg_class t on t.oid = d.refobjid and d.refclassid = 'pg_class'::regclass where r.ev_class = c.oid), 'the log itself') \
   from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 \
  where c.relnamespace = 'kvali_sql'::regnamespace order by c.relname, a.attnum";

async fn dictionary(admin: &mut PgConnection) -> String {
    let columns: Vec<(String, String, String, String, String, String)> =
        sqlx::query_as(DICTIONARY).fetch_all(admin).await.unwrap();
    let mut page = include_str!("dictionary.md").to_owned();
    let mut before = None;
    for (view, means, column, kind, holds, model) in &columns {
        if before != Some(view) {
            let head = format!("\n## {view}\n\n{means}\nFrom: {model}.");
            writeln!(page, "{head}\n\n| column | type | meaning |\n|---|---|---|").unwrap();
        }
        before = Some(view);
        writeln!(page, "| `{column}` | {kind} | {} |", holds.replace('|', "\\|")).unwrap();
    }
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queries_to_begin_with_can_be_asked() {
    let (database, store, [one, _]) = two_tenants().await;
    let mut analyst = Analyst::of(&database, &store, one).await;
    let page = include_str!("../../../docs/analysts.md");
    let queries: Vec<&str> = page
        .split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .flat_map(|block| block.split_inclusive(';'))
        .filter(|query| query.contains("select"))
        .collect();
    assert!(queries.len() >= 6, "{queries:?}");
    for query in queries {
        let asked = analyst.connection.execute(AssertSqlSafe(query.to_owned())).await;
        asked.unwrap_or_else(|error| panic!("{query}: {error}"));
    }
    end(database, &store, vec![(one, analyst)]).await;
}
