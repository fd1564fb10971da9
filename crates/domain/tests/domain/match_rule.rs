use crate::configuring::{SIZE, field_defined, field_retired, size};
use crate::given::{Happened, given};
use crate::measuring::{agreement, match_rule as rule};
use crate::sales::at_start;
use kvali_domain::Refusal as AnyRefusal;
use kvali_domain::fields::{self, Entity};
use kvali_domain::match_rule::{
    Agreement, Command, Defined, Event, HoldOut, MOST, MOST_VALUES, Rarity, Refusal, Rule, STREAM,
};

macro_rules! rule_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::MatchRule($pattern))
    };
}

fn defined(version: i32, rule: Rule) -> Event {
    Event::Defined(Defined { version, rule })
}

fn happened(event: Event) -> Happened {
    at_start(STREAM, event)
}

#[test]
fn a_rule_is_published_with_the_next_version_and_the_same_one_is_already_so() {
    given([]).when(Command::Define(rule())).then([defined(1, rule())]);
    given([happened(defined(1, rule()))]).when(Command::Define(rule())).then_it_is_already_so();
    let other = Rule { start: -6_000, ..rule() };
    given([happened(defined(1, rule()))]).when(Command::Define(other.clone())).then([defined(2, other)]);
}

#[test]
fn fields_exist() {
    for field in ["shoe_size", "field:0190d9c6-4a00-7000-8000-0000000000e1", "field:"] {
        let mut wrong = rule();
        wrong.fields.insert(field.to_owned(), agreement(1));
        given([]).when(Command::Define(wrong)).refused(rule_refusal!(Refusal::UnknownField { .. })).naming([
            field,
            "given_name",
            "custom field",
        ]);
        let mut wrong = rule();
        wrong.rarity.insert(field.to_owned(), Rarity::default());
        given([]).when(Command::Define(wrong)).refused(rule_refusal!(Refusal::UnknownField { .. }));
    }
}

#[test]
fn thresholds_are_chances_and_possible_is_not_above_likely() {
    for (likely, possible) in [("1", "0.1"), ("0.9", "0"), ("1.5", "0.1")] {
        let wrong = Rule { likely: likely.parse().unwrap(), possible: possible.parse().unwrap(), ..rule() };
        given([])
            .when(Command::Define(wrong))
            .refused(rule_refusal!(Refusal::NotAChance { .. }))
            .naming(["above 0 and below 1"]);
    }
    let wrong = Rule { possible: "0.95".parse().unwrap(), ..rule() };
    given([])
        .when(Command::Define(wrong))
        .refused(rule_refusal!(Refusal::PossibleAboveLikely { .. }))
        .naming(["0.95", "0.9"]);
}

#[test]
fn there_are_keys_and_no_weight_is_beyond_reason() {
    let wrong = Rule { keys: [].into(), ..rule() };
    given([]).when(Command::Define(wrong)).refused(rule_refusal!(Refusal::NoKeys)).naming(["`keys`"]);
    let wrong = Rule { start: -MOST - 1, ..rule() };
    given([])
        .when(Command::Define(wrong))
        .refused(rule_refusal!(Refusal::WeightTooGreat { .. }))
        .naming(["start", "60001"]);
    let listed = (0..=i64::try_from(MOST_VALUES).unwrap()).map(|hash| (hash, 1)).collect();
    let wrong = Rule { rarity: [("phone".to_owned(), Rarity { listed, rest: 0 })].into(), ..rule() };
    given([])
        .when(Command::Define(wrong))
        .refused(rule_refusal!(Refusal::TooManyValues { .. }))
        .naming(["phone", "2001"]);
}

#[test]
fn a_fit_that_does_worse_on_held_out_decisions_is_refused() {
    let fitted = |before, after| Rule { hold_out: Some(HoldOut { decisions: 40, before, after }), ..rule() };
    given([]).when(Command::Define(fitted(300, 200))).then([defined(1, fitted(300, 200))]);
    given([])
        .when(Command::Define(fitted(200, 300)))
        .refused(rule_refusal!(Refusal::WorseThanBefore { .. }))
        .naming(["40", "300", "200"]);
}

#[test]
fn what_lies_on_the_border_is_allowed() {
    let listed = (0..i64::try_from(MOST_VALUES).unwrap()).map(|hash| (hash, MOST)).collect();
    let rarity = [("phone".to_owned(), Rarity { listed, rest: -MOST })].into();
    let hold_out = Some(HoldOut { decisions: 10, before: 200, after: 200 });
    let (likely, possible) = ("0.5".parse().unwrap(), "0.5".parse().unwrap());
    let extreme = Rule { start: MOST, likely, possible, rarity, hold_out, ..rule() };
    given([]).when(Command::Define(extreme.clone())).then([defined(1, extreme)]);
}

#[test]
fn no_level_of_a_field_and_no_rarity_is_beyond_reason() {
    let levels = |at: usize, weight: i32| {
        let mut levels = [0; 4];
        levels[at] = weight;
        let [equal, near, alike, different] = levels;
        Agreement { equal, near, alike, different }
    };
    let rarity = |listed: i32, rest: i32| {
        let rarity = Rarity { listed: [(7, listed)].into(), rest };
        [("phone".to_owned(), rarity)].into()
    };
    let of_levels = (0..4).flat_map(|at| {
        let field = [("email".to_owned(), levels(at, MOST + 1))].into();
        [
            ("email", Rule { fields: field, ..rule() }),
            ("other", Rule { other: levels(at, -MOST - 1), ..rule() }),
        ]
    });
    let of_rarities = [
        ("phone", Rule { rarity: rarity(MOST + 1, 0), ..rule() }),
        ("phone", Rule { rarity: rarity(0, -MOST - 1), ..rule() }),
    ];
    for (place, wrong) in of_levels.chain(of_rarities) {
        given([])
            .when(Command::Define(wrong))
            .refused(rule_refusal!(Refusal::WeightTooGreat { .. }))
            .naming([place, "60001"]);
    }
}

#[test]
fn a_custom_field_is_compared_while_it_is_in_force() {
    let named = || Rule { fields: [(format!("field:{SIZE}"), agreement(1_000))].into(), ..rule() };
    for entity in [Entity::Contact, Entity::Company, Entity::Lead] {
        let custom = field_defined(fields::Defined { entity, ..size() });
        given([custom]).when(Command::Define(named())).then([defined(1, named())]);
    }
    let of_deals = field_defined(fields::Defined { entity: Entity::Deal, ..size() });
    let gone = [field_defined(fields::Defined { entity: Entity::Contact, ..size() }), field_retired(SIZE)];
    for log in [vec![of_deals], gone.into()] {
        given(log).when(Command::Define(named())).refused(rule_refusal!(Refusal::UnknownField { .. }));
    }
}
