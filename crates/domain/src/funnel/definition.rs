//! What a funnel counts, and what of it goes together.

use super::{Rule, Start, Window};
use crate::{PipelineId, StageId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// More steps than any pipeline has stages; a case's steps fit one machine word.
pub const MAX_STEPS: usize = 64;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    pub pipeline: PipelineId,
    pub steps: Vec<Step>,
    pub rule: Rule,
    /// Time that a case has from its start to each step, such as `30d`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub window: Option<Window>,
    #[serde(default)]
    pub start: Start,
    #[serde(default)]
    pub population: PopulationKind,
    #[serde(default)]
    pub corrections: Corrections,
    /// For `passed`: whether a lost deal, too, counts in the stages that it jumped over.
    #[serde(default)]
    pub impute_lost: bool,
}

/// One stage of the funnel, or several that count as one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub name: String,
    pub stages: Vec<StageId>,
}

/// Which cases are asked about; all but `all` within a period that is named with the question.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PopulationKind {
    #[default]
    All,
    /// Cases created, else first entered, in the period.
    Cohort,
    /// Visits entered in the period.
    EventDated,
    /// Cases closed in the period.
    ClosedDated,
}

/// Whether a mistaken visit counts as the stage that it was first recorded in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Corrections {
    /// The correction replaces the mistake.
    #[default]
    Effective,
    /// The mistake counts as history: what was ever recorded.
    Ever,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum NotADefinition {
    #[error("steps is empty; name at least one step with a stage")]
    NoStep,
    #[error(
        "steps has {count} entries and at most {MAX_STEPS} are counted; group neighbouring stages into one step"
    )]
    TooManySteps { count: usize },
    #[error("steps[{at}] {name:?} has no stage; give it one or leave it out")]
    EmptyStep { at: usize, name: String },
    #[error("stage {} stands in steps[{first}] and again in steps[{second}]; leave it in one of them", .stage.0)]
    StageTwice { stage: StageId, first: usize, second: usize },
    #[error("window {window} does not apply to rule {}; leave it out or choose any_order, ordered or strict", .rule.word())]
    WindowOnRule { window: Window, rule: Rule },
    #[error("impute_lost does not apply to rule {}; leave it out or choose passed", .rule.word())]
    ImputeLostOnRule { rule: Rule },
}

impl Definition {
    /// What holds of it whatever the pipeline.
    pub fn check(&self) -> Result<(), NotADefinition> {
        check_steps(&self.steps)?;
        check_rule(self.rule, self.window, self.impute_lost)
    }
}

/// Whether what was asked beside the rule applies to it.
pub fn check_rule(rule: Rule, window: Option<Window>, impute_lost: bool) -> Result<(), NotADefinition> {
    if let Some(window) = window.filter(|_| !rule.takes_window()) {
        return Err(NotADefinition::WindowOnRule { window, rule });
    }
    if impute_lost && rule != Rule::Passed {
        return Err(NotADefinition::ImputeLostOnRule { rule });
    }
    Ok(())
}

/// At least one step, no empty step, no stage twice.
pub fn check_steps(steps: &[Step]) -> Result<(), NotADefinition> {
    if steps.is_empty() {
        return Err(NotADefinition::NoStep);
    }
    if steps.len() > MAX_STEPS {
        return Err(NotADefinition::TooManySteps { count: steps.len() });
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
