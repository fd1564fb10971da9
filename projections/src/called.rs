//! What people, companies and deals are called, as events say it.

use kvali_domain::{Event, Personal, company, contact, deal, lead, subject, user};
use uuid::Uuid;

/// A name that an event gives; none where the person has been erased.
pub(crate) struct Called {
    pub id: Uuid,
    pub name: Option<String>,
}

impl Called {
    pub(crate) fn by(event: &Event) -> Option<Self> {
        let (id, name) = match event {
            Event::User(
                user::Event::Registered(user::Registered { user, name })
                | user::Event::Invited(user::Invited { user, name, .. }),
            ) => (user.0, name.0.clone()),
            Event::Contact(
                contact::Event::Created(contact::Created { contact, given, family, full, .. })
                | contact::Event::Renamed(contact::Renamed { contact, given, family, full }),
            ) => (contact.0, person(given, family, full)),
            Event::Company(
                company::Event::Created(company::Created { company, name, .. })
                | company::Event::Renamed(company::Renamed { company, name }),
            ) => (company.0, name.0.clone()),
            Event::Lead(lead::Event::Captured(event)) => {
                (event.lead.0, person(&event.given, &event.family, &event.full))
            }
            // What is absent stays as it was.
            Event::Lead(lead::Event::Renamed(event)) if event.named => {
                (event.lead.0, person(&event.given, &event.family, &event.full))
            }
            Event::Deal(deal::Event::Renamed(event)) => (event.subject.0, event.name.0.clone()),
            Event::Subject(subject::Event::Erased(event)) => (event.subject.0, None),
            _ => return None,
        };
        Some(Self { id, name })
    }
}

/// The parts of a name in one, else the whole one.
pub(crate) fn person(given: &Personal, family: &Personal, full: &Personal) -> Option<String> {
    let parts: Vec<&str> = [given, family].into_iter().filter_map(Personal::as_deref).collect();
    if parts.is_empty() { full.0.clone() } else { Some(parts.join(" ")) }
}
