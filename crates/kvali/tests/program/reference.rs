//! Real data in, published figures out, through the program itself. The data is not part of the project: where it
//! is absent the tests say so.
use crate::support::{Kvali, counts};
use serde_json::Value;
use std::path::PathBuf;

/// `KVALI_REFERENCE_DATA`, or `shared/data` beside the checkout. Says aloud when a file is not there.
pub(crate) fn reference(name: &str) -> Option<PathBuf> {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into();
    let file = std::env::var_os("KVALI_REFERENCE_DATA").map_or_else(beside, PathBuf::from).join(name);
    if file.is_file() {
        return Some(file);
    }
    eprintln!(
        "NOT TESTED: {} is not there; set KVALI_REFERENCE_DATA to the directory of the reference data",
        file.display()
    );
    None
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
        self.kvali.json(0, &[&arguments, more].concat())
    }

    /// The whole file once; again, it adds nothing.
    fn imports(&self, file: &str, rows: u64) {
        let import = ["import", "history", file, "--pipeline", self.name];
        let (entries, deals) =
            (self.expected["events"].as_u64().unwrap(), self.expected["cases"].as_u64().unwrap());
        let [accepted, known, so, refused, found, _] = counts(&self.kvali.json(0, &import));
        assert_eq!(
            (accepted, so, known, refused, found),
            (entries, rows - entries, 0, 0, deals),
            "{}",
            self.name
        );
        assert_eq!(counts(&self.kvali.json(0, &import)), [0, rows, 0, 0, deals, 0], "{}", self.name);
    }

    fn reentries_are(&self, ordered: &Value) {
        let stages = ordered["stages"].as_array().unwrap().iter();
        let found: Value =
            stages.map(|stage| serde_json::json!([stage["visits"], stage["reentered"]])).collect();
        assert_eq!(found, self.expected["reentry"], "{} re-entry", self.name);
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
fn the_four_event_logs_import_whole_once_and_equal_their_published_figures() {
    let kvali = Kvali::new("reference-logs");
    // Rows of the file; the rest of the counts stand in the published figures.
    for (name, rows) in [
        ("running-example", 42),
        ("receipt", 8_577),
        ("helpdesk", 21_348),
        ("bpic2020_RequestForPayment", 36_072),
    ] {
        let Some(file) = reference(&format!("eventlogs/{name}.csv")) else { continue };
        let expected = std::fs::read_to_string(file.with_extension("expected.json")).unwrap();
        let log = Log { kvali: &kvali, name, expected: serde_json::from_str(&expected).unwrap() };
        log.imports(file.to_str().unwrap(), rows);
        log.counts_are("reached", "entered");
        log.counts_are("any_order", "any_order");
        log.counts_are("ordered", "ordered");
        log.counts_are("strict", "strict");
        log.windows_are("window_any_start", "best");
        log.windows_are("window_first_start", "first");
        log.activities_are();
        let ordered = log.ask("ordered", &[]);
        log.reentries_are(&ordered);
        log.step_times_are(&ordered);
        log.transitions_are(&ordered);
        log.cohorts_are(&ordered);
        log.last_stages_are(&ordered);
    }
}

/// A case's stages in order, neighbours of one stage as one visit.
type Ways = std::collections::BTreeMap<String, Vec<String>>;

/// Rows of a log in order of time: case, stage, time, and the line.
struct Row {
    case: String,
    stage: String,
    at: chrono::DateTime<chrono::Utc>,
    line: String,
}

fn rows(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = csv::Reader::from_reader(text.as_bytes())
        .records()
        .zip(text.lines().skip(1))
        .map(|(row, line)| {
            let row = row.unwrap();
            let at = row[3].parse().unwrap();
            Row { case: row[0].to_owned(), stage: row[1].to_owned(), at, line: line.to_owned() }
        })
        .collect();
    rows.sort_by_key(|row| row.at);
    rows
}

fn ways<'a>(rows: impl Iterator<Item = &'a Row>) -> Ways {
    let mut ways = Ways::new();
    for row in rows {
        let way = ways.entry(row.case.clone()).or_default();
        if way.last() != Some(&row.stage) {
            way.push(row.stage.clone());
        }
    }
    ways
}

/// The fold of the reference figures, over any part of the log.
fn folded(ways: &Ways, stages: &[String], rule: &str) -> Value {
    let deep = |way: &Vec<String>| match rule {
        "any_order" => stages.iter().take_while(|stage| way.contains(stage)).count(),
        "ordered" => {
            let mut next = 0;
            for stage in way {
                next += usize::from(stages.get(next) == Some(stage));
            }
            next
        }
        "strict" => (0..way.len())
            .map(|start| way[start..].iter().zip(stages).take_while(|(stood, asked)| stood == asked).count())
            .max()
            .unwrap_or(0),
        other => panic!("{other} follows no chain"),
    };
    let count = |step: usize| match rule {
        "entered" => ways.values().filter(|way| way.contains(&stages[step])).count(),
        _ => ways.values().filter(|way| deep(way) > step).count(),
    };
    (0..stages.len()).map(count).collect()
}

