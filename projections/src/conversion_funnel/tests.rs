//! Cases in few words, and the tests by what they compare with.

mod answers;
mod event_logs;
mod measures;
mod properties;
mod rules;
mod sales_pipeline;
mod transfers;

use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{
    Answer, Case, Currency, DealId, Definition, Funnel, Layout, LayoutId, Layouts, Money, Outcome, Period,
    Rule, StageId, Step, Visit,
};

fn stage(name: &str) -> StageId {
    StageId(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
}

fn steps(names: &[&str]) -> Vec<Step> {
    names.iter().map(|name| Step { name: (*name).to_owned(), stages: vec![stage(name)] }).collect()
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The first instant of a day of 2026, in UTC.
fn day(number: i64) -> DateTime<Utc> {
    time("2026-01-01T00:00:00Z") + TimeDelta::days(number)
}

fn days(from: i64, to: i64) -> Period {
    Period::new(day(from), day(to)).unwrap()
}

fn utc_days(from: &str, to: &str) -> Period {
    let date = |text: &str| text.parse::<NaiveDate>().unwrap();
    Period::of_days(date(from), date(to), Tz::UTC).unwrap()
}

/// `"A0 B1 C? -7"`: entered A on day 0, B on day 1, C on nobody knows which, and another pipeline on day 7.
fn visits(text: &str) -> Vec<Visit> {
    let visit = |word: &str| {
        let (name, when) = word.split_at(1);
        let stage = (name != "-").then(|| stage(name));
        Visit { stage, entered_at: when.parse().ok().map(day), layout: None, value: None }
    };
    text.split_whitespace().map(visit).collect()
}

fn open(text: &str) -> Case {
    Case {
        deal: DealId(Uuid::nil()),
        owner: None,
        visits: visits(text),
        outcome: Outcome::Open,
        created_at: None,
        closed_at: None,
        value: None,
        groups: Vec::new(),
    }
}

fn won(text: &str, closed: i64) -> Case {
    Case { outcome: Outcome::Won, closed_at: Some(day(closed)), ..open(text) }
}

fn lost(text: &str, closed: i64) -> Case {
    Case { outcome: Outcome::Lost, ..won(text, closed) }
}

/// Gone to another pipeline, where its last visit here ended.
fn left(text: &str) -> Case {
    Case { outcome: Outcome::Left, ..open(text) }
}

fn money(amount: i64, currency: &str) -> Money {
    Money { amount: Decimal::from(amount), currency: Currency::parse(currency).unwrap() }
}

/// The case in a pipeline whose stages are those of `layout`.
fn in_layout(mut case: Case, layout: LayoutId) -> Case {
    for visit in case.visits.iter_mut().filter(|visit| visit.stage.is_some()) {
        visit.layout = Some(layout);
    }
    case
}

/// A, B, C, W for won and L for lost.
fn one_pipeline() -> (Layouts, LayoutId) {
    use super::Class::{Failure, Process, Success};
    let stages = [("A", Process), ("B", Process), ("C", Process), ("W", Success), ("L", Failure)];
    let mut layouts = Layouts::default();
    let layout = Layout { stages: stages.map(|(name, class)| (stage(name), class)).to_vec() };
    let id = layouts.add(layout);
    (layouts, id)
}

fn asked(names: &[&str], rule: Rule) -> Definition {
    Definition::new(steps(names), rule, day(100))
}

fn answer(definition: Definition, layouts: &Layouts, cases: &[Case]) -> Answer {
    let mut funnel = Funnel::new(definition, layouts).unwrap();
    for case in cases {
        funnel.add(case);
    }
    funnel.finish()
}

fn counts(definition: Definition, cases: &[Case]) -> Vec<u64> {
    counts_in(definition, &Layouts::default(), cases)
}

fn counts_in(definition: Definition, layouts: &Layouts, cases: &[Case]) -> Vec<u64> {
    answer(definition, layouts, cases).counts.stages.iter().map(|stage| stage.count).collect()
}

/// A folder of reference data beside the project; says so loudly where it is absent.
fn reference_data(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(folder);
    if !path.is_dir() {
        eprintln!("NOT TESTED: the reference data {} is absent", path.display());
        return None;
    }
    Some(path)
}
