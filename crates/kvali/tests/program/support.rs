//! One cluster for all tests of this program, one tenant and one directory for each.

use kvali_pglocal::{Cluster, Config, scratch_data_dir};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tempfile::TempDir;

/// Held while a test runs; the last test to let go stops the server and takes its data away.
struct Server {
    cluster: Option<Cluster>,
    data_dir: PathBuf,
}

impl Server {
    fn shared() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *running = Arc::downgrade(&server);
            server
        })
    }

    fn start() -> Self {
        static STARTS: AtomicU32 = AtomicU32::new(0);
        // A directory for each start: the server before may still be taking its own away.
        let nth = STARTS.fetch_add(1, Ordering::Relaxed);
        let name = format!("program-test-{}-{nth}", std::process::id());
        let data_dir = scratch_data_dir(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        let mut config = Config::new(&data_dir);
        // What a test writes need not outlive a power cut.
        config.settings = vec![("fsync".into(), "off".into()), ("shared_buffers".into(), "32MB".into())];
        Self { cluster: Some(Cluster::start(&config).unwrap()), data_dir }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cluster = None;
        let _left_behind = std::fs::remove_dir_all(&self.data_dir);
    }
}

/// One test's way to the program.
pub(crate) struct Kvali {
    server: Arc<Server>,
    tenant: String,
    dir: TempDir,
}

impl Kvali {
    /// `tenant` keeps the tests apart, so each names its own.
    pub(crate) fn new(tenant: &str) -> Self {
        Self { server: Server::shared(), tenant: tenant.to_owned(), dir: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&OsStr]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvali"));
        for name in ["DATABASE_URL", "KVALI_MASTER_KEY", "KVALI_LOG", "KVALI_LOG_FORMAT", "KVALI_CONFIG"] {
            command.env_remove(name);
        }
        command.arg("--tenant").arg(&self.tenant).args(args).stdin(Stdio::null());
        command.env("KVALI_DATA_DIR", &self.server.data_dir);
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Ran {
        let args: Vec<_> = args.iter().map(AsRef::as_ref).collect();
        Ran(self.command(&args).output().unwrap())
    }

    /// The JSON that a command prints; `exit_code` is what it must end with.
    #[track_caller]
    pub(crate) fn json<S: AsRef<OsStr>>(&self, exit_code: i32, args: &[S]) -> Value {
        let mut all: Vec<&OsStr> = vec!["--format".as_ref(), "json".as_ref()];
        all.extend(args.iter().map(AsRef::as_ref));
        let ran = self.run(&all);
        ran.ended_with(exit_code);
        serde_json::from_str(&ran.stdout()).unwrap_or_else(|error| panic!("{error} in {ran}"))
    }

    /// What a command says on stderr when it ends with `exit_code`.
    #[track_caller]
    pub(crate) fn fails(&self, exit_code: i32, args: &[&str]) -> String {
        let ran = self.run(args);
        ran.ended_with(exit_code);
        ran.stderr()
    }

    #[track_caller]
    pub(crate) fn import(&self, exit_code: i32, file: &Path, more: &[&str]) -> Value {
        let mut args: Vec<&OsStr> = vec!["import".as_ref(), "history".as_ref(), file.as_ref()];
        args.extend(["--pipeline", "Sales"].map(OsStr::new));
        args.extend(more.iter().map(OsStr::new));
        self.json(exit_code, &args)
    }

    #[track_caller]
    pub(crate) fn import_deals(&self, exit_code: i32, file: &Path, map: &Path, more: &[&str]) -> Value {
        let mut args: Vec<&OsStr> = vec!["import".as_ref(), "deals".as_ref(), file.as_ref()];
        args.extend(["--pipeline", "Sales", "--map"].map(OsStr::new));
        args.push(map.as_ref());
        args.extend(more.iter().map(OsStr::new));
        self.json(exit_code, &args)
    }

    /// `kvali import KIND FILE`.
    #[track_caller]
    pub(crate) fn import_records(&self, exit_code: i32, kind: &str, file: &Path, more: &[&str]) -> Value {
        let mut args: Vec<&OsStr> = vec!["import".as_ref(), kind.as_ref(), file.as_ref()];
        args.extend(more.iter().map(OsStr::new));
        self.json(exit_code, &args)
    }

    /// Every event of the tenant, in order.
    pub(crate) fn log(&self) -> Vec<Value> {
        let log = self.json(0, &["log", "tail", "--after", "0"]);
        log.as_array().unwrap().clone()
    }

    pub(crate) fn log_types(&self) -> Vec<String> {
        self.log().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    /// What happened to a deal, in words.
    pub(crate) fn story(&self, deal: &str) -> Vec<String> {
        let history = self.json(0, &["deal", "history", deal]);
        history.as_array().unwrap().iter().map(|event| event["what"].as_str().unwrap().to_owned()).collect()
    }
}

/// What a run of the program left behind.
pub(crate) struct Ran(Output);

impl Ran {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    #[track_caller]
    pub(crate) fn ended_with(&self, exit_code: i32) {
        assert_eq!(self.0.status.code(), Some(exit_code), "{self}");
    }

    #[track_caller]
    pub(crate) fn failed_saying(&self, exit_code: i32, words: &[&str]) {
        self.ended_with(exit_code);
        for words in words {
            assert!(self.stderr().contains(words), "{words:?} is not said in {self}");
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}\n{}", self.0.status, self.stdout(), self.stderr())
    }
}

/// The figures that tests ask for: accepted, already known, already so, refused, deals, events.
pub(crate) fn counts(report: &Value) -> [u64; 6] {
    ["accepted", "already_known", "already_so", "refused", "deals", "events"]
        .map(|figure| report[figure].as_u64().unwrap_or_else(|| panic!("no {figure} in {report}")))
}

/// What became of the rows: accepted, already known, already so, refused.
pub(crate) fn rows(report: &Value) -> [u64; 4] {
    ["accepted", "already_known", "already_so", "refused"]
        .map(|figure| report[figure].as_u64().unwrap_or_else(|| panic!("no {figure} in {report}")))
}

/// Column, value and reason of a refused row.
pub(crate) fn refusal(report: &Value, at: usize) -> (String, String, String) {
    let text = |key: &str| report["refusals"][at][key].as_str().unwrap_or_default().to_owned();
    (text("column"), text("value"), text("reason"))
}
