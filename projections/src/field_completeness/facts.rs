//! Which fields each record fills, and what it counts for.

#![expect(clippy::struct_field_names, reason = "a row's fields are named as the columns are")]

use super::fillings::{self, Filling, STAYS};
use crate::owner;
use crate::rows::{Row, Rows, moment};
use chrono::{DateTime, Utc};
use kvali_domain::fields::{self, Entity};
use kvali_domain::{Event, FieldId, UserId, company, contact, deal, lead, merge, subject};
use kvali_eventstore::Opened;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub record_id: Uuid,
    pub entity: Entity,
    pub owner: Option<UserId>,
    pub held: BTreeMap<String, BTreeSet<String>>,
    pub is_archived: bool,
    pub is_erased: bool,
    pub merged_into: Option<Uuid>,
    pub merged: BTreeSet<Uuid>,
    pub counted: Option<BTreeSet<String>>,
    pub counted_owner: Option<UserId>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub entity: Entity,
    pub owner: UserId,
    pub field: String,
    pub count: i64,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Filled {
    pub entity: Entity,
    pub field: String,
    pub last_at: Option<DateTime<Utc>>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Field {
    pub field_id: FieldId,
    pub entity: Entity,
    pub label: String,
    pub is_retired: bool,
}

impl Row for Record {
    type Key = Uuid;
    const TABLE: &'static str = "record";
    const KEY: &'static [&'static str] = &["record_id"];
    fn key(&self) -> Uuid {
        self.record_id
    }
}

impl Row for Tally {
    type Key = (&'static str, UserId, String);
    const TABLE: &'static str = "tally";
    const KEY: &'static [&'static str] = &["entity", "owner", "field"];
    fn key(&self) -> Self::Key {
        (self.entity.as_str(), self.owner, self.field.clone())
    }
}

impl Row for Filled {
    type Key = (&'static str, String);
    const TABLE: &'static str = "filled";
    const KEY: &'static [&'static str] = &["entity", "field"];
    fn key(&self) -> Self::Key {
        (self.entity.as_str(), self.field.clone())
    }
}

impl Row for Field {
    type Key = FieldId;
    const TABLE: &'static str = "field";
    const KEY: &'static [&'static str] = &["field_id"];
    fn key(&self) -> FieldId {
        self.field_id
    }
}

#[derive(Default)]
pub(super) struct Facts {
    pub records: Rows<Record>,
    pub fields: Rows<Field>,
    /// Fields that the batch fills, and when last.
    pub filled: BTreeMap<(Entity, String), Option<DateTime<Utc>>>,
}

/// What an event says of a record beside its fields.
enum Said<'a> {
    Merged { all: Vec<Uuid>, changes: &'a [merge::Change] },
    Unmerged { losers: Vec<Uuid>, changes: &'a [merge::Change] },
    Into(Option<Uuid>),
    Archived(bool),
    Nothing,
}

/// The records that a batch must find: those of its streams, those that are told apart, those that are erased.
pub(super) fn wanted(events: &[Opened]) -> BTreeSet<Uuid> {
    let mut wanted = BTreeSet::new();
    for Opened { recorded, event } in events {
        match event {
            Event::Subject(subject::Event::Erased(event)) => drop(wanted.insert(event.subject.0)),
            event if entity(event).is_some() => drop(wanted.insert(recorded.stream.0)),
            _ => {}
        }
        if let Said::Unmerged { losers, .. } = said(event) {
            wanted.extend(losers);
        }
    }
    wanted
}

fn entity(event: &Event) -> Option<Entity> {
    match event {
        Event::Contact(_) => Some(Entity::Contact),
        Event::Company(_) => Some(Entity::Company),
        Event::Lead(_) => Some(Entity::Lead),
        Event::Deal(_) => Some(Entity::Deal),
        _ => None,
    }
}

/// The four kinds of records say these things alike.
fn said(event: &Event) -> Said<'_> {
    macro_rules! alike {
        ($event:expr, $kind:ident) => {
            match $event {
                $kind::Event::Merged(event) => Said::Merged {
                    all: event.losers.iter().chain(&event.kin).map(|id| id.0).collect(),
                    changes: &event.changes,
                },
                $kind::Event::Unmerged(event) => Said::Unmerged {
                    losers: event.losers.iter().map(|id| id.0).collect(),
                    changes: &event.changes,
                },
                $kind::Event::MergedInto(event) => Said::Into(Some(event.survivor.0)),
                $kind::Event::Separated(_) => Said::Into(None),
                $kind::Event::Archived(_) => Said::Archived(true),
                $kind::Event::Restored(_) => Said::Archived(false),
                _ => Said::Nothing,
            }
        };
    }
    match event {
        Event::Contact(event) => alike!(event, contact),
        Event::Company(event) => alike!(event, company),
        Event::Lead(event) => alike!(event, lead),
        Event::Deal(event) => alike!(event, deal),
        _ => Said::Nothing,
    }
}

