//! Which values records have, as events say it.

#![expect(clippy::struct_field_names, reason = "a row's fields are named as the columns are")]

use super::terms::Kind;
use crate::called::Called;
use crate::owner;
use crate::rows::{Row, Rows};
use kvali_domain::contact_point;
use kvali_domain::deal::{self, Party};
use kvali_domain::{Event, UserId, company, contact, lead, merge, subject, user};
use kvali_eventstore::Opened;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What can be found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entity {
    Contact,
    Company,
    Lead,
    Deal,
    User,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub record_id: Uuid,
    pub entity: Entity,
    pub name_of: Uuid,
    pub owner: Option<UserId>,
    pub is_archived: bool,
    pub merged_into: Option<Uuid>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Value {
    pub record_id: Uuid,
    pub slot: String,
    pub kind: Kind,
    pub subject_id: Uuid,
    pub text: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Posting {
    pub word: String,
    pub record_id: Uuid,
    pub slot: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct WordRow {
    pub word: String,
    pub count: i64,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Near {
    pub key: String,
    pub word: String,
}

impl Row for Record {
    type Key = Uuid;
    const TABLE: &'static str = "record";
    const KEY: &'static [&'static str] = &["record_id"];
    fn key(&self) -> Uuid {
        self.record_id
    }
}

impl Row for Value {
    type Key = (Uuid, String);
    const TABLE: &'static str = "value";
    const KEY: &'static [&'static str] = &["record_id", "slot"];
    fn key(&self) -> Self::Key {
        (self.record_id, self.slot.clone())
    }
}

impl Row for Posting {
    type Key = (String, Uuid, String);
    const TABLE: &'static str = "posting";
    const KEY: &'static [&'static str] = &["word", "record_id", "slot"];
    fn key(&self) -> Self::Key {
        (self.word.clone(), self.record_id, self.slot.clone())
    }
}

impl Row for WordRow {
    type Key = String;
    const TABLE: &'static str = "word";
    const KEY: &'static [&'static str] = &["word"];
    fn key(&self) -> String {
        self.word.clone()
    }
}

impl Row for Near {
    type Key = (String, String);
    const TABLE: &'static str = "near";
    const KEY: &'static [&'static str] = &["key", "word"];
    fn key(&self) -> Self::Key {
        (self.key.clone(), self.word.clone())
    }
}

#[derive(Default)]
pub(super) struct Facts {
    pub records: Rows<Record>,
    pub values: Rows<Value>,
}

/// A value that an event gives or, without a text, takes away.
pub(super) struct Said {
    pub slot: String,
    kind: Kind,
    subject: Uuid,
    text: Option<String>,
}

/// What an event says of the values of its record.
pub(super) fn said(event: &Event) -> Vec<Said> {
    let own = |slot: &str, subject: Uuid, text: Option<String>| Said {
        slot: slot.to_owned(),
        kind: Kind::Name,
        subject,
        text,
    };
    let named = Called::by(event).filter(|_| !matches!(event, Event::Subject(_)));
    let mut all: Vec<Said> = named.map(|called| own("name", called.id, called.name)).into_iter().collect();
    match event {
        Event::Contact(contact::Event::PointAdded(event)) => {
            all.push(point(event.point, &event.kind, event.contact.0, event.value.0.clone()));
        }
        Event::Contact(contact::Event::PointRemoved(event)) => {
            all.push(point(event.point, &event.kind, event.contact.0, None));
        }
        Event::Lead(lead::Event::PointAdded(event)) => {
            all.push(point(event.point, &event.kind, event.lead.0, event.value.0.clone()));
        }
        Event::Lead(lead::Event::Captured(event)) if event.of_company => {
            all.push(own("company_name", event.lead.0, event.company_name.0.clone()));
        }
        Event::Lead(lead::Event::Renamed(event)) if event.of_company => {
            all.push(own("company_name", event.lead.0, event.company_name.0.clone()));
        }
        Event::Deal(deal::Event::Opened(event)) => {
            let party = event.party.map(|party| match party {
                Party::Contact(contact) => contact.0,
                Party::Company(company) => company.0,
            });
            all.extend(party.map(|party| own("party", party, event.party_name.0.clone())));
        }
        Event::User(user::Event::Invited(event)) => {
            let mail = event.mail.0.clone();
            all.push(Said { kind: Kind::Email, ..own("mail", event.user.0, mail) });
        }
        _ => {}
    }
    all
}

