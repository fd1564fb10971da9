//! The dictionary of sources that leads and deals come from: one stream per tenant.

use crate::decider::{Describe, commands, events};
use crate::label::{LabelProblem, label};
use crate::pipeline::folded;
use crate::{Decider, Given, Occurred, SourceId, StreamId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The stream that holds the dictionary, in every tenant.
pub const STREAM: StreamId = StreamId(Uuid::from_u128(0x0d1c_50ce_5000_4a00_9000_0000_0000_0001));

commands! {
    /// The code is unique, whatever its case; code and label are not blank; the id is not another source's.
    "DefineSource" = Define {
        source: SourceId,
        /// Unique, without case; what imports and reports use.
        code: String,
        label: String,
        channel: ChannelType,
    } => [Defined],
}

/// The kind of channel that a source speaks through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelType {
    Phone,
    Email,
    WebForm,
    Chat,
    Messenger,
    SocialNetwork,
    Advertisement,
    Event,
    Referral,
    Partner,
    Visit,
    Import,
    Other,
}

events! {
    Defined = "source.defined",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Defined {
    pub source: SourceId,
    pub code: String,
    pub label: String,
    pub channel: ChannelType,
}

impl Describe for Event {}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("the source {taken:?} exists already; choose another code")]
    CodeTaken { taken: String },
    #[error("this id is that of the source {used_by:?}; use another id")]
    IdTaken { used_by: String },
    #[error(transparent)]
    #[serde(untagged)]
    Label(#[from] LabelProblem),
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sources {
    sources: Vec<Source>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    pub id: SourceId,
    pub code: String,
    pub label: String,
    pub channel: ChannelType,
}

impl Sources {
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.sources.iter().find(|source| source.id == id)
    }

    /// The source with this code, whatever its case.
    pub fn by_code(&self, code: &str) -> Option<&Source> {
        self.sources.iter().find(|source| folded(&source.code) == folded(code))
    }

    pub fn codes(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.code.clone()).collect()
    }
}

impl Decider for Sources {
    const AGGREGATE: &'static str = "source";
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
        let Command::Define { source, code, label: words, channel } = command;
        let (code, words) = (label("code", code)?, label("label", words)?);
        match self.get(*source).or_else(|| self.by_code(&code)) {
            None => {
                Ok(vec![Event::Defined(Defined { source: *source, code, label: words, channel: *channel })])
            }
            Some(twin) if folded(&twin.code) != folded(&code) => {
                Err(Refusal::IdTaken { used_by: twin.code.clone() })
            }
            Some(twin) if twin.id == *source && twin.label == words && twin.channel == *channel => {
                Ok(Vec::new())
            }
            Some(_) => Err(Refusal::CodeTaken { taken: code }),
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        let Event::Defined(event) = event;
        self.sources.push(Source {
            id: event.source,
            code: event.code.clone(),
            label: event.label.clone(),
            channel: event.channel,
        });
    }
}