impl Facts {
    pub(super) fn apply(&mut self, opened: &Opened) {
        let id = opened.recorded.stream.0;
        match &opened.event {
            Event::Fields(event) => return self.define(event),
            Event::Subject(subject::Event::Erased(event)) => {
                if let Some(record) = self.records.get_mut(&event.subject.0) {
                    record.is_erased = true;
                }
                return;
            }
            _ => {}
        }
        let Some(entity) = entity(&opened.event) else { return };
        if opened.recorded.version == 1 {
            self.records.put(Record::new(id, entity));
        }
        self.hear(id, said(&opened.event));
        let Some(record) = self.records.get_mut(&id) else { return };
        record.owner = owner::said(&opened.event).unwrap_or(record.owner);
        for filling in fillings::of(&opened.event) {
            if let Filling::Adds(field, _) | Filling::Holds(field, _) = &filling
                && !matches!(&filling, Filling::Holds(_, items) if items.is_empty())
            {
                let last = self.filled.entry((entity, field.clone())).or_default();
                *last = (*last).max(moment(opened));
            }
            record.fill(filling);
        }
    }

    fn define(&mut self, event: &fields::Event) {
        match event {
            fields::Event::Defined(event) => self.fields.put(Field {
                field_id: event.field,
                entity: event.entity,
                label: event.label.clone(),
                is_retired: false,
            }),
            fields::Event::Renamed(event) => {
                if let Some(field) = self.fields.get_mut(&event.field) {
                    field.label.clone_from(&event.to);
                }
            }
            fields::Event::Retired(event) => {
                if let Some(field) = self.fields.get_mut(&event.field) {
                    field.is_retired = true;
                }
            }
            _ => {}
        }
    }

    fn hear(&mut self, id: Uuid, said: Said<'_>) {
        let gone: BTreeSet<Uuid> = match &said {
            Said::Unmerged { losers, .. } => {
                let theirs = losers.iter().filter_map(|loser| self.records.get(loser));
                theirs.flat_map(|loser| &loser.merged).chain(losers).copied().collect()
            }
            _ => BTreeSet::new(),
        };
        let Some(record) = self.records.get_mut(&id) else { return };
        match said {
            Said::Merged { all, changes } => {
                record.merged.extend(all);
                record.change(changes);
            }
            Said::Unmerged { changes, .. } => {
                record.merged.retain(|merged| !gone.contains(merged));
                record.change(changes);
            }
            Said::Into(into) => record.merged_into = into,
            Said::Archived(archived) => record.is_archived = archived,
            Said::Nothing => {}
        }
    }

    /// Sets anew what the changed records, and those that they were merged into, count for; answers with by how much that
    /// changes the tallies.
    pub(super) fn settle(&mut self) -> BTreeMap<(Entity, UserId, String), i64> {
        let changed = self.records.changed().filter_map(|(_, now)| now);
        let mut open: Vec<Uuid> = changed.map(|record| record.record_id).collect();
        let mut concerned = BTreeSet::new();
        while let Some(id) = open.pop() {
            if concerned.insert(id) {
                open.extend(self.records.get(&id).and_then(|record| record.merged_into));
            }
        }
        let mut deltas = BTreeMap::new();
        for id in concerned {
            let counts = self.records.get(&id).and_then(|record| self.counts(record));
            if let Some(record) = self.records.get_mut(&id) {
                record.tally(-1, &mut deltas);
                (record.counted, record.counted_owner) = (counts, record.owner);
                record.tally(1, &mut deltas);
            }
        }
        deltas.retain(|_, delta| *delta != 0);
        deltas
    }

    /// The fields that count for a record, if it does.
    fn counts(&self, record: &Record) -> Option<BTreeSet<String>> {
        if record.is_archived || record.is_erased || record.merged_into.is_some() {
            return None;
        }
        let others = record.merged.iter().filter_map(|id| self.records.get(id)).flat_map(Record::fields);
        let stays = others.filter(|field| STAYS.contains(&field.as_str()));
        Some(record.fields().chain(stays).cloned().collect())
    }
}

impl Record {
    fn new(record_id: Uuid, entity: Entity) -> Self {
        Self {
            record_id,
            entity,
            owner: None,
            held: BTreeMap::new(),
            is_archived: false,
            is_erased: false,
            merged_into: None,
            merged: BTreeSet::new(),
            counted: None,
            counted_owner: None,
        }
    }

    fn fields(&self) -> impl Iterator<Item = &String> {
        self.held.keys()
    }

    fn fill(&mut self, filling: Filling) {
        let field = match filling {
            Filling::Holds(field, items) => {
                self.held.insert(field.clone(), items.into_iter().collect());
                field
            }
            Filling::Adds(field, item) => {
                self.held.entry(field.clone()).or_default().insert(item);
                field
            }
            Filling::Loses(field, item) => {
                self.held.entry(field.clone()).or_default().remove(&item);
                field
            }
        };
        if self.held.get(&field).is_some_and(BTreeSet::is_empty) {
            self.held.remove(&field);
        }
    }

    fn change(&mut self, changes: &[merge::Change]) {
        for filling in fillings::of_merge(changes) {
            self.fill(filling);
        }
    }

    fn tally(&self, by: i64, deltas: &mut BTreeMap<(Entity, UserId, String), i64>) {
        let owner = self.counted_owner.unwrap_or(NOBODY);
        let fields = self.counted.iter().flatten().cloned();
        let itself = self.counted.is_some().then(String::new);
        for field in fields.chain(itself) {
            *deltas.entry((self.entity, owner, field)).or_default() += by;
        }
    }
}

/// Whose records nobody's are.
pub(super) const NOBODY: UserId = UserId(Uuid::nil());
