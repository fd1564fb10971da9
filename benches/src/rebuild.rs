//! (e) Rebuild of the conversion funnel's facts, against one set-based SQL statement that writes the same rows.

use crate::Scale;
use crate::ground::Ground;
use crate::measure::{Leg, Pair};
use crate::replay::{EVENTS, fill};
use crate::sales::Sales;
use kvali_eventstore::project::Projection;
use kvali_projections::conversion_funnel::ConversionFunnel;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::sync::Arc;
use std::time::Instant;

pub async fn run(ground: &Ground, scale: Scale) {
    let sales = Sales::set_up(&ground.store).await;
    let streams = scale.replay / EVENTS;
    println!(
        "(e) {} events of {streams} deals, one tenant, {EVENTS} events per stream, deals interleaved:",
        scale.replay
    );
    println!("    one row per visit and one per deal, with the same indexes on both sides.");
    fill(&sales, streams).await;
    let mut connection = ground.connect().await;
    connection.execute("vacuum analyze kvali.event").await.expect("a superuser may say so");
    let model: Arc<dyn Projection> = Arc::new(ConversionFunnel);
    let live = ground.store.live(&*model).await.expect("the read model is made");
    make_tables(&mut connection, &live.schema_name).await;
    let mut pair = Pair::default();
    for _ in 0..scale.rounds {
        connection.execute("truncate raw.visit, raw.deal").await.expect("the tables are ours");
        ground.settle().await;
        let start = Instant::now();
        sqlx::query(include_str!("rebuild.sql"))
            .bind(sales.tenant.0)
            .execute(&mut connection)
            .await
            .expect("the statement runs");
        let raw = Leg::of(scale.replay, start.elapsed());
        ground.settle().await;
        // Other tenants of this database are a handful of events each once their models stand.
        let start = Instant::now();
        let made = ground.store.rebuild(model.clone(), &|_, _| {}).await.expect("the read model is rebuilt");
        pair.push(raw, Leg::of(scale.replay, start.elapsed()));
        assert_same(&mut connection, &made.schema_name, &sales).await;
    }
    pair.print("(e) rebuild of the funnel's facts");
}

async fn make_tables(connection: &mut PgConnection, schema: &str) {
    for table in ["visit", "deal"] {
        // Names are constants and the store's own; identifiers cannot be bound.
        let statement = format!("create table raw.{table} (like {schema}.{table} including all)");
        connection.execute(AssertSqlSafe(statement)).await.expect("the table is new");
    }
}

/// Both sides wrote the same rows, and as many as there are events.
async fn assert_same(connection: &mut PgConnection, schema: &str, sales: &Sales) {
    for table in ["visit", "deal"] {
        let statement = format!(
            "select (select count(*) from raw.{table}), (select count(*) from \
             (select * from raw.{table} except select * from {schema}.{table} where tenant_id = $1) d), \
             (select count(*) from {schema}.{table} where tenant_id = $1)"
        );
        let (rows, differing, ours): (i64, i64, i64) = sqlx::query_as(AssertSqlSafe(statement))
            .bind(sales.tenant.0)
            .fetch_one(&mut *connection)
            .await
            .expect("the tables compare");
        assert!(
            rows > 0 && differing == 0 && rows == ours,
            "{table}: {rows} rows, {ours} ours, {differing} differ"
        );
    }
}
