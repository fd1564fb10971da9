//! Which entries are asked for.

use super::fields::{Rule, TABLE};
use crate::ask::AskError;
use chrono::{DateTime, Utc};
use kvali_domain::{ActorId, Channel, StreamId};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Read,
    Denied,
    Refused,
    Event,
}

/// What a change is to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Category {
    /// How the business is set up.
    Configuration,
    /// Users, teams, hand-overs.
    Staff,
    /// Roles and keys.
    Access,
    /// Customers and deals.
    Records,
    /// What is done for them.
    Work,
    /// Erasures.
    Privacy,
}

const KINDS: [(&str, Kind); 4] =
    [("event", Kind::Event), ("refused", Kind::Refused), ("denied", Kind::Denied), ("read", Kind::Read)];

const CATEGORIES: [(&str, Category, &[&str]); 6] = [
    (
        "configuration",
        Category::Configuration,
        &[
            "pipeline",
            "loss_reason",
            "field",
            "source",
            "tag",
            "activity_type",
            "task_template",
            "exchange_rate",
            "calendar",
            "match_rule",
            "funnel",
        ],
    ),
    ("staff", Category::Staff, &["user", "team", "handover"]),
    ("access", Category::Access, &["access"]),
    ("records", Category::Records, &["contact", "company", "lead", "deal", "duplicate"]),
    ("work", Category::Work, &["task", "meeting", "call", "conversation", "note"]),
    ("privacy", Category::Privacy, &["subject"]),
];

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("{word:?} is none of {}", .known.join(", "))]
pub struct NotAWord {
    word: String,
    known: Vec<&'static str>,
}

impl Kind {
    pub fn word(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).expect("every kind is in the table").0
    }
}

impl std::str::FromStr for Kind {
    type Err = NotAWord;

    fn from_str(word: &str) -> Result<Self, NotAWord> {
        let known = KINDS.iter().find(|(known, _)| *known == word);
        known.map(|(_, kind)| *kind).ok_or_else(|| NotAWord {
            word: word.to_owned(),
            known: KINDS.iter().map(|(word, _)| *word).collect(),
        })
    }
}

impl std::str::FromStr for Category {
    type Err = NotAWord;

    fn from_str(word: &str) -> Result<Self, NotAWord> {
        let known = CATEGORIES.iter().find(|(known, ..)| *known == word);
        known.map(|(_, category, _)| *category).ok_or_else(|| NotAWord {
            word: word.to_owned(),
            known: CATEGORIES.iter().map(|(word, ..)| *word).collect(),
        })
    }
}

impl Category {
    fn has(self, aggregate: &str) -> bool {
        CATEGORIES
            .iter()
            .any(|(_, category, aggregates)| *category == self && aggregates.contains(&aggregate))
    }
}

/// All that is absent passes.
#[derive(Clone, Default, Debug)]
pub struct Filter {
    pub kind: Option<Kind>,
    /// Who did it, or on whose behalf it was done.
    pub actor: Option<ActorId>,
    /// What it was done to; of a customer or a deal also what names it: its tasks, calls, notes …
    pub object: Option<StreamId>,
    /// A field that was changed: its whole name, or a part between dots.
    pub field: Option<String>,
    /// The first word of events: `deal`.
    pub aggregate: Option<String>,
    /// The whole word: `deal.won`.
    pub event_type: Option<String>,
    pub category: Option<Category>,
    /// `ui`, `api`, …; `automation` is every rule's.
    pub channel: Option<String>,
    /// Recorded at or after.
    pub from: Option<DateTime<Utc>>,
    /// Recorded before.
    pub to: Option<DateTime<Utc>>,
}

/// A filter whose words are known.
#[derive(Clone, Debug)]
pub(super) struct Passing {
    pub asked: Filter,
    /// The types of events, if not all.
    pub types: Option<Vec<&'static str>>,
    /// The words of commands that may cause them.
    pub commands: Option<Vec<&'static str>>,
}

