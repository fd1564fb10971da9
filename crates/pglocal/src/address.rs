//! Where a server listens, as a URL.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The role that owns the cluster.
pub(crate) const SUPERUSER: &str = "kvali";
/// Only a part of the socket's file name: nothing listens on TCP.
pub(crate) const PORT: u16 = 5432;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub socket_dir: PathBuf,
    pub port: u16,
}

impl Address {
    /// Port and `sslmode` are spelled out, because clients would otherwise take them from `PGPORT` and `PGSSLMODE`.
    pub fn url(&self, database: &str) -> String {
        let host = percent_encoded(&self.socket_dir.to_string_lossy());
        let database = percent_encoded(database);
        format!("postgres://{SUPERUSER}@localhost:{}/{database}?host={host}&sslmode=disable", self.port)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        socket_in(&self.socket_dir, self.port)
    }
}

pub(crate) fn socket_in(dir: &Path, port: u16) -> PathBuf {
    dir.join(format!(".s.PGSQL.{port}"))
}

/// The file that guards a socket, with the pid of its server in it.
pub(crate) fn socket_lock(socket: &Path) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail");
        }
        encoded
    })
}
