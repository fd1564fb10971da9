//! Time in stage, win rate, sales cycle, velocity; durations and periods under them.

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde_json::json;

use super::{day, days, in_layout, lost, money, one_pipeline, open, steps, time, won};
use crate::conversion_funnel::quantile::{Durations, ratio};
use crate::conversion_funnel::{
    Basis, Case, Cycle, CycleAnswer, Layouts, Period, Population, StageTime, TimeInStage, Velocity,
    VelocityAnswer, WinRate, WinRateAnswer,
};

const DAY: f64 = 86_400.0;

fn time_in_stage(
    names: &[&str],
    population: Population,
    layouts: &Layouts,
    cases: &[Case],
) -> Vec<StageTime> {
    let mut fold = TimeInStage::new(&steps(names), population, day(10), layouts).unwrap();
    for case in cases {
        fold.add(case);
    }
    fold.finish()
}

fn win_rate(basis: Basis, period: Option<Period>, cases: &[Case]) -> WinRateAnswer {
    let mut fold = WinRate::new(basis, period, Tz::UTC);
    for case in cases {
        fold.add(case);
    }
    fold.finish()
}

fn cycle(period: Option<Period>, layouts: &Layouts, cases: &[Case]) -> CycleAnswer {
    let mut fold = Cycle::new(period, layouts);
    for case in cases {
        fold.add(case);
    }
    fold.finish()
}

fn velocity(cases: &[Case]) -> VelocityAnswer {
    velocity_of(None, cases)
}

fn velocity_of(period: Option<Period>, cases: &[Case]) -> VelocityAnswer {
    let layouts = Layouts::default();
    let mut fold = Velocity::new(day(10), period, &layouts);
    for case in cases {
        fold.add(case);
    }
    fold.finish()
}

#[test]
fn percentiles_interpolate_between_neighbours() {
    let seconds =
        |numbers: &[i64]| Durations::of(&mut numbers.iter().map(|n| n * 1_000_000).collect::<Vec<_>>());
    let four = seconds(&[40, 10, 30, 20]);
    assert_eq!((four.n, four.mean_seconds, four.median_seconds), (4, Some(25.0), Some(25.0)));
    assert_eq!((four.p75_seconds, four.p90_seconds), (Some(32.5), Some(37.0)));
    let one = seconds(&[7]);
    assert_eq!((one.median_seconds, one.p90_seconds), (Some(7.0), Some(7.0)));
    assert_eq!(seconds(&[]), Durations::default());
    assert_eq!(Durations::of(&mut [0, 1, 1]).mean_seconds, Some(0.000_001), "to the nearest microsecond");
    assert_eq!(Durations::of(&mut [i64::MIN, i64::MAX]).n, 2, "no span of time overflows");
    assert_eq!((ratio(1, 4), ratio(0, 4), ratio(0, 0)), (Some(0.25), Some(0.0), None));
}

#[test]
fn a_visit_lasts_until_the_next_entry_or_the_close_and_an_open_one_ages() {
    let (layouts, layout) = one_pipeline();
    let cases = [open("A0 B2 A5"), won("A0 B1 W4", 4), lost("A0", 6)].map(|case| in_layout(case, layout));
    let times = time_in_stage(&["A", "B", "W"], Population::All, &layouts, &cases);
    let [a, b, won] = &times[..] else { panic!("three steps: {times:?}") };
    assert_eq!(
        (a.per_visit.n, a.per_visit.median_seconds, a.per_visit.mean_seconds),
        (3, Some(2.0 * DAY), Some(3.0 * DAY))
    );
    assert_eq!((a.open, a.open_median_age_seconds), (1, Some(5.0 * DAY)));
    assert_eq!((b.per_visit.n, b.per_visit.median_seconds, b.open), (2, Some(3.0 * DAY), 0));
    assert_eq!((won.per_visit.n, won.open), (0, 0), "an end takes no time");
}

#[test]
fn the_visits_of_one_deal_add_up() {
    let layouts = Layouts::default();
    let times = time_in_stage(&["A"], Population::All, &layouts, &[open("A0 B2 A5 B8"), open("A0 B1 A9")]);
    assert_eq!((times[0].per_visit.n, times[0].per_deal.n), (3, 2));
    assert_eq!(times[0].per_deal.median_seconds, Some(3.0 * DAY), "five days and one");
    assert_eq!(times[0].open, 1);
}

#[test]
fn without_a_date_no_time_passes_but_the_visit_is_open() {
    let layouts = Layouts::default();
    let cases = [open("A? B2"), open("A0 B?"), open("A?"), Case { closed_at: None, ..won("A0", 0) }];
    let times = time_in_stage(&["A", "B"], Population::All, &layouts, &cases);
    assert_eq!((times[0].per_visit.n, times[0].open, times[0].open_median_age_seconds), (0, 1, None));
    assert_eq!((times[1].open, times[1].open_median_age_seconds), (2, Some(8.0 * DAY)));
}

#[test]
fn only_visits_entered_in_the_period_are_timed() {
    let layouts = Layouts::default();
    let times = time_in_stage(&["A"], Population::EventDated(days(1, 4)), &layouts, &[open("A0 B1 A2 B9")]);
    assert_eq!((times[0].per_visit.n, times[0].per_visit.median_seconds), (1, Some(7.0 * DAY)));
}

