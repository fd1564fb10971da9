//! What holds for every case, whatever its visits.

use proptest::prelude::*;
use uuid::Uuid;

use super::{answer, asked, counts_in, day, in_layout, one_pipeline, open};
use crate::conversion_funnel::{
    Breakdown, Case, Definition, Dropped, Layouts, Outcome, Population, Rule, Start, UserId, Visit,
};

const STEPS: [&str; 3] = ["A", "B", "C"];

/// Visits in order of time, some undated, over the pipeline's stages, one outside the funnel, and other pipelines.
fn case() -> impl Strategy<Value = Case> {
    let visit =
        (prop::sample::select(vec!['A', 'B', 'C', 'W', 'L', 'X', '-']), 0_i64..4, prop::bool::weighted(0.9));
    let outcome = prop::sample::select(vec![Outcome::Open, Outcome::Won, Outcome::Lost, Outcome::Left]);
    (prop::collection::vec(visit, 0..12), outcome, prop::option::of(0_u128..3)).prop_map(
        |(visits, outcome, owner)| {
            let mut today = 0;
            let visits = visits.into_iter().map(|(name, later, is_dated)| {
                today += later;
                Visit { entered_at: is_dated.then(|| day(today)), ..open(&format!("{name}0")).visits[0] }
            });
            let visits = visits.collect();
            let owner = owner.map(|owner| UserId(Uuid::from_u128(owner)));
            Case { visits, outcome, owner, closed_at: Some(day(60)), ..open("") }
        },
    )
}

fn window() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![None, Some("1d"), Some("4d"), Some("12d")])
}

/// All cases in one pipeline.
fn counted(definition: Definition, cases: &[Case]) -> Vec<u64> {
    let (layouts, layout) = one_pipeline();
    let cases: Vec<Case> = cases.iter().map(|case| in_layout(case.clone(), layout)).collect();
    counts_in(definition, &layouts, &cases)
}

fn within(window: Option<&str>, start: Start, rule: Rule) -> Definition {
    Definition { window: window.and_then(|window| window.parse().ok()), start, ..asked(&STEPS, rule) }
}

fn is_nowhere_above(low: &[u64], high: &[u64]) -> bool {
    low.iter().zip(high).all(|(low, high)| low <= high)
}

proptest! {
    #[test]
    fn a_narrower_rule_counts_no_more(case in case(), window in window(), best in any::<bool>()) {
        let start = if best { Start::Best } else { Start::First };
        let cases = [case];
        let of = |rule| counted(within(window, start, rule), &cases);
        let entered = counted(asked(&STEPS, Rule::Entered), &cases);
        let (strict, ordered, any_order) = (of(Rule::Strict), of(Rule::Ordered), of(Rule::AnyOrder));
        prop_assert!(is_nowhere_above(&strict, &ordered), "{strict:?} {ordered:?}");
        prop_assert!(is_nowhere_above(&ordered, &any_order), "{ordered:?} {any_order:?}");
        prop_assert!(is_nowhere_above(&any_order, &entered), "{any_order:?} {entered:?}");
        prop_assert!(is_nowhere_above(&entered, &counted(asked(&STEPS, Rule::Entries), &cases)));
        let literal = counted(asked(&STEPS, Rule::Passed), &cases);
        let imputed = counted(Definition { impute_lost: true, ..asked(&STEPS, Rule::Passed) }, &cases);
        prop_assert!(is_nowhere_above(&entered, &literal) && is_nowhere_above(&literal, &imputed));
    }

    #[test]
    fn the_first_start_leads_no_deeper_than_the_best_and_a_window_no_deeper_than_none(case in case(), window in window()) {
        let cases = [case];
        for rule in [Rule::Strict, Rule::Ordered, Rule::AnyOrder] {
            let first = counted(within(window, Start::First, rule), &cases);
            let best = counted(within(window, Start::Best, rule), &cases);
            prop_assert!(is_nowhere_above(&first, &best), "{rule:?}: {first:?} {best:?}");
            prop_assert!(is_nowhere_above(&best, &counted(asked(&STEPS, rule), &cases)));
        }
    }

    #[test]
    fn a_window_longer_than_any_history_changes_nothing_where_all_is_dated(case in case(), best in any::<bool>()) {
        let start = if best { Start::Best } else { Start::First };
        let visits = case.visits.iter().copied().filter(|visit| visit.entered_at.is_some()).collect();
        let cases = [Case { visits, ..case }];
        for rule in [Rule::Strict, Rule::Ordered, Rule::AnyOrder] {
            let wide = counted(within(Some("9999d"), start, rule), &cases);
            prop_assert_eq!(wide, counted(asked(&STEPS, rule), &cases));
        }
    }

    #[test]
    fn along_a_chain_counts_never_rise_and_drops_explain_the_difference(cases in prop::collection::vec(case(), 0..9)) {
        for rule in [Rule::Strict, Rule::Ordered, Rule::AnyOrder] {
            let stages = answer(asked(&STEPS, rule), &Layouts::default(), &cases).counts.stages;
            for pair in stages.windows(2) {
                let Dropped { lost, open, moved_back, left } = pair[0].dropped.unwrap();
                prop_assert_eq!(pair[0].count, pair[1].count + lost + open + moved_back + left);
            }
        }
    }

    #[test]
    fn owners_sum_to_the_whole(cases in prop::collection::vec(case(), 0..9), at in 0_usize..Rule::ALL.len()) {
        let definition = asked(&STEPS, Rule::ALL[at].0);
        let whole = answer(definition.clone(), &Layouts::default(), &cases);
        let apart = answer(Definition { by: Breakdown::Owner, ..definition }, &Layouts::default(), &cases);
        prop_assert_eq!(&whole.counts, &apart.counts, "broken down or not, the whole is the same");
        let by = apart.by.unwrap();
        prop_assert_eq!(by.iter().map(|owner| owner.counts.cases).sum::<u64>(), whole.counts.cases);
        for (step, stage) in whole.counts.stages.iter().enumerate() {
            prop_assert_eq!(by.iter().map(|owner| owner.counts.stages[step].count).sum::<u64>(), stage.count);
        }
    }

    #[test]
    fn neighbouring_periods_share_no_visit_and_lose_none_with_a_date(case in case(), cut in 1_i64..30) {
        let dated = |from, to| {
            let population = Population::EventDated(super::days(from, to));
            counted(Definition { population, ..asked(&["A", "C"], Rule::Entries) }, std::slice::from_ref(&case))
        };
        let (before, after, all) = (dated(-1, cut), dated(cut, 99), dated(-1, 99));
        prop_assert_eq!(before.iter().zip(&after).map(|(a, b)| a + b).collect::<Vec<_>>(), all);
    }
}
