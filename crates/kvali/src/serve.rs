//! `kvali serve`: everything over HTTP.

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::{edge, key, measured, output, project};
use kvali_api::jobs::{self, Work, Worker};
use kvali_api::webhooks::{Dispatch, Dispatcher, Loopback};
use kvali_api::{Api, Issuer, Limits, Rates};
use kvali_eventstore::project::{Workers, Workload};
use kvali_eventstore::{Options, Store};
use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::thread::JoinHandle;
use std::time::Duration;
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
    #[command(flatten)]
    settings: Settings,
}

/// How to serve, whoever's data it is.
#[derive(clap::Args)]
#[command(next_help_heading = "Options of serving")]
pub(crate) struct Settings {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7878", env = "KVALI_LISTEN")]
    listen: SocketAddr,
    /// Leave the read models to `kvali project`
    #[arg(long, env = "KVALI_NO_WORKERS")]
    no_workers: bool,
    /// Read models and tenants that are folded at once
    #[arg(long, default_value = "2", value_name = "N", env = "KVALI_AT_ONCE")]
    at_once: NonZeroU8,
    /// Connections to Postgres for requests; appends have half as many of their own
    #[arg(long, default_value_t = 24, value_name = "N", env = "KVALI_DATABASE_CONNECTIONS",
          value_parser = clap::value_parser!(u32).range(2..=1000))]
    database_connections: u32,
    /// Let webhooks go to this machine, without TLS too: for development
    #[arg(long, env = "KVALI_WEBHOOKS_TO_LOOPBACK")]
    webhooks_to_loopback: bool,
    /// Connections of clients at once; further ones wait
    #[arg(long, default_value_t = Limits::default().connections, value_name = "N", env = "KVALI_CONNECTIONS")]
    connections: usize,
    /// Not ready (503 at /readyz) while a read model is further behind than this [default: however far]
    #[arg(long, value_name = "SECONDS", env = "KVALI_READY_LAG")]
    ready_lag: Option<u32>,
    /// Requests per second of one key; more are answered with 429
    #[arg(long, default_value_t = Rates::default().requests_per_second, value_name = "N", env = "KVALI_REQUESTS_PER_SECOND")]
    requests_per_second: NonZeroU32,
    /// Requests of one key at once, after a pause
    #[arg(long, default_value_t = Rates::default().burst, value_name = "N", env = "KVALI_BURST")]
    burst: NonZeroU32,
    /// Requests without a valid key per minute and address
    #[arg(long, default_value_t = Rates::default().failures_per_minute, value_name = "N", env = "KVALI_FAILURES_PER_MINUTE")]
    failures_per_minute: NonZeroU32,
    /// Megabytes (MiB) of one job of many commands
    #[arg(long, default_value_t = jobs::Limits::default().bytes >> 20, value_name = "N", env = "KVALI_JOB_MEGABYTES")]
    job_megabytes: usize,
    /// Rows of one job
    #[arg(long, default_value_t = jobs::Limits::default().rows, value_name = "N", env = "KVALI_JOB_ROWS",
          value_parser = clap::value_parser!(i32).range(1..))]
    job_rows: i32,
}

impl Serve {
    /// Answers until `told_to_stop`.
    pub(crate) async fn run(
        self,
        global: &Global,
        told_to_stop: impl Future<Output = ()>,
    ) -> Result<Done, Failure> {
        let door = self.settings.open().await?;
        let session = self.settings.session(global, "default").await?;
        let first_key = key::first(&session).await?;
        let told = match &first_key {
            Some(key) => format!("The admin's key, shown this once:\n  {key}"),
            None => {
                "The admin's key was shown at the first start; `kvali key issue` issues others.".to_owned()
            }
        };
        let welcome = door.welcome(&told, first_key.as_deref(), &TRIED);
        door.answer(session, &welcome, told_to_stop).await
    }
}

/// Questions to begin with, for any tenant.
const TRIED: [&str; 3] =
    ["/v1/me", "/v1/funnel?pipeline=Sales&rule=ordered&window=30d", "/v1/events?after=0&limit=3"];

impl Settings {
    /// The address is taken first: whoever cannot listen need not start a database.
    pub(crate) async fn open(&self) -> Result<Door<'_>, Failure> {
        let address = self.listen;
        let listener =
            TcpListener::bind(address).await.map_err(|source| Failure::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| Failure::Listen { address, source })?;
        Ok(Door { listener, address, settings: self })
    }

    pub(crate) async fn session(&self, global: &Global, tenant: &str) -> Result<Session, Failure> {
        Session::open_for(global, tenant, self.database_connections).await
    }

    fn of_api(&self, issuers: Vec<Issuer>) -> kvali_api::Settings {
        let Self { requests_per_second, burst, failures_per_minute, .. } = *self;
        kvali_api::Settings {
            rates: Rates { requests_per_second, burst, failures_per_minute },
            ready_lag: self.ready_lag.map(|seconds| Duration::from_secs(seconds.into())),
            issuers,
            loopback: if self.webhooks_to_loopback { Loopback::Allowed } else { Loopback::Refused },
            jobs: jobs::Limits { bytes: self.job_megabytes.saturating_mul(1 << 20), rows: self.job_rows },
        }
    }
}

/// Where requests come in, before anybody answers them.
pub(crate) struct Door<'s> {
    listener: TcpListener,
    address: SocketAddr,
    settings: &'s Settings,
}

impl Door<'_> {
    /// What to do next, as it can be typed; `told` is about the key.
    pub(crate) fn welcome(&self, told: &str, key: Option<&str>, paths: &[&str]) -> String {
        let (address, key) = (self.address, key.unwrap_or("$KEY"));
        let curl = format!("  curl -s -H \"Authorization: Bearer {key}\" \"http://{address}");
        let lines: Vec<String> = paths.iter().map(|path| format!("{curl}{path}\"")).collect();
        format!("Kvali answers at http://{address}\n{told}\nTry:\n{}\nCtrl-C stops it.\n", lines.join("\n"))
    }

    /// Answers until `told_to_stop`; `welcome` is printed as soon as it does.
    pub(crate) async fn answer(
        self,
        session: Session,
        welcome: &str,
        told_to_stop: impl Future<Output = ()>,
    ) -> Result<Done, Failure> {
        let Self { listener, address, settings } = self;
        let metrics = measured::recorded(address)?;
        let at_once = settings.at_once.get();
        let folding = if settings.no_workers {
            None
        } else {
            let options = Options { connections: project::connections(at_once), ..session.options.clone() };
            Some(Folding::start(options, at_once, session.store.moved())?)
        };
        output::write(welcome.as_bytes())?;
        let of_api = settings.of_api(session.issuers.clone());
        let dispatch = Dispatch { loopback: of_api.loopback, ..Dispatch::default() };
        let dispatcher = Dispatcher::start(session.store.clone(), dispatch);
        let api = Api::new(session.store.clone(), of_api, move || metrics.render());
        let worker = Worker::start(&api, Work::default());
        let limits = Limits { connections: settings.connections, ..Limits::default() };
        tokio::select! {
            () = kvali_api::serve(listener, api, limits, told_to_stop) => {}
            () = project::measure(&session.store, true) => {}
        }
        worker.stop().await;
        dispatcher.stop().await;
        if let Some(folding) = folding {
            tokio::task::spawn_blocking(|| folding.stop()).await.map_err(Failure::Task)?;
        }
        session.store.close().await;
        Ok(Done::Well)
    }
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
