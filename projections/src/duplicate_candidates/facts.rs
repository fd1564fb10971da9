//! What events make of the records that are compared, and of what people decided about them.

use super::details::Details;
use kvali_domain::field_changes::{Changes, FieldValue};
use kvali_domain::match_rule::CUSTOM;
use kvali_domain::merge::{self, Change};
use kvali_domain::{Event, FieldId, company, contact, contact_point::Kind, lead, subject};
use kvali_eventstore::Opened;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The records that a page of events concerns, by id.
pub(super) type Records = BTreeMap<Uuid, Record>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub kind: RecordKind,
    /// The position of its first event.
    pub born: i64,
    pub owner: Option<Uuid>,
    pub archived: bool,
    /// A lead that has become a contact.
    pub converted: bool,
    /// The record that it was merged into.
    pub merged_into: Option<Uuid>,
    pub known: Known,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    Lead,
    Contact,
    Company,
}

impl RecordKind {
    pub const ALL: [Self; 3] = [Self::Lead, Self::Contact, Self::Company];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lead => "lead",
            Self::Contact => "contact",
            Self::Company => "company",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What a record says of itself; personal but for domains and custom fields in clear.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Known {
    #[serde(skip_serializing_if = "String::is_empty")]
    given: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    family: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    full: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    organisation: String,
    /// The record that a merge took the name from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_of: Option<Uuid>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    emails: BTreeMap<i32, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    phones: BTreeMap<i32, String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    domains: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    identifiers: BTreeSet<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    address: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<FieldId, String>,
    /// Custom fields that are sealed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sealed: BTreeMap<FieldId, String>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known(…)")
    }
}

impl Record {
    fn new(kind: RecordKind, opened: &Opened) -> Self {
        Self {
            kind,
            born: opened.recorded.position,
            owner: None,
            archived: false,
            converted: false,
            merged_into: None,
            known: Known::default(),
        }
    }

    /// Whether it can be one with another: it is in use and stands for itself.
    pub(super) fn stands(&self) -> bool {
        !self.archived && !self.converted && self.merged_into.is_none()
    }
}

/// The records that an event is about, and must be known before it is folded.
pub(super) fn concerned(opened: &Opened) -> Vec<Uuid> {
    let stream = opened.recorded.stream.0;
    match &opened.event {
        Event::Lead(lead::Event::MergedInto(lead::MergedInto { survivor, .. })) => vec![stream, survivor.0],
        Event::Contact(contact::Event::MergedInto(contact::MergedInto { survivor, .. })) => {
            vec![stream, survivor.0]
        }
        Event::Company(company::Event::MergedInto(company::MergedInto { survivor, .. })) => {
            vec![stream, survivor.0]
        }
        Event::Lead(_) | Event::Contact(_) | Event::Company(_) => vec![stream],
        Event::Duplicate(event) => pair(event).into(),
        Event::Subject(subject::Event::Erased(event)) => vec![event.subject.0],
        _ => Vec::new(),
    }
}

/// The two records of a decision, the smaller id first.
pub(super) fn pair(event: &kvali_domain::duplicate::Event) -> [Uuid; 2] {
    use kvali_domain::duplicate::{Confirmed, Event as Decided, Rejected};
    let (Decided::Rejected(Rejected { one, other, .. }) | Decided::Confirmed(Confirmed { one, other })) =
        event;
    let (one, other) = (one.stream().0, other.stream().0);
    [one.min(other), one.max(other)]
}

/// Folds one event.
pub(super) fn apply(records: &mut Records, opened: &Opened) {
    let id = opened.recorded.stream.0;
    let kind = match &opened.event {
        Event::Lead(_) => RecordKind::Lead,
        Event::Contact(_) => RecordKind::Contact,
        Event::Company(_) => RecordKind::Company,
        Event::Subject(subject::Event::Erased(event)) => {
            if let Some(record) = records.get_mut(&event.subject.0) {
                record.known.forget();
            }
            return;
        }
        _ => return,
    };
    let record = records.entry(id).or_insert_with(|| Record::new(kind, opened));
    match &opened.event {
        Event::Lead(event) => record.lead(event),
        Event::Contact(event) => record.contact(event),
        Event::Company(event) => record.company(event),
        _ => {}
    }
}

