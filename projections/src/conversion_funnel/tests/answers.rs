//! What stands in the answer beside the counts, and the JSON that people see.

use chrono_tz::Tz;
use kvali_domain::ProductId;
use serde_json::json;
use uuid::Uuid;

use super::{answer, asked, day, days, in_layout, lost, money, one_pipeline, open, stage, time, won};
use crate::conversion_funnel::{
    Band, Breakdown, Case, Class, Definition, Dropped, Group, Layout, Layouts, Population, Rule, Stage,
    Start, UserId, Visit,
};

fn stages(definition: Definition, cases: &[Case]) -> Vec<Stage> {
    answer(definition, &Layouts::default(), cases).counts.stages
}

#[test]
fn conversions_are_null_where_nothing_could_convert() {
    let stages = stages(asked(&["A", "B", "C"], Rule::Ordered), &[open("A0"), open("A0 X1")]);
    let step: Vec<_> = stages.iter().map(|stage| stage.step_conversion).collect();
    let cumulative: Vec<_> = stages.iter().map(|stage| stage.cumulative_conversion).collect();
    assert_eq!(step, [None, Some(0.0), None]);
    assert_eq!(cumulative, [Some(1.0), Some(0.0), Some(0.0)]);
}

#[test]
fn an_empty_funnel_is_all_zeros_and_nulls() {
    let answer = answer(asked(&["A", "B"], Rule::Ordered), &Layouts::default(), &[]);
    assert_eq!(answer.counts.cases, 0);
    for stage in &answer.counts.stages {
        assert_eq!(
            (stage.count, stage.cumulative_conversion, stage.median_seconds_from_previous),
            (0, None, None)
        );
    }
}

#[test]
fn a_drop_is_split_by_what_became_of_the_case() {
    let (layouts, layout) = one_pipeline();
    let cases = [
        lost("A0 B1 L2", 2),
        open("A0 B1"),
        open("A0 B1 A2"),
        won("A0 B1 W2", 2),
        open("A0 B1 X2"),
        open("A0 B1 C2"),
    ];
    let cases = cases.map(|case| in_layout(case, layout));
    let stages = answer(asked(&["A", "B", "C"], Rule::Ordered), &layouts, &cases).counts.stages;
    assert_eq!(stages[0].dropped, Some(Dropped::default()));
    assert_eq!(stages[1].dropped, Some(Dropped { lost: 1, open: 1, moved_back: 1, left: 2 }));
    assert_eq!(stages[2].dropped, None, "after the last step there is nothing to drop from");
}

#[test]
fn a_stage_of_the_pipeline_that_the_funnel_leaves_out_is_still_on_the_way() {
    let (layouts, layout) = one_pipeline();
    let cases = [open("A0 B1"), open("B0 C1 B2")].map(|case| in_layout(case, layout));
    let without_b = answer(asked(&["A", "C", "W"], Rule::Entered), &layouts, &cases).counts.stages;
    assert_eq!(without_b[0].dropped, Some(Dropped { open: 1, ..Dropped::default() }));
    assert_eq!(without_b[1].dropped, Some(Dropped { moved_back: 1, ..Dropped::default() }));
}

#[test]
fn an_open_case_that_stands_in_an_end_has_left() {
    let (layouts, layout) = one_pipeline();
    let mut upside_down = Layouts::default();
    let ends_first =
        upside_down.add(Layout { stages: vec![(stage("W"), Class::Success), (stage("A"), Class::Process)] });
    for (layouts, layout) in [(layouts, layout), (upside_down, ends_first)] {
        let case = in_layout(open("A0 W1"), layout);
        let stages = answer(asked(&["A", "C"], Rule::Entered), &layouts, &[case]).counts.stages;
        assert_eq!(stages[0].dropped, Some(Dropped { left: 1, ..Dropped::default() }));
    }
}

#[test]
fn standing_somewhere_is_no_drop() {
    assert_eq!(stages(asked(&["A", "B"], Rule::Snapshot), &[open("A0")])[0].dropped, None);
}

#[test]
fn step_times_are_those_of_the_earliest_match_with_dates_at_both_ends() {
    let cases = [open("A0 X1 B2 A5 B6"), open("A0 B4"), open("A? B9"), open("A0 B?")];
    let b = &stages(asked(&["A", "B"], Rule::Ordered), &cases)[1];
    assert_eq!((b.count, b.n_from_previous), (4, Some(2)));
    assert_eq!(b.median_seconds_from_previous, Some(3.0 * 86_400.0));
}

