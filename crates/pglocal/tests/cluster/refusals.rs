use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kvali_pglocal::{Cluster, Error, Status, scratch_data_dir};
use nix::unistd::Uid;
use tempfile::TempDir;

use crate::support::{Scratch, User, open_to_all, played_user};

#[test]
fn without_postgres_the_answer_is_what_to_do() {
    if played_user() {
        return;
    }
    let (scratch, empty) = (Scratch::new(), TempDir::new().unwrap());
    let test = "refusals::without_postgres_the_answer_is_what_to_do";
    let mut user = User::spawn(test, &scratch, &[("KVALI_PG_BIN", empty.path())]);
    let said = user.wait_ready().unwrap_err();
    assert!(said.contains("KVALI_PG_BIN names"), "{said}");
    assert!(said.contains("initdb cannot be found"), "{said}");
    assert_eq!(scratch.status(), Status::Absent);
}

#[test]
fn a_cluster_of_another_version_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    drop(scratch.start());
    let version_file = scratch.data_dir.join("pg/PG_VERSION");
    let version = fs::read_to_string(&version_file).unwrap();
    fs::write(&version_file, "12\n").unwrap();
    let log = fs::read(scratch.data_dir.join("postgres.log")).unwrap();

    let refused = scratch.refused();
    assert!(matches!(refused, Error::OtherVersion { needed: 12, .. }), "{refused}");
    let message = refused.to_string();
    assert!(message.contains("made by PostgreSQL 12"), "{message}");
    assert!(message.contains("its data is untouched"), "{message}");
    assert_eq!(scratch.status(), Status::Stopped { version: 12 });
    assert_eq!(fs::read(scratch.data_dir.join("postgres.log")).unwrap(), log, "no server has tried it");

    fs::write(&version_file, version).unwrap();
    scratch.start();
}

#[test]
fn a_failed_start_quotes_the_log() {
    let scratch = Scratch::new();
    let mut config = scratch.config();
    config.settings.push(("shared_buffers".to_owned(), "a lot".to_owned()));
    let message = Cluster::start(&config).unwrap_err().to_string();
    assert!(message.contains("the last lines of"), "{message}");
    assert!(message.contains("invalid value for parameter \"shared_buffers\": \"a lot\""), "{message}");
    scratch.assert_stopped();
}

#[test]
fn a_setting_cannot_smuggle_in_another_line() {
    let scratch = Scratch::new();
    for (name, value) in [("jit", "off'\nfsync = 'off"), ("jit = on\nfsync", "off"), ("", "off")] {
        let mut config = scratch.config();
        config.settings.push((name.to_owned(), value.to_owned()));
        let refused = Cluster::start(&config).unwrap_err();
        assert!(matches!(refused, Error::Setting { .. }), "{refused}");
    }
}

#[test]
fn a_path_that_a_shell_would_read_otherwise_is_refused() {
    for name in ["$HOME", "a\"b", "`date`", "a,b", "a\nb"] {
        let refused = Scratch::at("x").refused_at(name);
        assert!(matches!(refused, Error::UnusablePath { .. }), "{name}: {refused}");
    }
}

impl Scratch {
    fn refused_at(&self, name: &str) -> Error {
        let config = kvali_pglocal::Config::new(self.data_dir.join(name));
        Cluster::start(&config).unwrap_err()
    }
}

/// A directory closed to everyone but us, as root's home is.
fn closed_dir() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

#[test]
fn a_directory_the_servers_user_cannot_reach_is_named_with_the_way_out() {
    let closed = closed_dir();
    let started = Cluster::start(&kvali_pglocal::Config::new(closed.path().join("data")));
    if !Uid::effective().is_root() {
        // The server's user is our own.
        started.unwrap();
        return;
    }
    let message = started.unwrap_err().to_string();
    assert!(message.contains(&format!("may not enter {},", closed.path().display())), "{message}");
    assert!(message.contains(&format!("chmod o+x {}", closed.path().display())), "{message}");
    assert!(message.contains("KVALI_DATA_DIR"), "{message}");
}

#[test]
fn an_empty_directory_was_made_for_this_and_is_opened_to_the_servers_user() {
    let scratch = Scratch::new();
    fs::set_permissions(&scratch.data_dir, fs::Permissions::from_mode(0o700)).unwrap();
    scratch.start();
}

#[test]
fn a_directory_with_other_things_in_it_is_not_opened_to_others() {
    let closed = closed_dir();
    fs::write(closed.path().join("diary"), "private").unwrap();
    let started = Cluster::start(&kvali_pglocal::Config::new(closed.path()));
    assert_eq!(started.is_err(), Uid::effective().is_root());
    assert_eq!(fs::metadata(closed.path()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn scratch_data_lies_where_it_was_wanted_if_the_server_can_reach_it() {
    let open = closed_dir();
    open_to_all(open.path());
    let wanted = open.path().join("target/test-cluster");
    assert_eq!(scratch_data_dir(&wanted), fs::canonicalize(open.path()).unwrap().join("target/test-cluster"));
}

#[test]
fn scratch_data_of_an_unreachable_place_always_goes_to_the_same_other_one() {
    let closed = closed_dir();
    let wanted = closed.path().join("target/test-cluster");
    let chosen = scratch_data_dir(&wanted);
    assert_eq!(chosen.starts_with(closed.path()), !Uid::effective().is_root());
    fs::create_dir_all(&wanted).unwrap();
    assert_eq!(scratch_data_dir(&wanted), chosen, "whether it exists by now or not");
    assert_ne!(scratch_data_dir(Path::new("/root/elsewhere/test-cluster")), chosen);
}
