//! A named funnel: which stages are counted, by which rule, of which deals. Each change makes a version of it.

mod definition;
mod rule;
mod window;

pub use definition::{
    Corrections, Definition, MAX_STEPS, NotADefinition, PopulationKind, Step, check_rule, check_steps,
};
pub use rule::{NotARule, Rule};
pub use window::{NotAStart, NotAWindow, Start, Window};

use crate::decider::{Describe, commands, events};
use crate::label::{LabelProblem, label};
use crate::pipeline::{Pipeline, folded, list};
use crate::{Claim, Decider, Given, Occurred, PipelineId, Reads, StageId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

commands! {
    /// The name is unique in the workspace; the pipeline exists and has, or had, the stages; every step has a stage, no stage
    /// stands in two; a window and `impute_lost` only with rules that they apply to.
    "DefineFunnel" = Define { name: String, definition: Definition } => [Defined],
    /// The funnel is not retired; as for a defined one. The new version counts all of history.
    "RedefineFunnel" = Redefine { definition: Definition } => [Redefined],
    /// The funnel exists. Its name is free for another.
    "RetireFunnel" = Retire {} => [Retired],
}

events! {
    Defined = "funnel.defined",
    Redefined = "funnel.redefined",
    Retired = "funnel.retired",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Defined {
    pub name: String,
    /// 1.
    pub version: i32,
    pub definition: Definition,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Redefined {
    pub name: String,
    /// From 2.
    pub version: i32,
    pub definition: Definition,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Retired {
    pub name: String,
}

/// The claim that keeps funnel names unique, whatever their case.
pub const NAME_CLAIM: &str = "funnel.name";

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Defined(event) => vec![Claim::take(NAME_CLAIM, folded(&event.name))],
            Self::Redefined(_) => Vec::new(),
            Self::Retired(event) => vec![Claim::release(NAME_CLAIM, folded(&event.name))],
        }
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this funnel does not exist; define it first")]
    NoSuchFunnel,
    #[error("this funnel exists already as {name:?}; change it with RedefineFunnel")]
    AlreadyExists { name: String },
    #[error("the funnel {name:?} is retired; define another")]
    FunnelRetired { name: String },
    #[error("pipeline {pipeline} does not exist; name one that does")]
    NoSuchPipeline { pipeline: PipelineId },
    #[error("step {step:?} names stage {stage}, which pipeline {pipeline:?} does not have; it has {}", list(.accepted))]
    UnknownStage { step: String, stage: StageId, pipeline: String, accepted: Vec<String> },
    #[error(transparent)]
    #[serde(untagged)]
    NotADefinition(#[from] NotADefinition),
    #[error(transparent)]
    #[serde(untagged)]
    Label(#[from] LabelProblem),
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Funnel {
    #[default]
    Absent,
    Named(Record),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub name: String,
    /// Of the definition in force.
    pub version: i32,
    pub definition: Definition,
    pub retired: bool,
}

impl Funnel {
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Absent => None,
            Self::Named(record) => Some(record),
        }
    }
}

impl Decider for Funnel {
    const AGGREGATE: &'static str = "funnel";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Define { .. })
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        match command {
            Command::Define { definition, .. } | Command::Redefine { definition } => {
                vec![Reads::Pipeline(definition.pipeline.stream())]
            }
            Command::Retire {} => Vec::new(),
        }
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, Command::Define { name, definition }) => {
                let (name, definition) = (label("name", name)?, checked(definition, given)?);
                Ok(vec![Event::Defined(Defined { name, version: 1, definition })])
            }
            (Self::Absent, _) => Err(Refusal::NoSuchFunnel),
            (Self::Named(funnel), Command::Define { name, definition }) => {
                let same =
                    funnel.version == 1 && funnel.name == name.trim() && funnel.definition == *definition;
                let otherwise = || Refusal::AlreadyExists { name: funnel.name.clone() };
                if same { Ok(Vec::new()) } else { Err(otherwise()) }
            }
            (Self::Named(funnel), Command::Retire {}) if funnel.retired => Ok(Vec::new()),
            (Self::Named(funnel), Command::Retire {}) => {
                Ok(vec![Event::Retired(Retired { name: funnel.name.clone() })])
            }
            (Self::Named(funnel), Command::Redefine { .. }) if funnel.retired => {
                Err(Refusal::FunnelRetired { name: funnel.name.clone() })
            }
            (Self::Named(funnel), Command::Redefine { definition }) if funnel.definition == *definition => {
                Ok(Vec::new())
            }
            (Self::Named(funnel), Command::Redefine { definition }) => {
                let definition = checked(definition, given)?;
                let version = funnel.version.saturating_add(1);
                let name = funnel.name.clone();
                Ok(vec![Event::Redefined(Redefined { name, version, definition })])
            }
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        match (&mut *self, event) {
            (_, Event::Defined(event)) => {
                *self = Self::Named(Record {
                    name: event.name.clone(),
                    version: event.version,
                    definition: event.definition.clone(),
                    retired: false,
                });
            }
            (Self::Named(funnel), Event::Redefined(event)) => {
                funnel.version = event.version;
                funnel.definition = event.definition.clone();
            }
            (Self::Named(funnel), Event::Retired(_)) => funnel.retired = true,
            (Self::Absent, _) => {}
        }
    }
}

/// The definition, if it holds in its pipeline. Retired stages are part of history and are counted.
fn checked(definition: &Definition, given: &Given<'_>) -> Result<Definition, Refusal> {
    definition.check()?;
    let pipeline = definition.pipeline;
    let config = given.facts.pipeline(pipeline).and_then(Pipeline::config);
    let config = config.ok_or(Refusal::NoSuchPipeline { pipeline })?;
    let mut steps = definition.clone();
    for step in &mut steps.steps {
        step.name = label("step name", &step.name)?;
        if let Some(stage) = step.stages.iter().find(|stage| config.stage(**stage).is_none()) {
            return Err(Refusal::UnknownStage {
                step: step.name.clone(),
                stage: *stage,
                pipeline: config.name.clone(),
                accepted: config.stages.iter().map(|stage| stage.name.clone()).collect(),
            });
        }
    }
    Ok(steps)
}
