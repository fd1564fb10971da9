//! What is asked: the steps, the counting rule, the conversion window and the population.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::population::Population;
use super::window::{Start, Window};
use kvali_domain::StageId;

/// More steps than any pipeline has stages; a case's steps fit one machine word.
pub const MAX_STEPS: usize = 64;

#[derive(Clone, PartialEq, Debug)]
pub struct Definition {
    pub steps: Vec<Step>,
    pub rule: Rule,
    pub window: Option<Window>,
    pub start: Start,
    pub population: Population,
    /// The zone of the months in `cohorts`.
    pub zone: Tz,
    /// For `passed`: whether a lost deal, too, counts in the stages that it jumped over.
    pub impute_lost: bool,
    pub by: Breakdown,
    /// T, the instant at which the cases stand as given.
    pub at: DateTime<Utc>,
}

/// One stage of the funnel, or several that count as one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    pub stages: Vec<StageId>,
}

/// When a case counts at step k.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breakdown {
    #[default]
    None,
    Owner,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum NotADefinition {
    #[error("steps is empty; name at least one step with a stage")]
    NoStep,
    #[error(
        "steps has {0} entries and at most {MAX_STEPS} are counted; group neighbouring stages into one step"
    )]
    TooManySteps(usize),
    #[error("steps[{at}] {name:?} has no stage; give it one or leave it out")]
    EmptyStep { at: usize, name: String },
    #[error("stage {} stands in steps[{first}] and again in steps[{second}]; leave it in one of them", .stage.0)]
    StageTwice { stage: StageId, first: usize, second: usize },
    #[error("window {window} does not apply to rule {}; leave it out or choose any_order, ordered or strict", .rule.word())]
    WindowOnRule { window: Window, rule: Rule },
    #[error("impute_lost does not apply to rule {}; leave it out or choose passed", .0.word())]
    ImputeLostOnRule(Rule),
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("rule {0:?} is none of snapshot, entered, entries, any_order, ordered, strict, passed")]
pub struct NotARule(String);

impl Definition {
    /// Every case, no window, no breakdown, months in UTC.
    pub fn new(steps: Vec<Step>, rule: Rule, at: DateTime<Utc>) -> Self {
        Self {
            steps,
            rule,
            window: None,
            start: Start::First,
            population: Population::All,
            zone: Tz::UTC,
            impute_lost: false,
            by: Breakdown::None,
            at,
        }
    }

    pub(super) fn check(&self) -> Result<(), NotADefinition> {
        check_steps(&self.steps)?;
        if let Some(window) = self.window
            && !self.rule.takes_window()
        {
            return Err(NotADefinition::WindowOnRule { window, rule: self.rule });
        }
        if self.impute_lost && self.rule != Rule::Passed {
            return Err(NotADefinition::ImputeLostOnRule(self.rule));
        }
        Ok(())
    }
}

/// At least one step, no empty step, no stage twice.
pub(super) fn check_steps(steps: &[Step]) -> Result<(), NotADefinition> {
    if steps.is_empty() {
        return Err(NotADefinition::NoStep);
    }
    if steps.len() > MAX_STEPS {
        return Err(NotADefinition::TooManySteps(steps.len()));
    }
    let mut seen = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        if step.stages.is_empty() {
            return Err(NotADefinition::EmptyStep { at, name: step.name.clone() });
        }
        for &stage in &step.stages {
            if let Some(first) = seen.insert(stage, at) {
                return Err(NotADefinition::StageTwice { stage, first, second: at });
            }
        }
    }
    Ok(())
}

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
