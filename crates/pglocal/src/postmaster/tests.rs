use super::*;

const PG: &str = "/srv/kvali/pg";

#[test]
fn a_complete_pid_file_tells_where_the_server_listens() {
    let text = "4711\n/srv/kvali/pg\n1795359687\n5432\n/srv/kvali/run\n\n 10027174         4\nready   \n";
    let found = Postmaster::parse(text, Path::new(PG)).unwrap();
    assert_eq!((found.pid, found.ready), (4711, true));
    assert_eq!(found.address, Address { socket_dir: PathBuf::from("/srv/kvali/run"), port: 5432 });
}

#[test]
fn a_pid_file_still_being_written_is_not_ready() {
    let found = Postmaster::parse("4711\n/srv/kvali/pg\n1795359687\n", Path::new(PG)).unwrap();
    assert!(!found.ready);
}

#[test]
fn an_empty_pid_file_and_one_of_a_single_user_session_name_no_server() {
    assert_eq!(Postmaster::parse("", Path::new(PG)), None);
    assert_eq!(Postmaster::parse("-4711\n/srv/kvali/pg\n", Path::new(PG)), None);
}

#[test]
fn a_path_reaches_the_server_through_the_shell_as_it_is() {
    assert_eq!(shell_quoted("/home/o'neill/my data"), r"'/home/o'\''neill/my data'");
}

#[test]
fn the_socket_path_of_an_address_is_percent_encoded_in_its_url() {
    let address = Address { socket_dir: PathBuf::from("/tmp/my dir/ä"), port: 5432 };
    let url = address.url("kvali");
    assert_eq!(url, "postgres://kvali@localhost:5432/kvali?host=%2Ftmp%2Fmy%20dir%2F%C3%A4&sslmode=disable");
}
