//! A row that says who is a contact of a deal.

use super::draft::{Draft, Known, Part, Record, unless};
use crate::import::RowProblem;
use crate::import::records::{RecordRow, RecordRows};
use kvali_domain::deal::{Command, ContactRole, Deal};
use kvali_domain::{ContactId, State};

const ROLES: [(&str, ContactRole); 6] = [
    ("decision_maker", ContactRole::DecisionMaker),
    ("influencer", ContactRole::Influencer),
    ("user", ContactRole::User),
    ("payer", ContactRole::Payer),
    ("technical", ContactRole::Technical),
    ("other", ContactRole::Other),
];

pub(super) fn draft(row: RecordRow, file: &mut RecordRows<'_>) -> Result<Draft, RowProblem> {
    let role = super::tasks::word(&row, file, "role", &ROLES)?;
    let build = move |known: Known<'_>| Record {
        before: State::Deal(Deal::default()),
        create: None,
        parts: known.named.contact.map(|contact| link(contact, role)).into_iter().collect(),
    };
    Ok(Draft { row, claims: Vec::new(), build: Box::new(build) })
}

/// A row without a role leaves the one that the contact has.
fn link(contact: ContactId, role: Option<ContactRole>) -> Part {
    let told = role.and_then(|role| ROLES.iter().find(|(_, known)| *known == role));
    let content = [&*contact.to_string(), told.map_or("", |(word, _)| word)];
    Part::new("contact", &content, move |state| {
        let has = match state {
            State::Deal(deal) => deal.record().and_then(|deal| deal.with.contacts.get(&contact)).copied(),
            _ => None,
        };
        let is_so = has.is_some_and(|has| role.is_none_or(|role| role == has));
        unless(is_so, Command::AddContact { contact, role: role.unwrap_or(ContactRole::Other) })
    })
}