impl Filter {
    pub(super) fn known(self) -> Result<Passing, AskError> {
        if let Some(channel) = &self.channel
            && channel != AUTOMATION
            && (channel.parse::<Channel>().is_err() || channel.contains('\0'))
        {
            let known = ["ui", "api", "cli", "import", "timer", AUTOMATION].map(str::to_owned).into();
            return Err(AskError::NoSuch { what: "channel", name: channel.clone(), known });
        }
        let types = self.types()?;
        let causes = |types: &Vec<&'static str>| {
            let causing =
                COMMANDS.iter().filter(|(_, events)| events.iter().any(|event| types.contains(event)));
            causing.map(|(name, _)| *name).collect()
        };
        Ok(Passing { commands: types.as_ref().map(causes), types, asked: self })
    }

    fn types(&self) -> Result<Option<Vec<&'static str>>, AskError> {
        let Self { field, aggregate, event_type, category, .. } = self;
        if field.is_none() && aggregate.is_none() && event_type.is_none() && category.is_none() {
            return Ok(None);
        }
        let of_types = event_type.as_deref().map(first_word);
        for name in aggregate.as_deref().into_iter().chain(of_types) {
            if !TABLE.iter().any(|(of, _)| first_word(of) == name) {
                let known: BTreeSet<&str> = TABLE.iter().map(|(of, _)| first_word(of)).collect();
                let known = known.into_iter().map(str::to_owned).collect();
                return Err(AskError::NoSuch { what: "aggregate", name: name.to_owned(), known });
            }
        }
        if let Some(name) = event_type
            && !TABLE.iter().any(|(of, _)| of == name)
        {
            let near = TABLE.iter().filter(|(of, _)| first_word(of) == first_word(name));
            let known = near.map(|(of, _)| (*of).to_owned()).collect();
            return Err(AskError::NoSuch { what: "type", name: name.clone(), known });
        }
        let passes = |of: &str| {
            aggregate.as_ref().is_none_or(|aggregate| first_word(of) == aggregate)
                && event_type.as_ref().is_none_or(|event_type| of == event_type)
                && category.is_none_or(|category| category.has(first_word(of)))
        };
        let types = TABLE.iter().filter(|(of, _)| passes(of));
        let types =
            types.filter(|(of, rules)| field.as_ref().is_none_or(|field| may_change(of, rules, field)));
        Ok(Some(types.map(|(of, _)| *of).collect()))
    }
}

pub(super) const AUTOMATION: &str = "automation";

fn first_word(event_type: &str) -> &str {
    event_type.split_once('.').map_or(event_type, |(word, _)| word)
}

/// Whether events of the type may change the field. A part of a name that is an id or a number may be any thing's.
fn may_change(event_type: &str, rules: &[Rule], field: &str) -> bool {
    let part = field.rsplit('.').next().unwrap_or(field);
    rules.iter().any(|rule| match *rule {
        Rule::Members => member_of(event_type, part),
        Rule::Replaces(members) | Rule::ReplacesIf(_, members) => members.contains(&part),
        Rule::Change { field, .. }
        | Rule::Set { field, .. }
        | Rule::Is(field, _)
        | Rule::Yes(field)
        | Rule::No(field)
        | Rule::Cleared(field)
        | Rule::Added(field)
        | Rule::Removed(field) => field == part,
        // Their names have parts, and those of a merge are the record's own.
        Rule::Item { .. }
        | Rule::Gone { .. }
        | Rule::ItemChange { .. }
        | Rule::Mark { .. }
        | Rule::Listed => true,
        Rule::Aside(_) => false,
    })
}

fn member_of(event_type: &str, name: &str) -> bool {
    MEMBERS.iter().any(|(of, members)| *of == event_type && members.contains(name))
}

/// The members that events of each type may have, sealed ones included.
pub(super) static MEMBERS: LazyLock<Vec<(&'static str, BTreeSet<String>)>> = LazyLock::new(|| {
    let all = kvali_domain::event_types().into_iter();
    all.map(|(name, schema)| (name, members(&schema.to_value()))).collect()
});

fn members(schema: &Value) -> BTreeSet<String> {
    let properties = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
    let sealed = schema["x-personal"].as_array().into_iter().flatten().filter_map(Value::as_str);
    properties.chain(sealed.map(str::to_owned)).collect()
}

/// Each command's word, and the types of the events that may come of it.
static COMMANDS: LazyLock<Vec<(&'static str, &'static [&'static str])>> = LazyLock::new(|| {
    kvali_domain::command_types().into_iter().map(|known| (known.name, known.events)).collect()
});
