//! The directory in which everything lies, and who may enter it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown};
use std::path::{Path, PathBuf};
use std::{env, iter};

use nix::fcntl::OFlag;
use nix::unistd::Uid;

use crate::address::{self, Address};
use crate::error::{Error, Step};
use crate::server_user::ServerUser;

/// `sun_path` without its closing zero; macOS has less room.
const MAX_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
const MAX_LOG_BYTES: u64 = 16 << 20;

/// `KVALI_DATA_DIR`, or `/var/lib/kvali` for root, or the user's own data home.
///
/// Root's home is no default: the unprivileged user the server runs as could not enter it.
pub fn default_data_dir() -> Result<PathBuf, Error> {
    let named = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(chosen) = named("KVALI_DATA_DIR") {
        return Ok(chosen);
    }
    if Uid::effective().is_root() {
        return Ok(PathBuf::from("/var/lib/kvali"));
    }
    // The XDG base directory specification says that relative paths are to be ignored.
    let data_home = named("XDG_DATA_HOME").filter(|dir| dir.is_absolute());
    let data_home = data_home.or_else(|| named("HOME").map(|home| home.join(".local/share")));
    data_home.map(|dir| dir.join("kvali")).ok_or(Error::NoHome)
}

/// The preferred directory, unless the server's user could not enter it: then one under the temporary directory whose
/// name follows from the preferred one, so that everyone who asks gets the same answer.
///
/// For throw-away clusters in a build directory, which lies in root's home when root works there.
pub fn scratch_data_dir(preferred: &Path) -> PathBuf {
    let preferred = resolved(preferred);
    let above = preferred.ancestors().skip(1).find(|dir| dir.exists());
    let reachable = |dir: &Path| ServerUser::of_new_cluster()?.may_enter(dir);
    if above.is_some_and(|dir| reachable(dir).unwrap_or(false)) {
        preferred
    } else {
        env::temp_dir().join(format!("kvali-scratch-{:016x}", fingerprint(&preferred)))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    // Canonical: everyone who shares a cluster must spell it alike, however they came here.
    path: PathBuf,
}

impl DataDir {
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let path = resolved(path);
        check_spelling(&path)?;
        // The server's user has to pass through, but nobody needs to see what else lies here.
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&path)
            .step(|| format!("create the data directory {}", path.display()))?;
        Ok(Self { path })
    }

    pub(crate) fn existing(path: &Path) -> Result<Option<Self>, Error> {
        let path = resolved(path);
        check_spelling(&path)?;
        Ok(path.is_dir().then_some(Self { path }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn pg(&self) -> PathBuf {
        self.path.join("pg")
    }

    pub(crate) fn settings(&self) -> PathBuf {
        self.path.join("postgres.conf")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    pub(crate) fn start_lock(&self) -> PathBuf {
        self.path.join("start.lock")
    }

    pub(crate) fn users_lock(&self) -> PathBuf {
        self.path.join("users.lock")
    }

    fn pinned(&self) -> PathBuf {
        self.path.join("pinned")
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.pinned().exists()
    }

    pub(crate) fn pin(&self) -> Result<(), Error> {
        File::create(self.pinned()).map(drop).step(|| format!("pin the server of {}", self.path.display()))
    }

    pub(crate) fn unpin(&self) -> Result<(), Error> {
        if_there(fs::remove_file(self.pinned()))
            .map(drop)
            .step(|| format!("unpin the server of {}", self.path.display()))
    }

    /// The major version that made the cluster, if there is one.
    pub(crate) fn cluster_version(&self) -> Result<Option<u32>, Error> {
        let path = self.pg().join("PG_VERSION");
        let step = || format!("read the cluster's version in {}", path.display());
        let Some(version) = if_there(fs::read_to_string(&path)).step(step)? else { return Ok(None) };
        version.trim().parse().map(Some).map_err(io::Error::other).step(step)
    }

    /// Makes sure that the server's user can come here. A directory that is empty was made for this and is opened;
    /// any other keeps its permissions, since we do not know what else they protect.
    pub(crate) fn let_in(&self, user: &ServerUser) -> Result<(), Error> {
        if user.may_enter(&self.path)? {
            return Ok(());
        }
        if self.is_empty()? {
            self.open_to_others()?;
        }
        let outside_in: Vec<&Path> = self.path.ancestors().collect();
        for dir in outside_in.into_iter().rev() {
            if !user.may_enter(dir)? {
                let (data_dir, user) = (self.path.clone(), user.name.clone());
                return Err(Error::Unreachable { data_dir, blocked: dir.to_owned(), user });
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> Result<bool, Error> {
        let mut entries = fs::read_dir(&self.path).step(|| format!("list {}", self.path.display()))?;
        Ok(entries.next().is_none())
    }

    fn open_to_others(&self) -> Result<(), Error> {
        let step = || format!("let the server's user into {}", self.path.display());
        let mode = fs::metadata(&self.path).step(step)?.mode();
        fs::set_permissions(&self.path, Permissions::from_mode(mode | 0o011)).step(step)
    }

    /// Where the server shall listen; makes the directory. Near the data, unless the socket's path would not fit.
    ///
    /// Only for starting: a running server's pid file says where it listens, whatever `TMPDIR` is by now.
    pub(crate) fn prepare_address(&self, user: &ServerUser) -> Result<Address, Error> {
        let near = self.path.join("run");
        let fits = address::socket_in(&near, address::PORT).as_os_str().len() <= MAX_SOCKET_PATH;
        let far = || env::temp_dir().join(format!("kvali-{:016x}", fingerprint(&self.path)));
        let socket_dir = if fits { near } else { far() };
        make_private(&socket_dir, user)?;
        Ok(Address { socket_dir, port: address::PORT })
    }

    /// Renamed into place, so that no server reads half a file.
    pub(crate) fn write_settings(&self, settings: &str) -> Result<(), Error> {
        let (path, new) = (self.settings(), self.path.join("postgres.conf.new"));
        let original = self.pg().join("postgresql.conf");
        let include = crate::settings::quoted(&original.to_string_lossy());
        let text = format!(
            "# Rewritten at each start. To change a setting for good: alter system.\ninclude {include}\n{settings}"
        );
        let written = fs::write(&new, text)
            .and_then(|()| fs::set_permissions(&new, Permissions::from_mode(0o644)))
            .and_then(|()| fs::rename(&new, &path));
        written.step(|| format!("write {}", path.display()))
    }

    /// The log, open for reading at its end and owned by the server's user, who appends to it.
    pub(crate) fn prepare_log(&self, user: &ServerUser) -> Result<File, Error> {
        let path = self.log();
        let step = || format!("prepare the log {}", path.display());
        if fs::metadata(&path).is_ok_and(|log| log.len() > MAX_LOG_BYTES) {
            fs::rename(&path, path.with_extension("log.old")).step(step)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        let mut log = options.open(&path).step(step)?;
        if user.dropped {
            fchown(&log, Some(user.uid), Some(user.gid)).step(step)?;
        }
        log.seek(SeekFrom::End(0)).step(step)?;
        Ok(log)
    }
}

/// The last lines of what was written to `log` since it was opened.
pub(crate) fn tail(mut log: &File, lines: usize) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = log.read_to_end(&mut bytes) {
        return format!("(unreadable: {error})");
    }
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A directory of the server's user that nobody else may enter; root still does.
pub(crate) fn make_private(dir: &Path, user: &ServerUser) -> Result<(), Error> {
    let step = || format!("make the directory {}", dir.display());
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error).step(step),
        _ => {}
    }
    // It may lie in a directory where everybody can put things: take nobody's but our own.
    let found = fs::symlink_metadata(dir).step(step)?;
    if !found.is_dir() || ![user.uid, Uid::effective().as_raw()].contains(&found.uid()) {
        return Err(Error::NotOurs { path: dir.to_owned() });
    }
    if found.mode() & 0o777 != 0o700 {
        fs::set_permissions(dir, Permissions::from_mode(0o700)).step(step)?;
    }
    if found.uid() == user.uid { Ok(()) } else { lchown(dir, Some(user.uid), Some(user.gid)).step(step) }
}

/// Absence as `None`.
pub(crate) fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Canonical as far as it exists: a path must not change its name by being created.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let canonical = |dir: &Path| fs::canonicalize(dir).ok().map(|real| (real, dir.components().count()));
    let Some((real, depth)) = path.ancestors().find_map(canonical) else { return path };
    iter::once(real.as_os_str()).chain(path.iter().skip(depth)).collect()
}

fn check_spelling(path: &Path) -> Result<(), Error> {
    let is_sound = |text: &str| !text.contains(|c: char| c.is_control() || "\"$`\\,".contains(c));
    if path.to_str().is_some_and(is_sound) {
        Ok(())
    } else {
        Err(Error::UnusablePath { path: path.to_owned() })
    }
}

/// FNV-1a: std's hasher may change with the compiler, and differently built programs share one cluster.
fn fingerprint(path: &Path) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    path.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fnv)
}