#[test]
fn among_equally_deep_starts_the_earliest_gives_the_times() {
    let asked = asked(&["A", "B", "C"], Rule::Ordered);
    let within = Definition { window: "5d".parse().ok(), start: Start::Best, ..asked };
    let b = &stages(within, &[open("A0 A0 X1 A2 B4")])[1];
    assert_eq!(b.median_seconds_from_previous, Some(4.0 * 86_400.0));
}

#[test]
fn a_rule_without_a_chain_knows_no_step_times() {
    let b = &stages(asked(&["A", "B"], Rule::Entered), &[open("A0 B4")])[1];
    assert_eq!((b.n_from_previous, b.median_seconds_from_previous), (None, None));
}

#[test]
fn cohorts_are_months_of_the_zone() {
    let visit = Visit { entered_at: Some(time("2026-01-31T21:30:00Z")), ..open("A0").visits[0] };
    let case = Case { visits: vec![visit], ..open("") };
    let months = |zone| {
        let definition = Definition { zone, ..asked(&["A"], Rule::Entered) };
        let cohorts = answer(definition, &Layouts::default(), &[case.clone(), open("A?")]).counts.cohorts;
        cohorts.into_iter().map(|cohort| (cohort.month, cohort.counts)).collect::<Vec<_>>()
    };
    assert_eq!(months(Tz::UTC), [("2026-01".to_owned(), vec![1])]);
    assert_eq!(months(Tz::Asia__Tbilisi), [("2026-02".to_owned(), vec![1])]);
}

#[test]
fn an_answer_says_how_many_cases_may_yet_come_further() {
    let counts =
        answer(asked(&["A"], Rule::Entered), &Layouts::default(), &[open("A0"), won("A1", 2), open("A40")])
            .counts;
    assert_eq!((counts.cases, counts.open_cases), (3, 2));
    let open_cases: Vec<u64> = counts.cohorts.iter().map(|cohort| cohort.open_cases).collect();
    assert_eq!(open_cases, [1, 1]);
}

#[test]
fn owners_stand_apart_and_sum_to_the_whole() {
    let owned = |case, owner: u128| Case { owner: Some(UserId(Uuid::from_u128(owner))), ..case };
    let cases = [owned(open("A0 B1"), 1), owned(open("A0"), 1), owned(open("A0 B2"), 2), open("A0")];
    let definition = Definition { by: Breakdown::Owner, ..asked(&["A", "B"], Rule::Ordered) };
    let answer = answer(definition, &Layouts::default(), &cases);
    let by = answer.by.unwrap();
    let counts: Vec<_> =
        by.iter().map(|owner| (owner.group != Group::Owner(None), owner.counts.stages[1].count)).collect();
    assert_eq!(counts, [(false, 0), (true, 1), (true, 1)]);
    assert_eq!(answer.counts.stages[1].count, 2);
    assert_eq!(answer.counts.stages[1].median_seconds_from_previous, Some(1.5 * 86_400.0));
}

#[test]
fn the_answer_names_what_was_asked() {
    let definition = Definition {
        window: "30d".parse().ok(),
        population: Population::Cohort(days(0, 31)),
        ..asked(&["A", "B"], Rule::Ordered)
    };
    let found = answer(definition, &Layouts::default(), &[open("A0 B1 A2"), open("A0 X1")]);
    let expected = json!({
        "rule": "ordered", "population": "cohort", "from": day(0), "to": day(31), "window": "30d", "start": "first",
        "zone": "UTC", "at": day(100), "cases": 2, "open_cases": 2,
        "stages": [
            {
                "stage": "A", "count": 2, "step_conversion": null, "cumulative_conversion": 1.0,
                "n_from_previous": null, "mean_seconds_from_previous": null, "median_seconds_from_previous": null,
                "p75_seconds_from_previous": null, "p90_seconds_from_previous": null,
                "visits": 3, "reentered": 1, "dropped": { "lost": 0, "open": 0, "moved_back": 0, "left": 1 },
            },
            {
                "stage": "B", "count": 1, "step_conversion": 0.5, "cumulative_conversion": 0.5,
                "n_from_previous": 1, "mean_seconds_from_previous": 86400.0, "median_seconds_from_previous": 86400.0,
                "p75_seconds_from_previous": 86400.0, "p90_seconds_from_previous": 86400.0,
                "visits": 1, "reentered": 0, "dropped": null,
            },
        ],
        "n_total": 1, "mean_seconds_total": 86400.0, "median_seconds_total": 86400.0,
        "p75_seconds_total": 86400.0, "p90_seconds_total": 86400.0,
        "transitions": [
            { "from": "A", "to": "B", "n": 1, "median_seconds": 86400.0 },
            { "from": "A", "to": null, "n": 2, "median_seconds": null },
            { "from": "B", "to": "A", "n": 1, "median_seconds": 86400.0 },
        ],
        "cohorts": [{ "month": "2026-01", "open_cases": 2, "counts": [2, 1] }],
        "last_stage": [{ "stage": "A", "count": 2 }, { "stage": "B", "count": 0 }],
    });
    assert_eq!(serde_json::to_value(found).unwrap(), expected);
}

