//! What an answer is broken down by, and the groups that cases fall into.

use super::case::{Case, Visit};
use super::track::Mark;
use kvali_domain::money::Currency;
use kvali_domain::{LossReasonId, Money, ProductId, TeamId, UserId};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Breakdown {
    #[default]
    None,
    Owner,
    /// The owner's team; of several, the one joined first.
    Team,
    /// The source of the lead that a deal came of; of a deal without one, the system that it was imported from.
    Source,
    /// Of the deal's lines. A case stands in the group of each, so groups overlap.
    Product,
    /// A custom field of deals, by its key.
    Field(String),
    LossReason,
    /// The value at T, in bands of powers of ten.
    Value,
    /// The value when the case first entered the funnel's first step.
    ValueAtEntry,
}

/// Every word but that of a custom field.
const WORDS: [(&str, Breakdown); 7] = [
    ("owner", Breakdown::Owner),
    ("team", Breakdown::Team),
    ("source", Breakdown::Source),
    ("product", Breakdown::Product),
    ("loss_reason", Breakdown::LossReason),
    ("value", Breakdown::Value),
    ("value_at_entry", Breakdown::ValueAtEntry),
];
const FIELD: &str = "field:";

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("by {0:?} is none of owner, team, source, product, field:KEY, loss_reason, value, value_at_entry")]
pub struct NotABreakdown(String);

/// `{"owner": "0190…"}`; null for what has none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    Owner(Option<UserId>),
    Team(Option<TeamId>),
    Source(Option<String>),
    Product(Option<ProductId>),
    Field(Option<String>),
    LossReason(Option<LossReasonId>),
    Value(Option<Band>),
    ValueAtEntry(Option<Band>),
}

/// Values in `[from, to)`: below one, below ten, below a hundred, and so on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
pub struct Band {
    pub currency: Currency,
    pub from: Decimal,
    pub to: Decimal,
}

impl std::str::FromStr for Breakdown {
    type Err = NotABreakdown;

    fn from_str(text: &str) -> Result<Self, NotABreakdown> {
        if let Some(key) = text.strip_prefix(FIELD).map(str::trim).filter(|key| !key.is_empty()) {
            return Ok(Self::Field(key.to_owned()));
        }
        let found = WORDS.iter().find(|(word, _)| *word == text);
        found.map(|(_, by)| by.clone()).ok_or_else(|| NotABreakdown(text.to_owned()))
    }
}

impl std::fmt::Display for Breakdown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(key) => write!(f, "{FIELD}{key}"),
            by => f.write_str(by.word()),
        }
    }
}

impl Breakdown {
    /// What a group is called in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Field(_) => "field",
            by => WORDS.iter().find(|(_, known)| known == by).map_or("", |(word, _)| word),
        }
    }

    /// Whether it takes more than a case itself to tell its groups.
    pub(super) fn is_read(&self) -> bool {
        !matches!(self, Self::None | Self::Owner | Self::Value | Self::ValueAtEntry)
    }

    pub(super) fn overlaps(&self) -> bool {
        *self == Self::Product
    }

    /// The groups of a case; none where nothing is broken down.
    pub(super) fn groups(&self, case: &Case, track: &[Mark]) -> Vec<Group> {
        match self {
            Self::None => Vec::new(),
            Self::Owner => vec![Group::Owner(case.owner)],
            Self::Value => vec![Group::Value(case.value.map(Band::of))],
            Self::ValueAtEntry => vec![Group::ValueAtEntry(value_at_entry(case, track).map(Band::of))],
            by if case.groups.is_empty() => by.without().into_iter().collect(),
            _ => case.groups.clone(),
        }
    }

    /// The group of those that have none.
    fn without(&self) -> Option<Group> {
        match self {
            Self::None => None,
            Self::Owner => Some(Group::Owner(None)),
            Self::Team => Some(Group::Team(None)),
            Self::Source => Some(Group::Source(None)),
            Self::Product => Some(Group::Product(None)),
            Self::Field(_) => Some(Group::Field(None)),
            Self::LossReason => Some(Group::LossReason(None)),
            Self::Value => Some(Group::Value(None)),
            Self::ValueAtEntry => Some(Group::ValueAtEntry(None)),
        }
    }
}

fn value_at_entry(case: &Case, track: &[Mark]) -> Option<Money> {
    let first = track.iter().find(|mark| mark.step == Some(0))?;
    let Visit { value, .. } = case.visits[first.visit];
    value
}

impl Band {
    /// Values are never negative.
    fn of(value: Money) -> Self {
        let ten = Decimal::TEN;
        let (mut from, mut to) = (Decimal::ZERO, Decimal::ONE);
        while value.amount >= to
            && let Some(next) = to.checked_mul(ten)
        {
            (from, to) = (to, next);
        }
        Self { currency: value.currency, from, to }
    }
}

impl std::fmt::Display for Band {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}–{} {}", self.from, self.to, self.currency)
    }
}
