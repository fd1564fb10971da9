//! By which weights records are taken for one: published by people or by a fit to what they decided. The newest is in
//! force; one stream per tenant.
//!
//! Weights are thousandths of a bit: 1000 doubles the odds that two records are one. What they are added up from, and what
//! agreement means field by field, is the read model's.

use crate::decider::{Describe, changed, commands, events};
use crate::fields::{self, Entity, Fields};
use crate::{Decider, FieldId, Given, Occurred, Reads, StreamId, Version};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The stream that holds the rule, in every tenant.
pub const STREAM: StreamId = StreamId(Uuid::from_u128(0x0d1c_a7c4_5e00_4a00_9000_0000_0000_0001));

/// Fields that every record may have. Custom ones are named `field:` and their id.
pub const FIELDS: &[&str] = &[
    "birth_date",
    "domain",
    "email",
    "employer",
    "family_name",
    "given_name",
    "identifier",
    "organisation",
    "phone",
    "place",
    "street",
];

/// What a custom field's name begins with.
pub const CUSTOM: &str = "field:";

/// More than what any rule of sense says for or against: 60 bits.
pub const MOST: i32 = 60_000;

/// Values that one field tells apart; keeps an event small whatever is sent.
pub const MOST_VALUES: usize = 2_000;

commands! {
    /// Each field is one of those that every record may have, or a custom field in force; weights and rarities lie within 60
    /// bits of zero; thresholds are above 0 and below 1, "possible" not above "likely"; at least one kind of key; a fit is
    /// not worse on the decisions that it was held to.
    "DefineMatchRule" = Define(Rule) => [Defined],
}

/// A whole rule; what is absent is not in force any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What is held before anything is compared.
    pub start: i32,
    /// The chance from which a pair is likely one.
    #[schemars(with = "String", regex(pattern = r"^[0-9]+(\.[0-9]+)?$"))]
    pub likely: Decimal,
    /// The chance from which a pair is shown at all.
    #[schemars(with = "String", regex(pattern = r"^[0-9]+(\.[0-9]+)?$"))]
    pub possible: Decimal,
    pub fields: BTreeMap<String, Agreement>,
    /// Of a field that is not named.
    pub other: Agreement,
    /// What kinds of keys bring two records together.
    pub keys: BTreeSet<Key>,
    /// By field, what a shared value says beyond the weight.
    #[serde(default)]
    pub rarity: BTreeMap<String, Rarity>,
    /// Of a fit: how it did on the latest decisions, which it had not seen.
    #[serde(default)]
    pub hold_out: Option<HoldOut>,
}

/// What each level of agreement in a field adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    pub equal: i32,
    pub near: i32,
    pub alike: i32,
    pub different: i32,
}

impl Agreement {
    fn all(self) -> [i32; 4] {
        [self.equal, self.near, self.alike, self.different]
    }
}

/// Common values by a keyed hash that only the tenant's key can make, so that none can be read or guessed.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rarity {
    pub listed: BTreeMap<i64, i32>,
    /// Of any other value.
    pub rest: i32,
}

/// What a key is made of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// The whole address; and what stands before the `@`, with the name.
    Email,
    /// The whole number; and its end, with the name.
    Phone,
    Identifier,
    /// Both parts of a name, by sound and by consonants.
    Name,
    /// One part of a name with the place.
    NameAndPlace,
    /// One part of a name with the date of birth.
    NameAndBirth,
    Street,
    Domain,
    Organisation,
}

impl Key {
    pub const ALL: [Self; 9] = [
        Self::Email,
        Self::Phone,
        Self::Identifier,
        Self::Name,
        Self::NameAndPlace,
        Self::NameAndBirth,
        Self::Street,
        Self::Domain,
        Self::Organisation,
    ];
}

/// Mean surprise per decision, in thousandths of a bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldOut {
    pub decisions: u32,
    pub before: u32,
    pub after: u32,
}

