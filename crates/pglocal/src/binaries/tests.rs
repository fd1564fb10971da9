use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

/// A directory that everybody may enter, as the server's user is not the one who runs the tests if that is root.
fn open_dir() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn programs_of_version(dir: &Path, version: &str) {
    fs::create_dir_all(dir).unwrap();
    for program in PROGRAMS {
        let path = dir.join(program);
        fs::write(&path, format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn user() -> ServerUser {
    ServerUser::of_new_cluster().unwrap()
}

#[test]
fn the_major_version_is_read_from_every_kind_of_release() {
    for (version, major) in [
        ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(15)),
        ("postgres (PostgreSQL) 17beta1", Some(17)),
        ("postgres (PostgreSQL) 9.6.24", Some(9)),
        ("postgres: not found", None),
    ] {
        assert_eq!(major_in(version), major, "{version}");
    }
}

#[test]
fn links_to_the_programs_lead_to_where_they_really_are() {
    let dir = open_dir();
    let (real, linked) = (dir.path().join("real"), dir.path().join("linked"));
    programs_of_version(&real, "16.1");
    fs::create_dir(&linked).unwrap();
    for program in PROGRAMS {
        symlink(real.join(program), linked.join(program)).unwrap();
    }
    let first = in_order(linked.as_os_str(), &user()).into_iter().next();
    assert_eq!(first, Some(Binaries { dir: fs::canonicalize(real).unwrap(), major: 16 }));
}

#[test]
fn a_directory_without_all_three_programs_is_no_server() {
    let dir = open_dir();
    programs_of_version(dir.path(), "16.1");
    fs::remove_file(dir.path().join("pg_ctl")).unwrap();
    assert_eq!(real_dir(dir.path()), None);
    let refused = named(dir.path(), &user()).unwrap_err();
    assert!(matches!(refused, Error::Incomplete { missing: "pg_ctl", .. }), "{refused}");
}

#[test]
fn versions_are_tried_newest_first_and_ten_comes_after_nine() {
    let dir = open_dir();
    for name in ["pgsql-9.6", "pgsql-10", "pgsql-17", "python3"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let found = newest_first(dir.path(), "pgsql-", "bin");
    assert_eq!(found, ["pgsql-17", "pgsql-10", "pgsql-9.6"].map(|name| dir.path().join(name).join("bin")));
}

#[test]
fn the_path_comes_before_the_usual_places() {
    let dir = open_dir();
    programs_of_version(dir.path(), "99.1");
    let path = env::join_paths([Path::new("/nowhere"), dir.path()]).unwrap();
    assert_eq!(in_order(OsStr::new(&path), &user())[0].major, 99);
}

#[test]
fn without_any_postgres_the_error_says_what_to_type() {
    let message = none_new_enough(Vec::new()).to_string();
    assert!(message.contains("install"), "{message}");
    assert!(message.contains("KVALI_PG_BIN"), "{message}");
    assert!(message.contains("version 15 or newer"), "{message}");
}

#[test]
fn an_old_postgres_is_named_with_what_is_needed() {
    let old = |major| Binaries { dir: PathBuf::from("/usr/lib/postgresql/old/bin"), major };
    let message = none_new_enough(vec![old(13), old(14)]).to_string();
    assert!(message.contains("PostgreSQL 14 found in /usr/lib/postgresql/old/bin"), "{message}");
    assert!(message.contains("version 15 or newer is needed"), "{message}");
}
