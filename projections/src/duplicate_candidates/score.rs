//! The score of two records: a sum of addends, each with its reason, that is exact because all are whole numbers.

use super::compare::{Finding, compare};
use super::details::Profile;
use super::keys::Hasher;
use super::level::Level;
use super::rarity::Rarity;
use super::weights::{SHIPPED_VERSION, Weights};
use kvali_domain::match_rule::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Weights and frequencies as they were published together.
#[derive(Clone)]
pub struct Model {
    pub version: i32,
    pub weights: Weights,
    pub rarity: Rarity,
    pub keys: BTreeSet<Key>,
    pub hasher: Hasher,
}

/// What one field adds, in thousandths of a bit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema, Deserialize)]
pub struct Addend {
    pub field: String,
    pub level: Level,
    /// Of which for how rare the shared value is.
    pub rarity: i32,
    pub adds: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Score {
    /// What was held before anything was compared; the first addend.
    pub start: i32,
    pub addends: Vec<Addend>,
    /// The sum of both.
    pub total: i32,
}

/// What a score says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Likely,
    Possible,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Likely => "likely",
            Self::Possible => "possible",
        }
    }
}

impl Model {
    /// What holds until a rule is published. `rarity` is of the tenant's own values, or says nothing.
    pub fn shipped(rarity: Rarity, hasher: Hasher) -> Self {
        let keys = Key::ALL.into_iter().collect();
        Self { version: SHIPPED_VERSION, weights: Weights::shipped(), rarity, keys, hasher }
    }

    pub fn score(&self, one: &Profile, other: &Profile) -> Score {
        let addends: Vec<Addend> = compare(one, other)
            .into_iter()
            .map(|found| {
                let (adds, rarity) = self.adds(&found);
                Addend { field: found.field.to_owned(), level: found.level, rarity, adds }
            })
            .collect();
        let start = self.weights.start;
        Score { start, total: start + addends.iter().map(|addend| addend.adds).sum::<i32>(), addends }
    }

    /// The sum alone: many are compared for each that is told of.
    pub fn total(&self, one: &Profile, other: &Profile) -> i32 {
        self.weights.start + compare(one, other).iter().map(|found| self.adds(found).0).sum::<i32>()
    }

    /// The score of two who may be one; none of others.
    pub fn possible(&self, one: &Profile, other: &Profile) -> Option<(Score, Verdict)> {
        let verdict = self.verdict(self.total(one, other))?;
        Some((self.score(one, other), verdict))
    }

    /// What a field adds, and how much of it for how rare the shared value is.
    fn adds(&self, found: &Finding<'_>) -> (i32, i32) {
        let rarity = found.shared.map_or(0, |value| self.rarity.of(found.field, value, &self.hasher));
        (self.weights.of(found.field, found.level) + rarity, rarity)
    }

    pub fn verdict(&self, total: i32) -> Option<Verdict> {
        match total {
            total if total >= self.weights.likely => Some(Verdict::Likely),
            total if total >= self.weights.possible => Some(Verdict::Possible),
            _ => None,
        }
    }
}
