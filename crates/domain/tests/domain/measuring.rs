//! The funnels and match rules of these tests, and random commands that define them.

use crate::given::on;
use crate::sales::{FUNNEL, LOST, NEW, NOWHERE, OFFER, SALES, TALK, WON};
use kvali_domain::funnel::{Command, Corrections, Definition, PopulationKind, Rule, Start, Step};
use kvali_domain::match_rule::{self, Agreement, Key};
use kvali_domain::{Order, StageId};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::collections::BTreeMap;

pub(crate) fn step(name: &str, stages: &[StageId]) -> Step {
    Step { name: name.to_owned(), stages: stages.to_vec() }
}

/// From the first talk to the contract.
pub(crate) fn way() -> Definition {
    Definition {
        pipeline: SALES,
        steps: vec![step("Talk", &[NEW, TALK]), step("Won", &[WON])],
        rule: Rule::Ordered,
        window: "30d".parse().ok(),
        start: Start::First,
        population: PopulationKind::All,
        corrections: Corrections::Effective,
        impute_lost: false,
    }
}

pub(crate) fn entered() -> Definition {
    Definition { rule: Rule::Entered, window: None, ..way() }
}

pub(crate) fn define(name: &str, definition: Definition) -> Command {
    Command::Define { name: name.to_owned(), definition }
}

pub(crate) fn redefine(definition: Definition) -> Command {
    Command::Redefine { definition }
}

/// Definitions that hold and such that do not.
fn a_funnel_command() -> impl Strategy<Value = Command> {
    let stages = subsequence(vec![NEW, TALK, OFFER, WON, LOST, NOWHERE], 0..5);
    let rules = select(Rule::ALL.map(|(rule, _)| rule).to_vec());
    let definition = (stages, rules, any::<bool>(), select(vec![None, Some("30d")])).prop_map(
        |(stages, rule, impute_lost, window)| Definition {
            steps: stages.iter().map(|stage| step("Step", &[*stage])).collect(),
            rule,
            impute_lost,
            window: window.and_then(|window| window.parse().ok()),
            ..way()
        },
    );
    prop_oneof![
        3 => definition.clone().prop_map(|definition| define("Way to win", definition)),
        3 => definition.prop_map(redefine),
        1 => Just(define("Way to win", way())),
        1 => Just(redefine(entered())),
        1 => Just(Command::Retire {}),
    ]
}

pub(crate) fn agreement(equal: i32) -> Agreement {
    Agreement { equal, near: equal / 2, alike: 0, different: -equal }
}

pub(crate) fn match_rule() -> match_rule::Rule {
    match_rule::Rule {
        start: -5_500,
        likely: "0.9".parse().expect("a decimal"),
        possible: "0.1".parse().expect("a decimal"),
        fields: BTreeMap::from([("phone".to_owned(), agreement(3_000))]),
        other: agreement(1_500),
        keys: [Key::Email, Key::Phone].into(),
        rarity: BTreeMap::new(),
        hold_out: None,
    }
}

pub(crate) fn a_measuring_order() -> impl Strategy<Value = Order> {
    prop_oneof![
        1 => (-70_000..10_000).prop_map(|start| {
            let rule = match_rule::Rule { start, ..match_rule() };
            on(match_rule::STREAM, match_rule::Command::Define(rule))
        }),
        2 => a_funnel_command().prop_map(|command| on(FUNNEL.stream(), command)),
    ]
}
