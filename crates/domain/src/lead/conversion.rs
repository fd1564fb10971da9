//! A qualified lead becomes a contact, and with it perhaps a company and a deal.

use super::{Event, Record, Refusal, Status};
use crate::deal::{ContactRole, Party};
use crate::{CompanyId, ContactId, DealId, Given, Order, UserId, company, contact, deal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Convert {
    pub contact: ToContact,
    #[serde(default)]
    pub company: Option<ToCompany>,
    #[serde(default)]
    pub deal: Option<ToDeal>,
}

/// The decision about duplicates: the one that is known, or a new one (with `override_duplicate` and a reason if another
/// holds the same keys).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToContact {
    Link(ContactId),
    Create { id: ContactId, with: Box<contact::Create> },
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToCompany {
    Link(CompanyId),
    Create { id: CompanyId, with: company::Create },
}

/// A deal with the contact and the company; it is opened with the contact, unless it names the company.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToDeal {
    pub id: DealId,
    pub with: deal::Open,
}

impl ToContact {
    fn id(&self) -> ContactId {
        match self {
            Self::Link(id) | Self::Create { id, .. } => *id,
        }
    }
}

impl ToCompany {
    fn id(&self) -> CompanyId {
        match self {
            Self::Link(id) | Self::Create { id, .. } => *id,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Converted {
    pub contact: ContactId,
    pub contact_created: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub company: Option<CompanyId>,
    pub company_created: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deal: Option<DealId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<UserId>,
}

impl Converted {
    pub(super) fn status(&self) -> Status {
        Status::Converted { contact: self.contact, company: self.company, deal: self.deal }
    }
}

impl Convert {
    fn converted(&self, owner: Option<UserId>) -> Converted {
        Converted {
            contact: self.contact.id(),
            contact_created: matches!(self.contact, ToContact::Create { .. }),
            company: self.company.as_ref().map(ToCompany::id),
            company_created: matches!(self.company, Some(ToCompany::Create { .. })),
            deal: self.deal.as_ref().map(|deal| deal.id),
            owner,
        }
    }

    pub(super) fn orders(&self) -> Vec<Order> {
        let mut orders = Vec::new();
        if let ToContact::Create { id, with } = &self.contact {
            let command = contact::Command::Create((**with).clone()).into();
            orders.push(Order { stream: id.stream(), command });
        }
        if let Some(ToCompany::Create { id, with }) = &self.company {
            let command = company::Command::Create(with.clone()).into();
            orders.push(Order { stream: id.stream(), command });
        }
        if let Some(ToDeal { id, with }) = &self.deal {
            let contact = self.contact.id();
            let party = with.party.or(Some(Party::Contact(contact)));
            let open = deal::Command::Open(deal::Open { party, ..with.clone() });
            // Whoever the deal was opened with is in it already, which is no event.
            let person = deal::Command::AddContact { contact, role: ContactRole::DecisionMaker };
            let company = self.company.as_ref().map(ToCompany::id);
            let company = company.map(|company| deal::Command::SetCompany { company });
            let commands = [open, person].into_iter().chain(company);
            orders.extend(commands.map(|command| Order { stream: id.stream(), command: command.into() }));
        }
        orders
    }
}

impl Record {
    pub(super) fn convert(&self, convert: &Convert, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let converted = convert.converted(self.owner);
        if self.status == converted.status() {
            return Ok(Vec::new());
        }
        self.in_work()?;
        if self.status != Status::Qualified {
            return Err(Refusal::NotQualified { status: self.status.as_str() });
        }
        let facts = given.facts;
        if let ToContact::Link(contact) = convert.contact {
            let known = facts.get::<contact::Contact>(contact.stream());
            known.filter(|known| known.is_active()).ok_or(Refusal::NoSuchContact { contact })?;
        }
        if let Some(ToCompany::Link(company)) = convert.company {
            let known = facts.get::<company::Company>(company.stream());
            known.filter(|known| known.is_active()).ok_or(Refusal::NoSuchCompany { company })?;
        }
        let party = convert.deal.as_ref().and_then(|deal| deal.with.party);
        let own = |party| match party {
            Party::Contact(contact) => contact == converted.contact,
            Party::Company(company) => Some(company) == converted.company,
        };
        if !party.is_none_or(own) {
            return Err(Refusal::DealWithOther);
        }
        Ok(vec![Event::Converted(converted)])
    }
}