fn point(number: i32, kind: &contact_point::Kind, subject: Uuid, text: Option<String>) -> Said {
    let kind = match kind {
        contact_point::Kind::Email => Kind::Email,
        contact_point::Kind::Phone => Kind::Phone,
        contact_point::Kind::Handle { .. } => Kind::Handle,
    };
    Said { slot: format!("point:{number}"), kind, subject, text }
}

/// Whose values go.
pub(super) fn erased(event: &Event) -> Option<Uuid> {
    match event {
        Event::Subject(subject::Event::Erased(event)) => Some(event.subject.0),
        _ => None,
    }
}

pub(super) fn entity(event: &Event) -> Option<Entity> {
    match event {
        Event::Contact(_) => Some(Entity::Contact),
        Event::Company(_) => Some(Entity::Company),
        Event::Lead(_) => Some(Entity::Lead),
        Event::Deal(_) => Some(Entity::Deal),
        Event::User(_) => Some(Entity::User),
        _ => None,
    }
}

impl Facts {
    pub(super) fn apply(&mut self, opened: &Opened) {
        if let Some(subject) = erased(&opened.event) {
            return self.erase(subject);
        }
        let Some(entity) = entity(&opened.event) else { return };
        let record_id = opened.recorded.stream.0;
        if opened.recorded.version == 1 {
            self.records.put(Record {
                record_id,
                entity,
                name_of: record_id,
                owner: None,
                is_archived: false,
                merged_into: None,
            });
        }
        if let Some(record) = self.records.get_mut(&record_id) {
            record.evolve(&opened.event);
        }
        for Said { slot, kind, subject, text } in said(&opened.event) {
            match text {
                Some(text) => self.values.put(Value { record_id, slot, kind, subject_id: subject, text }),
                None => drop(self.values.remove(&(record_id, slot))),
            }
        }
    }

    fn erase(&mut self, subject: Uuid) {
        let theirs = self.values.iter().filter(|value| value.subject_id == subject);
        let gone: BTreeSet<(Uuid, String)> = theirs.map(Row::key).collect();
        for key in gone {
            self.values.remove(&key);
        }
    }
}

impl Record {
    /// The kinds of records say these things alike.
    fn evolve(&mut self, event: &Event) {
        macro_rules! alike {
            ($event:expr, $kind:ident) => {
                match $event {
                    $kind::Event::Merged(event) => self.change(&event.changes),
                    $kind::Event::Unmerged(event) => self.change(&event.changes),
                    $kind::Event::MergedInto(event) => self.merged_into = Some(event.survivor.0),
                    $kind::Event::Separated(_) => self.merged_into = None,
                    $kind::Event::Archived(_) => self.is_archived = true,
                    $kind::Event::Restored(_) => self.is_archived = false,
                    _ => {}
                }
            };
        }
        self.owner = owner::said(event).unwrap_or(self.owner);
        // A new name is its own.
        if Called::by(event).is_some() {
            self.name_of = self.record_id;
        }
        match event {
            Event::Contact(event) => alike!(event, contact),
            Event::Company(event) => alike!(event, company),
            Event::Lead(event) => alike!(event, lead),
            Event::Deal(event) => alike!(event, deal),
            _ => {}
        }
    }

    fn change(&mut self, changes: &[merge::Change]) {
        if let Some(name) = changes.iter().find(|change| change.field == "name") {
            self.name_of = merge::sealed_in(name.to.as_ref()).unwrap_or(self.record_id);
        }
    }
}
