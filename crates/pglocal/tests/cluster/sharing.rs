use std::thread;

use kvali_pglocal::{Cluster, Config, Lifetime};
use nix::sys::signal::Signal;

use crate::support::{Scratch, User, played_user};

#[test]
fn all_who_start_at_once_share_one_server_until_the_last_leaves() {
    let scratch = Scratch::new();
    let start = || Cluster::start(&scratch.config()).map(|cluster| (cluster, scratch.running().0)).unwrap();
    let mut users: Vec<(Cluster, i32)> = thread::scope(|scope| {
        let starting: Vec<_> = (0..6).map(|_| scope.spawn(start)).collect();
        starting.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(users.iter().all(|(_, pid)| *pid == users[0].1));
    let last = users.pop();
    drop(users);
    assert_eq!(scratch.query("select 1"), ["1"]);
    drop(last);
    scratch.assert_stopped();
}

#[test]
fn two_processes_share_one_server_and_the_last_one_out_stops_it() {
    const THIS: &str = "sharing::two_processes_share_one_server_and_the_last_one_out_stops_it";
    if played_user() {
        return;
    }
    let scratch = Scratch::new();
    let (mut first, mut second) = (User::spawn(THIS, &scratch, &[]), User::spawn(THIS, &scratch, &[]));
    first.wait_ready().unwrap();
    let (pid, _) = scratch.running();
    second.wait_ready().unwrap();
    first.leave();
    assert_eq!(scratch.running().0, pid);
    second.leave();
    scratch.assert_stopped();
}

/// Which also shows that the server does not inherit the locks: it was started by the one who is killed.
#[test]
fn the_next_last_user_stops_the_server_of_a_killed_one() {
    const THIS: &str = "sharing::the_next_last_user_stops_the_server_of_a_killed_one";
    if played_user() {
        return;
    }
    let scratch = Scratch::new();
    let mut killed = User::spawn(THIS, &scratch, &[]);
    killed.wait_ready().unwrap();
    let (pid, _) = scratch.running();
    killed.kill();
    assert_eq!(scratch.running().0, pid);
    drop(scratch.start());
    scratch.assert_stopped();
}

#[test]
fn ctrl_c_at_the_terminal_does_not_reach_the_server() {
    const THIS: &str = "sharing::ctrl_c_at_the_terminal_does_not_reach_the_server";
    if played_user() {
        return;
    }
    let scratch = Scratch::new();
    let mut interrupted = User::spawn(THIS, &scratch, &[]);
    interrupted.wait_ready().unwrap();
    let _other = scratch.start();
    let (pid, _) = scratch.running();
    interrupted.signal_group(Signal::SIGINT);
    assert_eq!(scratch.query("select 1"), ["1"]);
    assert_eq!(scratch.running().0, pid);
}

#[test]
fn a_pinned_server_stays_until_it_is_stopped() {
    let scratch = Scratch::new();
    let pinning = Config { lifetime: Lifetime::UntilStopped, ..scratch.config() };
    drop(Cluster::start(&pinning).unwrap());
    let (pid, _) = scratch.running();
    drop(scratch.start());
    assert_eq!(scratch.running().0, pid, "a passing user does not stop it");
    assert!(Cluster::stop(&scratch.data_dir).unwrap());
    drop(scratch.start());
    scratch.assert_stopped();
}
