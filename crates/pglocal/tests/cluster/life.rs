use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use kvali_pglocal::{Cluster, Config, Status};
use nix::sys::signal::Signal;
use nix::unistd::Uid;

use crate::support::{Scratch, User, played_user, query, wait_until};

#[test]
fn a_server_answers_and_ends_with_its_only_user() {
    let scratch = Scratch::new();
    let cluster = scratch.start();
    assert_eq!(scratch.query("select 1 + 1"), ["2"]);
    assert!(cluster.url("kvali").starts_with("postgres://kvali@localhost:5432/kvali?host=%2F"));
    drop(cluster);
    scratch.assert_stopped();
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let scratch = Scratch::new();
    let first = scratch.start();
    scratch.query("create table kept as select 'a trace' as what");
    drop(first);
    let _second = scratch.start();
    assert_eq!(scratch.query("select what from kept"), ["a trace"]);
}

#[test]
fn looking_at_a_directory_that_is_not_there_makes_nothing() {
    let scratch = Scratch::at("nothing/here");
    assert_eq!(scratch.status(), Status::Absent);
    assert!(!Cluster::stop(&scratch.data_dir).unwrap());
    assert!(!scratch.data_dir.parent().unwrap().exists());
}

#[test]
fn stopping_says_whether_there_was_anything_to_stop() {
    let scratch = Scratch::new();
    let _cluster = scratch.start();
    assert!(Cluster::stop(&scratch.data_dir).unwrap());
    assert!(!Cluster::stop(&scratch.data_dir).unwrap());
    scratch.assert_stopped();
}

#[test]
fn the_defaults_are_durable() {
    let scratch = Scratch::new();
    let _cluster = Cluster::start(&Config::new(&scratch.data_dir)).unwrap();
    for (name, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("shared_buffers", "256MB"),
        ("max_connections", "200"),
        ("max_wal_size", "2GB"),
        ("server_encoding", "UTF8"),
        ("listen_addresses", ""),
    ] {
        assert_eq!(scratch.query(&format!("show {name}")), [value], "{name}");
    }
}

#[test]
fn each_start_brings_its_own_settings() {
    let scratch = Scratch::new();
    let with = |max_connections: &str| {
        let mut config = scratch.config();
        config.settings.push(("max_connections".to_owned(), max_connections.to_owned()));
        let _cluster = Cluster::start(&config).unwrap();
        scratch.query("show max_connections")
    };
    assert_eq!(with("31"), ["31"]);
    assert_eq!(with("32"), ["32"]);
}

#[test]
fn nobody_else_can_come_near_the_socket() {
    let scratch = Scratch::new();
    let mut config = scratch.config();
    config.settings.push(("listen_addresses".to_owned(), "*".to_owned()));
    let _cluster = Cluster::start(&config).unwrap();
    let (_, address) = scratch.running();
    assert_eq!(scratch.query("show listen_addresses"), [""]);
    let socket_dir = fs::metadata(&address.socket_dir).unwrap();
    assert_eq!(socket_dir.permissions().mode() & 0o777, 0o700);
    assert_eq!(socket_dir.uid(), fs::metadata(scratch.data_dir.join("pg")).unwrap().uid());
}

#[test]
fn a_killed_server_starts_again_with_all_it_had() {
    let scratch = Scratch::new();
    let _first = scratch.start();
    scratch.query("create table kept as select 'a trace' as what");
    scratch.kill_server();
    scratch.assert_stopped();
    let _second = scratch.start();
    assert_eq!(scratch.query("select what from kept"), ["a trace"]);
}

/// A program of the server's own user: of anybody else's, postgres itself knows that it is no server.
fn unrelated_program(scratch: &Scratch) -> Child {
    let mut sleep = Command::new("sleep");
    let owner = fs::metadata(scratch.data_dir.join("pg")).unwrap();
    if Uid::effective().is_root() {
        sleep.uid(owner.uid()).gid(owner.gid());
    }
    sleep.arg("60").spawn().unwrap()
}

#[test]
fn a_dead_server_whose_pid_belongs_to_another_program_is_no_obstacle() {
    let scratch = Scratch::new();
    let _first = scratch.start();
    let (pid, address) = scratch.running();
    scratch.kill_server();
    let mut other = unrelated_program(&scratch);
    for file in [scratch.data_dir.join("pg/postmaster.pid"), address.socket_dir.join(".s.PGSQL.5432.lock")] {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replacen(&pid.to_string(), &other.id().to_string(), 1)).unwrap();
    }
    let status = scratch.status();
    let second = Cluster::start(&scratch.config());
    let untouched = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(matches!(status, Status::Stopped { .. }), "{status:?}");
    assert!(untouched);
    second.unwrap();
}

#[test]
fn a_pid_file_that_was_never_filled_is_no_obstacle() {
    let scratch = Scratch::new();
    drop(scratch.start());
    fs::write(scratch.data_dir.join("pg/postmaster.pid"), "").unwrap();
    scratch.start();
}

#[test]
fn a_killed_initdb_leaves_nothing_that_is_taken_for_a_cluster() {
    if played_user() {
        return;
    }
    let scratch = Scratch::new();
    let user = User::spawn("life::a_killed_initdb_leaves_nothing_that_is_taken_for_a_cluster", &scratch, &[]);
    let half_made = || scratch.names().into_iter().find(|name| name.starts_with("pg.new-"));
    wait_until(|| half_made().is_some_and(|dir| scratch.data_dir.join(dir).join("PG_VERSION").exists()));
    user.signal_group(Signal::SIGKILL);
    assert!(half_made().is_some());
    assert_eq!(scratch.status(), Status::Absent);
    let _cluster = scratch.start();
    assert_eq!(scratch.query("select 1"), ["1"]);
    assert_eq!(half_made(), None);
}

#[test]
fn a_path_too_long_for_a_socket_gets_a_shorter_one() {
    let scratch = Scratch::at(&"a-long-name/".repeat(20));
    let cluster = scratch.start();
    let (_, address) = scratch.running();
    assert!(!address.socket_dir.starts_with(&scratch.data_dir));
    assert_eq!(query(&address, "select 1"), ["1"]);
    drop(cluster);
    let again = scratch.start();
    assert_eq!(scratch.running().1, address, "everyone finds the same directory");
    drop(again);
    fs::remove_dir_all(address.socket_dir).unwrap();
}

#[test]
fn a_path_may_hold_spaces_quotes_and_letters_of_any_script() {
    let scratch = Scratch::at("o'neill & co/კვალი");
    let cluster = scratch.start();
    assert_eq!(scratch.query("select 1"), ["1"]);
    assert!(cluster.url("kvali").contains("o%27neill%20%26%20co%2F%E1%83%99"));
}

#[test]
fn a_server_whose_directory_was_deleted_ends_with_its_user() {
    let scratch = Scratch::new();
    let cluster = scratch.start();
    let (pid, _) = scratch.running();
    fs::remove_dir_all(&scratch.data_dir).unwrap();
    drop(cluster);
    let gone = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty();
    assert!(gone, "the server still runs");
}
