//! Contacts that are merged.
//!
//! Contact points, external ids and sources stay with the contact that they were given to.

use super::{Affiliation, Contact, Event, Record, Refusal};
use crate::merge::{self, Fields, Held, Mergeable, Merging};
use crate::{ContactId, Given};
use serde_json::Value;

impl Mergeable for Record {
    type Id = ContactId;
    type Holds = ();

    fn fields(&self) -> Fields {
        let named = [
            ("name", self.name_of.map(|of| Held::Sealed(of.0))),
            ("address", Held::one(self.address.as_ref())),
            ("owner", Held::one(self.owner.as_ref())),
            ("lifecycle_stage", Held::one(self.lifecycle_stage.as_ref())),
            ("affiliations", Held::many(&self.affiliations)),
            ("relations", Held::many(&self.relations)),
            ("tags", Held::many(&self.tags)),
        ];
        merge::fields(named, &self.fields)
    }

    fn set(&mut self, field: &str, to: Option<&Value>) {
        match field {
            "name" => self.name_of = merge::sealed_in(to),
            "address" => self.address = merge::value(to),
            "owner" => self.owner = merge::value(to),
            "lifecycle_stage" => self.lifecycle_stage = merge::value(to),
            "affiliations" => self.affiliations = merge::values::<Affiliation>(to).into_iter().collect(),
            "relations" => self.relations = merge::values(to),
            "tags" => self.tags = merge::values(to),
            field => merge::set_field(&mut self.fields, field, to),
        }
    }

    fn holds(&self) -> Option<()> {
        None
    }

    fn is_archived(&self) -> bool {
        self.archived
    }

    fn merging(&self) -> &Merging<Self> {
        &self.merging
    }

    fn merging_mut(&mut self) -> &mut Merging<Self> {
        &mut self.merging
    }
}

impl Record {
    pub(super) fn merge(
        &self,
        contact: ContactId,
        asked: &merge::Merge<ContactId>,
        given: &Given<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        let losers = asked.losers.iter().map(|loser| (*loser, own(*loser, given))).collect();
        Ok(merge::merge(contact, self, asked, &losers, given.facts)?.map(Event::Merged).into_iter().collect())
    }

    pub(super) fn yields(&self, survivor: ContactId, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let event = merge::yields(ContactId(given.stream.0), self, survivor, own(survivor, given))?;
        Ok(event.map(Event::MergedInto).into_iter().collect())
    }

    pub(super) fn separates(&self, survivor: ContactId, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let event = merge::separates(ContactId(given.stream.0), self, survivor, own(survivor, given))?;
        Ok(event.map(Event::Separated).into_iter().collect())
    }
}

fn own<'a>(contact: ContactId, given: &Given<'a>) -> Option<&'a Record> {
    given.facts.own::<Contact>(contact.stream()).and_then(Contact::record)
}
