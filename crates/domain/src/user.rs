//! A user: registered, active or not; the name is sealed.

use crate::decider::{Describe, commands, events};
use crate::{Decider, Given, Occurred, Personal, PersonalField, StreamId, UserId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

commands! {
    /// Once; the name is not blank.
    "RegisterUser" = Register { user: UserId, name: Personal } => [Registered],
    /// The user is registered.
    "ActivateUser" = Activate {} => [Activated],
    /// The user is registered.
    "DeactivateUser" = Deactivate {} => [Deactivated],
}

events! {
    Registered = "user.registered",
    Activated = "user.activated",
    Deactivated = "user.deactivated",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["name"]))]
pub struct Registered {
    pub user: UserId,
    #[serde(skip)]
    pub name: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Activated {}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Deactivated {}

impl Describe for Event {
    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        match self {
            Self::Registered(Registered { user, name }) => {
                vec![PersonalField { subject: (*user).into(), field: "name", value: name }]
            }
            Self::Activated(_) | Self::Deactivated(_) => Vec::new(),
        }
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this user is not registered; register the user first")]
    NoSuchUser,
    #[error("this user is registered already")]
    AlreadyRegistered,
    #[error("name is empty; give it at least one visible character")]
    BlankName,
}

/// The name is no part of the state: it stays sealed in the log, and no decision needs it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum User {
    #[default]
    Absent,
    Registered {
        active: bool,
    },
}

impl User {
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Registered { active: true, .. })
    }
}

impl Decider for User {
    const AGGREGATE: &'static str = "user";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn home(command: &Command) -> Option<StreamId> {
        match command {
            Command::Register { user, .. } => Some(user.stream()),
            _ => None,
        }
    }

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Register { .. })
    }

    fn decide(&self, command: &Command, _: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (_, Command::Register { name, .. }) if name.is_blank() => Err(Refusal::BlankName),
            (Self::Absent, Command::Register { user, name }) => {
                Ok(vec![Event::Registered(Registered { user: *user, name: name.clone() })])
            }
            (Self::Absent, _) => Err(Refusal::NoSuchUser),
            (Self::Registered { .. }, Command::Register { .. }) => Err(Refusal::AlreadyRegistered),
            (Self::Registered { active: true }, Command::Activate {})
            | (Self::Registered { active: false }, Command::Deactivate {}) => Ok(Vec::new()),
            (Self::Registered { active: false }, Command::Activate {}) => {
                Ok(vec![Event::Activated(Activated {})])
            }
            (Self::Registered { active: true }, Command::Deactivate {}) => {
                Ok(vec![Event::Deactivated(Deactivated {})])
            }
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        match (&mut *self, event) {
            (_, Event::Registered(_)) => *self = Self::Registered { active: true },
            (Self::Registered { active }, Event::Activated(_)) => *active = true,
            (Self::Registered { active }, Event::Deactivated(_)) => *active = false,
            (Self::Absent, _) => {}
        }
    }
}
