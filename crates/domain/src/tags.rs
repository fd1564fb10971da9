//! The dictionary of tags: one stream per tenant. A tag that was merged into another lives on as its alias.

use crate::decider::{Describe, commands, events};
use crate::label::{LabelProblem, label};
use crate::pipeline::list;
use crate::{Decider, Given, Occurred, StreamId, TagId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The stream that holds the dictionary, in every tenant.
pub const STREAM: StreamId = StreamId(Uuid::from_u128(0x0d1c_7a65_0000_4a00_9000_0000_0000_0001));

commands! {
    /// The name is unique, whatever its case and spaces, also among merged tags; the id is not another tag's.
    "DefineTag" = Define { tag: TagId, name: String } => [Defined],
    /// The tag exists and is not merged; the name is unique, or that of a tag merged into this one.
    "RenameTag" = Rename { tag: TagId, name: String } => [Renamed],
    /// Both exist and differ; the first is not merged already. It stands for the second from now on.
    "MergeTags" = Merge {
        /// Becomes an alias.
        tag: TagId,
        /// Stays; the tag that it stands for, if it is an alias.
        into: TagId,
    } => [Merged],
}

events! {
    Defined = "tag.defined",
    Renamed = "tag.renamed",
    Merged = "tag.merged",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Defined {
    pub tag: TagId,
    pub name: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Renamed {
    pub tag: TagId,
    pub from: String,
    pub to: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Merged {
    pub tag: TagId,
    /// A tag that is itself no alias.
    pub into: TagId,
}

impl Describe for Event {}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("the tag {taken:?} exists already; use it or choose another name")]
    NameTaken { taken: String },
    #[error("this id is that of the tag {used_by:?}; use another id")]
    IdTaken { used_by: String },
    #[error("tag {tag} does not exist; there are {}", list(.accepted))]
    NoSuchTag { tag: TagId, accepted: Vec<String> },
    #[error("the tag {name:?} was merged into {into:?}; use that one")]
    MergedTag { name: String, into: String },
    #[error("both are the tag {name:?}; name two that differ, of {}", list(.accepted))]
    SameTag { name: String, accepted: Vec<String> },
    #[error(transparent)]
    #[serde(untagged)]
    Label(#[from] LabelProblem),
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Tags {
    tags: Vec<Tag>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag {
    pub id: TagId,
    pub name: String,
    /// The tag that this one stands for; never an alias itself.
    alias_of: Option<TagId>,
}

impl Tags {
    pub fn get(&self, id: TagId) -> Option<&Tag> {
        self.tags.iter().find(|tag| tag.id == id)
    }

    /// The tag itself, or the one that it was merged into.
    pub fn resolve(&self, id: TagId) -> Option<&Tag> {
        let tag = self.get(id)?;
        tag.alias_of.map_or(Some(tag), |into| self.get(into))
    }

    /// The tag that goes by this name, also through an alias.
    pub fn named(&self, name: &str) -> Option<&Tag> {
        self.bearing(name).and_then(|tag| self.resolve(tag.id))
    }

    /// The names of the tags in use, without aliases.
    pub fn names(&self) -> Vec<String> {
        self.tags.iter().filter(|tag| tag.alias_of.is_none()).map(|tag| tag.name.clone()).collect()
    }

    fn bearing(&self, name: &str) -> Option<&Tag> {
        self.tags.iter().find(|tag| folded(&tag.name) == folded(name))
    }

    fn known(&self, tag: TagId) -> Result<&Tag, Refusal> {
        self.get(tag).ok_or_else(|| Refusal::NoSuchTag { tag, accepted: self.names() })
    }

    fn resolved(&self, tag: TagId) -> Result<&Tag, Refusal> {
        self.resolve(tag).ok_or_else(|| Refusal::NoSuchTag { tag, accepted: self.names() })
    }

    /// The tag, unless it is an alias.
    fn in_use(&self, id: TagId) -> Result<&Tag, Refusal> {
        let (tag, target) = (self.known(id)?, self.resolved(id)?);
        if tag.id == target.id {
            return Ok(tag);
        }
        Err(Refusal::MergedTag { name: tag.name.clone(), into: target.name.clone() })
    }
}

/// Names are compared without case and without regard to how much white space there is.
fn folded(name: &str) -> String {
    name.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

impl Decider for Tags {
    const AGGREGATE: &'static str = "tag";
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
            Command::Define { tag, name } => define(self, *tag, label("name", name)?),
            Command::Rename { tag, name } => rename(self, self.in_use(*tag)?, label("name", name)?),
            Command::Merge { tag, into } => merge(self, self.known(*tag)?, self.resolved(*into)?),
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        match event {
            Event::Defined(event) => {
                self.tags.push(Tag { id: event.tag, name: event.name.clone(), alias_of: None });
            }
            Event::Renamed(event) => {
                for tag in self.tags.iter_mut().filter(|tag| tag.id == event.tag) {
                    tag.name.clone_from(&event.to);
                }
            }
            Event::Merged(event) => {
                let follows = |tag: &&mut Tag| tag.id == event.tag || tag.alias_of == Some(event.tag);
                for tag in self.tags.iter_mut().filter(follows) {
                    tag.alias_of = Some(event.into);
                }
            }
        }
    }
}

fn define(tags: &Tags, id: TagId, name: String) -> Result<Vec<Event>, Refusal> {
    match tags.get(id).or_else(|| tags.bearing(&name)) {
        None => Ok(vec![Event::Defined(Defined { tag: id, name })]),
        Some(twin) if folded(&twin.name) != folded(&name) => {
            Err(Refusal::IdTaken { used_by: twin.name.clone() })
        }
        Some(twin) if twin.id == id && twin.alias_of.is_none() => Ok(Vec::new()),
        Some(twin) => Err(Refusal::NameTaken { taken: tags.resolved(twin.id)?.name.clone() }),
    }
}

fn rename(tags: &Tags, tag: &Tag, name: String) -> Result<Vec<Event>, Refusal> {
    if tag.name == name {
        return Ok(Vec::new());
    }
    // Its own aliases lead to it, so their names are its own.
    if let Some(other) = tags.named(&name).filter(|other| other.id != tag.id) {
        return Err(Refusal::NameTaken { taken: other.name.clone() });
    }
    Ok(vec![Event::Renamed(Renamed { tag: tag.id, from: tag.name.clone(), to: name })])
}

fn merge(tags: &Tags, tag: &Tag, into: &Tag) -> Result<Vec<Event>, Refusal> {
    if tag.alias_of == Some(into.id) {
        return Ok(Vec::new());
    }
    let tag = tags.in_use(tag.id)?;
    if tag.id == into.id {
        return Err(Refusal::SameTag { name: tag.name.clone(), accepted: tags.names() });
    }
    Ok(vec![Event::Merged(Merged { tag: tag.id, into: into.id })])
}