#[test]
fn a_win_rate_on_the_closed_basis_asks_about_closes_and_on_the_cohort_basis_about_beginnings() {
    let cases = [
        Case { value: Some(money(300, "EUR")), ..won("A0", 2) },
        Case { value: Some(money(100, "EUR")), ..lost("A2", 3) },
        Case { value: Some(money(50, "GEL")), ..won("A1", 9) },
        Case { value: Some(money(100, "GEL")), ..open("A2") },
        Case { value: Some(money(7, "EUR")), closed_at: None, ..won("A?", 0) },
    ];
    let closed = win_rate(Basis::Closed, Some(days(1, 4)), &cases);
    assert_eq!((closed.won, closed.lost, closed.created, closed.rate), (1, 1, None, Some(0.5)));
    assert_eq!(
        serde_json::to_value(&closed.values).unwrap(),
        json!([{ "won_value": { "amount": "300", "currency": "EUR" }, "value_rate": 0.75 }])
    );
    let cohort = win_rate(Basis::Cohort, Some(days(1, 4)), &cases);
    assert_eq!((cohort.won, cohort.lost, cohort.created), (1, 1, Some(3)));
    let rates: Vec<_> = cohort.values.iter().map(|rate| (rate.won_value.amount, rate.value_rate)).collect();
    let third = 50.0 / 150.0;
    assert_eq!(rates[0], (Decimal::ZERO, Some(0.0)));
    assert!(rates[1].0 == Decimal::from(50) && (rates[1].1.unwrap() - third).abs() < 1e-12);
    assert_eq!(win_rate(Basis::Closed, None, &cases).won, 3, "without a period undated closes count too");
    assert_eq!(win_rate(Basis::Closed, Some(days(20, 21)), &cases).rate, None);
}

#[test]
fn a_cycle_runs_from_the_first_open_stage_to_the_close() {
    let (layouts, layout) = one_pipeline();
    let cases = [won("A1 B2 W5", 5), won("W3 A4 W9", 9), won("A? B2 W5", 5), lost("B0 L7", 7), open("A0")];
    let cases = cases.map(|case| in_layout(case, layout));
    let found = cycle(None, &layouts, &cases);
    assert_eq!((found.won.n, found.won.median_seconds), (2, Some(4.5 * DAY)));
    assert_eq!((found.lost.n, found.lost.median_seconds), (1, Some(7.0 * DAY)));
    assert_eq!(cycle(Some(days(5, 6)), &layouts, &cases).won.n, 1);
}

#[test]
fn velocity_keeps_currencies_apart_and_is_null_where_a_factor_is() {
    let cases = [
        Case { value: Some(money(100, "EUR")), ..won("A0", 2) },
        Case { value: Some(money(300, "EUR")), ..won("A0", 4) },
        Case { value: Some(money(50, "EUR")), ..lost("A0", 1) },
        Case { value: Some(money(80, "EUR")), ..open("A?") },
        Case { value: Some(money(10, "GEL")), ..open("A1") },
        open("A2"),
    ];
    let found = velocity(&cases).currencies;
    let codes: Vec<_> = found.iter().map(|velocity| velocity.currency.map(String::from)).collect();
    assert_eq!(codes, [None, Some("EUR".to_owned()), Some("GEL".to_owned())]);
    let euro = &found[1];
    assert_eq!((euro.open, euro.mean_won_value, euro.mean_days), (1, Some(money(200, "EUR")), Some(3.0)));
    assert_eq!(euro.per_day.unwrap().amount.to_string(), "44.4444", "1 · 200 · 2/3 / 3");
    for without_a_win in [&found[0], &found[2]] {
        assert_eq!((without_a_win.open, without_a_win.win_rate, without_a_win.per_day), (1, None, None));
    }
}

#[test]
fn deals_without_a_value_count_under_the_only_currency() {
    let cases = [Case { value: Some(money(100, "EUR")), ..won("A0", 2) }, open("A1"), won("A0", 4)];
    let found = velocity(&cases).currencies;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].open, found[0].won, found[0].mean_days), (1, 2, Some(3.0)));
    assert_eq!(found[0].mean_won_value, Some(money(100, "EUR")), "of won deals that have a value");
}

#[test]
fn velocity_takes_the_closes_of_the_period_and_every_open_deal() {
    let worth = |case, amount| Case { value: Some(money(amount, "EUR")), ..case };
    let cases =
        [worth(won("A0", 2), 100), worth(won("A0", 8), 900), worth(lost("A0", 8), 1), worth(open("A9"), 1)];
    let found = &velocity_of(Some(days(1, 4)), &cases).currencies[0];
    assert_eq!((found.open, found.won, found.lost, found.mean_won_value), (1, 1, 0, Some(money(100, "EUR"))));
}

#[test]
fn a_deal_won_at_once_gives_no_velocity_instead_of_an_infinite_one() {
    let cases = [Case { value: Some(money(100, "EUR")), ..won("A0", 0) }, open("A1")];
    assert_eq!(velocity(&cases).currencies[0].per_day, None);
}

#[test]
fn a_period_is_of_local_days_and_not_empty() {
    let date = |text: &str| text.parse::<NaiveDate>().unwrap();
    let march = Period::of_days(date("2026-03-01"), date("2026-04-01"), Tz::Europe__Berlin).unwrap();
    assert_eq!((march.from(), march.to()), (time("2026-02-28T23:00:00Z"), time("2026-03-31T22:00:00Z")));
    assert!(march.holds(Some(march.from())) && !march.holds(Some(march.to())) && !march.holds(None));
    assert!(march.holds(Some(march.to() - TimeDelta::microseconds(1))));
    assert!(Period::new(day(1), day(1)).is_err());
    let no_midnight =
        Period::of_days(date("2018-11-04"), date("2018-11-05"), Tz::America__Sao_Paulo).unwrap();
    assert_eq!(no_midnight.from(), time("2018-11-04T03:00:00Z"), "clocks went from 00:00 to 01:00");
    let no_day = Period::of_days(date("2011-12-29"), date("2011-12-30"), Tz::Pacific__Apia).unwrap();
    assert_eq!(no_day.to(), time("2011-12-30T10:00:00Z"), "a day that never was ends where the next begins");
}
