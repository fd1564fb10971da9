//! The system user the server runs as: postgres refuses root.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use nix::unistd::{Uid, User};

use crate::data_dir::DataDir;
use crate::error::{Error, Step};

/// Whom root becomes, best first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

#[derive(Clone, Debug)]
pub(crate) struct ServerUser {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Whether we are root and have to become this user first.
    pub(crate) dropped: bool,
}

impl ServerUser {
    /// An existing cluster stays with its owner, even if a user `postgres` has appeared since.
    pub(crate) fn of(data_dir: &DataDir) -> Result<Self, Error> {
        match fs::metadata(data_dir.pg()) {
            Ok(pg) if Uid::effective().is_root() && pg.uid() != 0 => Ok(Self::by_id(pg.uid(), pg.gid())),
            _ => Self::of_new_cluster(),
        }
    }

    pub(crate) fn of_new_cluster() -> Result<Self, Error> {
        if !Uid::effective().is_root() {
            let (uid, gid) = (Uid::effective().as_raw(), nix::unistd::Gid::effective().as_raw());
            return Ok(Self { dropped: false, ..Self::by_id(uid, gid) });
        }
        let known = |name| User::from_name(name).ok().flatten();
        let user = UNPRIVILEGED.into_iter().find_map(known).ok_or(Error::NoServerUser)?;
        Ok(Self::by_id(user.uid.as_raw(), user.gid.as_raw()))
    }

    fn by_id(uid: u32, gid: u32) -> Self {
        let known = User::from_uid(uid.into()).ok().flatten();
        let name = known.map_or_else(|| uid.to_string(), |user| user.name);
        Self { name, uid, gid, dropped: true }
    }

    /// A command that runs as this user, from a directory everybody may be in, in English, and without the `PG…`
    /// variables by which a person at a terminal means another server.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C");
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if self.dropped {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Asks the system rather than the mode bits, which know nothing of access lists.
    pub(crate) fn may_enter(&self, dir: &Path) -> Result<bool, Error> {
        if !self.dropped {
            return Ok(true);
        }
        let mut test = self.command(Path::new("/bin/sh"));
        test.args(["-c", "test -x \"$1\"", "sh"]).arg(dir).stderr(Stdio::null());
        let status =
            test.status().step(|| format!("ask whether {} may enter {}", self.name, dir.display()))?;
        Ok(status.success())
    }
}
