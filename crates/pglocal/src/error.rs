use std::{io, path::PathBuf};

/// Why the private Postgres cannot be had. Each message is meant for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no PostgreSQL found (initdb, postgres and pg_ctl, version {} or newer); install it with\n\n    {install}\n\n\
         or name the directory of its programs in KVALI_PG_BIN, or a server in DATABASE_URL",
        crate::OLDEST_MAJOR
    )]
    NotFound { install: String },

    #[error("KVALI_PG_BIN names {}, where {missing} cannot be found or run", dir.display())]
    Incomplete { dir: PathBuf, missing: &'static str },

    #[error(
        "PostgreSQL {found} found in {}, but version {} or newer is needed; install it with\n\n    {install}\n\n\
         or name the directory of its programs in KVALI_PG_BIN, or a server in DATABASE_URL",
        dir.display(),
        crate::OLDEST_MAJOR
    )]
    TooOld { found: u32, dir: PathBuf, install: String },

    #[error(
        "the cluster in {} was made by PostgreSQL {needed}, but {found}; its data is untouched. \
         Install the version it needs with\n\n    {install}\n\n\
         or name the directory of that version's programs in KVALI_PG_BIN",
        data_dir.display()
    )]
    OtherVersion { data_dir: PathBuf, needed: u32, found: String, install: String },

    #[error("no home directory to keep data in; set HOME or KVALI_DATA_DIR")]
    NoHome,

    #[error(
        "the data directory {} must be valid UTF-8 without control characters and any of \" $ ` \\ , \
         because pg_ctl hands it to a shell",
        path.display()
    )]
    UnusablePath { path: PathBuf },

    #[error(
        "the server runs as the user {user}, who may not enter {}, so it cannot reach the data directory {}; \
         choose another one with KVALI_DATA_DIR (such as /var/lib/kvali), or let it in with: chmod o+x {}",
        blocked.display(),
        data_dir.display(),
        blocked.display()
    )]
    Unreachable { data_dir: PathBuf, blocked: PathBuf, user: String },

    #[error("{} belongs to somebody else; the socket directory must be the server's own", path.display())]
    NotOurs { path: PathBuf },

    #[error("postgres refuses to run as root, and there is no user postgres or nobody to run it as")]
    NoServerUser,

    #[error("set {name}: a setting has a name of letters, digits, _ and ., and a value of one line")]
    Setting { name: String },

    #[error("make a cluster with initdb: {output}")]
    Initdb { output: String },

    #[error("start postgres: {output}\nthe last lines of {}:\n{tail}", log.display())]
    Start { output: String, log: PathBuf, tail: String },

    #[error("wait for postgres (pid {pid}) to become ready")]
    NotReady { pid: i32 },

    #[error("wait for postgres (pid {pid}) to stop")]
    NotStopped { pid: i32 },

    #[error("{step}")]
    Io { step: String, source: io::Error },
}

/// Names the step that failed; the cause stays its source.
pub(crate) trait Step<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { step: step(), source: source.into() })
    }
}
