//! `kvali serve`: everything over HTTP.

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::{edge, key, measured, output, project};
use kvali_api::webhooks::{Dispatch, Dispatcher, Loopback};
use kvali_api::{Api, Limits};
use kvali_eventstore::project::{Workers, Workload};
use kvali_eventstore::{Options, Store};
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

const EXAMPLES: &str = "\
The first start of a tenant issues an admin's key and prints it once; `kvali key issue` issues others. Read models are
folded by this process too; with --no-workers, by `kvali project`. Told to stop (Ctrl-C, SIGTERM), it answers what is
under way and lets go.

Examples:
  kvali serve
  kvali serve --listen 0.0.0.0:7878 --no-workers
  curl -H \"Authorization: Bearer $KEY\" http://127.0.0.1:7878/v1/me";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7878", env = "KVALI_LISTEN")]
    listen: SocketAddr,
    /// Leave the read models to `kvali project`
    #[arg(long)]
    no_workers: bool,
    /// Read models and tenants that are folded at once
    #[arg(long, default_value = "2", value_name = "N")]
    at_once: NonZeroU8,
    /// Connections to Postgres for requests; appends have half as many of their own
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000))]
    database_connections: u32,
    /// Let webhooks go to this machine, without TLS too: for development
    #[arg(long)]
    webhooks_to_loopback: bool,
    /// Connections of clients at once; further ones wait
    #[arg(long, default_value_t = Limits::default().connections, value_name = "N")]
    connections: usize,
}

impl Serve {
    /// Answers until `told_to_stop`.
    pub(crate) async fn run(
        self,
        global: &Global,
        told_to_stop: impl Future<Output = ()>,
    ) -> Result<Done, Failure> {
        let address = self.listen;
        let listener =
            TcpListener::bind(address).await.map_err(|source| Failure::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| Failure::Listen { address, source })?;
        let session = Session::open_for(global, "default", self.database_connections).await?;
        let first_key = key::first(&session).await?;
        let metrics = measured::recorded(address)?;
        let at_once = self.at_once.get();
        let folding = if self.no_workers {
            None
        } else {
            let options = Options { connections: project::connections(at_once), ..session.options.clone() };
            Some(Folding::start(options, at_once, session.store.moved())?)
        };
        output::write(welcome(address, first_key.as_deref()).as_bytes())?;
        let loopback = if self.webhooks_to_loopback { Loopback::Allowed } else { Loopback::Refused };
        let api = Api::new(session.store.clone(), move || metrics.render()).with_loopback(loopback);
        let dispatch = Dispatch { loopback, ..Dispatch::default() };
        let dispatcher = Dispatcher::start(session.store.clone(), dispatch);
        let limits = Limits { connections: self.connections, ..Limits::default() };
        tokio::select! {
            () = kvali_api::serve(listener, api, limits, told_to_stop) => {}
            () = project::measure(&session.store, true) => {}
        }
        dispatcher.stop().await;
        if let Some(folding) = folding {
            tokio::task::spawn_blocking(|| folding.stop()).await.map_err(Failure::Task)?;
        }
        session.store.close().await;
        Ok(Done::Well)
    }
}

/// What to do next, as it can be typed.
fn welcome(address: SocketAddr, key: Option<&str>) -> String {
    let (told, key) = match key {
        Some(key) => (format!("The admin's key, shown this once:\n  {key}\n"), key),
        None => (
            "The admin's key was shown at the first start; `kvali key issue` issues others.\n".to_owned(),
            "$KEY",
        ),
    };
    let curl = format!("curl -s -H \"Authorization: Bearer {key}\" \"http://{address}");
    format!(
        "Kvali answers at http://{address}\n{told}Try:\n  \
         {curl}/v1/me\"\n  \
         {curl}/v1/funnel?pipeline=Sales&rule=ordered&window=30d\"\n  \
         {curl}/v1/events?after=0&limit=3\"\n"
    )
}

/// Workers on threads of their own: a page that is folded keeps no request waiting.
struct Folding {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Folding {
    /// `moved` tells when this process has appended something.
    fn start(options: Options, at_once: u8, moved: watch::Receiver<()>) -> Result<Self, Failure> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(usize::from(at_once).max(2)).thread_name("kvali-fold").enable_all();
        let runtime = runtime.build().map_err(Failure::Runtime)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || runtime.block_on(fold(options, at_once, moved, stopped)));
        Ok(Self { stop, thread })
    }

    fn stop(self) {
        // If it has ended already, there is nobody to be told.
        let _told = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the workers' thread panicked");
        }
    }
}

async fn fold(options: Options, at_once: u8, mut moved: watch::Receiver<()>, stopped: oneshot::Receiver<()>) {
    let store = match Store::connect(options).await {
        Ok(store) => store,
        Err(error) => {
            tracing::error!(
                error = kvali_eventstore::chain(&error),
                "nothing is folded; `kvali project` can"
            );
            return;
        }
    };
    let models = kvali_projections::all();
    let workers =
        Workers::start(&store, &Workload { models, at_once: at_once.into(), worker: edge::new_id() });
    let hints = async {
        while moved.changed().await.is_ok() {
            store.hint();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = stopped => {}
        () = hints => {}
    }
    workers.stop().await;
    store.close().await;
}
