//! The dictionary of reasons for losing a deal: one stream per tenant, so codes are unique by its version.

use crate::decider::{Describe, commands, events};
use crate::pipeline::{folded, list};
use crate::{Decider, Given, LossReasonId, Occurred, PipelineId, StreamId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The stream that holds the dictionary, in every tenant.
pub const STREAM: StreamId = StreamId(Uuid::from_u128(0x0d1c_7105_5e50_4a00_9000_0000_0000_0001));

commands! {
    /// The code is unique, whatever its case; code and label are not blank; the id is not another reason's.
    "DefineLossReason" = Define {
        reason: LossReasonId,
        /// Unique, without case; what imports and reports use.
        code: String,
        label: String,
        /// The pipelines it serves; empty means all.
        #[serde(default)]
        pipelines: Vec<PipelineId>,
    } => [Defined],
    /// The reason exists.
    "RetireLossReason" = Retire { reason: LossReasonId } => [Retired],
}

events! {
    Defined = "loss_reason.defined",
    Retired = "loss_reason.retired",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Defined {
    pub reason: LossReasonId,
    pub code: String,
    pub label: String,
    pub pipelines: Vec<PipelineId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Retired {
    pub reason: LossReasonId,
}

impl Describe for Event {}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("{field} is empty; give it at least one visible character")]
    Blank { field: &'static str },
    #[error("the loss reason {taken:?} exists already; choose another code")]
    CodeTaken { taken: String },
    #[error("this id is that of the loss reason {used_by:?}; use another id")]
    IdTaken { used_by: String },
    #[error("this loss reason does not exist; there are {}", list(.accepted))]
    NoSuchReason { accepted: Vec<String> },
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct LossReasons {
    reasons: Vec<LossReason>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LossReason {
    pub id: LossReasonId,
    pub code: String,
    pub label: String,
    pub pipelines: Vec<PipelineId>,
    pub active: bool,
}

impl LossReason {
    pub fn serves(&self, pipeline: PipelineId) -> bool {
        self.active && (self.pipelines.is_empty() || self.pipelines.contains(&pipeline))
    }
}

impl LossReasons {
    pub fn get(&self, id: LossReasonId) -> Option<&LossReason> {
        self.reasons.iter().find(|reason| reason.id == id)
    }

    /// The reason with this code, whatever its case, also when retired.
    pub fn by_code(&self, code: &str) -> Option<&LossReason> {
        self.reasons.iter().find(|reason| folded(&reason.code) == folded(code))
    }

    /// Codes that may be used in `pipeline`.
    pub fn accepted(&self, pipeline: PipelineId) -> Vec<String> {
        self.reasons
            .iter()
            .filter(|reason| reason.serves(pipeline))
            .map(|reason| reason.code.clone())
            .collect()
    }

    /// Codes that are in force.
    pub fn active_codes(&self) -> Vec<String> {
        self.reasons.iter().filter(|reason| reason.active).map(|reason| reason.code.clone()).collect()
    }
}

impl Decider for LossReasons {
    const AGGREGATE: &'static str = "loss_reason";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn home(_: &Command) -> Option<StreamId> {
        Some(STREAM)
    }

    fn begins(_: &Command) -> bool {
        false
    }

    fn decide(&self, command: &Command, _: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Define { reason, code, label, pipelines } => {
                for (field, text) in [("code", code), ("label", label)] {
                    if text.trim().is_empty() {
                        return Err(Refusal::Blank { field });
                    }
                }
                match self.by_code(code).or_else(|| self.get(*reason)) {
                    None => Ok(vec![Event::Defined(Defined {
                        reason: *reason,
                        code: code.trim().to_owned(),
                        label: label.clone(),
                        pipelines: pipelines.clone(),
                    })]),
                    Some(twin)
                        if twin.active
                            && twin.id == *reason
                            && folded(&twin.code) == folded(code)
                            && twin.label == *label
                            && twin.pipelines == *pipelines =>
                    {
                        Ok(Vec::new())
                    }
                    Some(twin) if folded(&twin.code) != folded(code) => {
                        Err(Refusal::IdTaken { used_by: twin.code.clone() })
                    }
                    Some(_) => Err(Refusal::CodeTaken { taken: code.clone() }),
                }
            }
            Command::Retire { reason } => match self.get(*reason) {
                None => Err(Refusal::NoSuchReason { accepted: self.active_codes() }),
                Some(known) if !known.active => Ok(Vec::new()),
                Some(_) => Ok(vec![Event::Retired(Retired { reason: *reason })]),
            },
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        match event {
            Event::Defined(event) => self.reasons.push(LossReason {
                id: event.reason,
                code: event.code.clone(),
                label: event.label.clone(),
                pipelines: event.pipelines.clone(),
                active: true,
            }),
            Event::Retired(event) => {
                for reason in self.reasons.iter_mut().filter(|reason| reason.id == event.reason) {
                    reason.active = false;
                }
            }
        }
    }
}
