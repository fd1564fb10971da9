//! Who a deal is with: its contacts and their roles, its company; and what it holds while it is open.

use super::{Deal, Event, OPEN_TASK_CLAIM, OpenDeal, Party, Refusal};
use crate::company::Company;
use crate::contact::Contact;
use crate::{Claim, CompanyId, ContactId, DealId, Given, Reads, StageId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a contact does in a deal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContactRole {
    DecisionMaker,
    Influencer,
    User,
    Payer,
    Technical,
    Other,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ContactAdded {
    pub contact: ContactId,
    pub role: ContactRole,
    /// The only contact of the deal before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sole_before: Option<ContactId>,
    /// The only contact of the deal from now on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sole_after: Option<ContactId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ContactRemoved {
    pub contact: ContactId,
    /// The only contact of the deal before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sole_before: Option<ContactId>,
    /// The only contact of the deal from now on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sole_after: Option<ContactId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PrimaryContactSet {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<ContactId>,
    pub to: ContactId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CompanySet {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<CompanyId>,
    pub to: CompanyId,
}

/// The claim by which open deals stand in a stage, so that no stage is retired under them.
pub use crate::pipeline::STAGE_DEALS_CLAIM as STAGE_CLAIM;

pub use crate::company::DEALS_CLAIM as COMPANY_CLAIM;

/// What an open deal holds on to by claims.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Holds {
    pub stage: StageId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub company: Option<CompanyId>,
    /// The only contact of the deal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sole_contact: Option<ContactId>,
}

type Step = fn(&'static str, String) -> Claim;

impl Holds {
    pub(super) fn taken(&self) -> Vec<Claim> {
        self.claims(Claim::count)
    }

    pub(super) fn let_go(&self) -> Vec<Claim> {
        self.claims(Claim::uncount)
    }

    fn claims(&self, step: Step) -> Vec<Claim> {
        let owner = self.owner.map(|owner| step(crate::user::WORK_CLAIM, owner.to_string()));
        let company = self.company.map(|company| step(COMPANY_CLAIM, company.to_string()));
        let contact =
            self.sole_contact.map(|contact| step(crate::contact::SOLE_DEALS_CLAIM, contact.to_string()));
        let stage = step(STAGE_CLAIM, self.stage.to_string());
        [stage].into_iter().chain(owner).chain(company).chain(contact).collect()
    }
}

/// The contacts and the company of a deal; the party that it was opened with is one of them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct With {
    pub contacts: BTreeMap<ContactId, ContactRole>,
    pub primary: Option<ContactId>,
    pub company: Option<CompanyId>,
}

impl With {
    pub(super) fn party(party: Option<Party>) -> Self {
        match party {
            None => Self::default(),
            Some(Party::Company(company)) => Self { company: Some(company), ..Self::default() },
            Some(Party::Contact(contact)) => Self {
                contacts: BTreeMap::from([(contact, ContactRole::DecisionMaker)]),
                primary: Some(contact),
                company: None,
            },
        }
    }

    /// Those whose state tells whether they are archived.
    pub(super) fn reads(&self) -> Vec<Reads> {
        let company = self.company.map(|company| Reads::Company(company.stream()));
        let contact = self.sole().map(|contact| Reads::Contact(contact.stream()));
        company.into_iter().chain(contact).collect()
    }

    /// A party need not be known here; one that is must be in use.
    pub(super) fn nobody_is_archived(&self, given: &Given<'_>) -> Result<(), Refusal> {
        if let Some(id) = self.company.map(CompanyId::stream) {
            let known = given.facts.get::<Company>(id).and_then(Company::record);
            if known.is_some_and(|company| company.archived) {
                return Err(Refusal::WithArchived { kind: "company", id });
            }
        }
        if let Some(id) = self.sole().map(ContactId::stream) {
            let known = given.facts.get::<Contact>(id).and_then(Contact::record);
            if known.is_some_and(|contact| contact.archived) {
                return Err(Refusal::WithArchived { kind: "contact", id });
            }
        }
        Ok(())
    }

    pub fn is_nobody(&self) -> bool {
        self.contacts.is_empty() && self.company.is_none()
    }

    fn sole(&self) -> Option<ContactId> {
        self.contacts.keys().next().copied().filter(|_| self.contacts.len() == 1)
    }

    pub(super) fn evolve(&mut self, event: &Event) {
        match event {
            Event::ContactAdded(event) => {
                self.contacts.insert(event.contact, event.role);
                self.primary.get_or_insert(event.contact);
            }
            Event::ContactRemoved(event) => {
                self.contacts.remove(&event.contact);
                if self.primary == Some(event.contact) {
                    self.primary = self.contacts.keys().next().copied();
                }
            }
            Event::PrimaryContactSet(event) => self.primary = Some(event.to),
            Event::CompanySet(event) => self.company = Some(event.to),
            _ => {}
        }
    }
}

impl OpenDeal {
    /// What it holds on to in `stage`.
    pub(super) fn holds_in(&self, stage: StageId) -> Holds {
        Holds { stage, owner: self.owner, company: self.with.company, sole_contact: self.with.sole() }
    }
}

impl Deal {
    /// Whether this contact or company is one that the deal is with.
    pub fn is_with(&self, party: Party) -> bool {
        self.record().is_some_and(|deal| match party {
            Party::Contact(contact) => deal.with.contacts.contains_key(&contact),
            Party::Company(company) => deal.with.company == Some(company),
        })
    }
}

pub(super) fn add_contact(
    deal: &OpenDeal,
    contact: ContactId,
    role: ContactRole,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let Some(added) = added(deal, contact, role, given)? else { return Ok(Vec::new()) };
    let mut after = deal.with.clone();
    after.contacts.insert(contact, role);
    let (sole_before, sole_after) = (deal.with.sole(), after.sole());
    Ok(vec![Event::ContactAdded(ContactAdded { sole_before, sole_after, ..added })])
}

/// Whom a deal was with may come to light when it is over; then nothing counts it any more.
pub(super) fn add_contact_to_closed(
    deal: &OpenDeal,
    contact: ContactId,
    role: ContactRole,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    Ok(added(deal, contact, role, given)?.map(Event::ContactAdded).into_iter().collect())
}

/// What a deal holds aside; none if the contact has that role already.
fn added(
    deal: &OpenDeal,
    contact: ContactId,
    role: ContactRole,
    given: &Given<'_>,
) -> Result<Option<ContactAdded>, Refusal> {
    if deal.with.contacts.get(&contact) == Some(&role) {
        return Ok(None);
    }
    let known = given.facts.get::<Contact>(contact.stream());
    known.filter(|known| known.is_active()).ok_or(Refusal::NoSuchContact { contact })?;
    Ok(Some(ContactAdded { contact, role, sole_before: None, sole_after: None }))
}

pub(super) fn remove_contact(
    deal: &OpenDeal,
    contact: ContactId,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    if !deal.with.contacts.contains_key(&contact) {
        return Ok(Vec::new());
    }
    let config = super::rules(deal.pipeline, None, given)?;
    if config.policy.party_required && deal.with.contacts.len() == 1 && deal.with.company.is_none() {
        return Err(Refusal::LastContact);
    }
    let sole_before = deal.with.sole();
    let mut after = deal.with.clone();
    after.contacts.remove(&contact);
    Ok(vec![Event::ContactRemoved(ContactRemoved { contact, sole_before, sole_after: after.sole() })])
}

pub(super) fn set_primary(deal: &OpenDeal, contact: ContactId) -> Result<Vec<Event>, Refusal> {
    if !deal.with.contacts.contains_key(&contact) {
        return Err(Refusal::NotLinked { contact });
    }
    if deal.with.primary == Some(contact) {
        return Ok(Vec::new());
    }
    Ok(vec![Event::PrimaryContactSet(PrimaryContactSet { from: deal.with.primary, to: contact })])
}

pub(super) fn set_company(deal: &OpenDeal, to: CompanyId, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    if deal.with.company == Some(to) {
        return Ok(Vec::new());
    }
    let known = given.facts.get::<Company>(to.stream());
    known.filter(|known| known.is_active()).ok_or(Refusal::NoSuchCompany { company: to })?;
    Ok(vec![Event::CompanySet(CompanySet { from: deal.with.company, to })])
}

/// Of the contact that a deal is with alone.
pub(super) fn sole_changed(before: Option<ContactId>, after: Option<ContactId>) -> Vec<Claim> {
    let sole = |step: Step, contact: ContactId| step(crate::contact::SOLE_DEALS_CLAIM, contact.to_string());
    if before == after {
        return Vec::new();
    }
    let before = before.map(|contact| sole(Claim::uncount, contact));
    before.into_iter().chain(after.map(|contact| sole(Claim::count, contact))).collect()
}

/// A deal's pipeline is told with its stage, since a stage belongs to one pipeline.
pub(super) fn moved(from: StageId, to: StageId) -> [Claim; 2] {
    [Claim::uncount(STAGE_CLAIM, from.to_string()), Claim::count(STAGE_CLAIM, to.to_string())]
}

/// The same where an open task about one of `deals` is wanted, if there are any.
pub(super) fn moved_with_task(deals: &[DealId], from: StageId, to: StageId) -> Vec<Claim> {
    let task = deals.iter().map(|deal| Claim::some(OPEN_TASK_CLAIM, deal.to_string()));
    task.chain(moved(from, to)).collect()
}
