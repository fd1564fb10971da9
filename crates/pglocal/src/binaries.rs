//! Finds the Postgres programs on this machine.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::error::Error;
use crate::install::{self, Wanted};
use crate::server_user::ServerUser;

/// Debian puts none of them on the PATH, and elsewhere a client package has its share of names: only all three together
/// are a server.
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "pg_ctl"];

/// Where packages put them: a directory, the prefix of one directory per version in it, and the way from there.
const PLACES: [(&str, &str, &str); 9] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),
    ("/opt/homebrew", "bin", ""),
    ("/usr/local/pgsql", "bin", ""),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ("/usr/libexec", "postgresql", ""),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binaries {
    pub(crate) dir: PathBuf,
    pub(crate) major: u32,
}

impl Binaries {
    /// For a new cluster: the first that is new enough.
    pub(crate) fn new_enough(user: &ServerUser) -> Result<Self, Error> {
        let found = found(user)?;
        let chosen = found.iter().find(|binaries| binaries.major >= crate::OLDEST_MAJOR);
        chosen.cloned().ok_or_else(|| none_new_enough(found))
    }

    /// For the cluster in `data_dir`: data files are readable by the major version that wrote them only.
    pub(crate) fn of_version(needed: u32, user: &ServerUser, data_dir: &Path) -> Result<Self, Error> {
        let found = found(user)?;
        let chosen = found.iter().find(|binaries| binaries.major == needed);
        chosen.cloned().ok_or_else(|| Error::OtherVersion {
            data_dir: data_dir.to_owned(),
            needed,
            found: listed(&found),
            install: install::line(Wanted::Exactly(needed)),
        })
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// What there is, best first; only the override, if there is one.
fn found(user: &ServerUser) -> Result<Vec<Binaries>, Error> {
    match env::var_os("KVALI_PG_BIN").filter(|dir| !dir.is_empty()) {
        Some(dir) => named(Path::new(&dir), user).map(|binaries| vec![binaries]),
        None => Ok(in_order(&env::var_os("PATH").unwrap_or_default(), user)),
    }
}

fn named(dir: &Path, user: &ServerUser) -> Result<Binaries, Error> {
    let missing = PROGRAMS.into_iter().find(|program| !dir.join(program).is_file());
    let incomplete = |missing| Error::Incomplete { dir: dir.to_owned(), missing };
    if let Some(missing) = missing {
        return Err(incomplete(missing));
    }
    let dir = real_dir(dir).unwrap_or_else(|| dir.to_owned());
    inspected(&dir, user).ok_or_else(|| incomplete("postgres"))
}

fn in_order(path: &std::ffi::OsStr, user: &ServerUser) -> Vec<Binaries> {
    let usual = PLACES.into_iter().flat_map(|(dir, prefix, rest)| newest_first(Path::new(dir), prefix, rest));
    let mut dirs: Vec<PathBuf> = Vec::new();
    for dir in env::split_paths(path).chain(usual).filter_map(|dir| real_dir(&dir)) {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    dirs.iter().filter_map(|dir| inspected(dir, user)).collect()
}

/// The directory with all programs in it. Symbolic links are followed: a directory on the PATH may hold links to just
/// these three, while initdb looks for its share files from where they really are.
fn real_dir(dir: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(dir.join(PROGRAMS[0])).ok()?;
    let dir = real.parent()?;
    PROGRAMS.iter().all(|program| dir.join(program).is_file()).then(|| dir.to_owned())
}

/// Asked as the user who will run it: programs in a home that user cannot enter are as good as absent.
fn inspected(dir: &Path, user: &ServerUser) -> Option<Binaries> {
    let answer = user.command(&dir.join("postgres")).arg("--version").output().ok()?;
    let major = major_in(&String::from_utf8_lossy(&answer.stdout))?;
    Some(Binaries { dir: dir.to_owned(), major })
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` is 15, and so is `postgres (PostgreSQL) 15beta1`.
fn major_in(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

fn newest_first(dir: &Path, prefix: &str, rest: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut versions: Vec<(u32, String)> = names
        .filter(|name| name.starts_with(prefix))
        .map(|name| (major_in(&name[prefix.len()..]).unwrap_or(0), name))
        .collect();
    versions.sort_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, name)| dir.join(name).join(rest)).collect()
}

fn none_new_enough(found: Vec<Binaries>) -> Error {
    match found.into_iter().max_by_key(|binaries| binaries.major) {
        Some(Binaries { dir, major }) => {
            Error::TooOld { found: major, dir, install: install::line(Wanted::Newer) }
        }
        None => Error::NotFound { install: install::line(Wanted::Any) },
    }
}

fn listed(found: &[Binaries]) -> String {
    if found.is_empty() {
        return "no PostgreSQL is found here".to_owned();
    }
    let each = found.iter().map(|binaries| format!("{} ({})", binaries.major, binaries.dir.display()));
    format!("only version {} is found here", each.collect::<Vec<_>>().join(", "))
}
