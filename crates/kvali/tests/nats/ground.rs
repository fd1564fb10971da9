//! What the tests stand on: a database, a real nats-server, and relays that are processes of their own.

use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::stream::{Info, Stream};
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt;
use kvali_domain::{Recorded, TenantId};
use kvali_eventstore::{MasterKey, Store};
use kvali_tests::Database;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What anything may take before something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const STREAM: &str = "KVALI";

/// A real nats-server with `JetStream`, which can be killed and started again.
pub(crate) struct Nats {
    dir: TempDir,
    more: Vec<&'static str>,
    port: u16,
    process: Process,
}

impl Nats {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(more: &[&'static str]) -> Self {
        let dir = TempDir::new().unwrap();
        let process = serve(dir.path(), "-1", more);
        let port = port(dir.path()).await;
        Self { dir, more: more.to_vec(), port, process }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Without a word of farewell.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) fn start_again(&mut self) {
        self.process = serve(self.dir.path(), &self.port.to_string(), &self.more);
    }

    pub(crate) async fn context(&self) -> Context {
        let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
        jetstream::new(options.connect(self.url()).await.unwrap())
    }

    pub(crate) async fn stream(&self, tenant: TenantId) -> Stream {
        self.context().await.get_stream(name(tenant)).await.unwrap()
    }

    /// The state of a tenant's stream, as soon as there is one and the server answers.
    pub(crate) async fn info(&self, context: &Context, tenant: TenantId) -> Info {
        let begun = Instant::now();
        loop {
            if let Ok(stream) = context.get_stream(name(tenant)).await {
                return stream.cached_info().clone();
            }
            assert!(begun.elapsed() < PATIENCE, "the stream is not made");
        }
    }

    /// Waits until a tenant's stream has so many messages.
    pub(crate) async fn has(&self, tenant: TenantId, messages: u64) {
        let (context, begun) = (self.context().await, Instant::now());
        loop {
            let has = self.info(&context, tenant).await.state.messages;
            if has >= messages {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the stream has {has} of {messages} messages");
        }
    }

    /// Every message of a tenant's stream, as a consumer gets them.
    pub(crate) async fn messages(&self, tenant: TenantId) -> Vec<Got> {
        let stream = self.stream(tenant).await;
        let count = stream.cached_info().state.messages;
        if count == 0 {
            return Vec::new();
        }
        let consumer = stream.create_consumer(OrderedConfig::default()).await.unwrap();
        let messages = consumer.messages().await.unwrap().take(usize::try_from(count).unwrap());
        let got = messages.map(|message| {
            let message = message.unwrap();
            let header = |name: &str| {
                let headers = message.headers.as_ref().unwrap();
                headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default()
            };
            Got {
                subject: message.subject.to_string(),
                id: header("Nats-Msg-Id"),
                content_type: header("Content-Type"),
                event: serde_json::from_slice(&message.payload).unwrap(),
            }
        });
        tokio::time::timeout(PATIENCE, got.collect()).await.expect("the stream is read")
    }
}

pub(crate) fn name(tenant: TenantId) -> String {
    format!("{STREAM}_{tenant}")
}

/// Where `scripts/need-nats` finds one, too.
fn program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut places: Vec<PathBuf> =
        std::env::var_os("KVALI_NATS_BIN").map(PathBuf::from).into_iter().collect();
    places.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let fetched = std::fs::read_dir(root.join("target")).into_iter().flatten().flatten();
    let ours = fetched.filter(|entry| entry.file_name().to_string_lossy().starts_with("nats-server-"));
    places.extend(ours.map(|entry| entry.path().join("bin")));
    let found = places.into_iter().map(|place| place.join("nats-server")).find(|program| program.is_file());
    found.expect("these tests need a nats-server; `sh scripts/need-nats` fetches one")
}

fn serve(dir: &Path, port: &str, more: &[&str]) -> Process {
    let mut command = Command::new(program());
    command.args(["--addr", "127.0.0.1", "--port", port, "--jetstream", "--store_dir"]).arg(dir);
    command.arg("--ports_file_dir").arg(dir).args(more);
    Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// The server writes where it listens as soon as it does.
async fn port(dir: &Path) -> u16 {
    let begun = Instant::now();
    loop {
        let files = std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path());
        let mut told = files.filter(|file| file.extension().is_some_and(|extension| extension == "ports"));
        let told: Option<Value> =
            told.find_map(|file| serde_json::from_slice(&std::fs::read(file).ok()?).ok());
        let url = told.as_ref().and_then(|told| told["nats"][0].as_str());
        if let Some(port) = url.and_then(|url| url.rsplit(':').next()?.parse().ok()) {
            return port;
        }
        assert!(begun.elapsed() < PATIENCE, "nats-server does not listen");
        tokio::task::yield_now().await;
    }
}

/// A message as a consumer has it.
pub(crate) struct Got {
    pub(crate) subject: String,
    pub(crate) id: String,
    pub(crate) content_type: String,
    pub(crate) event: Value,
}

/// A database whose key lies in a file, as separate processes need it.
pub(crate) struct Ground {
    pub(crate) database: Database,
    dir: TempDir,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        let mut database = Database::create().await;
        let dir = TempDir::new().unwrap();
        database.master_key = MasterKey::load_or_create(&dir.path().join("master.key")).unwrap();
        Self { database, dir }
    }

