//! Analysts who query by SQL, signed in as such.

use crate::{Database, new_id};
use kvali_domain::TenantId;
use kvali_eventstore::Store;
use kvali_eventstore::analyst::Grant;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::str::FromStr;

pub struct Analyst {
    pub role: String,
    pub connection: PgConnection,
}

impl Analyst {
    /// A role of the tenant's, and a session of it. Every read model that has views has caught up.
    pub async fn of(database: &Database, store: &Store, tenant: TenantId) -> Self {
        let role = format!("kvali_analyst_{}", new_id().simple());
        let grant = Grant {
            role: &role,
            password: "secret",
            label: "Trial",
            connections: 3,
            statement_timeout_s: 60,
        };
        store.grant_analyst(tenant, &grant).await.expect("the tests' user may make roles");
        for model in kvali_projections::all() {
            store.catch_up(model, tenant, &|_, _| {}).await.expect("the model follows");
        }
        let connection = Self::sign_in(database, &role).await;
        Self { role, connection }
    }

    pub async fn sign_in(database: &Database, role: &str) -> PgConnection {
        let options = PgConnectOptions::from_str(&database.url).expect("a URL");
        PgConnection::connect_with(&options.username(role)).await.expect("the analyst may sign in")
    }

    pub async fn ask<T>(&mut self, question: &str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        // Questions are the tests' own.
        let asked =
            sqlx::query_scalar(AssertSqlSafe(question.to_owned())).fetch_one(&mut self.connection).await;
        asked.unwrap_or_else(|error| panic!("{question}: {error}"))
    }

    /// What Postgres says against it.
    pub async fn refused(&mut self, statement: &str) -> String {
        let done = self.connection.execute(AssertSqlSafe(statement.to_owned())).await;
        match done {
            Err(sqlx::Error::Database(error)) => error.message().to_owned(),
            other => panic!("{statement} was not refused: {other:?}"),
        }
    }

    /// Every row of a view, as text.
    pub async fn rows(&mut self, view: &str) -> Vec<String> {
        let all = format!("select v::text from kvali_sql.{view} v order by 1");
        let rows = sqlx::query_scalar(AssertSqlSafe(all)).fetch_all(&mut self.connection).await;
        rows.unwrap_or_else(|error| panic!("{view}: {error}"))
    }
}

impl Database {
    /// The views that analysts are offered.
    pub async fn views(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select relname::text from pg_class where relnamespace = 'kvali_sql'::regnamespace and relkind = 'v' order by 1",
        )
        .fetch_all(&mut self.admin().await)
        .await
        .expect("the catalogue answers")
    }
}
