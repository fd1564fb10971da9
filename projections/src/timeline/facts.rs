//! What events make of entries, links and customers.

#![expect(clippy::struct_field_names, reason = "a row's fields are named as the columns are")]

use super::links::Linking;
use super::query::Kind;
use crate::rows::{Row, Rows, moment};
use chrono::{DateTime, Utc};
use kvali_domain::{ActorId, Event, StreamId, company, contact, deal, lead};
use kvali_eventstore::Opened;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EntryRow {
    pub told_of: Uuid,
    pub position: i64,
    pub occurred_at: Option<DateTime<Utc>>,
    pub kind: Kind,
    pub stream_id: StreamId,
    pub actor: ActorId,
    pub event_type: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Link {
    pub stream_id: Uuid,
    pub told: BTreeSet<Uuid>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Customer {
    pub customer_id: Uuid,
    pub kind: Kind,
    pub merged_into: Option<Uuid>,
}

impl Row for EntryRow {
    type Key = (Uuid, i64);
    const TABLE: &'static str = "entry";
    const KEY: &'static [&'static str] = &["told_of", "position"];
    fn key(&self) -> Self::Key {
        (self.told_of, self.position)
    }
}

impl Row for Link {
    type Key = Uuid;
    const TABLE: &'static str = "link";
    const KEY: &'static [&'static str] = &["stream_id"];
    fn key(&self) -> Uuid {
        self.stream_id
    }
}

impl Row for Customer {
    type Key = Uuid;
    const TABLE: &'static str = "customer";
    const KEY: &'static [&'static str] = &["customer_id"];
    fn key(&self) -> Uuid {
        self.customer_id
    }
}

/// What was told of `from` up to a position is told of `to` as well, since they were linked there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retold {
    pub from: Uuid,
    pub to: Uuid,
    pub until: i64,
}

#[derive(Default)]
pub(super) struct Facts {
    pub entries: Rows<EntryRow>,
    pub links: Rows<Link>,
    pub customers: Rows<Customer>,
    pub retold: Vec<Retold>,
}

impl Facts {
    pub(super) fn apply(&mut self, opened: &Opened) {
        let Some(kind) = Kind::of(&opened.event) else { return };
        self.know(opened, kind);
        let (stream, position) = (opened.recorded.stream.0, opened.recorded.position);
        let linking = Linking::by(&opened.event);
        let before = self.told(stream);
        self.link(stream, &linking);
        let after = self.told(stream);
        // Whoever is let go of hears of that, too.
        let all: BTreeSet<Uuid> = before.iter().chain(&after).chain(&linking.once).copied().collect();
        for told_of in all {
            self.entries.put(EntryRow {
                told_of,
                position,
                occurred_at: moment(opened),
                kind,
                stream_id: opened.recorded.stream,
                actor: opened.recorded.actor,
                event_type: opened.recorded.event_type.clone(),
            });
        }
        // Nothing was told of a stream before its first event.
        if opened.recorded.version > 1 {
            let retold =
                after.difference(&before).map(|to| Retold { from: stream, to: *to, until: position });
            self.retold.extend(retold);
        }
    }

    fn know(&mut self, opened: &Opened, kind: Kind) {
        let customer_id = opened.recorded.stream.0;
        if opened.recorded.version == 1 && kind.is_customer() {
            self.customers.put(Customer { customer_id, kind, merged_into: None });
        }
        if let (Some(aliasing), Some(customer)) =
            (aliasing(&opened.event), self.customers.get_mut(&customer_id))
        {
            customer.merged_into = match aliasing {
                Aliasing::Into(survivor) => Some(survivor),
                Aliasing::Apart => None,
            };
        }
    }

    fn link(&mut self, stream: Uuid, linking: &Linking) {
        if linking.begins.is_empty() && linking.ends.is_empty() {
            return;
        }
        let link = self.links.get_or_put(Link { stream_id: stream, told: BTreeSet::new() });
        for ended in &linking.ends {
            link.told.remove(ended);
        }
        link.told.extend(&linking.begins);
    }

    /// The stream itself, and all who are told of it, also by way of others.
    fn told(&self, stream: Uuid) -> BTreeSet<Uuid> {
        let (mut all, mut open) = (BTreeSet::new(), vec![stream]);
        while let Some(next) = open.pop() {
            if all.insert(next) {
                open.extend(self.links.get(&next).iter().flat_map(|link| &link.told));
            }
        }
        all
    }
}

/// Into whom a record goes, or that it stands for itself again.
enum Aliasing {
    Into(Uuid),
    Apart,
}

fn aliasing(event: &Event) -> Option<Aliasing> {
    Some(match event {
        Event::Contact(contact::Event::MergedInto(event)) => Aliasing::Into(event.survivor.0),
        Event::Company(company::Event::MergedInto(event)) => Aliasing::Into(event.survivor.0),
        Event::Lead(lead::Event::MergedInto(event)) => Aliasing::Into(event.survivor.0),
        Event::Deal(deal::Event::MergedInto(event)) => Aliasing::Into(event.survivor.0),
        Event::Contact(contact::Event::Separated(_))
        | Event::Company(company::Event::Separated(_))
        | Event::Lead(lead::Event::Separated(_))
        | Event::Deal(deal::Event::Separated(_)) => Aliasing::Apart,
        _ => return None,
    })
}
