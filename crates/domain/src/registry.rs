//! The list of aggregates: one line each. Everything that must treat them alike is generated from it.

use crate::decider::{Describe, Reads};
use crate::history;
use crate::{Claim, Decider, Given, Occurred, PersonalField, StreamId, Version};
use crate::{deal, loss_reasons, pipeline, subject, user};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A command and the stream that it is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    pub stream: StreamId,
    pub command: Command,
}

macro_rules! aggregates {
    ($($variant:ident: $module:ident :: $state:ident),+ $(,)?) => {
        /// Any command, told apart by its `type`, such as `MoveDeal`.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(untagged)]
        pub enum Command { $($variant($module::Command),)+ }

        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Event { $($variant($module::Event),)+ }

        /// The folded state of any aggregate.
        #[derive(Clone, PartialEq, Debug)]
        pub enum State { $($variant($module::$state),)+ }

        #[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize)]
        #[serde(untagged)]
        pub enum Refusal {
            $(#[error(transparent)] $variant(#[from] $module::Refusal),)+
            #[error(transparent)] General(#[from] General),
        }

        $(impl From<$module::Command> for Command {
            fn from(command: $module::Command) -> Self { Self::$variant(command) }
        })+

        impl Command {
            /// Whether it starts a stream, so that the state before it is known without reading.
            pub fn begins(&self) -> bool {
                match self { $(Self::$variant(command) => $module::$state::begins(command),)+ }
            }
        }

        impl Event {
            pub fn event_type(&self) -> &'static str {
                match self { $(Self::$variant(event) => event.event_type(),)+ }
            }

            /// The exact bytes of `data`; personal values are not in it.
            pub fn data(&self) -> String {
                match self { $(Self::$variant(event) => event.data(),)+ }
            }

            pub fn claims(&self) -> Vec<Claim> {
                match self { $(Self::$variant(event) => event.claims(),)+ }
            }

            pub fn personal(&mut self) -> Vec<PersonalField<'_>> {
                match self { $(Self::$variant(event) => event.personal(),)+ }
            }

            fn decode_current(event_type: &str, data: &str) -> Result<Self, DecodeError> {
                let malformed = |source| DecodeError::Malformed { event_type: event_type.to_owned(), source };
                $(if let Some(event) = $module::Event::decode(event_type, data) {
                    return event.map(Self::$variant).map_err(malformed);
                })+
                Err(DecodeError::UnknownType { event_type: event_type.to_owned() })
            }
        }

        impl State {
            /// The state before the first event, of the aggregate that understands `command`.
            pub fn before(command: &Command) -> Self {
                match command { $(Command::$variant(_) => Self::$variant($module::$state::default()),)+ }
            }

            /// The state before the first event, of the aggregate that emits `event`.
            pub fn before_event(event: &Event) -> Self {
                match event { $(Event::$variant(_) => Self::$variant($module::$state::default()),)+ }
            }

            pub fn aggregate(&self) -> &'static str {
                match self { $(Self::$variant(_) => <$module::$state as Decider>::AGGREGATE,)+ }
            }

            pub fn reads(&self, command: &Command) -> Vec<Reads> {
                match (self, command) {
                    $((Self::$variant(state), Command::$variant(command)) => state.reads(command),)+
                    _ => Vec::new(),
                }
            }

            pub fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
                given.not_in_future()?;
                match (self, command) {
                    $((Self::$variant(state), Command::$variant(command)) => {
                        let events = state.decide(command, given)?;
                        Ok(events.into_iter().map(Event::$variant).collect())
                    })+
                    (state, _) => Err(General::OtherAggregate { holds: state.aggregate() }.into()),
                }
            }

            /// An event of another aggregate changes nothing.
            pub fn evolve(&mut self, event: &Event, version: Version, occurred: &Occurred) {
                match (self, event) {
                    $((Self::$variant(state), Event::$variant(event)) => state.evolve(event, version, occurred),)+
                    _ => {}
                }
            }
        }

        /// Wire name and JSON Schema of every event in its present shape.
        pub fn event_types() -> Vec<(&'static str, schemars::Schema)> {
            [$($module::Event::schemas(),)+].into_iter().flatten().collect()
        }
    };
}

aggregates! {
    Pipeline: pipeline::Pipeline,
    LossReasons: loss_reasons::LossReasons,
    User: user::User,
    Deal: deal::Deal,
    Subject: subject::Subject,
}

/// Refusals that any command can meet.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum General {
    #[error("{occurred} lies in the future (it is {now}); business time may be back-dated, never post-dated")]
    InTheFuture { occurred: chrono::DateTime<chrono::Utc>, now: chrono::DateTime<chrono::Utc> },
    #[error("this id belongs to a {holds}; use another id")]
    OtherAggregate { holds: &'static str },
    #[error(
        "the command expects version {expected} of the stream and it is at {actual}; read it again and decide anew"
    )]
    StaleVersion { expected: Version, actual: Version },
    #[error("{kind} {key:?} is taken by {holder}; use that one or choose another")]
    Taken { kind: String, key: String, holder: StreamId },
    #[error("{kind} {key:?} is held by nobody; create it first")]
    NotHeld { kind: String, key: String },
    #[error("a text holds the character U+0000, which cannot be stored; leave it out")]
    NulCharacter,
    #[error("the personal data of {subject} was erased; nothing can be recorded about that person again")]
    SubjectErased { subject: crate::SubjectId },
}

impl Command {
    /// The permanent word for this kind of command, such as `MoveDeal`.
    pub fn command_type(&self) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        json["type"].as_str().unwrap_or_default().to_owned()
    }
}

impl Refusal {
    /// The permanent word for this refusal, such as `backward`.
    pub fn code(&self) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        json["code"].as_str().unwrap_or("refused").to_owned()
    }
}

impl Given<'_> {
    fn not_in_future(&self) -> Result<(), General> {
        match self.occurred.and_then(Occurred::at) {
            Some(occurred) if occurred > self.now => Err(General::InTheFuture { occurred, now: self.now }),
            _ => Ok(()),
        }
    }
}

#[derive(thiserror::Error, Debug)]
pub enum DecodeError {
    #[error("event type {event_type:?} is unknown to this version of Kvali")]
    UnknownType { event_type: String },
    #[error("shape {version} of {event_type} is unknown to this version of Kvali")]
    UnknownShape { event_type: String, version: i16 },
    #[error("data of {event_type} does not fit its shape")]
    Malformed { event_type: String, source: serde_json::Error },
}

impl Event {
    /// The shape that new events of this type are written in.
    pub fn schema_version(&self) -> i16 {
        history::current(self.event_type())
    }

    /// Reads stored bytes of any shape ever released. Personal values are absent until put back.
    pub fn decode(event_type: &str, schema_version: i16, data: &str) -> Result<Self, DecodeError> {
        let data = history::present(history::SHAPES, event_type, schema_version, data)?;
        Self::decode_current(event_type, &data)
    }
}
