//! A subject: whoever personal data is about. Erasing one destroys its key.

use crate::decider::{Describe, commands, events};
use crate::{Decider, Given, Occurred, StreamId, SubjectId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

commands! {
    /// Destroys the key of a subject's personal data, for good.
    "EraseSubject" = Erase { subject: SubjectId } => [Erased],
}

events! {
    Erased = "subject.erased",
}

/// The subject's key is destroyed; read models drop what they held in clear.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Erased {
    pub subject: SubjectId,
}

impl Describe for Event {}

/// Erasing can not be refused yet: legal holds and retention come with their own commands.
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Refusal {}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Subject {
    #[default]
    Known,
    Erased,
}

impl Decider for Subject {
    const AGGREGATE: &'static str = "subject";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn home(command: &Command) -> Option<StreamId> {
        match command {
            Command::Erase { subject } => Some(subject.stream()),
        }
    }

    fn begins(_: &Command) -> bool {
        false
    }

    fn decide(&self, command: &Command, _: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Known, Command::Erase { subject }) => {
                Ok(vec![Event::Erased(Erased { subject: *subject })])
            }
            (Self::Erased, Command::Erase { .. }) => Ok(Vec::new()),
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        match event {
            Event::Erased(_) => *self = Self::Erased,
        }
    }
}