impl Record {
    fn lead(&mut self, event: &lead::Event) {
        match event {
            lead::Event::Captured(event) => {
                self.owner = event.owner.map(|owner| owner.0);
                self.known.person([&event.given, &event.family, &event.full].map(text));
                self.known.organisation = text(&event.company_name);
            }
            lead::Event::PointAdded(event) => {
                self.known.add_point(event.point, &event.kind, text(&event.value));
            }
            lead::Event::Renamed(event) => {
                let name = [&event.given, &event.family, &event.full].map(text);
                if name.iter().any(|part| !part.is_empty()) {
                    self.known.person(name);
                }
                if event.of_company {
                    self.known.organisation = text(&event.company_name);
                }
            }
            lead::Event::FieldsChanged(event) => self.known.set_fields(&event.0),
            lead::Event::Assigned(event) => self.owner = Some(event.to.0),
            lead::Event::Unassigned(_) | lead::Event::Declined(_) => self.owner = None,
            lead::Event::Recycled(event) => self.owner = event.owner.map(|owner| owner.0),
            lead::Event::Converted(_) => self.converted = true,
            lead::Event::Archived(_) => self.archived = true,
            lead::Event::Restored(event) => {
                self.archived = false;
                self.owner = event.owner.map(|owner| owner.0);
            }
            lead::Event::Merged(event) => self.change(&event.changes),
            lead::Event::Unmerged(event) => self.change(&event.changes),
            lead::Event::MergedInto(event) => self.merged_into = Some(event.survivor.0),
            lead::Event::Separated(_) => self.merged_into = None,
            // What says nothing of who it is.
            _ => {}
        }
    }

    fn contact(&mut self, event: &contact::Event) {
        match event {
            contact::Event::Created(event) => {
                self.owner = event.owner.map(|owner| owner.0);
                self.known.person([&event.given, &event.family, &event.full].map(text));
            }
            contact::Event::Renamed(event) => {
                self.known.person([&event.given, &event.family, &event.full].map(text));
            }
            contact::Event::PointAdded(event) => {
                self.known.add_point(event.point, &event.kind, text(&event.value));
            }
            contact::Event::PointRemoved(event) => self.known.remove_point(event.point),
            contact::Event::AddressChanged(event) => self.known.address = text(&event.lines),
            contact::Event::FieldsChanged(event) => self.known.set_fields(&event.0),
            contact::Event::Assigned(event) => self.owner = Some(event.to.0),
            contact::Event::Archived(_) => self.archived = true,
            contact::Event::Restored(_) => self.archived = false,
            contact::Event::Merged(event) => self.change(&event.changes),
            contact::Event::Unmerged(event) => self.change(&event.changes),
            contact::Event::MergedInto(event) => self.merged_into = Some(event.survivor.0),
            contact::Event::Separated(_) => self.merged_into = None,
            // What says nothing of who it is.
            _ => {}
        }
    }

    fn company(&mut self, event: &company::Event) {
        match event {
            company::Event::Created(event) => {
                self.owner = event.owner.map(|owner| owner.0);
                self.known.organisation = text(&event.name);
            }
            company::Event::Renamed(event) => {
                self.known.organisation = text(&event.name);
                self.known.name_of = None;
            }
            company::Event::DomainsSet(event) => {
                self.known.domains.retain(|domain| !event.removed.contains(domain));
                self.known.domains.extend(event.added.iter().cloned());
            }
            company::Event::LegalIdsSet(event) => {
                let ids = [&event.tax_id, &event.registration_id].map(text);
                self.known.identifiers = ids.into_iter().filter(|id| !id.is_empty()).collect();
            }
            company::Event::FieldsChanged(event) => self.known.set_fields(&event.0),
            company::Event::Assigned(event) => self.owner = Some(event.to.0),
            company::Event::Archived(_) => self.archived = true,
            company::Event::Restored(_) => self.archived = false,
            company::Event::Merged(event) => self.change(&event.changes),
            company::Event::Unmerged(event) => self.change(&event.changes),
            company::Event::MergedInto(event) => self.merged_into = Some(event.survivor.0),
            company::Event::Separated(event) => {
                self.merged_into = None;
                self.known.domains = event.holds.clone().unwrap_or_default();
            }
            // What says nothing of who it is.
            _ => {}
        }
    }

    /// What a merge gives a survivor, or takes back. Points and identifiers stay with whom they were given to.
    fn change(&mut self, changes: &[Change]) {
        for Change { field, to, .. } in changes {
            match field.as_str() {
                "owner" => self.owner = merge::value(to.as_ref()),
                "name" => self.known.name_of = merge::sealed_in(to.as_ref()),
                "domains" => self.known.domains = merge::values(to.as_ref()),
                field => self.known.take(field, to.as_ref()),
            }
        }
    }
}

