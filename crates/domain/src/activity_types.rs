//! The dictionary of activity types, which tasks, meetings and calls are of: one stream per tenant.

use crate::decider::{Describe, commands, events};
use crate::label::{LabelProblem, label};
use crate::pipeline::folded;
use crate::{ActivityTypeId, Decider, Given, Occurred, StreamId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The stream that holds the dictionary, in every tenant.
pub const STREAM: StreamId = StreamId(Uuid::from_u128(0x0d1c_ac71_7e00_4a00_9000_0000_0000_0001));

/// A year.
const LONGEST_LEAD_MINUTES: i32 = 366 * 24 * 60;

commands! {
    /// The code is unique, whatever its case; code and label are not blank; the id is not another type's; the lead time
    /// is between none and a year.
    "DefineActivityType" = Define {
        activity_type: ActivityTypeId,
        /// Unique, without case; what imports and reports use.
        code: String,
        label: String,
        kind: Kind,
        /// It is completed with a result in words only; of a call, the disposition comes with a comment.
        #[serde(default)]
        result_required: bool,
        /// How long before it is due it must be planned.
        #[serde(default)]
        minimum_lead_minutes: i32,
    } => [Defined],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Task,
    Meeting,
    Call,
}

events! {
    Defined = "activity_type.defined",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Defined {
    pub activity_type: ActivityTypeId,
    pub code: String,
    pub label: String,
    pub kind: Kind,
    pub result_required: bool,
    pub minimum_lead_minutes: i32,
}

impl Describe for Event {}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("the activity type {taken:?} exists already; choose another code")]
    CodeTaken { taken: String },
    #[error("this id is that of the activity type {used_by:?}; use another id")]
    IdTaken { used_by: String },
    #[error("a lead time of {minutes} minutes is none; accepted: 0 to {most}")]
    LeadTime { minutes: i32, most: i32 },
    #[error(transparent)]
    #[serde(untagged)]
    Label(#[from] LabelProblem),
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ActivityTypes {
    types: Vec<ActivityType>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActivityType {
    pub id: ActivityTypeId,
    pub code: String,
    pub label: String,
    pub kind: Kind,
    pub result_required: bool,
    pub minimum_lead_minutes: i32,
}

impl ActivityTypes {
    pub fn get(&self, id: ActivityTypeId) -> Option<&ActivityType> {
        self.types.iter().find(|known| known.id == id)
    }

    /// The type with this code, whatever its case.
    pub fn by_code(&self, code: &str) -> Option<&ActivityType> {
        self.types.iter().find(|known| folded(&known.code) == folded(code))
    }

    /// The codes of the types of these kinds.
    pub fn codes_of(&self, kinds: &[Kind]) -> Vec<String> {
        let of = self.types.iter().filter(|known| kinds.contains(&known.kind));
        of.map(|known| known.code.clone()).collect()
    }
}

impl Decider for ActivityTypes {
    const AGGREGATE: &'static str = "activity_type";
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
        let Command::Define {
            activity_type,
            code,
            label: words,
            kind,
            result_required,
            minimum_lead_minutes,
        } = command;
        let minutes = *minimum_lead_minutes;
        if !(0..=LONGEST_LEAD_MINUTES).contains(&minutes) {
            return Err(Refusal::LeadTime { minutes, most: LONGEST_LEAD_MINUTES });
        }
        let wanted = Defined {
            activity_type: *activity_type,
            code: label("code", code)?,
            label: label("label", words)?,
            kind: *kind,
            result_required: *result_required,
            minimum_lead_minutes: minutes,
        };
        match self.get(*activity_type).or_else(|| self.by_code(&wanted.code)) {
            None => Ok(vec![Event::Defined(wanted)]),
            Some(twin) if folded(&twin.code) != folded(&wanted.code) => {
                Err(Refusal::IdTaken { used_by: twin.code.clone() })
            }
            Some(twin) if *twin == (ActivityType { code: twin.code.clone(), ..defined(&wanted) }) => {
                Ok(Vec::new())
            }
            Some(_) => Err(Refusal::CodeTaken { taken: wanted.code }),
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        let Event::Defined(event) = event;
        self.types.push(defined(event));
    }
}

fn defined(event: &Defined) -> ActivityType {
    ActivityType {
        id: event.activity_type,
        code: event.code.clone(),
        label: event.label.clone(),
        kind: event.kind,
        result_required: event.result_required,
        minimum_lead_minutes: event.minimum_lead_minutes,
    }
}