#[test]
fn passed_says_whether_it_imputed_and_a_breakdown_stands_at_the_end() {
    let definition = Definition { by: Breakdown::Owner, ..asked(&["A"], Rule::Passed) };
    let found = serde_json::to_value(answer(definition, &Layouts::default(), &[open("A0")])).unwrap();
    assert_eq!(found["impute_lost"], json!(false));
    assert_eq!(found["start"], json!(null), "without a window nothing is counted from a start");
    assert_eq!(found["by"][0]["owner"], json!(null));
    assert_eq!(found["by"][0]["stages"][0]["count"], json!(1));
}

#[test]
fn a_case_with_several_products_stands_in_the_group_of_each_and_once_in_the_whole() {
    let product = |id: u128| Group::Product(Some(ProductId(Uuid::from_u128(id))));
    let sells =
        |case, products: &[u128]| Case { groups: products.iter().copied().map(product).collect(), ..case };
    let cases = [sells(open("A0 B1"), &[1, 2]), sells(open("A0"), &[2]), open("A0")];
    let definition = Definition { by: Breakdown::Product, ..asked(&["A", "B"], Rule::Entered) };
    let answer = answer(definition, &Layouts::default(), &cases);
    let by = answer.by.unwrap().into_iter();
    let found: Vec<_> = by
        .map(|group| (group.group, group.counts.stages.iter().map(|stage| stage.count).collect::<Vec<_>>()))
        .collect();
    assert_eq!(
        found,
        [(Group::Product(None), vec![1, 0]), (product(1), vec![1, 1]), (product(2), vec![2, 1])]
    );
    assert_eq!(answer.groups_overlap, Some(true));
    assert_eq!(answer.counts.cases, 3);
}

#[test]
fn values_stand_in_bands_of_their_currency_at_entry_and_at_latest() {
    let mut raised = Case { value: Some(money(1000, "GEL")), ..open("A0 B1") };
    raised.visits[0].value = Some(money(999, "GEL"));
    let cases = [raised, Case { value: Some(money(0, "EUR")), ..open("B0") }];
    let bands = |by: Breakdown| {
        let answer =
            answer(Definition { by, ..asked(&["A", "B"], Rule::Entered) }, &Layouts::default(), &cases);
        let of = |group: Group| match group {
            Group::Value(band) | Group::ValueAtEntry(band) => band.map(|band: Band| band.to_string()),
            other => panic!("{other:?} is no value"),
        };
        answer.by.unwrap().into_iter().map(|group| of(group.group)).collect::<Vec<_>>()
    };
    let named = |band: &str| Some(band.to_owned());
    assert_eq!(bands(Breakdown::Value), [named("0–1 EUR"), named("1000–10000 GEL")]);
    assert_eq!(
        bands(Breakdown::ValueAtEntry),
        [None, named("100–1000 GEL")],
        "one never entered the first step"
    );
}

#[test]
fn a_breakdown_is_named_by_its_word() {
    for word in
        ["owner", "team", "source", "product", "field:region", "loss_reason", "value", "value_at_entry"]
    {
        assert_eq!(word.parse::<Breakdown>().unwrap().to_string(), word);
    }
    for word in ["owners", "field:", "none", ""] {
        let refused = word.parse::<Breakdown>().unwrap_err().to_string();
        assert!(refused.starts_with(&format!("by {word:?} is none of owner, team, source")), "{refused}");
    }
}
