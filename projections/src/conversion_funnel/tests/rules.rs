//! When a case counts at a step.

use proptest::prelude::*;

use super::{
    answer, asked, counts, counts_in, day, days, in_layout, lost, one_pipeline, open, stage, steps, won,
};
use crate::conversion_funnel::{
    Case, Class, Definition, Layout, Layouts, NotADefinition, NotAWindow, Population, Rule, Start, Step,
    Window,
};

const ABC: [&str; 3] = ["A", "B", "C"];

#[track_caller]
fn check(rule: Rule, case: &str, expected: [u64; 3]) {
    assert_eq!(counts(asked(&ABC, rule), &[open(case)]), expected, "{rule:?} of {case}");
}

#[track_caller]
fn check_within(window: &str, start: Start, rule: Rule, case: &str, expected: [u64; 3]) {
    let window = window.parse().ok();
    assert!(window.is_some());
    let definition = Definition { window, start, ..asked(&ABC, rule) };
    assert_eq!(counts(definition, &[open(case)]), expected, "{rule:?} of {case}, {start:?} start");
}

#[test]
fn snapshot_counts_where_a_case_stands_now() {
    check(Rule::Snapshot, "A0 B1 A2", [1, 0, 0]);
    check(Rule::Snapshot, "A0 B1 X2", [0, 0, 0]);
    check(Rule::Snapshot, "A0 B?", [0, 1, 0]);
    check(Rule::Snapshot, "", [0, 0, 0]);
}

#[test]
fn a_closed_case_stands_in_an_end_only() {
    let (layouts, layout) = one_pipeline();
    let cases = [won("A0 W3", 3), won("A0", 3), lost("A0 L1", 1), lost("A0", 1), open("A0")];
    let cases = cases.map(|case| in_layout(case, layout));
    assert_eq!(counts_in(asked(&["A", "W", "L"], Rule::Snapshot), &layouts, &cases), [1, 1, 1]);
}

#[test]
fn entered_counts_a_case_once_however_often_it_came() {
    check(Rule::Entered, "A0 B1 A2 B3", [1, 1, 0]);
    check(Rule::Entered, "C5", [0, 0, 1]);
}

#[test]
fn entries_counts_visits_and_neighbours_in_one_stage_are_one_visit() {
    check(Rule::Entries, "A0 A1 B2 A3 A4", [2, 1, 0]);
    check(Rule::Entries, "A0 X1 A2", [2, 0, 0]);
}

#[test]
fn any_order_needs_all_steps_up_to_this_one() {
    check(Rule::AnyOrder, "C0 B1 A2", [1, 1, 1]);
    check(Rule::AnyOrder, "A0 C1", [1, 0, 0]);
    check(Rule::AnyOrder, "B0 C1", [0, 0, 0]);
}

#[test]
fn ordered_passes_over_what_lies_between() {
    check(Rule::Ordered, "A0 X1 C2 B3 X4 C5", [1, 1, 1]);
    check(Rule::Ordered, "C0 B1 A2", [1, 0, 0]);
    check(Rule::Ordered, "B0 A1 B2", [1, 1, 0]);
}

#[test]
fn strict_breaks_on_any_stage_between_and_may_start_again() {
    check(Rule::Strict, "A0 X1 B2 C3", [1, 0, 0]);
    check(Rule::Strict, "A0 B1 A2 B3 C4", [1, 1, 1]);
    check(Rule::Strict, "A0 B1 B2 C3", [1, 1, 1]);
    check(Rule::Strict, "A0 C1 B2", [1, 0, 0]);
}

#[test]
fn a_move_back_keeps_what_was_entered() {
    for rule in [Rule::Entered, Rule::AnyOrder, Rule::Ordered, Rule::Strict] {
        check(rule, "A0 B1 A2", [1, 1, 0]);
    }
}

#[test]
fn equal_times_keep_the_order_of_their_positions() {
    check(Rule::Ordered, "A0 B0 C0", [1, 1, 1]);
    check(Rule::Ordered, "B0 A0 C0", [1, 0, 0]);
    check(Rule::Strict, "A0 C0 B0", [1, 0, 0]);
}

#[test]
fn an_undated_visit_counts_where_no_window_asks_when() {
    for rule in [Rule::Entered, Rule::Entries, Rule::AnyOrder, Rule::Ordered, Rule::Strict] {
        check(rule, "A0 B? C2", [1, 1, 1]);
        check(rule, "A? B? C?", [1, 1, 1]);
    }
}

#[test]
fn an_undated_visit_lies_in_no_window() {
    for start in [Start::First, Start::Best] {
        for rule in [Rule::AnyOrder, Rule::Ordered, Rule::Strict] {
            check_within("9d", start, rule, "A0 B? C2", [1, 0, 0]);
            check_within("9d", start, rule, "A? B1 C2", [0, 0, 0]);
            check_within("9d", start, rule, "A? B1 A2 B3", [1, 1, 0]);
        }
    }
}

