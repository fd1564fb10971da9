//! What somebody said of two records that may be one. The pair has a stream of its own, whichever of them is named first.

use crate::decider::{Describe, commands, events};
use crate::target::{self, NoSuchTarget};
use crate::{Decider, Given, Occurred, Personal, PersonalField, Reads, StreamId, SubjectId, Target, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

commands! {
    /// Two different records that exist and were not merged with each other; a reason. They are not proposed again.
    "RejectDuplicate" = Reject {
        one: Target,
        other: Target,
        #[serde(default)]
        reason: Personal,
    } => [Rejected],
    /// Two different records that exist and were not merged with each other.
    "ConfirmDuplicate" = Confirm { one: Target, other: Target } => [Confirmed],
}

events! {
    Rejected = "duplicate.rejected",
    Confirmed = "duplicate.confirmed",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Rejected {
    /// Whose key seals the reason.
    pub subject: SubjectId,
    pub one: Target,
    pub other: Target,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Confirmed {
    pub one: Target,
    pub other: Target,
}

impl Describe for Event {
    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        match self {
            Self::Rejected(Rejected { subject, reason, .. }) => {
                vec![PersonalField { subject: *subject, field: "reason", value: reason }]
            }
            Self::Confirmed(_) => Vec::new(),
        }
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("{id} and {id} are the same; name two different records")]
    SameRecord { id: StreamId },
    #[error("{one} and {other} were merged; undo the merge first, if they are two")]
    Merged { one: StreamId, other: StreamId },
    #[error("{problem}")]
    NoSuchTarget { problem: NoSuchTarget },
    #[error("this needs a reason; give a text in `reason` or a reason code")]
    ReasonMissing,
    #[error("this is the stream of another pair; send it to {pair}")]
    OtherPair { pair: StreamId },
}

/// What was said of a pair last.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Pair {
    #[default]
    Undecided,
    Rejected,
    Confirmed,
}

/// The stream of two records.
pub fn pair(one: Target, other: Target) -> StreamId {
    const PAIRS: Uuid = Uuid::from_u128(0x8f4e_21d0_5b0c_5a6e_9d53_0b1d_4a3c_77e2);
    let (first, second) = (one.min(other), one.max(other));
    let both = [*first.stream().0.as_bytes(), *second.stream().0.as_bytes()].concat();
    StreamId(Uuid::new_v5(&PAIRS, &both))
}

impl Command {
    fn both(&self) -> (Target, Target) {
        match self {
            Self::Reject { one, other, .. } | Self::Confirm { one, other } => (*one, *other),
        }
    }
}

impl Decider for Pair {
    const AGGREGATE: &'static str = "duplicate";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn home(command: &Command) -> Option<StreamId> {
        let (one, other) = command.both();
        Some(pair(one, other))
    }

    fn begins(_: &Command) -> bool {
        false
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        let (one, other) = command.both();
        vec![target::reads(one), target::reads(other)]
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let (one, other) = command.both();
        if one.stream() == other.stream() {
            return Err(Refusal::SameRecord { id: one.stream() });
        }
        if given.stream != pair(one, other) {
            return Err(Refusal::OtherPair { pair: pair(one, other) });
        }
        for target in [one, other] {
            target::exists(target, given).map_err(|problem| Refusal::NoSuchTarget { problem })?;
        }
        if given.facts.survivor(one.stream()) == given.facts.survivor(other.stream()) {
            return Err(Refusal::Merged { one: one.stream(), other: other.stream() });
        }
        let event = match (self, command) {
            (Self::Rejected, Command::Reject { .. }) | (Self::Confirmed, Command::Confirm { .. }) => None,
            (_, Command::Reject { reason, .. }) if given.has_reason(reason) => {
                let (subject, reason) = (SubjectId(one.stream().0), reason.unless_blank());
                Some(Event::Rejected(Rejected { subject, one, other, reason }))
            }
            (_, Command::Reject { .. }) => return Err(Refusal::ReasonMissing),
            (_, Command::Confirm { .. }) => Some(Event::Confirmed(Confirmed { one, other })),
        };
        Ok(event.into_iter().collect())
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        *self = match event {
            Event::Rejected(_) => Self::Rejected,
            Event::Confirmed(_) => Self::Confirmed,
        };
    }
}