impl Known {
    fn person(&mut self, [given, family, full]: [String; 3]) {
        (self.given, self.family, self.full, self.name_of) = (given, family, full, None);
    }

    fn add_point(&mut self, point: i32, kind: &Kind, value: String) {
        match kind {
            _ if value.is_empty() => {}
            Kind::Email => drop(self.emails.insert(point, value)),
            Kind::Phone => drop(self.phones.insert(point, value)),
            Kind::Handle { .. } => {}
        }
    }

    fn remove_point(&mut self, point: i32) {
        self.emails.remove(&point);
        self.phones.remove(&point);
    }

    fn set_fields(&mut self, changes: &Changes) {
        for change in &changes.changes {
            self.sealed.remove(&change.field);
            set(&mut self.fields, change.field, change.to.as_ref().and_then(compared));
        }
        if let Some(sealed) = &changes.sealed {
            self.fields.remove(&sealed.field);
            let value = changes.unsealed();
            set(&mut self.sealed, sealed.field, value.as_ref().and_then(compared));
        }
    }

    /// A custom field that came or went with a merge; one that is sealed stays with whom it was given to.
    fn take(&mut self, field: &str, to: Option<&serde_json::Value>) {
        let Some(field) = field.strip_prefix(CUSTOM).and_then(|id| id.parse().ok()) else { return };
        let value: Option<FieldValue> = merge::value(to);
        set(&mut self.fields, field, value.as_ref().and_then(compared));
    }

    /// What a key was needed for to read it; what stands in clear stays.
    fn forget(&mut self) {
        let (domains, fields, name_of) =
            (std::mem::take(&mut self.domains), std::mem::take(&mut self.fields), self.name_of);
        *self = Self { name_of, domains, fields, ..Self::default() };
    }

    /// As they are compared, with those of the records that were merged into this one, and the name of `named`.
    pub(super) fn details<'a>(
        &'a self,
        named: Option<&'a Self>,
        kin: impl Iterator<Item = &'a Self>,
    ) -> Details {
        let name = named.unwrap_or(self);
        let is_person = [&self.given, &self.family, &self.full].iter().any(|part| !part.is_empty());
        let organisation = if is_person { &self.organisation } else { &name.organisation };
        let mut details = Details {
            given: name.given.clone(),
            family: name.family.clone(),
            full: name.full.clone(),
            organisation: organisation.clone(),
            ..Details::default()
        };
        let mut address = self.give(&mut details).to_owned();
        for known in kin {
            let held = known.give(&mut details);
            if address.is_empty() {
                held.clone_into(&mut address);
            }
        }
        details.read_address(&address);
        details
    }

    /// What people call it; empty where nobody can read it any more.
    pub(super) fn name(&self) -> String {
        let parts = [&self.given, &self.family].into_iter().filter(|part| !part.is_empty());
        let parted = parts.map(String::as_str).collect::<Vec<_>>().join(" ");
        let first = self.emails.values().chain(self.phones.values()).next();
        let ways = [&parted, &self.full, &self.organisation].into_iter().chain(first);
        ways.into_iter().find(|name| !name.is_empty()).cloned().unwrap_or_default()
    }

    /// Adds what a record may have several of; answers with its address.
    fn give(&self, details: &mut Details) -> &str {
        details.emails.extend(self.emails.values().cloned());
        details.phones.extend(self.phones.values().cloned());
        details.domains.extend(self.domains.iter().cloned());
        details.identifiers.extend(self.identifiers.iter().cloned());
        for (field, value) in self.fields.iter().chain(&self.sealed) {
            details.others.entry(format!("{CUSTOM}{field}")).or_insert_with(|| value.clone());
        }
        &self.address
    }
}

fn set(fields: &mut BTreeMap<FieldId, String>, field: FieldId, value: Option<String>) {
    match value {
        Some(value) => fields.insert(field, value),
        None => fields.remove(&field),
    };
}

/// What two records can agree in; choices among few and yes or no say next to nothing.
fn compared(value: &FieldValue) -> Option<String> {
    match value {
        FieldValue::Text(text) => Some(plain(text)),
        FieldValue::Number(number) => Some(number.to_string()),
        FieldValue::Date(date) => Some(date.to_string()),
        FieldValue::Choice(_) | FieldValue::MultiChoice(_) | FieldValue::Money(_) | FieldValue::Bool(_) => {
            None
        }
    }
}

fn text(personal: &kvali_domain::Personal) -> String {
    plain(personal.as_deref().unwrap_or_default())
}

/// Postgres has no NUL in its texts.
fn plain(text: &str) -> String {
    text.replace('\0', "")
}
