//! What an event says of who is told of its stream.

use kvali_domain::deal::{self, Party};
use kvali_domain::{
    Event, Target, call, contact, conversation, duplicate, lead, meeting, merge, note, subject, task,
};
use serde_json::Value;
use uuid::Uuid;

/// How a stream is linked from an event on.
#[derive(Default, Debug)]
pub(super) struct Linking {
    pub begins: Vec<Uuid>,
    pub ends: Vec<Uuid>,
    /// Who is told of this one event alone.
    pub once: Vec<Uuid>,
}

impl Linking {
    fn begins(told: impl IntoIterator<Item = Uuid>) -> Self {
        Self { begins: told.into_iter().collect(), ..Self::default() }
    }

    fn ends(told: Uuid) -> Self {
        Self { ends: vec![told], ..Self::default() }
    }

    fn once(told: impl IntoIterator<Item = Uuid>) -> Self {
        Self { once: told.into_iter().collect(), ..Self::default() }
    }

    pub(super) fn by(event: &Event) -> Self {
        match event {
            Event::Deal(event) => of_deal(event),
            Event::Lead(event) => of_lead(event),
            Event::Contact(contact::Event::AffiliationStarted(event)) => Self::once([event.company.0]),
            Event::Contact(contact::Event::AffiliationEnded(event)) => Self::once([event.company.0]),
            Event::Contact(contact::Event::RelationSet(event)) => Self::once([event.other.0]),
            Event::Contact(contact::Event::RelationRemoved(event)) => Self::once([event.other.0]),
            Event::Task(task::Event::Created(event)) => Self::begins(ids(&event.targets)),
            Event::Task(task::Event::Linked(event)) => Self::begins(ids(&[event.target])),
            Event::Task(task::Event::Unlinked(event)) => Self::ends(event.target.stream().0),
            Event::Meeting(meeting::Event::Scheduled(event)) => Self::begins(of_meeting(event)),
            Event::Note(note::Event::Added(event)) => Self::begins(ids(&[event.about])),
            Event::Call(call::Event::Matched(event)) => Self {
                begins: vec![event.contact.0, event.belongs_to.target().stream().0],
                ends: event.from.map(|from| from.0).into_iter().collect(),
                once: Vec::new(),
            },
            Event::Conversation(conversation::Event::Opened(event)) => {
                Self::begins(event.contact.map(|contact| contact.0))
            }
            Event::Conversation(conversation::Event::Linked(event)) => Self::begins(ids(&[event.to])),
            Event::Duplicate(duplicate::Event::Confirmed(event)) => {
                Self::once(ids(&[event.one, event.other]))
            }
            Event::Duplicate(duplicate::Event::Rejected(event)) => Self::once(ids(&[event.one, event.other])),
            Event::Subject(subject::Event::Erased(event)) => Self::once([event.subject.0]),
            _ => Self::default(),
        }
    }
}

fn of_deal(event: &deal::Event) -> Linking {
    match event {
        deal::Event::Opened(event) => Linking::begins(event.party.map(party)),
        deal::Event::ContactAdded(event) => Linking::begins([event.contact.0]),
        deal::Event::ContactRemoved(event) => Linking::ends(event.contact.0),
        deal::Event::CompanySet(event) => Linking {
            begins: vec![event.to.0],
            ends: event.from.map(|from| from.0).into_iter().collect(),
            once: Vec::new(),
        },
        deal::Event::LinkedToPrevious(event) => Linking::once([event.previous.0]),
        deal::Event::Merged(event) => of_merge(&event.changes),
        deal::Event::Unmerged(event) => of_merge(&event.changes),
        _ => Linking::default(),
    }
}

/// The survivor takes over contacts and company, or gives them back.
fn of_merge(changes: &[merge::Change]) -> Linking {
    let mut linking = Linking::default();
    for merge::Change { field, from, to } in changes {
        let parties = |told: &Option<Value>| match field.as_str() {
            "company" => merge::value::<Uuid>(told.as_ref()).into_iter().collect(),
            "contacts" => {
                let told: Vec<(Uuid, deal::ContactRole)> = merge::value(told.as_ref()).unwrap_or_default();
                told.into_iter().map(|(contact, _)| contact).collect::<Vec<_>>()
            }
            _ => Vec::new(),
        };
        linking.ends.extend(parties(from));
        linking.begins.extend(parties(to));
    }
    linking
}

fn of_lead(event: &lead::Event) -> Linking {
    match event {
        lead::Event::Converted(event) => {
            let company = event.company.map(|company| company.0);
            let deal = event.deal.map(|deal| deal.0);
            Linking::begins([event.contact.0].into_iter().chain(company).chain(deal))
        }
        lead::Event::Attached(event) => Linking::begins([event.deal.0, party(event.party)]),
        _ => Linking::default(),
    }
}

fn of_meeting(event: &meeting::Scheduled) -> Vec<Uuid> {
    let attending = event.attendees.iter().filter_map(|attendee| match attendee {
        meeting::Attendee::Contact(contact) => Some(contact.0),
        meeting::Attendee::User(_) => None,
    });
    attending.chain(ids(&event.targets)).collect()
}

fn party(party: Party) -> Uuid {
    match party {
        Party::Contact(contact) => contact.0,
        Party::Company(company) => company.0,
    }
}

fn ids(targets: &[Target]) -> Vec<Uuid> {
    targets.iter().map(|target| target.stream().0).collect()
}
