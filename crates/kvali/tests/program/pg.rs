use crate::support::Kvali;
use std::ffi::OsStr;

#[test]
fn a_private_postgres_is_running_with_a_url_or_absent_with_the_way_out() {
    let kvali = Kvali::new("pg");
    let status = kvali.json(0, &["pg", "status"]);
    assert_eq!(status["state"], "running");
    assert_eq!(kvali.run(&["pg", "url"]).stdout().trim(), status["url"].as_str().unwrap());

    let empty = kvali.path("nothing-here");
    let elsewhere = |args: [&str; 2]| {
        let mut all: Vec<&OsStr> = vec!["--data-dir".as_ref(), empty.as_ref()];
        all.extend(args.map(OsStr::new));
        kvali.run(&all)
    };
    assert!(elsewhere(["pg", "status"]).stdout().contains("absent"));
    elsewhere(["pg", "url"]).failed_saying(1, &["is not running; start it with: kvali pg start"]);
    elsewhere(["pg", "stop"]).ended_with(0);
    assert!(!empty.exists(), "looking made a directory");
}