#[test]
fn a_window_holds_its_last_instant_and_none_after() {
    for rule in [Rule::AnyOrder, Rule::Ordered, Rule::Strict] {
        check_within("2d", Start::First, rule, "A0 B1 C2", [1, 1, 1]);
        check_within("47h", Start::First, rule, "A0 B1 C2", [1, 1, 0]);
        check_within("2880m", Start::First, rule, "A0 B1 C2", [1, 1, 1]);
    }
}

#[test]
fn the_best_start_leads_deepest_and_the_first_start_stays() {
    for rule in [Rule::AnyOrder, Rule::Ordered, Rule::Strict] {
        check_within("2d", Start::First, rule, "A0 A0 X1 A7 B8 C9", [1, 0, 0]);
        check_within("2d", Start::Best, rule, "A0 A0 X1 A7 B8 C9", [1, 1, 1]);
    }
}

#[test]
fn a_strict_run_may_begin_later_in_the_first_window() {
    check_within("3d", Start::First, Rule::Strict, "A0 X1 A2 B3 C4", [1, 1, 0]);
    check_within("4d", Start::First, Rule::Strict, "A0 X1 A2 B3 C4", [1, 1, 1]);
}

#[test]
fn in_any_order_the_window_may_open_before_step_one() {
    check_within("2d", Start::First, Rule::AnyOrder, "C0 B1 A2", [1, 1, 1]);
    check_within("1d", Start::First, Rule::AnyOrder, "C0 B1 A2", [1, 1, 0]);
    check_within("3d", Start::First, Rule::AnyOrder, "B0 A2 C4", [1, 1, 0]);
    check_within("4d", Start::First, Rule::AnyOrder, "B0 A2 C4", [1, 1, 1]);
}

#[test]
fn passed_counts_the_stages_that_were_jumped_over() {
    let (layouts, layout) = one_pipeline();
    let check = |case: Case, expected: [u64; 3]| {
        assert_eq!(counts_in(asked(&ABC, Rule::Passed), &layouts, &[in_layout(case, layout)]), expected);
    };
    check(open("B0"), [1, 1, 0]);
    check(open("C0 A1"), [1, 1, 1]);
    check(won("A0 W1", 1), [1, 1, 1]);
    check(won("A0", 1), [1, 1, 1]);
}

#[test]
fn a_success_stage_lies_after_every_process_stage_wherever_it_is_drawn() {
    let mut layouts = Layouts::default();
    let stages = [("A", Class::Process), ("W", Class::Success), ("B", Class::Process)];
    let layout = layouts.add(Layout { stages: stages.map(|(name, class)| (stage(name), class)).to_vec() });
    let asked = asked(&["A", "B", "W"], Rule::Passed);
    assert_eq!(counts_in(asked.clone(), &layouts, &[in_layout(open("W1"), layout)]), [1, 1, 1]);
    assert_eq!(counts_in(asked, &layouts, &[in_layout(open("B1"), layout)]), [1, 1, 0]);
}

#[test]
fn what_lies_outside_the_period_passes_nothing() {
    let (layouts, layout) = one_pipeline();
    let dated = Definition { population: Population::EventDated(days(1, 3)), ..asked(&ABC, Rule::Passed) };
    let check = |case: Case, expected: [u64; 3]| {
        assert_eq!(counts_in(dated.clone(), &layouts, &[in_layout(case, layout)]), expected);
    };
    check(open("A1 C5"), [1, 0, 0]);
    check(won("A1", 5), [1, 0, 0]);
    check(won("A1", 2), [1, 1, 1]);
}

#[test]
fn a_lost_deal_passed_what_it_entered_unless_the_definition_imputes() {
    let (layouts, layout) = one_pipeline();
    let cases = [in_layout(lost("B0 L1", 1), layout)];
    let literal = asked(&ABC, Rule::Passed);
    let imputed = Definition { impute_lost: true, ..literal.clone() };
    assert_eq!(counts_in(literal, &layouts, &cases), [0, 1, 0]);
    assert_eq!(counts_in(imputed, &layouts, &cases), [1, 1, 0], "being lost is no progress");
}

#[test]
fn passed_knows_no_order_where_no_layout_tells_it() {
    check(Rule::Passed, "C0", [0, 0, 1]);
}

#[test]
fn a_group_of_stages_is_one_step() {
    let groups = [("first", vec!["A", "X"]), ("then", vec!["B"])];
    let step = |(name, stages): (&str, Vec<&str>)| Step {
        name: name.to_owned(),
        stages: stages.into_iter().map(stage).collect(),
    };
    let asked = |rule| Definition::new(groups.clone().map(step).to_vec(), rule, day(9));
    assert_eq!(counts(asked(Rule::Strict), &[open("A0 X1 B2")]), [1, 1]);
    assert_eq!(counts(asked(Rule::Entries), &[open("A0 X1 B2 X3")]), [2, 1]);
}