    /// `kvali WORDS`, of this database.
    pub(crate) fn kvali(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvali"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KVALI_")) {
            command.env_remove(name);
        }
        command.env("DATABASE_URL", &self.database.url).env("KVALI_DATA_DIR", self.dir.path());
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn relay(&self, nats: &Nats, more: &[&str]) -> Command {
        let mut command = self.kvali(&["--format", "json", "relay", "nats", "--stream", STREAM]);
        command.args(["--server", &nats.url()]).args(more);
        command
    }

    /// A relay that goes on until it is killed.
    pub(crate) fn start(&self, nats: &Nats, more: &[&str]) -> Process {
        Process(self.relay(nats, more).spawn().unwrap())
    }

    /// A relay that ends when the stream has what the log has now; what it has told.
    pub(crate) fn once(&self, nats: &Nats, more: &[&str]) -> Ran {
        Ran::of(&mut self.relay(nats, &[&["--once"], more].concat()))
    }
}

/// What a process left behind.
pub(crate) struct Ran(Output);

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self(child.wait_with_output().unwrap())
    }

    /// How many events it says that it has relayed.
    #[track_caller]
    pub(crate) fn events(&self) -> u64 {
        assert!(self.0.status.success(), "{self}");
        let told: Value = serde_json::from_slice(&self.0.stdout).unwrap();
        told["events"].as_u64().unwrap()
    }

    /// What it has said on stderr when it ended with that code.
    #[track_caller]
    pub(crate) fn said(&self, exit_code: i32) -> String {
        assert_eq!(self.0.status.code(), Some(exit_code), "{self}");
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        write!(f, "{}\n{}\n{}", self.0.status, text(&self.0.stdout), text(&self.0.stderr))
    }
}

pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.0.wait().unwrap()
    }

    #[track_caller]
    pub(crate) fn is_at_work(&mut self) {
        let ended = self.0.try_wait().unwrap();
        assert!(ended.is_none(), "it ended with {ended:?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _dead_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The whole log of a tenant.
pub(crate) async fn log(store: &Store, tenant: TenantId) -> Vec<Recorded> {
    let head = store.head(tenant).await.unwrap();
    store.read(tenant, 0, head).await.unwrap()
}

/// Asserts that a consumer gets what the log has: each event once, in the order of the log, as `CloudEvents` tells it.
#[track_caller]
pub(crate) fn assert_same(got: &[Got], log: &[Recorded], epoch: i32) {
    let ids: Vec<&str> = got.iter().map(|message| message.id.as_str()).collect();
    let expected: Vec<String> = log.iter().map(|event| format!("{epoch}-{}", event.position)).collect();
    let first = ids.iter().zip(&expected).position(|(id, expected)| id != expected);
    assert!(
        ids.len() == expected.len() && first.is_none(),
        "{} messages for {} events; the first that differs: {:?}",
        ids.len(),
        expected.len(),
        first.map(|at| (ids[at], &expected[at]))
    );
    for (message, event) in got.iter().zip(log) {
        assert_eq!(message.subject, format!("kvali.{}.{}", event.tenant, event.event_type));
        assert_eq!(message.content_type, "application/cloudevents+json");
        assert_eq!(message.event["specversion"], "1.0");
        assert_eq!(message.event["id"], event.event_id.0.to_string());
        assert_eq!(message.event["position"], event.position.to_string());
        assert_eq!(message.event["type"], &*event.event_type);
        let data: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(message.event["data"], data);
    }
}
