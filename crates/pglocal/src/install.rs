//! The exact line to type for a Postgres, by the package manager that is here.

use std::env;

use nix::unistd::Uid;

/// The version to fetch where one has to be named; also Homebrew's.
const CURRENT: u32 = 17;

#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    Any,
    /// The distribution's own has proved too old.
    Newer,
    Exactly(u32),
}

type Line = fn(Wanted) -> String;

pub(crate) fn line(wanted: Wanted) -> String {
    const MANAGERS: [(&str, Line); 3] = [("apt-get", apt), ("dnf", dnf), ("brew", brew)];
    let here = MANAGERS.into_iter().find(|(program, _)| is_on_path(program));
    let line = here.map_or_else(|| elsewhere(wanted), |(_, line)| line(wanted));
    if Uid::effective().is_root() { line.replace("sudo env ", "env ").replace("sudo ", "") } else { line }
}

/// Tells the packages first not to make and start a cluster of the system's own.
fn apt(wanted: Wanted) -> String {
    const CONF: &str = "/etc/postgresql-common/createcluster.conf";
    let no_cluster = format!(
        "sudo mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' | sudo tee -a {CONF} && "
    );
    let install = |packages| format!("sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y {packages}");
    no_cluster
        + &match wanted {
            Wanted::Any => install("postgresql".to_owned()),
            Wanted::Newer => from_postgresql_org(install, CURRENT),
            Wanted::Exactly(major) => from_postgresql_org(install, major),
        }
}

/// The project's own Debian packages keep every supported version.
fn from_postgresql_org(install: impl Fn(String) -> String, major: u32) -> String {
    let common = install("postgresql-common".to_owned());
    let server = install(format!("postgresql-{major}"));
    format!("{common} && sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y && {server}")
}

/// Enterprise Linux 8 and 9 default to an older version than their module offers; Fedora has no modules.
fn dnf(wanted: Wanted) -> String {
    match wanted {
        Wanted::Any | Wanted::Newer => {
            "sudo dnf install -y @postgresql:16 || sudo dnf install -y postgresql-server".to_owned()
        }
        Wanted::Exactly(major) => format!("sudo dnf install -y postgresql{major}-server"),
    }
}

fn brew(wanted: Wanted) -> String {
    let major = if let Wanted::Exactly(major) = wanted { major } else { CURRENT };
    format!("brew install postgresql@{major}")
}

fn elsewhere(wanted: Wanted) -> String {
    match wanted {
        Wanted::Exactly(major) => format!("your package manager: the server of PostgreSQL {major}"),
        _ => format!("your package manager: the server of PostgreSQL {} or newer", crate::OLDEST_MAJOR),
    }
}

fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
