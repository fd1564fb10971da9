//! Whether what a call, a conversation or a note is about is there.

use crate::company::Company;
use crate::contact::Contact;
use crate::deal::Deal;
use crate::lead::Lead;
use crate::{Given, Reads, StreamId, Target};
use serde::Serialize;

#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[error("there is no {kind} {id}; name a lead, contact, company or deal that exists")]
pub struct NoSuchTarget {
    pub kind: &'static str,
    pub id: StreamId,
}

/// The stream that tells whether `target` exists.
pub(crate) fn reads(target: Target) -> Reads {
    let stream = target.stream();
    match target {
        Target::Deal(_) => Reads::Deal(stream),
        Target::Lead(_) => Reads::Lead(stream),
        Target::Contact(_) => Reads::Contact(stream),
        Target::Company(_) => Reads::Company(stream),
    }
}

pub(crate) fn exists(target: Target, given: &Given<'_>) -> Result<(), NoSuchTarget> {
    let (kind, there) = match target {
        Target::Deal(id) => {
            let deal = given.facts.get::<Deal>(id.stream());
            ("deal", deal.is_some_and(|deal| deal.record().is_some()))
        }
        Target::Lead(id) => {
            let lead = given.facts.get::<Lead>(id.stream());
            ("lead", lead.is_some_and(|lead| lead.record().is_some()))
        }
        Target::Contact(id) => {
            let contact = given.facts.get::<Contact>(id.stream());
            ("contact", contact.is_some_and(|contact| *contact != Contact::default()))
        }
        Target::Company(id) => {
            let company = given.facts.get::<Company>(id.stream());
            ("company", company.is_some_and(|company| *company != Company::default()))
        }
    };
    if there { Ok(()) } else { Err(NoSuchTarget { kind, id: target.stream() }) }
}