#[test]
fn the_past_of_the_event_logs_in_both_clocks_is_the_fold_over_the_cut_history_live_and_rebuilt() {
    let kvali = Kvali::new("reference-past");
    for name in ["running-example", "receipt"] {
        let Some(file) = reference(&format!("eventlogs/{name}.csv")) else { continue };
        let expected = std::fs::read_to_string(file.with_extension("expected.json")).unwrap();
        let log = Log { kvali: &kvali, name, expected: serde_json::from_str(&expected).unwrap() };
        let text = std::fs::read_to_string(&file).unwrap();
        let rows = rows(&text);
        // Whole cases are known first: every second one, and whoever stood where nobody of these did.
        let mut known = std::collections::BTreeSet::new();
        let mut seen = std::collections::BTreeSet::new();
        for (nth, case) in ways(rows.iter()).keys().enumerate() {
            let of_case = || rows.iter().filter(|row| row.case == *case);
            if nth % 2 == 0 || of_case().any(|row| !seen.contains(&row.stage)) {
                seen.extend(of_case().map(|row| row.stage.clone()));
                known.insert(case.clone());
            }
        }
        // In order of time, and within an instant in the order of the file.
        let half: Vec<&str> =
            rows.iter().filter(|row| known.contains(&row.case)).map(|row| row.line.as_str()).collect();
        let half = format!("{}\n{}\n", text.lines().next().unwrap(), half.join("\n"));
        let half = kvali.file(&format!("{name}-half.csv"), &half);
        kvali.json(0, &["import", "history", half.to_str().unwrap(), "--pipeline", name]);
        let position = log.ask("entered", &[])["position"].to_string();
        kvali.json(0, &["import", "history", file.to_str().unwrap(), "--pipeline", name]);
        let noon = rows[rows.len() / 2].at;
        let instant = noon.to_rfc3339();
        let by_then = ways(rows.iter().filter(|row| row.at <= noon));
        let of_known = ways(rows.iter().filter(|row| known.contains(&row.case)));
        let stages: Vec<String> = serde_json::from_value(log.expected["stages"].clone()).unwrap();
        for round in ["live", "rebuilt"] {
            for rule in ["entered", "any_order", "ordered", "strict"] {
                let happened = log.ask(rule, &["--as-of", &instant, "--clock", "happened"]);
                assert_eq!(
                    column(&happened, "count"),
                    folded(&by_then, &stages, rule),
                    "{name} {rule} {round}"
                );
                assert_eq!(happened["cases"], by_then.len(), "{name} {rule} {round}");
                let then = log.ask(rule, &["--as-of", &position]);
                assert_eq!(column(&then, "count"), folded(&of_known, &stages, rule), "{name} {rule} {round}");
            }
            log.counts_are("reached", "entered");
            log.counts_are("ordered", "ordered");
            kvali.json(0, &["projections", "rebuild"]);
        }
        let visits = |ways: &Ways| ways.values().map(Vec::len).sum::<usize>();
        let all = ways(rows.iter());
        assert!(visits(&by_then) < visits(&all) && of_known.len() < all.len(), "{name} was cut");
    }
}

#[test]
fn the_maven_table_imports_whole_once_and_gives_the_reference_figures() {
    let kvali = Kvali::new("reference-maven");
    let Some(file) = reference("maven_crm_sales/sales_pipeline.csv") else { return };
    let map = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/maps/maven_crm_sales.toml"));
    let report = kvali.import_deals(0, &file, &map, &[]);
    assert_eq!(counts(&report)[..5], [8_800, 0, 0, 0, 8_800]);
    assert_eq!(report["unused_columns"], serde_json::json!(["product"]));
    assert_eq!(counts(&kvali.import_deals(0, &file, &map, &[])), [0, 8_800, 0, 0, 8_800, 0]);
    let ask = |more: &[&str]| kvali.json(0, &[&["funnel", "--pipeline", "Sales"], more].concat());

    let all = ask(&[]);
    let closed = &all["win_rate"]["closed"];
    assert_eq!((&closed["won"], &closed["lost"]), (&4_238.into(), &2_473.into()));
    assert_eq!(closed["values"][0]["won_value"]["amount"], "10005534");
    assert_eq!(column(&ask(&["--rule", "snapshot"]), "count"), serde_json::json!([500, 1_589, 4_238]));
    for (outcome, days) in [("won", [57.0, 88.0, 106.0]), ("lost", [14.0, 79.0, 100.0])] {
        for (measure, days) in ["median", "p75", "p90"].into_iter().zip(days) {
            let seconds = &all["cycle"][outcome][format!("{measure}_seconds")];
            close(seconds, &Value::from(days * 86_400.0), &format!("{outcome} {measure}"));
        }
    }

    let march = &ask(&["--from", "2017-03-01", "--to", "2017-04-01"])["win_rate"];
    for (basis, percent) in [("closed", "82.1"), ("cohort", "55.6")] {
        let rate = march[basis]["rate"].as_f64().unwrap();
        assert_eq!(format!("{:.1}", rate * 100.0), percent, "{march}");
    }

    let then = ask(&["--as-of", "2017-12-31", "--clock", "happened"]);
    let velocity = &then["velocity"]["currencies"][0];
    assert_eq!(velocity["open"], 2_089);
    let per_day: f64 = velocity["per_day"]["amount"].as_str().unwrap().parse().unwrap();
    assert_eq!(format!("{per_day:.0}"), "60147", "{velocity}");
}
