//! The harness of the whole-system tests: one private cluster for the run, one database for each test.

use chrono::{DateTime, Utc};
use kvali_domain::{ActorId, Channel, Command, CommandId, Order, StreamId, TenantId};
use kvali_eventstore::{Answer, Envelope, MasterKey, Options, Outcome, Store};
use kvali_pglocal::{Cluster, Config, Lifetime, scratch_data_dir};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::path::Path;
use std::sync::OnceLock;
use tokio::sync::OnceCell;
use uuid::Uuid;

pub mod analyst;
pub mod backlog;
pub mod desk;
pub mod http;
pub mod models;
pub mod office;
pub mod random;
pub mod samples;
pub mod shop;

/// The run's cluster. It is pinned: it outlives this process and `make test` stops it.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is a folder of the workspace");
        let mut config = Config::new(scratch_data_dir(&root.join("target/test-cluster")));
        config.lifetime = Lifetime::UntilStopped;
        // What a test writes need not outlive a power cut.
        config.settings = vec![("fsync".into(), "off".into()), ("max_connections".into(), "400".into())];
        Cluster::start(&config).expect("the test cluster starts")
    })
}

/// A database of the test's own, cloned from a template that holds the present schema.
pub struct Database {
    pub name: String,
    pub url: String,
    pub master_key: MasterKey,
}

impl Database {
    pub async fn create() -> Self {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let template = TEMPLATE.get_or_init(make_template).await;
        let name = format!("kvali_test_{}", new_id().simple());
        admin(&format!("create database {name} template {template}")).await;
        let url = cluster().url(&name);
        Self { name, url, master_key: MasterKey::generate() }
    }

    /// An empty one, as a stranger's server would give it.
    pub async fn empty() -> Self {
        let name = format!("kvali_test_{}", new_id().simple());
        admin(&format!("create database {name}")).await;
        let url = cluster().url(&name);
        Self { name, url, master_key: MasterKey::generate() }
    }

    /// As a separate process would: its own pools, cache and writers.
    pub async fn connect(&self) -> Store {
        Store::connect(self.options()).await.expect("the store connects")
    }

    pub fn options(&self) -> Options {
        Options { connections: 10, ..Options::new(&self.url, self.master_key.clone()) }
    }

    /// A connection as the server's owner, to look at tables or to break them.
    pub async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("the cluster accepts connections")
    }

    /// Drops the database. Those of failed tests stay for a look, until the cluster is stopped.
    pub async fn drop(self) {
        admin(&format!("drop database {} with (force)", self.name)).await;
    }
}

async fn make_template() -> String {
    let name = format!("kvali_template_{}", std::process::id());
    admin(&format!("drop database if exists {name}")).await;
    let options = Options { connections: 1, ..Options::new(cluster().url(&name), MasterKey::generate()) };
    let store = Store::connect(options).await.expect("the template is made");
    store.close().await;
    name
}

async fn admin(statement: &str) {
    // Names are made above; identifiers cannot be bound.
    let mut connection = PgConnection::connect(&cluster().url("postgres")).await.expect("the cluster runs");
    let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

#[expect(clippy::disallowed_methods, reason = "a test stands at the edge")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

#[expect(clippy::disallowed_methods, reason = "a test stands at the edge")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

pub fn tenant(n: u128) -> TenantId {
    TenantId(Uuid::from_u128(0x7e0a_0000 + n))
}

/// An envelope with a fresh command id, sent now.
pub fn envelope(tenant: TenantId) -> Envelope {
    Envelope::new(tenant, CommandId(new_id()), ActorId(Uuid::from_u128(0xac)), Channel::Api, now())
}

/// Sends a command that must be accepted.
#[track_caller]
pub fn accepted(outcome: Result<Outcome, kvali_eventstore::Error>) -> Answer {
    match outcome {
        Ok(Outcome::Accepted(answer)) => answer,
        other => panic!("expected acceptance, got {other:?}"),
    }
}

/// Sends a command that must be refused; returns the refusal's words.
#[track_caller]
pub fn refused(outcome: Result<Outcome, kvali_eventstore::Error>) -> String {
    match outcome {
        Ok(Outcome::Refused(refusal)) => refusal.to_string(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

pub fn order(stream: StreamId, command: impl Into<Command>) -> Order {
    Order { stream, command: command.into() }
}

impl Database {
    /// Every row of every table of `schema`, as text, in a fixed order.
    pub async fn rows(&self, schema: &str) -> Vec<String> {
        let mut admin = self.admin().await;
        let tables: Vec<String> = sqlx::query_scalar(
            "select table_name::text from information_schema.tables where table_schema = $1 order by 1",
        )
        .bind(schema)
        .fetch_all(&mut admin)
        .await
        .expect("the catalogue answers");
        assert!(!tables.is_empty(), "schema {schema} has tables");
        let mut rows = Vec::new();
        for table in tables {
            // Names from the catalogue; identifiers cannot be bound.
            let statement = format!("select '{table}: ' || t::text from {schema}.{table} t order by 1");
            rows.extend(
                sqlx::query_scalar::<_, String>(AssertSqlSafe(statement))
                    .fetch_all(&mut admin)
                    .await
                    .expect("the table reads"),
            );
        }
        rows
    }
}
