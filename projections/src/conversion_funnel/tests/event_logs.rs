//! Every figure of the reference logs, computed elsewhere by two independent engines.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde_json::{Value, json};

use super::{answer, reference_data, stage, steps, time};
use crate::conversion_funnel::{Answer, Case, DealId, Definition, Layouts, Outcome, Rule, Start, Visit};

const LOGS: [&str; 4] = ["running-example", "helpdesk", "receipt", "bpic2020_RequestForPayment"];
const FIELDS: [&str; 18] = [
    "activity_cases",
    "any_order",
    "cases",
    "cohort_month",
    "events",
    "filter",
    "last_stage",
    "log",
    "ordered",
    "ordered_step_time",
    "ordered_total_time",
    "reached",
    "reentry",
    "stages",
    "strict",
    "transitions",
    "window_any_start",
    "window_first_start",
];

#[test]
fn the_reference_logs_give_the_reference_figures() {
    let Some(folder) = reference_data("eventlogs") else { return };
    for log in LOGS {
        Log::read(&folder, log).check();
    }
}

struct Log {
    name: String,
    cases: Vec<Case>,
    activities: Vec<String>,
    stages: Vec<String>,
    expected: Value,
}

impl Log {
    fn read(folder: &Path, name: &str) -> Self {
        let expected = std::fs::read_to_string(folder.join(format!("{name}.expected.json"))).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let mut activities = BTreeSet::new();
        let mut cases: Vec<Case> = Vec::new();
        let mut seen = HashMap::new();
        for row in csv::Reader::from_path(folder.join(format!("{name}.csv"))).unwrap().records() {
            let row = row.unwrap();
            let at = *seen.entry(row[0].to_owned()).or_insert(cases.len());
            if at == cases.len() {
                cases.push(Case {
                    deal: DealId(stage(&row[0]).0),
                    outcome: Outcome::Open,
                    ..super::open("")
                });
            }
            let entered_at = Some(time(&row[3]));
            cases[at].visits.push(Visit {
                stage: Some(stage(&row[1])),
                entered_at,
                layout: None,
                value: None,
            });
            activities.insert(row[1].to_owned());
        }
        let stages = serde_json::from_value(expected["stages"].clone()).unwrap();
        Self { name: name.to_owned(), cases, activities: activities.into_iter().collect(), stages, expected }
    }

    fn check(&self) {
        for field in self.expected.as_object().unwrap().keys() {
            assert!(FIELDS.contains(&field.as_str()), "{}: nothing compares {field}", self.name);
        }
        let ordered = self.ask(Rule::Ordered);
        self.is_same("cases", &json!(ordered.counts.cases));
        self.is_same("reached", &counts(&self.ask(Rule::Entered)));
        self.is_same("any_order", &counts(&self.ask(Rule::AnyOrder)));
        self.is_same("ordered", &counts(&ordered));
        self.is_same("strict", &counts(&self.ask(Rule::Strict)));
        self.is_same("window_first_start", &self.windows(Start::First));
        self.is_same("window_any_start", &self.windows(Start::Best));
        self.is_same("reentry", &reentry(&ordered));
        self.is_same("ordered_step_time", &step_time(&ordered));
        self.is_same("ordered_total_time", &total_time(&ordered));
        self.is_same("transitions", &self.transitions(&ordered));
        self.is_same("cohort_month", &cohorts(&ordered));
        self.is_same("last_stage", &last_stage(&ordered));
        let entries: Vec<u64> = ordered.counts.stages.iter().map(|stage| stage.visits).collect();
        assert_eq!(counts(&self.ask(Rule::Entries)), json!(entries), "{}: entries", self.name);
        self.check_activities();
    }

    fn ask(&self, rule: Rule) -> Answer {
        self.answer(&self.definition(rule))
    }

    fn definition(&self, rule: Rule) -> Definition {
        let names: Vec<&str> = self.stages.iter().map(String::as_str).collect();
        Definition::new(steps(&names), rule, time("2020-01-01T00:00:00Z"))
    }

