use crate::data::HISTORY;
use crate::support::Kvali;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn the_tail_is_the_last_events_or_those_after_a_position() {
    let kvali = Kvali::new("tail");
    kvali.import(0, &kvali.file("moves.csv", HISTORY), &[]);
    let positions = |args: &[&str]| {
        let log = kvali.json(0, &[&["log", "tail"], args].concat());
        log.as_array().unwrap().iter().map(|event| event["position"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(positions(&["--limit", "3"]), [6, 7, 8]);
    assert_eq!(positions(&["--after", "5"]), [6, 7, 8]);
    assert_eq!(positions(&["--after", "2", "--limit", "2"]), [3, 4]);
    let csv = kvali.run(&["--format", "csv", "log", "tail"]).stdout();
    assert_eq!(csv.lines().count(), 9);
    assert!(csv.starts_with("position,occurred,"), "{csv}");
}

#[test]
fn a_follower_sees_every_event_recorded_after_it_began() {
    let kvali = Kvali::new("follow");
    let args = ["--format", "json", "log", "tail", "--after", "0", "--follow"].map(AsRef::as_ref);
    let mut follower = kvali.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    kvali.import(0, &kvali.file("moves.csv", HISTORY), &[]);
    // Reading blocks until the events are there; nothing here waits for a guessed time.
    let positions = lines
        .take(8)
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()["position"].as_i64().unwrap());
    assert_eq!(positions.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
    follower.kill().unwrap();
    follower.wait().unwrap();
}
