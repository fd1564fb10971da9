//! A subject: whoever personal data is about. Erasing one destroys its key.

use crate::decider::{Describe, commands, events};
use crate::{Decider, Given, Occurred, Order, Reads, StreamId, SubjectId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

commands! {
    /// Destroys the key of a subject's personal data, for good; of merged records also the others', who are the same person.
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
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
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

    fn reads(&self, command: &Command) -> Vec<Reads> {
        let Command::Erase { subject } = command;
        vec![Reads::Contact(StreamId(subject.0))]
    }

    fn follow(&self, command: &Command, given: &Given<'_>) -> Vec<Order> {
        let Command::Erase { subject } = command;
        let kin = given.facts.kin(StreamId(subject.0)).into_iter().map(|kin| SubjectId(kin.0));
        kin.map(|subject| Order { stream: subject.stream(), command: Command::Erase { subject }.into() })
            .collect()
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
