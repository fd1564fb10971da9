//! From the options to an open store: the database named by a URL, or the private cluster.

use crate::cli::Global;
use crate::failure::Failure;
use crate::ids;
use kvali_api::Issuer;
use kvali_domain::TenantId;
use kvali_eventstore::{MasterKey, Options, Store};
use kvali_pglocal::{Cluster, Config, default_data_dir};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use std::path::PathBuf;

/// The database in the private cluster.
const DATABASE: &str = "kvali";
/// One command at a time needs few.
const CONNECTIONS: u32 = 4;
/// An import reads the states of a chunk anew, so a small cache serves it as well as a large one.
const CACHED_STATES: usize = 10_000;

/// An open store and the tenant that the command is about.
pub(crate) struct Session {
    pub(crate) store: Store,
    pub(crate) tenant: TenantId,
    /// How to connect once more.
    pub(crate) options: Options,
    pub(crate) issuers: Vec<Issuer>,
    /// Held to the end of the command; the last one to let go stops the server.
    _cluster: Option<Cluster>,
}

impl Session {
    /// For look-ups of its tenant beside the store's own.
    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, Failure> {
        Ok(self.store.connection(self.tenant).await?)
    }

    pub(crate) async fn open(global: &Global, default_tenant: &str) -> Result<Self, Failure> {
        Self::open_for(global, default_tenant, CONNECTIONS).await
    }

    pub(crate) async fn open_for(
        global: &Global,
        default_tenant: &str,
        connections: u32,
    ) -> Result<Self, Failure> {
        let data_dir = data_dir(global)?;
        let (url, cluster) = match &global.database_url {
            Some(url) if !url.is_empty() => (url.clone(), None),
            _ => {
                let config = Config::new(&data_dir);
                let started = tokio::task::spawn_blocking(move || Cluster::start(&config)).await;
                let cluster = started.map_err(Failure::Task)??;
                (cluster.url(DATABASE), Some(cluster))
            }
        };
        // After the cluster, which opens a data directory to its server only while that is empty.
        let master_key = global.master_key.clone().unwrap_or_else(|| data_dir.join("master.key"));
        let options = Options {
            connections,
            cached_states: CACHED_STATES,
            ..Options::new(url, MasterKey::load_or_create(&master_key)?)
        };
        let store = Store::connect(options.clone()).await?;
        let tenant = ids::tenant(global.tenant.as_deref().unwrap_or(default_tenant));
        Ok(Self { store, tenant, options, issuers: global.issuers.clone(), _cluster: cluster })
    }
}

pub(crate) fn data_dir(global: &Global) -> Result<PathBuf, Failure> {
    match &global.data_dir {
        Some(dir) if !dir.as_os_str().is_empty() => Ok(dir.clone()),
        _ => Ok(default_data_dir()?),
    }
}
