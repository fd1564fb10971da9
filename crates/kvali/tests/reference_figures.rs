//! Real data in, published figures out, through the program itself. The data is not part of the project: where it
//! is absent the tests say so.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A data directory of its own; its server is stopped at the end.
struct Kvali(TempDir);

impl Kvali {
    fn start() -> Self {
        let kvali = Self(tempfile::Builder::new().prefix("kvali-figures-").tempdir().unwrap());
        kvali.run(&["pg", "start"]);
        kvali
    }

    /// What the program prints; it must succeed.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command().args(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kvali {arguments:?}: {} {errors}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[arguments, &["--format", "json"]].concat())).unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvali"));
        command.env_remove("DATABASE_URL").env("KVALI_DATA_DIR", self.0.path());
        command
    }
}

impl Drop for Kvali {
    fn drop(&mut self) {
        let _best_effort = self.command().args(["pg", "stop"]).output();
    }
}

/// The folder of a data set, if it is there.
fn data(set: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("KVALI_REFERENCE_DATA").map_or(root, PathBuf::from).join(set);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "NOT TESTED: the reference data {} is absent; name its folder in KVALI_REFERENCE_DATA",
        folder.display()
    );
    None
}

fn root(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path).display().to_string()
}

/// One log imported, and the questions asked of it.
struct Log<'a> {
    kvali: &'a Kvali,
    name: &'a str,
    expected: Value,
}

impl Log<'_> {
    fn ask(&self, rule: &str, more: &[&str]) -> Value {
        self.ask_of(&self.expected["stages"].as_array().unwrap().iter().collect::<Vec<_>>(), rule, more)
    }

    fn ask_of(&self, stages: &[&Value], rule: &str, more: &[&str]) -> Value {
        let mut arguments = vec!["funnel", "--pipeline", self.name, "--rule", rule];
        for stage in stages {
            arguments.extend(["--stage", stage.as_str().unwrap()]);
        }
        self.kvali.json(&[&arguments, more].concat())
    }

    fn counts_are(&self, key: &str, rule: &str) {
        assert_eq!(column(&self.ask(rule, &[]), "count"), self.expected[key], "{} {key}", self.name);
    }

    fn windows_are(&self, key: &str, start: &str) {
        for (window, counts) in self.expected[key].as_object().unwrap() {
            let answer = self.ask("ordered", &["--window", window, "--start", start]);
            assert_eq!(column(&answer, "count"), *counts, "{} {key} {window}", self.name);
        }
    }

    fn step_times_are(&self, ordered: &Value) {
        let steps = self.expected["ordered_step_time"].as_array().unwrap();
        for (stage, step) in ordered["stages"].as_array().unwrap().iter().zip(steps).skip(1) {
            self.times_are(stage, step, "from_previous");
        }
        self.times_are(ordered, &self.expected["ordered_total_time"], "total");
    }

    fn times_are(&self, found: &Value, expected: &Value, of: &str) {
        if expected.is_null() {
            assert_eq!(found[format!("n_{of}")], 0, "{} {of}", self.name);
            return;
        }
        assert_eq!(found[format!("n_{of}")], expected["n"], "{} {of}", self.name);
        for measure in ["mean", "median", "p90"] {
            let seconds = &found[format!("{measure}_seconds_{of}")];
            close(seconds, &expected[format!("{measure}_s")], &format!("{} {measure} {of}", self.name));
        }
    }

    fn transitions_are(&self, ordered: &Value) {
        let stages = self.expected["stages"].as_array().unwrap();
        let place = |name: &Value| stages.iter().position(|stage| stage == name).map_or(0, |at| at + 1);
        let expected = self.expected["transitions"].as_object().unwrap();
        let found = ordered["transitions"].as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{} transitions", self.name);
        for moved in found {
            let key = format!("{}->{}", place(&moved["from"]), place(&moved["to"]));
            assert_eq!(moved["n"], expected[&key]["n"], "{} {key}", self.name);
            close(&moved["median_seconds"], &expected[&key]["median_s"], &format!("{} {key}", self.name));
        }
    }

    fn cohorts_are(&self, ordered: &Value) {
        let found: serde_json::Map<_, _> = ordered["cohorts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|cohort| (cohort["month"].as_str().unwrap().to_owned(), cohort["counts"].clone()))
            .collect();
        assert_eq!(Value::Object(found), self.expected["cohort_month"], "{} cohorts", self.name);
    }

    fn last_stages_are(&self, ordered: &Value) {
        let found = ordered["last_stage"].as_array().unwrap().iter().enumerate();
        let found = found.filter(|(_, last)| last["count"] != 0);
        let found: serde_json::Map<_, _> =
            found.map(|(at, last)| ((at + 1).to_string(), last["count"].clone())).collect();
        assert_eq!(Value::Object(found), self.expected["last_stage"], "{} last stage", self.name);
    }

    fn activities_are(&self) {
        let activities = self.expected["activity_cases"].as_object().unwrap();
        let names: Vec<Value> = activities.keys().map(|name| Value::from(name.as_str())).collect();
        let answer = self.ask_of(&names.iter().collect::<Vec<_>>(), "entered", &[]);
        let mut visits = 0;
        for stage in answer["stages"].as_array().unwrap() {
            let expected = &activities[stage["stage"].as_str().unwrap()];
            assert_eq!((&stage["count"], &stage["visits"]), (&expected[0], &expected[1]), "{}", self.name);
            visits += stage["visits"].as_u64().unwrap();
        }
        assert_eq!(visits, self.expected["events"].as_u64().unwrap(), "{} events", self.name);
        assert_eq!(answer["cases"], self.expected["cases"], "{} cases", self.name);
    }
}

