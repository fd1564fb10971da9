//! The list of aggregates: one line each. Everything that must treat them alike is generated from it.

use crate::decider::Describe;
use crate::example;
use crate::history;
use crate::refusal::{self, RefusalType};
use crate::{Claim, Decider, Given, Occurred, PersonalField, StreamId, UserId, Version};
use crate::{
    access, activity_types, calendar, call, company, contact, conversation, deal, duplicate, exchange_rates,
    fields, funnel, handover, lead, loss_reasons, match_rule, meeting, note, pipeline, sources, subject,
    tags, task, task_templates, team, user,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A command and the stream that it is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    pub stream: StreamId,
    pub command: Command,
}

macro_rules! aggregates {
    ($($variant:ident: $module:ident :: $state:ident),+ $(,)?) => {
        /// Any command: `{"MoveDeal": {…}}`.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize)]
        #[serde(untagged)]
        pub enum Command { $($variant($module::Command),)+ }

        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Event { $($variant($module::Event),)+ }

        /// The folded state of any aggregate.
        #[derive(Clone, PartialEq, Debug)]
        #[expect(clippy::large_enum_variant, reason = "states are kept behind an Arc")]
        pub enum State { $($variant($module::$state),)+ }

        #[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
        #[serde(untagged)]
        pub enum Refusal {
            $(#[error(transparent)] $variant(#[from] $module::Refusal),)+
            #[error(transparent)] General(#[from] General),
        }

        $(impl From<$module::Command> for Command {
            fn from(command: $module::Command) -> Self { Self::$variant(command) }
        })+

        impl Command {
            /// Whether a record that was merged away answers it itself.
            pub fn is_own(&self) -> bool {
                match self { $(Self::$variant(command) => $module::$state::is_own(command),)+ }
            }

            /// Whether it starts a stream, so that the state before it is known without reading.
            pub fn begins(&self) -> bool {
                match self { $(Self::$variant(command) => $module::$state::begins(command),)+ }
            }
        }

        /// Another stream that a decision looks at, by its kind.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Reads { $($variant(StreamId),)+ }

        impl Reads {
            pub fn stream(self) -> StreamId {
                match self { $(Self::$variant(stream))|+ => stream }
            }

            /// The state of that stream before its first event.
            pub fn before(self) -> State {
                match self { $(Self::$variant(_) => State::$variant($module::$state::default()),)+ }
            }
        }

        $(impl Aggregate for $module::$state {
            fn of(state: &State) -> Option<&Self> {
                match state {
                    State::$variant(state) => Some(state),
                    #[allow(unreachable_patterns, reason = "with a single aggregate nothing else is left")]
                    _ => None,
                }
            }
        })+

        impl Command {
            /// The permanent word for this kind of command, such as `MoveDeal`.
            pub fn command_type(&self) -> &'static str {
                match self { $(Self::$variant(command) => command.name(),)+ }
            }

            /// The stream that it is for, where that follows from the command itself; otherwise its sender says.
            pub fn home(&self) -> Option<StreamId> {
                match self { $(Self::$variant(command) => $module::$state::home(command),)+ }
            }

            /// Reads the fields of the command that is called `name`.
            pub fn decode(name: &str, body: &serde_json::Value) -> Result<Self, CommandError> {
                $(if $module::Command::TABLE.iter().any(|(known, _)| *known == name) {
                    return decode(name, body).map(Self::$variant);
                })+
                Err(CommandError::unknown(name))
            }
        }

        /// Every command, aggregate by aggregate.
        pub fn command_types() -> Vec<CommandType> {
            [$(described::<$module::$state>(
                $module::Command::TABLE,
                &schemars::schema_for!($module::Command).to_value(),
            ),)+].into_iter().flatten().collect()
        }

        /// Every refusal, aggregate by aggregate, after those that any command can meet.
        pub fn refusal_types() -> Vec<RefusalType> {
            let mut all = refusal::described(&schemars::schema_for!(General).to_value(), None);
            $(all.extend(refusal::described(
                &schemars::schema_for!($module::Refusal).to_value(),
                Some(<$module::$state as Decider>::AGGREGATE),
            ));)+
            all
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

            /// The record that this one was merged into.
            pub fn merged_into(&self) -> Option<StreamId> {
                match self { $(Self::$variant(state) => state.merged_into(),)+ }
            }

            /// Whose the record is.
            pub fn owner(&self) -> Option<UserId> {
                match self { $(Self::$variant(state) => state.owner(),)+ }
            }

            /// The orders to other streams that go with `command`, all or none.
            pub fn follow(&self, command: &Command, given: &Given<'_>) -> Vec<Order> {
                match (self, command) {
                    $((Self::$variant(state), Command::$variant(command)) => state.follow(command, given),)+
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
    Contact: contact::Contact,
    Company: company::Company,
    Lead: lead::Lead,
    Deal: deal::Deal,
    Duplicate: duplicate::Pair,
    Task: task::Task,
    Call: call::Call,
    Conversation: conversation::Conversation,
    Note: note::Note,
    Meeting: meeting::Meeting,
    Team: team::Team,
    Calendar: calendar::Calendar,
    Handover: handover::Handover,
    Subject: subject::Subject,
    Fields: fields::Fields,
    Sources: sources::Sources,
    Tags: tags::Tags,
    ActivityTypes: activity_types::ActivityTypes,
    TaskTemplates: task_templates::TaskTemplates,
    ExchangeRates: exchange_rates::ExchangeRates,
    MatchRule: match_rule::MatchRule,
    Funnel: funnel::Funnel,
    Access: access::Access,
}

/// Refusals that any command can meet.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
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
    #[error("{kind} {key:?} counts none; create it first")]
    NoneLeft { kind: String, key: String },
    #[error("{kind} {key:?} still counts {count}; deal with them first")]
    SomeLeft { kind: String, key: String, count: i64 },
    #[error("this is {owner}'s to work on; ask the owner, or somebody who may work on all")]
    NotYours { owner: UserId },
    #[error("{kind}: this is not the value that was set; name that one")]
    NotOwn { kind: String },
    #[error("a text holds the character U+0000, which cannot be stored; leave it out")]
    NulCharacter,
    #[error("the personal data of {subject} was erased; nothing can be recorded about that person again")]
    SubjectErased { subject: crate::SubjectId },
}

/// A state among the states of all aggregates.
pub trait Aggregate: Decider {
    fn of(state: &State) -> Option<&Self>;
}

/// What the outside may know of a command.
#[derive(Clone, Debug)]
pub struct CommandType {
    /// The permanent word, such as `MoveDeal`.
    pub name: &'static str,
    pub aggregate: &'static str,
    /// Its rules in words.
    pub rules: String,
    /// The types of the events that may come of it.
    pub events: &'static [&'static str],
    /// The JSON Schema of its fields.
    pub schema: Value,
    /// The required fields, with values that fit their schema.
    pub example: Value,
}

fn described<A: Decider>(table: &[(&'static str, &'static [&'static str])], all: &Value) -> Vec<CommandType> {
    let one = |(name, events): &(&'static str, &'static [&'static str])| {
        let variants = all["oneOf"].as_array().expect("an aggregate's commands are an enum");
        let variant = variants.iter().find(|variant| !variant["properties"][*name].is_null());
        let variant = variant.expect("every command of the table is a variant");
        let body = &variant["properties"][*name];
        let mut schema = serde_json::json!({ "$schema": all["$schema"], "title": name });
        let object = schema.as_object_mut().expect("just made");
        object.extend(resolved(all, body).as_object().expect("a schema").clone());
        object.insert("title".to_owned(), (*name).into());
        let rules = variant["description"].as_str().unwrap_or_default().replace('\n', " ");
        object.insert("description".to_owned(), rules.clone().into());
        let needed = definitions(all, &schema);
        if !needed.is_empty() {
            schema["$defs"] = Value::Object(needed);
        }
        let example = example::of(&schema, &schema);
        CommandType { name, aggregate: A::AGGREGATE, rules, events, schema, example }
    };
    table.iter().map(one).collect()
}

fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let path = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
    path.map_or(schema, |path| root.pointer(path).expect("a reference leads somewhere"))
}

/// The definitions that `schema` refers to, directly or through others.
fn definitions(root: &Value, schema: &Value) -> serde_json::Map<String, Value> {
    let mut needed = serde_json::Map::new();
    let mut open = vec![schema.to_string()];
    while let (Some(text), Some(all)) = (open.pop(), root["$defs"].as_object()) {
        for (name, definition) in all {
            if text.contains(&format!("\"#/$defs/{name}\"")) && !needed.contains_key(name) {
                needed.insert(name.clone(), definition.clone());
                open.push(definition.to_string());
            }
        }
    }
    needed
}

/// Why words are no command.
#[derive(thiserror::Error, Debug)]
pub enum CommandError {
    #[error("there is no command {name:?}{}; `kvali do --list` names them all", .near.map_or_else(String::new, |near| format!(", but {near}")))]
    Unknown { name: String, near: Option<&'static str> },
    #[error("{command}: {}{problem}", if .field.is_empty() { String::new() } else { format!("`{field}`: ") })]
    Malformed { command: String, field: String, problem: String },
}

impl CommandError {
    fn unknown(name: &str) -> Self {
        let same = |known: &CommandType| known.name.eq_ignore_ascii_case(name);
        let near = command_types().iter().find(|known| same(known)).map(|known| known.name);
        Self::Unknown { name: name.to_owned(), near }
    }
}

fn decode<C: serde::de::DeserializeOwned>(name: &str, body: &Value) -> Result<C, CommandError> {
    let whole = serde_json::json!({ name: body });
    serde_path_to_error::deserialize(&whole).map_err(|error| {
        let place = place(&error);
        let field = place.strip_prefix(name).unwrap_or(&place).trim_start_matches('.');
        CommandError::Malformed {
            command: name.to_owned(),
            field: field.to_owned(),
            problem: error.into_inner().to_string(),
        }
    })
}

/// What a part is called that does not fit, such as `points[0].value`, also where it is unknown or missing; empty where
/// the whole does not fit.
pub fn place<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> String {
    let whole = error.path().to_string();
    let place = match whole.as_str() {
        "." | "?" => "",
        place => place.trim_end_matches(".?"),
    };
    // Serde says these in words alone.
    let told = error.inner().to_string();
    let named = ["unknown field `", "missing field `"].into_iter().find_map(|words| told.strip_prefix(words));
    match named.and_then(|rest| rest.split_once('`')) {
        Some((name, _)) if place.is_empty() => name.to_owned(),
        Some((name, _)) if !place.ends_with(name) => format!("{place}.{name}"),
        _ => place.to_owned(),
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