    fn answer(&self, definition: &Definition) -> Answer {
        answer(definition.clone(), &Layouts::default(), &self.cases)
    }

    fn windows(&self, start: Start) -> Value {
        let of = |window: &str| {
            let window_ = window.parse().ok();
            let definition = Definition { window: window_, start, ..self.definition(Rule::Ordered) };
            (window.to_owned(), counts(&self.answer(&definition)))
        };
        Value::Object(["1d", "7d", "30d", "90d"].map(of).into_iter().collect())
    }

    fn transitions(&self, answer: &Answer) -> Value {
        let place = |name: &str| self.stages.iter().position(|stage| stage == name).unwrap() + 1;
        let all = answer.counts.transitions.iter().map(|transition| {
            let to = transition.to.as_deref().map_or(0, place);
            let figures = json!({ "n": transition.n, "median_s": transition.median_seconds });
            (format!("{}->{to}", place(&transition.from)), figures)
        });
        Value::Object(all.collect())
    }

    /// Every stage of the log as a step: cases and visits, and all visits together.
    fn check_activities(&self) {
        let names: Vec<&str> = self.activities.iter().map(String::as_str).collect();
        let definition = Definition { steps: steps(&names), ..self.definition(Rule::Entered) };
        let stages = self.answer(&definition).counts.stages;
        self.is_same("events", &json!(stages.iter().map(|stage| stage.visits).sum::<u64>()));
        let activities: BTreeMap<String, [u64; 2]> =
            stages.into_iter().map(|stage| (stage.stage, [stage.count, stage.visits])).collect();
        self.is_same("activity_cases", &json!(activities));
    }

    #[track_caller]
    fn is_same(&self, field: &str, found: &Value) {
        let expected = &self.expected[field];
        assert!(is_close(found, expected), "{}: {field}\n   found {found}\nexpected {expected}", self.name);
    }
}

/// Counts exactly, seconds (the only fractions) within a thousandth.
fn is_close(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(found, expected)| is_close(found, expected))
        }
        (Value::Object(found), Value::Object(expected)) => {
            let is_there = |(key, found): (&String, &Value)| {
                expected.get(key).is_some_and(|expected| is_close(found, expected))
            };
            found.len() == expected.len() && found.iter().all(is_there)
        }
        (Value::Number(found), Value::Number(expected)) if expected.is_f64() => {
            (found.as_f64().unwrap() - expected.as_f64().unwrap()).abs() <= 0.001
        }
        _ => found == expected,
    }
}

fn counts(answer: &Answer) -> Value {
    json!(answer.counts.stages.iter().map(|stage| stage.count).collect::<Vec<_>>())
}

fn reentry(answer: &Answer) -> Value {
    json!(answer.counts.stages.iter().map(|stage| [stage.visits, stage.reentered]).collect::<Vec<_>>())
}

fn step_time(answer: &Answer) -> Value {
    let of = |stage: &crate::conversion_funnel::Stage| {
        let n = stage.n_from_previous?;
        let (mean, median) = (stage.mean_seconds_from_previous, stage.median_seconds_from_previous);
        Some(json!({ "n": n, "mean_s": mean, "median_s": median, "p90_s": stage.p90_seconds_from_previous }))
    };
    json!(answer.counts.stages.iter().map(of).collect::<Vec<_>>())
}

fn total_time(answer: &Answer) -> Value {
    let counts = &answer.counts;
    let (mean, median) = (counts.mean_seconds_total, counts.median_seconds_total);
    json!({ "n": counts.n_total, "mean_s": mean, "median_s": median, "p90_s": counts.p90_seconds_total })
}

fn cohorts(answer: &Answer) -> Value {
    let months = answer.counts.cohorts.iter().map(|cohort| (cohort.month.clone(), json!(cohort.counts)));
    Value::Object(months.collect())
}

fn last_stage(answer: &Answer) -> Value {
    let places = (1..).zip(&answer.counts.last_stage).filter(|(_, last)| last.count > 0);
    Value::Object(places.map(|(place, last): (usize, _)| (place.to_string(), json!(last.count))).collect())
}
