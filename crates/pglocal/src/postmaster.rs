//! The running server: found by its pid file, started by `pg_ctl`, stopped by a signal.

#[cfg(test)]
mod tests;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fs, iter};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::address::{self, Address};
use crate::binaries::Binaries;
use crate::data_dir::{DataDir, if_there, tail};
use crate::error::{Error, Step};
use crate::server_user::ServerUser;

/// Long enough for the recovery after a crash and for the last checkpoint before a stop.
const PATIENCE: Duration = Duration::from_secs(300);
/// For the children of a killed server to notice and go.
const ORPHANS_LEAVE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Postmaster {
    pub(crate) pid: i32,
    pub(crate) address: Address,
    ready: bool,
    pg: PathBuf,
}

/// The server that runs this cluster, if one does.
pub(crate) fn find(pg: &Path) -> Result<Option<Postmaster>, Error> {
    let text = pid_file(pg)?.unwrap_or_default();
    Ok(Postmaster::parse(&text, pg).filter(Postmaster::is_alive))
}

/// The same, when it is done with starting or stopping. Somebody killed half-way may have left it at either.
pub(crate) fn settled(pg: &Path) -> Result<Option<Postmaster>, Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match find(pg)? {
            Some(Postmaster { ready: false, pid, .. }) if Instant::now() > deadline => {
                return Err(Error::NotReady { pid });
            }
            Some(Postmaster { ready: false, .. }) => sleep(PAUSE),
            settled => return Ok(settled),
        }
    }
}

/// Removes the traces of a dead server if its pid now belongs to somebody else, which postgres cannot tell from a
/// running server. To be called in one's turn, when [`find`] found none.
///
/// Other traces stay: postgres reads from them whether children of the dead server still use its memory.
pub(crate) fn clear_stale(data_dir: &DataDir) -> Result<(), Error> {
    let pg = data_dir.pg();
    let Some(text) = pid_file(&pg)? else { return Ok(()) };
    let stale = Postmaster::parse(&text, &pg);
    let is_dead = stale.as_ref().is_some_and(|stale| !is_anybody(stale.pid));
    // A negative pid is that of a session in single-user mode, at work on these files perhaps.
    if is_dead || text.starts_with('-') {
        return Ok(());
    }
    let socket_lock = stale.map(|stale| address::socket_lock(&stale.address.socket()));
    for path in iter::once(pg.join("postmaster.pid")).chain(socket_lock) {
        tracing::info!(path = %path.display(), "remove the trace of a server that is gone");
        if_there(fs::remove_file(&path)).step(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

/// Starts the server and waits until it is ready.
///
/// `pg_ctl` puts it into a session of its own, so it does not die of the Ctrl-C that ends the program that started it.
pub(crate) fn launch(
    binaries: &Binaries,
    user: &ServerUser,
    data_dir: &DataDir,
) -> Result<Postmaster, Error> {
    let address = data_dir.prepare_address(user)?;
    let deadline = Instant::now() + ORPHANS_LEAVE;
    loop {
        let log = data_dir.prepare_log(user)?;
        let mut command = start_command(binaries, user, data_dir, &address);
        let ended = command.output().step(|| format!("run {}", binaries.program("pg_ctl").display()))?;
        if ended.status.success()
            && let Some(running) = settled(&data_dir.pg())?
        {
            return Ok(running);
        }
        let tail = tail(&log, 20);
        if !tail.contains("pre-existing shared memory block") || Instant::now() > deadline {
            return Err(Error::Start { output: told(&ended), log: data_dir.log(), tail });
        }
        sleep(PAUSE * 10);
    }
}

fn start_command(binaries: &Binaries, user: &ServerUser, data_dir: &DataDir, address: &Address) -> Command {
    let mut command = user.command(&binaries.program("pg_ctl"));
    command.args(["start", "--silent", "--wait", "--timeout", &PATIENCE.as_secs().to_string()]);
    command.arg("--pgdata").arg(data_dir.pg()).arg("--log").arg(data_dir.log());
    command.arg("--options").arg(fixed_options(data_dir, address));
    command
}

/// Where it listens is what makes trust acceptable, so these win over every file and over `alter system`.
fn fixed_options(data_dir: &DataDir, address: &Address) -> String {
    let options = [
        ("config_file", data_dir.settings().to_string_lossy().into_owned()),
        ("listen_addresses", String::new()),
        ("unix_socket_directories", address.socket_dir.to_string_lossy().into_owned()),
        ("unix_socket_permissions", "0700".to_owned()),
        ("port", address.port.to_string()),
    ];
    options.map(|(name, value)| format!("-c {name}={}", shell_quoted(&value))).join(" ")
}

fn shell_quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

fn told(ended: &Output) -> String {
    let said = String::from_utf8_lossy(&ended.stderr);
    said.lines().next().map_or_else(|| ended.status.to_string(), str::to_owned)
}

impl Postmaster {
    /// The lines of `postmaster.pid`: pid, data directory, start time, port, socket directory, TCP address, memory key,
    /// state. They appear one after the other while the server starts.
    fn parse(text: &str, pg: &Path) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let line = |number: usize| lines.get(number - 1).copied().unwrap_or_default();
        let pid = line(1).parse().ok().filter(|pid| *pid > 0)?;
        let port = line(4).parse().unwrap_or(address::PORT);
        let address = Address { socket_dir: PathBuf::from(line(5)), port };
        Some(Self { pid, address, ready: line(8) == "ready", pg: pg.to_owned() })
    }

    /// Asks for a fast shutdown, which disconnects the clients, and waits for its end.
    pub(crate) fn stop(&self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        if !self.is_alive() {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid), Signal::SIGINT) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error).step(|| format!("signal postgres (pid {})", self.pid)),
        }
        while self.is_alive() {
            if Instant::now() > deadline {
                return Err(Error::NotStopped { pid: self.pid });
            }
            sleep(PAUSE);
        }
        Ok(())
    }

    /// A pid alone proves nothing, as it may belong to another program by now. The command line does; a socket that
    /// answers, too, if somebody has started the server in other words.
    fn is_alive(&self) -> bool {
        let command = command_line(self.pid);
        let is_ours = command.contains("postgres") && command.contains(&format!("-D {} ", self.pg.display()));
        is_ours || (is_anybody(self.pid) && self.answers())
    }

    fn answers(&self) -> bool {
        self.address.socket_dir.is_absolute() && UnixStream::connect(self.address.socket()).is_ok()
    }
}

fn pid_file(pg: &Path) -> Result<Option<String>, Error> {
    let path = pg.join("postmaster.pid");
    if_there(fs::read_to_string(&path)).step(|| format!("read {}", path.display()))
}

fn is_anybody(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

/// Empty if there is no such process, or only its remains. Readable for everybody, unlike most of `/proc`.
fn command_line(pid: i32) -> String {
    if Path::new("/proc/self/cmdline").exists() {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        return String::from_utf8_lossy(&arguments).replace('\0', " ");
    }
    let listed = Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output();
    listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned()).unwrap_or_default()
}
