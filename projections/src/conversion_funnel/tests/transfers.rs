//! Deals that went to another pipeline.

use chrono_tz::Tz;

use super::{answer, asked, counts, day, days, in_layout, left, one_pipeline, open, steps, won};
use crate::conversion_funnel::{
    Basis, Case, Definition, Dropped, Layouts, Population, Rule, TimeInStage, Velocity, WinRate,
};

const ABC: [&str; 3] = ["A", "B", "C"];

#[test]
fn a_case_that_left_counts_at_the_stages_that_it_had_entered_and_stands_nowhere() {
    let gone = || [left("A0 B1 -5")];
    for (rule, expected) in [
        (Rule::Entered, [1, 1, 0]),
        (Rule::Entries, [1, 1, 0]),
        (Rule::Passed, [1, 1, 0]),
        (Rule::AnyOrder, [1, 1, 0]),
        (Rule::Ordered, [1, 1, 0]),
        (Rule::Strict, [1, 1, 0]),
        (Rule::Snapshot, [0, 0, 0]),
    ] {
        assert_eq!(counts(asked(&ABC, rule), &gone()), expected, "{rule:?}");
    }
}

#[test]
fn what_left_drops_as_left_and_neither_as_lost_nor_as_open() {
    let (layouts, layout) = one_pipeline();
    let gone = in_layout(left("A0 B1 -5"), layout);
    let answer = answer(asked(&ABC, Rule::Entered), &layouts, &[gone]);
    let dropped: Vec<_> = answer.counts.stages.iter().map(|stage| stage.dropped).collect();
    let left = Dropped { left: 1, ..Dropped::default() };
    assert_eq!(dropped, [Some(Dropped::default()), Some(left), None]);
    assert_eq!((answer.counts.cases, answer.counts.open_cases), (1, 0));
}

#[test]
fn the_last_visit_ends_with_the_transfer_and_has_no_open_age() {
    let layouts = Layouts::default();
    let mut fold = TimeInStage::new(&steps(&["A", "B"]), Population::All, day(100), &layouts).unwrap();
    fold.add(&left("A0 B1 -5"));
    let times = fold.finish();
    let four_days = Some(4.0 * 86_400.0);
    assert_eq!((times[1].per_visit.mean_seconds, times[1].open), (four_days, 0));
}

#[test]
fn a_case_that_came_back_goes_on_with_a_further_visit_and_was_away_between() {
    let back = open("A0 B1 -5 B9");
    assert_eq!(counts(asked(&ABC, Rule::Entries), std::slice::from_ref(&back)), [1, 2, 0]);
    assert_eq!(counts(asked(&ABC, Rule::Snapshot), std::slice::from_ref(&back)), [0, 1, 0]);
    let layouts = Layouts::default();
    let mut fold = TimeInStage::new(&steps(&["A", "B"]), Population::All, day(10), &layouts).unwrap();
    fold.add(&back);
    let b = &fold.finish()[1];
    assert_eq!((b.per_visit.n, b.per_visit.mean_seconds, b.open), (1, Some(4.0 * 86_400.0), 1));
    assert_eq!(b.open_median_age_seconds, Some(86_400.0));
}

#[test]
fn being_away_breaks_a_strict_run_and_is_passed_over_by_the_others() {
    let back = || [open("A0 -5 B9")];
    assert_eq!(counts(asked(&ABC, Rule::Strict), &back()), [1, 0, 0]);
    assert_eq!(counts(asked(&ABC, Rule::Ordered), &back()), [1, 1, 0]);
}

#[test]
fn going_away_in_a_period_is_no_entry_of_that_period() {
    let definition =
        Definition { population: Population::EventDated(days(4, 6)), ..asked(&ABC, Rule::Entered) };
    let answer = answer(definition, &Layouts::default(), &[left("A0 -5")]);
    assert_eq!(answer.counts.cases, 0);
}

#[test]
fn the_cohort_of_its_beginning_keeps_what_left_and_closes_nothing_with_it() {
    let cases = [left("A0 -5"), won("A0 W3", 3)];
    let of = |population| Definition { population, ..asked(&ABC, Rule::Entered) };
    assert_eq!(counts(of(Population::Cohort(days(0, 1))), &cases), [2, 0, 0]);
    assert_eq!(counts(of(Population::ClosedDated(days(0, 9))), &cases), [1, 0, 0]);
    let rate = |basis| {
        let mut fold = WinRate::new(basis, None, Tz::UTC);
        for case in &cases {
            fold.add(case);
        }
        fold.finish().rate
    };
    assert_eq!((rate(Basis::Closed), rate(Basis::Cohort)), (Some(1.0), Some(0.5)));
}

#[test]
fn velocity_counts_a_deal_as_open_only_where_it_stands() {
    let layouts = Layouts::default();
    let open_deals = |cases: &[Case]| {
        let mut fold = Velocity::new(day(10), None, &layouts);
        for case in cases {
            fold.add(case);
        }
        fold.finish().currencies.iter().map(|currency| currency.open).collect::<Vec<_>>()
    };
    assert_eq!(open_deals(&[open("A0"), left("A0 -5")]), [1]);
    assert!(open_deals(&[left("A0 -5")]).is_empty());
}
