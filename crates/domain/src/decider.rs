//! What every aggregate is: a state, `decide` and `evolve`.

use crate::loss_reasons::{self, LossReasons};
use crate::merge;
use crate::pipeline::Pipeline;
use crate::registry::{Aggregate, Reads};
use crate::user::User;
use crate::{ActorId, Claim, Occurred, Order, Personal, PersonalField, PipelineId, State, StreamId, UserId};
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// A version within a stream; 0 before the first event.
pub type Version = i32;

/// An aggregate. `Self` is its folded state; `Default` is the state before the first event.
pub trait Decider: Default + Clone + PartialEq + std::fmt::Debug {
    /// The first word of its wire names, such as `deal`.
    const AGGREGATE: &'static str;
    type Command;
    type Event;
    type Refusal;

    /// The stream that `command` is for, where that follows from the command itself or is the same for all.
    fn home(_: &Self::Command) -> Option<StreamId> {
        None
    }

    /// Whether `command` starts a stream, so that the state before it is known without reading.
    fn begins(command: &Self::Command) -> bool;

    /// Other streams whose state this decision looks at. Their versions become conditions of the append.
    fn reads(&self, _: &Self::Command) -> Vec<Reads> {
        Vec::new()
    }

    /// The record that this one was merged into. What is sent to this one reaches that one.
    fn merged_into(&self) -> Option<StreamId> {
        None
    }

    /// Whose the record is. What is nobody's is everybody's to work on.
    fn owner(&self) -> Option<UserId> {
        None
    }

    /// Whether a record that was merged away answers `command` itself.
    fn is_own(_: &Self::Command) -> bool {
        false
    }

    /// The events that carry out `command`, or why not. An empty answer means "already so".
    fn decide(&self, command: &Self::Command, given: &Given<'_>) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// Orders to other streams that are carried out with `command`, each by its own aggregate's rules: all of them
    /// in the same append, or none.
    fn follow(&self, _: &Self::Command, _: &Given<'_>) -> Vec<Order> {
        Vec::new()
    }

    /// The state after `event`, which is this stream's event number `version`. Cannot fail.
    fn evolve(&mut self, event: &Self::Event, version: Version, occurred: &Occurred);
}

/// What every event can say of itself.
pub trait Describe {
    /// Keys that the event takes or lets go of.
    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }

    /// The personal values inside it. Whoever appends takes them out and seals them; whoever reads puts
    /// them back.
    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        Vec::new()
    }
}

/// The states of the other aggregates that the decision asked for in `reads`.
#[derive(Clone, Default, Debug)]
pub struct Facts(Vec<(StreamId, Arc<State>)>);

impl Facts {
    pub fn learn(&mut self, stream: StreamId, state: Arc<State>) {
        self.0.push((stream, state));
    }

    /// The state of that stream, if it is one of this kind; of a record that was merged away, the survivor's.
    pub fn get<A: Aggregate>(&self, stream: StreamId) -> Option<&A> {
        self.own(self.survivor(stream))
    }

    /// The state of that stream itself, merged away or not.
    pub fn own<A: Aggregate>(&self, stream: StreamId) -> Option<&A> {
        self.state(stream).and_then(A::of)
    }

    /// The record that this one has become part of; itself, if it was not merged.
    pub fn survivor(&self, mut stream: StreamId) -> StreamId {
        // No way is longer than what is known.
        for _ in &self.0 {
            match self.state(stream).and_then(State::merged_into) {
                Some(into) => stream = into,
                None => break,
            }
        }
        stream
    }

    /// The records that this one was merged with, as far as its own state tells.
    pub fn kin(&self, stream: StreamId) -> Vec<StreamId> {
        self.state(stream).map(merge::kin).unwrap_or_default()
    }

    fn state(&self, stream: StreamId) -> Option<&State> {
        self.0.iter().find(|(known, _)| *known == stream).map(|(_, state)| &**state)
    }

    pub fn pipeline(&self, id: PipelineId) -> Option<&Pipeline> {
        self.get(id.stream())
    }

    pub fn user(&self, id: UserId) -> Option<&User> {
        self.get(id.stream())
    }

    pub fn loss_reasons(&self) -> Option<&LossReasons> {
        self.get(loss_reasons::STREAM)
    }
}

