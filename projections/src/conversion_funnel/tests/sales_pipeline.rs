//! The sales pipeline of a hardware seller, 8,800 deals, against figures computed apart.

use std::path::Path;

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::{answer, counts, in_layout, reference_data, stage, steps, time, utc_days};
use crate::conversion_funnel::{
    Basis, Case, Class, Currency, Cycle, DealId, Definition, Layout, LayoutId, Layouts, Money, Outcome,
    Population, Rule, Velocity, Visit, WinRate, WinRateAnswer,
};

#[test]
fn the_sales_pipeline_gives_the_reference_figures() {
    let Some(folder) = reference_data("maven_crm_sales") else { return };
    let (layouts, layout) = one_layout();
    let cases = read(&folder, layout);
    assert_eq!(cases.len(), 8_800);
    check_stock(&layouts, &cases);
    check_win_rates(&cases);
    check_cycle(&layouts, &cases);
    check_velocity(&layouts, &cases);
}

fn one_layout() -> (Layouts, LayoutId) {
    let mut layouts = Layouts::default();
    let stages = [
        ("Prospecting", Class::Process),
        ("Engaging", Class::Process),
        ("Won", Class::Success),
        ("Lost", Class::Failure),
    ];
    let id = layouts.add(Layout { stages: stages.map(|(name, class)| (stage(name), class)).to_vec() });
    (layouts, id)
}

fn read(folder: &Path, layout: LayoutId) -> Vec<Case> {
    let mut rows = csv::Reader::from_path(folder.join("sales_pipeline.csv")).unwrap();
    let case = |row: csv::StringRecord| {
        let at = |text: &str| Some(text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)?.and_utc());
        let visit = |name: &str, when: &str| Visit {
            stage: Some(stage(name)),
            entered_at: at(when),
            layout: None,
            value: None,
        };
        let (outcome, visits) = match &row[4] {
            "Won" => (Outcome::Won, vec![visit("Engaging", &row[5]), visit("Won", &row[6])]),
            "Lost" => (Outcome::Lost, vec![visit("Engaging", &row[5]), visit("Lost", &row[6])]),
            name => (Outcome::Open, vec![visit(name, &row[5])]),
        };
        let currency = Currency::parse("USD").unwrap();
        let value = row[7].parse().ok().map(|amount| Money { amount, currency });
        let deal = DealId(stage(&row[0]).0);
        let case = Case { deal, outcome, visits, closed_at: at(&row[6]), value, ..super::open("") };
        in_layout(case, layout)
    };
    rows.records().map(|row| case(row.unwrap())).collect()
}

fn check_stock(layouts: &Layouts, cases: &[Case]) {
    let names = ["Prospecting", "Engaging", "Won", "Lost"];
    let stock = Definition::new(steps(&names), Rule::Snapshot, time("2017-12-31T00:00:00Z"));
    let found = answer(stock.clone(), layouts, cases).counts;
    assert_eq!(found.stages.iter().map(|stage| stage.count).collect::<Vec<_>>(), [500, 1_589, 4_238, 2_473]);
    let dated = Definition { population: Population::Cohort(utc_days("2016-01-01", "2018-01-01")), ..stock };
    assert_eq!(
        counts(dated, cases)[0],
        0,
        "prospects without an engage date stand in stock and in no cohort"
    );
}

fn check_win_rates(cases: &[Case]) {
    let march = Some(utc_days("2017-03-01", "2017-04-01"));
    let all = win_rate(Basis::Closed, None, cases);
    assert_eq!((all.won, all.lost), (4_238, 2_473));
    assert_eq!(all.values[0].won_value.amount.to_string(), "10005534");
    let closed = win_rate(Basis::Closed, march, cases);
    assert_eq!((closed.won, closed.lost, percent(closed.rate)), (531, 116, "82.1".to_owned()));
    let cohort = win_rate(Basis::Cohort, march, cases);
    assert_eq!((cohort.won, cohort.created, percent(cohort.rate)), (440, Some(792), "55.6".to_owned()));
}

fn win_rate(basis: Basis, period: Option<crate::conversion_funnel::Period>, cases: &[Case]) -> WinRateAnswer {
    let mut fold = WinRate::new(basis, period, Tz::UTC);
    for case in cases {
        fold.add(case);
    }
    fold.finish()
}

fn percent(rate: Option<f64>) -> String {
    format!("{:.1}", rate.unwrap() * 100.0)
}

fn check_cycle(layouts: &Layouts, cases: &[Case]) {
    let mut fold = Cycle::new(None, layouts);
    for case in cases {
        fold.add(case);
    }
    let cycle = fold.finish();
    let in_days = |seconds: Option<f64>| seconds.map(|seconds| seconds / 86_400.0);
    let days = |of: &crate::conversion_funnel::Durations| {
        [of.median_seconds, of.p75_seconds, of.p90_seconds].map(in_days)
    };
    assert_eq!((cycle.won.n, cycle.lost.n), (4_238, 2_473));
    assert_eq!(days(&cycle.won), [57.0, 88.0, 106.0].map(Some));
    assert_eq!(days(&cycle.lost), [14.0, 79.0, 100.0].map(Some));
}

fn check_velocity(layouts: &Layouts, cases: &[Case]) {
    let mut fold = Velocity::new(time("2017-12-31T00:00:00Z"), None, layouts);
    for case in cases {
        fold.add(case);
    }
    let answer = fold.finish();
    let [dollars] = &answer.currencies[..] else { panic!("one currency: {answer:?}") };
    assert_eq!(dollars.open, 2_089, "open deals have no value yet, and count under the only currency");
    assert_eq!(dollars.mean_won_value.unwrap().amount.round_dp(2).to_string(), "2360.91");
    assert_eq!(format!("{:.4}", dollars.win_rate.unwrap()), "0.6315");
    assert_eq!(format!("{:.3}", dollars.mean_days.unwrap()), "51.782");
    assert_eq!(dollars.per_day.unwrap().amount.round().to_string(), "60147");
}
