//! The counting rules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a case counts at step k.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// It stands in k at T: an open case in its last stage, a closed one only in a success or failure stage.
    Snapshot,
    /// It has at least one visit to k.
    Entered,
    /// Once for each visit to k.
    Entries,
    /// It entered all of 1..=k, in whatever order.
    AnyOrder,
    /// It entered 1..=k in order; other stages may lie between.
    Ordered,
    /// It entered 1..=k in order with no other stage between, from any of its entries into step 1.
    Strict,
    /// It entered k or a later stage of that pipeline version. A success stage, and the win itself, lie after
    /// every process stage; a failure stage says nothing of the way there, so a lost deal counts only where it
    /// was, and with `impute_lost` also before the furthest process stage that it entered.
    Passed,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("rule {0:?} is none of snapshot, entered, entries, any_order, ordered, strict, passed")]
pub struct NotARule(String);

impl Rule {
    pub const ALL: [(Self, &str); 7] = [
        (Self::Snapshot, "snapshot"),
        (Self::Entered, "entered"),
        (Self::Entries, "entries"),
        (Self::AnyOrder, "any_order"),
        (Self::Ordered, "ordered"),
        (Self::Strict, "strict"),
        (Self::Passed, "passed"),
    ];

    /// The word for it in JSON and in queries.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(rule, _)| *rule == self).map_or("", |(_, word)| word)
    }

    pub fn takes_window(self) -> bool {
        matches!(self, Self::AnyOrder | Self::Ordered | Self::Strict)
    }
}

impl std::str::FromStr for Rule {
    type Err = NotARule;

    fn from_str(text: &str) -> Result<Self, NotARule> {
        let found = Self::ALL.iter().find(|(_, word)| *word == text);
        found.map(|(rule, _)| *rule).ok_or_else(|| NotARule(text.to_owned()))
    }
}