fn column(answer: &Value, key: &str) -> Value {
    answer["stages"].as_array().unwrap().iter().map(|stage| stage[key].clone()).collect()
}

fn close(found: &Value, expected: &Value, what: &str) {
    match (found.as_f64(), expected.as_f64()) {
        (None, None) => {}
        (Some(found), Some(expected)) => {
            assert!((found - expected).abs() <= 0.001, "{what}: {found} for {expected}");
        }
        _ => panic!("{what}: {found} for {expected}"),
    }
}

#[test]
fn the_four_event_logs_equal_their_published_figures() {
    let Some(folder) = data("eventlogs") else { return };
    let kvali = Kvali::start();
    for name in ["running-example", "receipt", "helpdesk", "bpic2020_RequestForPayment"] {
        let file = folder.join(format!("{name}.csv")).display().to_string();
        let summary = kvali.json(&["import", "history", &file, "--pipeline", name]);
        assert_eq!(summary["refused"], 0, "{name}: {summary}");
        let expected = std::fs::read_to_string(folder.join(format!("{name}.expected.json"))).unwrap();
        let log = Log { kvali: &kvali, name, expected: serde_json::from_str(&expected).unwrap() };
        log.counts_are("reached", "entered");
        log.counts_are("any_order", "any_order");
        log.counts_are("ordered", "ordered");
        log.counts_are("strict", "strict");
        log.windows_are("window_any_start", "best");
        log.windows_are("window_first_start", "first");
        log.activities_are();
        let ordered = log.ask("ordered", &[]);
        let reentry: Value = column(&ordered, "visits")
            .as_array()
            .unwrap()
            .iter()
            .zip(column(&ordered, "reentered").as_array().unwrap())
            .map(|(visits, cases)| Value::from(vec![visits.clone(), cases.clone()]))
            .collect();
        assert_eq!(reentry, log.expected["reentry"], "{name} re-entry");
        log.step_times_are(&ordered);
        log.transitions_are(&ordered);
        log.cohorts_are(&ordered);
        log.last_stages_are(&ordered);
    }
}

#[test]
fn the_maven_sales_table_imports_whole_and_gives_the_reference_figures() {
    let Some(folder) = data("maven_crm_sales") else { return };
    let kvali = Kvali::start();
    let (file, map) =
        (folder.join("sales_pipeline.csv").display().to_string(), root("docs/maps/maven_crm_sales.toml"));
    let import = ["import", "deals", &file, "--pipeline", "Maven", "--map", &map];
    let summary = kvali.json(&import);
    assert_eq!((&summary["rows"], &summary["refused"]), (&8_800.into(), &0.into()), "{summary}");
    let position = kvali.json(&["funnel", "--pipeline", "Maven"])["position"].clone();
    let again = kvali.json(&import);
    assert_eq!(again["already_known"], 8_800, "{again}");

    let all = kvali.json(&["funnel", "--pipeline", "Maven"]);
    assert_eq!(all["position"], position, "the same file again adds nothing");
    assert_eq!(all["cases"], 8_800);
    let closed = &all["win_rate"]["closed"];
    assert_eq!((&closed["won"], &closed["lost"]), (&4_238.into(), &2_473.into()));
    assert_eq!(closed["values"][0]["won_value"]["amount"], "10005534");
    let stock = kvali.json(&["funnel", "--pipeline", "Maven", "--rule", "snapshot"]);
    assert_eq!(column(&stock, "count"), serde_json::json!([500, 1_589, 4_238]));
    for (outcome, days) in [("won", [57.0, 88.0, 106.0]), ("lost", [14.0, 79.0, 100.0])] {
        for (measure, days) in ["median", "p75", "p90"].into_iter().zip(days) {
            let seconds = &all["cycle"][outcome][format!("{measure}_seconds")];
            close(seconds, &Value::from(days * 86_400.0), &format!("{outcome} {measure}"));
        }
    }

    let march = ["funnel", "--pipeline", "Maven", "--from", "2017-03-01", "--to", "2017-04-01"];
    let march = kvali.json(&march);
    let percent = |rate: &Value| (rate.as_f64().unwrap() * 1_000.0).round() / 10.0;
    assert!((percent(&march["win_rate"]["closed"]["rate"]) - 82.1).abs() < 1e-9, "{}", march["win_rate"]);
    assert!((percent(&march["win_rate"]["cohort"]["rate"]) - 55.6).abs() < 1e-9, "{}", march["win_rate"]);

    let then = ["funnel", "--pipeline", "Maven", "--as-of", "2017-12-31", "--clock", "happened"];
    let velocity = &kvali.json(&then)["velocity"]["currencies"][0];
    assert_eq!(velocity["open"], 2_089);
    let per_day: f64 = velocity["per_day"]["amount"].as_str().unwrap().parse().unwrap();
    assert!((per_day - 60_147.0).abs() < 0.5, "{velocity}");
}