#[test]
fn a_cohort_is_of_the_cases_that_began_in_it_with_all_that_followed() {
    let cohort = |rule| Definition { population: Population::Cohort(days(1, 3)), ..asked(&ABC, rule) };
    let created = Case { created_at: Some(day(2)), ..open("A5 B6") };
    let cases = [open("A0 B1"), open("A1 B9"), open("A3"), open("A? B1"), created];
    for rule in [Rule::Entered, Rule::Ordered, Rule::Entries, Rule::AnyOrder, Rule::Strict] {
        assert_eq!(counts(cohort(rule), &cases), [2, 2, 0]);
    }
    assert_eq!(answer(cohort(Rule::Entered), &Layouts::default(), &cases).counts.cases, 2);
}

#[test]
fn event_dated_counts_the_visits_of_the_period_alone() {
    let dated = |rule| Definition { population: Population::EventDated(days(1, 3)), ..asked(&ABC, rule) };
    let cases = [open("A0 B1 C2"), open("A1 B2 C3"), open("A0 B? C5")];
    assert_eq!(counts(dated(Rule::Entered), &cases), [1, 2, 1]);
    assert_eq!(counts(dated(Rule::Ordered), &cases), [1, 1, 0], "the first entered A before the period");
    assert_eq!(
        counts(dated(Rule::Snapshot), &cases),
        [0, 0, 1],
        "only one stands where it came in the period"
    );
    assert_eq!(
        counts(dated(Rule::Strict), &[open("A1 B? A1 X? B2")]),
        [1, 0, 0],
        "an undated visit still lies between"
    );
    assert_eq!(answer(dated(Rule::Entered), &Layouts::default(), &cases).counts.cases, 2);
}

#[test]
fn closed_dated_asks_about_the_cases_closed_in_the_period() {
    let definition =
        Definition { population: Population::ClosedDated(days(1, 3)), ..asked(&ABC, Rule::Entered) };
    let undated = Case { closed_at: None, ..won("A0", 0) };
    let reopened = Case { closed_at: Some(day(2)), ..open("A0 B1") };
    let cases = [won("A0 B1", 2), lost("A0", 1), won("A0 B1 C2", 3), undated, reopened];
    assert_eq!(counts(definition, &cases), [2, 1, 0]);
}

#[test]
fn a_definition_says_what_is_wrong_with_it_and_the_way_out() {
    let refusal = |definition: Definition| definition.check().unwrap_err();
    assert_eq!(refusal(asked(&[], Rule::Entered)), NotADefinition::NoStep);
    let empty = vec![Step { name: "Offer".to_owned(), stages: vec![] }];
    let empty = Definition { steps: empty, ..asked(&ABC, Rule::Entered) };
    assert_eq!(refusal(empty).to_string(), r#"steps[0] "Offer" has no stage; give it one or leave it out"#);
    let twice = refusal(asked(&["A", "B", "A"], Rule::Entered));
    assert_eq!(twice, NotADefinition::StageTwice { stage: stage("A"), first: 0, second: 2 });
    let names: Vec<String> = (0..65).map(|at| format!("stage {at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(refusal(asked(&names, Rule::Entered)), NotADefinition::TooManySteps { count: 65 });
    assert!(asked(&names[..64], Rule::Entered).check().is_ok());
    let windowed = Definition { window: "30d".parse().ok(), ..asked(&ABC, Rule::Entered) };
    assert_eq!(
        refusal(windowed).to_string(),
        "window 30d does not apply to rule entered; leave it out or choose any_order, ordered or strict"
    );
    let imputed = Definition { impute_lost: true, ..asked(&ABC, Rule::Ordered) };
    assert_eq!(refusal(imputed), NotADefinition::ImputeLostOnRule { rule: Rule::Ordered });
}

#[test]
fn sixty_four_steps_are_counted() {
    let names: Vec<String> = (0..64).map(|at| format!("stage {at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let path = steps(&names)
        .into_iter()
        .map(|step| super::Visit { stage: Some(step.stages[0]), ..open("A0").visits[0] });
    let case = Case { visits: path.collect(), ..open("") };
    for (rule, _) in Rule::ALL.into_iter().filter(|(rule, _)| *rule != Rule::Snapshot) {
        assert_eq!(counts(asked(&names, rule), std::slice::from_ref(&case)), [1; 64]);
    }
}

#[test]
fn words_are_read_as_they_are_written() {
    for (rule, word) in Rule::ALL {
        assert_eq!((word.parse(), rule.word()), (Ok(rule), word));
        assert_eq!(serde_json::to_value(rule).unwrap(), word);
    }
    assert!("sideways".parse::<Rule>().is_err());
    assert_eq!(("first".parse(), "best".parse()), (Ok(Start::First), Ok(Start::Best)));
    for text in ["30d", "12h", "90m", "4294967295d"] {
        assert_eq!(text.parse::<Window>().unwrap().to_string(), text);
    }
    for text in ["", "d", "30", "0d", "-1d", "+1d", "1.5h", "30 d", "30D", "30w", "4294967296d"] {
        let read: Result<Window, NotAWindow> = text.parse();
        assert!(read.is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_window_or_a_refusal(text in "\\PC{0,6}") {
        let _: Result<Window, NotAWindow> = text.parse();
    }
}