events! {
    Defined = "match_rule.defined",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Defined {
    /// From 1.
    pub version: Version,
    pub rule: Rule,
}

impl Describe for Event {}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("{field:?} is no field that is compared; name one of {}, or `field:` and the id of a custom field in force", FIELDS.join(", "))]
    UnknownField { field: String },
    #[error("{place}: {weight} thousandths of a bit are beyond {MOST}; nothing is that certain")]
    WeightTooGreat { place: String, weight: i32 },
    #[error("`{threshold}` is {value}; give a chance above 0 and below 1")]
    NotAChance { threshold: &'static str, value: String },
    #[error("`possible` is {possible}, above `likely`, which is {likely}; what is likely is possible")]
    PossibleAboveLikely { possible: String, likely: String },
    #[error("no kind of key is named in `keys`; without one nothing is ever compared")]
    NoKeys,
    #[error("`rarity` of {field:?} lists {values} values; list the {MOST_VALUES} commonest")]
    TooManyValues { field: String, values: usize },
    #[error(
        "on {decisions} held-out decisions the rule does worse, {after} thousandths of a bit against {before}; keep the \
         one that is in force"
    )]
    WorseThanBefore { decisions: u32, before: u32, after: u32 },
}

/// The rule in force and its version.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct MatchRule {
    pub version: Version,
    pub rule: Option<Rule>,
}

impl Decider for MatchRule {
    const AGGREGATE: &'static str = "match_rule";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn home(_: &Command) -> Option<StreamId> {
        Some(STREAM)
    }

    fn begins(_: &Command) -> bool {
        false
    }

    fn reads(&self, _: &Command) -> Vec<Reads> {
        vec![Reads::Fields(fields::STREAM)]
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let Command::Define(rule) = command;
        rule.check(given.facts.get(fields::STREAM))?;
        let event = Defined { version: self.version + 1, rule: rule.clone() };
        Ok(changed(self.rule.as_ref() != Some(rule), Event::Defined(event)))
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        let Event::Defined(Defined { version, rule }) = event;
        *self = Self { version: *version, rule: Some(rule.clone()) };
    }
}

impl Rule {
    fn check(&self, custom: Option<&Fields>) -> Result<(), Refusal> {
        for field in self.fields.keys().chain(self.rarity.keys()) {
            if !is_compared(field, custom) {
                return Err(Refusal::UnknownField { field: field.clone() });
            }
        }
        self.weights()?;
        self.thresholds()?;
        if self.keys.is_empty() {
            return Err(Refusal::NoKeys);
        }
        match self.hold_out {
            Some(HoldOut { decisions, before, after }) if after > before => {
                Err(Refusal::WorseThanBefore { decisions, before, after })
            }
            _ => Ok(()),
        }
    }

    fn weights(&self) -> Result<(), Refusal> {
        let levels = self
            .fields
            .iter()
            .flat_map(|(field, levels)| levels.all().map(|weight| (field.as_str(), weight)));
        let other = self.other.all().map(|weight| ("other", weight));
        let rarities = self.rarity.iter().flat_map(|(field, rarity)| {
            rarity.listed.values().chain([&rarity.rest]).map(|weight| (field.as_str(), *weight))
        });
        let mut all = [("start", self.start)].into_iter().chain(levels).chain(other).chain(rarities);
        if let Some((place, weight)) = all.find(|(_, weight)| weight.unsigned_abs() > MOST.unsigned_abs()) {
            return Err(Refusal::WeightTooGreat { place: place.to_owned(), weight });
        }
        match self.rarity.iter().find(|(_, rarity)| rarity.listed.len() > MOST_VALUES) {
            Some((field, rarity)) => {
                Err(Refusal::TooManyValues { field: field.clone(), values: rarity.listed.len() })
            }
            None => Ok(()),
        }
    }

    fn thresholds(&self) -> Result<(), Refusal> {
        for (threshold, value) in [("likely", self.likely), ("possible", self.possible)] {
            if value <= Decimal::ZERO || value >= Decimal::ONE {
                return Err(Refusal::NotAChance { threshold, value: value.to_string() });
            }
        }
        if self.possible > self.likely {
            let (possible, likely) = (self.possible.to_string(), self.likely.to_string());
            return Err(Refusal::PossibleAboveLikely { possible, likely });
        }
        Ok(())
    }
}

fn is_compared(field: &str, custom: Option<&Fields>) -> bool {
    let is_custom = |id: FieldId| {
        let of = |entity| custom.is_some_and(|fields| fields.in_force(entity, id).is_ok());
        [Entity::Contact, Entity::Company, Entity::Lead].into_iter().any(of)
    };
    FIELDS.contains(&field)
        || field.strip_prefix(CUSTOM).and_then(|id| id.parse().ok()).is_some_and(is_custom)
}
