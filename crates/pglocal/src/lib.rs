//! A private Postgres from the programs on this machine: the default when no database URL is given.
//!
//! [`Cluster::start`] makes the cluster on first use, starts its server or joins the one that runs, and answers
//! with a URL. It deliberately leaves the databases inside to the caller: `postgres` always exists, and whoever
//! connects is a superuser who may say `create database`.
//!
//! Everything lies in one data directory:
//!
//! | path | holds |
//! |---|---|
//! | `pg/` | the cluster |
//! | `run/` | the socket, unless its path would be too long for one |
//! | `postgres.conf` | the settings, rewritten at each start |
//! | `postgres.log` | what the server says |
//! | `start.lock` | held while somebody starts or stops the server |
//! | `users.lock` | shared by everyone who uses it; a killed user's lock is released by the kernel |
//! | `pinned` | there if the server stays although nobody uses it |

mod address;
mod binaries;
mod data_dir;
mod error;
mod initdb;
mod install;
mod lock;
mod postmaster;
mod server_user;
mod settings;

use std::path::{Path, PathBuf};

pub use address::Address;
pub use data_dir::{default_data_dir, scratch_data_dir};
pub use error::Error;

use binaries::Binaries;
use data_dir::DataDir;
use lock::LockFile;
use postmaster::Postmaster;
use server_user::ServerUser;

/// The oldest major version of Postgres that Kvali runs on.
pub const OLDEST_MAJOR: u32 = 15;

/// How to run the server, should it not be running yet.
#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    /// Postgres settings by name, on top of the durable defaults. Whoever starts the server decides: a cluster
    /// that already runs is joined as it is. Where it listens is not a setting.
    pub settings: Vec<(String, String)>,
    pub lifetime: Lifetime,
}

impl Config {
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), settings: Vec::new(), lifetime: Lifetime::WhileUsed }
    }
}

/// When the server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// With its last user, in whichever process that is.
    WhileUsed,
    /// At [`Cluster::stop`] only, whoever else comes and goes.
    UntilStopped,
}

/// What is to be found in a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Absent,
    Stopped { version: u32 },
    Running { version: u32, pid: i32, address: Address },
}

/// One user's hold on a running server.
///
/// The hold is per value, not per process. Dropping it blocks for the moment a fast shutdown takes if this was the
/// last one. A process that is killed, or calls `std::process::exit`, drops nothing: its server stays until the
/// next last user leaves.
#[derive(Debug)]
pub struct Cluster {
    data_dir: DataDir,
    postmaster: Postmaster,
    // Kept open, so that leaving works even after the data directory was deleted.
    turns: LockFile,
    users: LockFile,
}

impl Cluster {
    pub fn start(config: &Config) -> Result<Self, Error> {
        let settings = settings::render(&config.settings)?;
        let data_dir = DataDir::create(&config.data_dir)?;
        let user = ServerUser::of(&data_dir)?;
        data_dir.let_in(&user)?;
        let turns = LockFile::open(&data_dir.start_lock())?;
        let users = LockFile::open(&data_dir.users_lock())?;
        let turn = turns.exclusive()?;
        let postmaster = match postmaster::settled(&data_dir.pg())? {
            Some(running) => running,
            None => launch(&data_dir, &user, &settings, config)?,
        };
        // Still in this turn: nobody can be the last to leave between the start and this lock.
        users.share()?;
        if config.lifetime == Lifetime::UntilStopped {
            data_dir.pin()?;
        }
        drop(turn);
        Ok(Self { data_dir, postmaster, turns, users })
    }

    /// `postgres://kvali@localhost:5432/DATABASE?host=…`, for sqlx and libpq alike.
    pub fn url(&self, database: &str) -> String {
        self.postmaster.address.url(database)
    }

    /// Looks without touching: makes nothing and waits for nobody.
    pub fn status(data_dir: &Path) -> Result<Status, Error> {
        let Some(data_dir) = DataDir::existing(data_dir)? else { return Ok(Status::Absent) };
        let Some(version) = data_dir.cluster_version()? else { return Ok(Status::Absent) };
        Ok(match postmaster::find(&data_dir.pg())? {
            Some(Postmaster { pid, address, .. }) => Status::Running { version, pid, address },
            None => Status::Stopped { version },
        })
    }

    /// Stops the server whoever uses it, and forgets that it was pinned. False: it was not running.
    ///
    /// Needs no Postgres programs, so it works after they were upgraded or removed.
    pub fn stop(data_dir: &Path) -> Result<bool, Error> {
        let Some(data_dir) = DataDir::existing(data_dir)? else { return Ok(false) };
        if data_dir.cluster_version()?.is_none() {
            return Ok(false);
        }
        let turns = LockFile::open(&data_dir.start_lock())?;
        let _turn = turns.exclusive()?;
        data_dir.unpin()?;
        match postmaster::find(&data_dir.pg())? {
            Some(postmaster) => postmaster.stop().map(|()| true),
            None => Ok(false),
        }
    }

    fn leave(&self) -> Result<(), Error> {
        let _turn = self.turns.exclusive()?;
        self.users.release()?;
        if self.data_dir.is_pinned() || !self.users.is_unused()? {
            return Ok(());
        }
        // A deleted data directory has no pid file to find the server by.
        let found = postmaster::find(&self.data_dir.pg())?;
        found.as_ref().unwrap_or(&self.postmaster).stop()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!(%error, data_dir = %self.data_dir.path().display(), "leave the private postgres");
        }
    }
}

fn launch(
    data_dir: &DataDir,
    user: &ServerUser,
    settings: &str,
    config: &Config,
) -> Result<Postmaster, Error> {
    let binaries = match data_dir.cluster_version()? {
        Some(version) => Binaries::of_version(version, user, data_dir.path())?,
        None => make_cluster(data_dir, user, config)?,
    };
    postmaster::clear_stale(data_dir)?;
    data_dir.write_settings(settings)?;
    postmaster::launch(&binaries, user, data_dir)
}

fn make_cluster(data_dir: &DataDir, user: &ServerUser, config: &Config) -> Result<Binaries, Error> {
    let binaries = Binaries::new_enough(user)?;
    initdb::run(&binaries, user, data_dir, settings::syncs(&config.settings))?;
    Ok(binaries)
}