/// The circumstances of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The stream that is written.
    pub stream: StreamId,
    /// Who sends the command.
    pub actor: ActorId,
    pub now: DateTime<Utc>,
    /// A back-dated business time; `None` means "now, by the log's own clock".
    pub occurred: Option<&'a Occurred>,
    /// The envelope's reason code; stands in for a reason in words.
    pub reason_code: Option<&'a str>,
    pub facts: &'a Facts,
}

impl Given<'_> {
    /// Whether there is a reason: in words, or as the envelope's code.
    pub fn has_reason(&self, words: &Personal) -> bool {
        !words.is_blank() || self.reason_code.is_some_and(|code| !code.trim().is_empty())
    }

    /// Whether that is a registered, active user, of those that the decision asked for.
    pub fn is_active(&self, user: UserId) -> bool {
        self.facts.user(user).is_some_and(User::is_active)
    }

    /// The owner, if there is one who is not a registered, active user, of those that the decision asked for.
    pub fn who_left(&self, owner: Option<UserId>) -> Option<UserId> {
        owner.filter(|owner| !self.is_active(*owner))
    }

    /// The back-dated time, when it certainly lies before `last`.
    pub fn runs_backwards(&self, last: Option<DateTime<Utc>>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let occurred = self.occurred?;
        let last = last?;
        occurred.is_before(last).then(|| occurred.at().map(|at| (at, last)))?
    }
}

/// The event if something differs; nothing if it is already so.
pub(crate) fn changed<E>(differs: bool, event: E) -> Vec<E> {
    differs.then_some(event).into_iter().collect()
}

/// Where number `number`, counted from 1, stands in a list; `None` for numbers below 1.
pub(crate) fn index(number: i32) -> Option<usize> {
    number.checked_sub(1).and_then(|at| usize::try_from(at).ok())
}

/// The schema of an event body as it is written, which is stricter than what reading tolerates.
pub(crate) fn written<T: schemars::JsonSchema>(wire_name: &str) -> schemars::Schema {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), wire_name.into());
    schema
}

/// Declares an aggregate's commands: the permanent word, the Rust name, the fields, and the events that may come of it.
/// What stands above a command are its rules in words; they go into schemas, help and docs.
macro_rules! commands {
    ($(
        $(#[$doc:meta])*
        $name:literal = $variant:ident $(($inner:ty))? $({ $($fields:tt)* })? => [$($event:ty),+ $(,)?]
    ),+ $(,)?) => {
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[allow(clippy::large_enum_variant, reason = "a command is built once and moved little")]
        pub enum Command {
            $($(#[$doc])* #[serde(rename = $name)] $variant $(($inner))? $({ $($fields)* })?,)+
        }

        impl Command {
            /// Each command's word and the events that may come of it, in the order of the table.
            pub(crate) const TABLE: &'static [(&'static str, &'static [&'static str])] =
                &[$(($name, &[$(<$event>::TYPE),+]),)+];

            /// The permanent word, such as `MoveDeal`.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name,)+ }
            }
        }
    };
}
pub(crate) use commands;

/// Declares an aggregate's event enum with its wire names; serde and schemas follow the table.
macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $wire:literal),+ $(,)?) => {
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Event {
            $($(#[$doc])* $variant($variant),)+
        }

        $(impl $variant {
            pub const TYPE: &'static str = $wire;
        })+

        impl Event {
            /// Wire names and JSON Schemas, in the order of the table.
            pub(crate) fn schemas() -> Vec<(&'static str, schemars::Schema)> {
                vec![$(($wire, $crate::decider::written::<$variant>($wire)),)+]
            }

            pub fn event_type(&self) -> &'static str {
                match self { $(Self::$variant(_) => $wire,)+ }
            }

            /// The exact bytes of `data`.
            pub fn data(&self) -> String {
                let json = match self { $(Self::$variant(body) => serde_json::to_string(body),)+ };
                json.expect("events hold no maps with odd keys and no fallible values")
            }

            /// `None`: not an event of this aggregate.
            pub fn decode(event_type: &str, data: &str) -> Option<serde_json::Result<Self>> {
                Some(match event_type {
                    $($wire => serde_json::from_str(data).map(Self::$variant),)+
                    _ => return None,
                })
            }
        }
    };
}
pub(crate) use events;
