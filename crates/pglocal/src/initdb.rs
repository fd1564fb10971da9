//! Makes a cluster, or leaves nothing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::unistd::mkdtemp;

use crate::address::SUPERUSER;
use crate::binaries::Binaries;
use crate::data_dir::{self, DataDir};
use crate::error::{Error, Step};
use crate::server_user::ServerUser;

const UNFINISHED: &str = "pg.new-";

/// Everything but the target and the programs' whereabouts is the same on every machine.
///
/// - The C locale exists everywhere and sorts by bytes, so indexes outlive an upgrade of the C library. Who wants a
///   language's order names an ICU collation in the query.
/// - Trust is acceptable, because the server listens on nothing but a socket in a directory that only its own user
///   (and root) may enter: whoever can connect could read the files as well. Should somebody start it by hand
///   with other settings, TCP connections are rejected.
const ARGUMENTS: [&str; 8] = [
    "--username",
    SUPERUSER,
    "--encoding=UTF8",
    "--locale=C",
    "--data-checksums",
    "--auth-local=trust",
    "--auth-host=reject",
    "--no-instructions",
];

/// Works beside the final place under a name of its own and then renames: a killed initdb leaves nothing that
/// could be taken for a cluster, and one that survived our own death disturbs nobody.
pub(crate) fn run(
    binaries: &Binaries,
    user: &ServerUser,
    data_dir: &DataDir,
    sync: bool,
) -> Result<(), Error> {
    sweep(data_dir.path());
    let new = unfinished_dir(data_dir.path(), user)?;
    let made = make(binaries, user, &new, sync).and_then(|()| put_in_place(&new, data_dir));
    if made.is_err() {
        sweep(data_dir.path());
    }
    made
}

fn unfinished_dir(data_dir: &Path, user: &ServerUser) -> Result<PathBuf, Error> {
    let new = mkdtemp(&data_dir.join(format!("{UNFINISHED}XXXXXX")))
        .step(|| format!("make a directory for a new cluster in {}", data_dir.display()))?;
    data_dir::make_private(&new, user)?;
    Ok(new)
}

fn make(binaries: &Binaries, user: &ServerUser, new: &Path, sync: bool) -> Result<(), Error> {
    let mut command = user.command(&binaries.program("initdb"));
    command.args(ARGUMENTS).arg("--pgdata").arg(new);
    if !sync {
        command.arg("--no-sync");
    }
    let ended = command.output().step(|| format!("run {}", binaries.program("initdb").display()))?;
    if ended.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    Err(Error::Initdb { output: if output.is_empty() { ended.status.to_string() } else { output } })
}

fn put_in_place(new: &Path, data_dir: &DataDir) -> Result<(), Error> {
    let renamed = fs::rename(new, data_dir.pg());
    let durable = renamed.and_then(|()| File::open(data_dir.path())?.sync_all());
    durable.step(|| format!("put the new cluster in place as {}", data_dir.pg().display()))
}

/// Removes what killed attempts have left. What cannot be removed now will be by the next attempt.
fn sweep(data_dir: &Path) {
    for entry in fs::read_dir(data_dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%error, path = %entry.path().display(), "remove an unfinished cluster");
        }
    }
}
