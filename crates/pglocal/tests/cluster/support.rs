//! Throw-away data directories, users in processes of their own, and a client of three messages.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kvali_pglocal::{Address, Cluster, Config, Error, Status};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

pub(crate) struct Scratch {
    pub(crate) data_dir: PathBuf,
    _temp: TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let temp = TempDir::new().unwrap();
        Self { data_dir: temp.path().to_owned(), _temp: temp }
    }

    /// The data directory deeper down.
    pub(crate) fn at(below: &str) -> Self {
        let temp = TempDir::with_prefix("kvali").unwrap();
        open_to_all(temp.path());
        Self { data_dir: temp.path().join(below), _temp: temp }
    }

    pub(crate) fn config(&self) -> Config {
        small_and_fast(&self.data_dir)
    }

    pub(crate) fn start(&self) -> Cluster {
        Cluster::start(&self.config()).unwrap()
    }

    pub(crate) fn refused(&self) -> Error {
        Cluster::start(&self.config()).unwrap_err()
    }

    pub(crate) fn status(&self) -> Status {
        Cluster::status(&self.data_dir).unwrap()
    }

    #[track_caller]
    pub(crate) fn running(&self) -> (i32, Address) {
        match self.status() {
            Status::Running { pid, address, .. } => (pid, address),
            other => panic!("expected a running server, found {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn assert_stopped(&self) {
        let status = self.status();
        assert!(matches!(status, Status::Stopped { .. }), "{status:?}");
    }

    /// The first column of each row.
    #[track_caller]
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        query(&self.running().1, sql)
    }

    /// As the machine does when it runs out of memory. The remains are left as they are.
    pub(crate) fn kill_server(&self) {
        let (pid, _) = self.running();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        wait_until(|| !matches!(self.status(), Status::Running { .. }));
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.data_dir).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// What is tested here is not whether Postgres survives a power cut.
fn small_and_fast(data_dir: &Path) -> Config {
    let settings = [("shared_buffers", "8MB"), ("max_connections", "20"), ("fsync", "off")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Config { settings, ..Config::new(data_dir) }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Not unwrapped: a second panic would hide why the test failed.
        if let Err(error) = Cluster::stop(&self.data_dir) {
            eprintln!("stop the server of a test: {error}");
        }
    }
}

/// For the event itself, which is near; the limit is only for when it never comes.
#[track_caller]
pub(crate) fn wait_until(mut happened: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if happened() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("waited for ten seconds");
}

pub(crate) fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
}

const CHILD_OF: &str = "KVALI_TEST_DATA_DIR";
const READY: &str = "the cluster is ready";

/// The calling test once more in a process of its own, where [`played_user`] takes over.
pub(crate) struct User {
    child: Child,
}

impl User {
    pub(crate) fn spawn(test: &str, scratch: &Scratch, more: &[(&str, &Path)]) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture"]).env(CHILD_OF, &scratch.data_dir);
        command
            .envs(more.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        // A group of its own stands for a terminal's foreground group.
        Self { child: command.process_group(0).spawn().unwrap() }
    }

    /// Waits until it uses the cluster, or says why it cannot.
    pub(crate) fn wait_ready(&mut self) -> Result<(), String> {
        let mut said = String::new();
        for line in BufReader::new(self.child.stdout.as_mut().unwrap()).lines() {
            let line = line.unwrap();
            if line.contains(READY) {
                return Ok(());
            }
            said.push_str(&line);
            said.push('\n');
        }
        Err(said)
    }

    /// Lets it end in good order.
    pub(crate) fn leave(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }

    pub(crate) fn signal_group(mut self, signal: Signal) {
        killpg(self.pid(), signal).unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = killpg(self.pid(), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// In a spawned process: uses the cluster until standard input ends, and is true. In the test itself: false.
pub(crate) fn played_user() -> bool {
    let Some(data_dir) = env::var_os(CHILD_OF) else { return false };
    match Cluster::start(&small_and_fast(Path::new(&data_dir))) {
        Ok(_cluster) => {
            println!("\n{READY}");
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        Err(error) => println!("\n{error}"),
    }
    true
}

/// Speaks just enough of the protocol, so that the tests need neither psql nor a driver.
#[track_caller]
pub(crate) fn query(address: &Address, sql: &str) -> Vec<String> {
    let socket = address.socket_dir.join(format!(".s.PGSQL.{}", address.port));
    let mut server = UnixStream::connect(socket).unwrap();
    let startup = b"\x00\x03\x00\x00user\0kvali\0database\0postgres\0\0";
    server.write_all(&framed(startup)).unwrap();
    answer(&mut server);
    server.write_all(b"Q").unwrap();
    server.write_all(&framed(&[sql.as_bytes(), b"\0"].concat())).unwrap();
    answer(&mut server)
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes()[..], body].concat()
}

/// Reads up to the server being ready for the next query.
#[track_caller]
fn answer(server: &mut UnixStream) -> Vec<String> {
    let mut rows = Vec::new();
    loop {
        let mut head = [0; 5];
        server.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; length as usize - 4];
        server.read_exact(&mut body).unwrap();
        match head[0] {
            b'D' => rows.push(String::from_utf8(body[6..].to_vec()).unwrap()),
            b'E' => panic!("{}", String::from_utf8_lossy(&body)),
            b'Z' => return rows,
            _ => {}
        }
    }
}
