//! Where both sides run: one private server with durable settings, one database.

use kvali_eventstore::{MasterKey, Options, Store};
use kvali_pglocal::{Cluster, Config, scratch_data_dir};
use sqlx::{Connection, Executor, PgConnection, Row};
use std::path::Path;

const DATABASE: &str = "kvali_bench";

pub struct Ground {
    pub store: Store,
    pub url: String,
    // Stops the server when it is dropped.
    _cluster: Cluster,
}

impl Ground {
    /// Starts the server and makes the database anew.
    pub async fn prepare() -> Self {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("benches is a folder of the workspace");
        let config = Config::new(scratch_data_dir(&root.join("target/bench-cluster")));
        let cluster = Cluster::start(&config).expect("the benchmark's server starts");
        let mut server = PgConnection::connect(&cluster.url("postgres")).await.expect("the server runs");
        server.execute("drop database if exists kvali_bench with (force)").await.expect("the old one goes");
        let url = cluster.url(DATABASE);
        let options = Options { connections: 20, ..Options::new(&url, MasterKey::generate()) };
        let store = Store::connect(options).await.expect("the store connects");
        let ground = Self { store, url, _cluster: cluster };
        ground.connect().await.execute(include_str!("raw.sql")).await.expect("the raw table is made");
        ground
    }

    /// As the server's owner, for the raw side.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("the server accepts connections")
    }

    /// Writes what is dirty, so that no turn pays for the ones before it.
    pub async fn settle(&self) {
        self.connect().await.execute("checkpoint").await.expect("a superuser may say so");
    }

    /// Version and the settings that the figures depend on.
    pub async fn describe(&self) -> String {
        let row = self
            .connect()
            .await
            .fetch_one(
                "select format('Postgres %s, fsync %s, synchronous_commit %s, full_page_writes %s, shared_buffers %s', \
                 current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'), \
                 current_setting('full_page_writes'), current_setting('shared_buffers'))",
            )
            .await
            .expect("the server answers");
        row.get(0)
    }
}
