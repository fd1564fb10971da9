//! What events fill in a record, and what they empty.

use kvali_domain::contact_point::Kind;
use kvali_domain::field_changes::Changes;
use kvali_domain::fields::Entity;
use kvali_domain::{Event, company, contact, deal, lead, merge};
use serde::Serialize;
use serde_json::Value;

/// The fields that records of a kind have without anybody defining them.
pub(super) const BUILT_IN: [(Entity, &[&str]); 4] = [
    (
        Entity::Contact,
        &[
            "name",
            "email",
            "phone",
            "handle",
            "address",
            "affiliations",
            "relations",
            "lifecycle_stage",
            "source",
            "tags",
            "owner",
        ],
    ),
    (Entity::Company, &["name", "domains", "tax_id", "registration_id", "parent", "territory", "owner"]),
    (Entity::Lead, &["name", "company_name", "email", "phone", "handle", "score", "source", "tags", "owner"]),
    (Entity::Deal, &["name", "value", "expected_close", "contacts", "company", "next_step", "tags", "owner"]),
];

/// What a merged record keeps for itself is read together with the survivor's.
pub(super) const STAYS: [&str; 6] = ["email", "phone", "handle", "source", "tax_id", "registration_id"];

/// What becomes of one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Filling {
    /// It holds these and nothing else; none: it is empty.
    Holds(String, Vec<String>),
    Adds(String, String),
    Loses(String, String),
}

fn one(field: &str, is_filled: bool) -> Filling {
    let single = is_filled.then(String::new);
    Filling::Holds(field.to_owned(), single.into_iter().collect())
}

fn adds(field: &str, item: &impl ToString) -> Filling {
    Filling::Adds(field.to_owned(), item.to_string())
}

fn loses(field: &str, item: &impl ToString) -> Filling {
    Filling::Loses(field.to_owned(), item.to_string())
}

fn word(value: &impl Serialize) -> String {
    item(&serde_json::to_value(value).unwrap_or_default())
}

pub(super) fn of(event: &Event) -> Vec<Filling> {
    match event {
        Event::Contact(event) => of_contact(event),
        Event::Company(event) => of_company(event),
        Event::Lead(event) => of_lead(event),
        Event::Deal(event) => of_deal(event),
        _ => Vec::new(),
    }
}

fn of_contact(event: &contact::Event) -> Vec<Filling> {
    use contact::Event;
    match event {
        Event::Created(event) => vec![
            one("name", event.named),
            one("source", event.source.is_some()),
            one("owner", event.owner.is_some()),
        ],
        Event::Renamed(_) => vec![one("name", true)],
        Event::PointAdded(event) => vec![adds(point(&event.kind), &event.point)],
        Event::PointRemoved(event) => vec![loses(point(&event.kind), &event.point)],
        Event::AddressChanged(_) => vec![one("address", true)],
        Event::FieldsChanged(event) => custom(&event.0),
        Event::AffiliationStarted(event) => {
            vec![adds("affiliations", &format!("{}/{}", event.company, word(&event.role)))]
        }
        Event::RelationSet(event) => {
            vec![adds("relations", &format!("{}/{}", event.other, word(&event.relation)))]
        }
        Event::RelationRemoved(event) => {
            vec![loses("relations", &format!("{}/{}", event.other, word(&event.relation)))]
        }
        Event::Assigned(_) => vec![one("owner", true)],
        Event::LifecycleStageChanged(_) => vec![one("lifecycle_stage", true)],
        Event::Tagged(event) => vec![adds("tags", &event.tag)],
        Event::Untagged(event) => vec![loses("tags", &event.tag)],
        _ => Vec::new(),
    }
}

fn of_company(event: &company::Event) -> Vec<Filling> {
    use company::Event;
    match event {
        Event::Created(event) => vec![one("name", true), one("owner", event.owner.is_some())],
        Event::DomainsSet(event) => {
            let added = event.added.iter().map(|domain| adds("domains", domain));
            added.chain(event.removed.iter().map(|domain| loses("domains", domain))).collect()
        }
        Event::LegalIdsSet(event) => {
            vec![one("tax_id", event.known.tax_id), one("registration_id", event.known.registration_id)]
        }
        Event::ParentSet(event) => vec![one("parent", event.to.is_some())],
        Event::FieldsChanged(event) => custom(&event.0),
        Event::Assigned(_) => vec![one("owner", true)],
        Event::TerritorySet(event) => vec![one("territory", event.to.is_some())],
        _ => Vec::new(),
    }
}

fn of_lead(event: &lead::Event) -> Vec<Filling> {
    use lead::Event;
    match event {
        Event::Captured(event) => vec![
            one("name", event.named),
            one("company_name", event.of_company),
            one("source", event.source.is_some()),
            one("owner", event.owner.is_some()),
        ],
        // What is absent stays as it was.
        Event::Renamed(event) => {
            let said = [("name", event.named), ("company_name", event.of_company)];
            said.into_iter().filter(|(_, said)| *said).map(|(field, _)| one(field, true)).collect()
        }
        Event::PointAdded(event) => vec![adds(point(&event.kind), &event.point)],
        Event::FieldsChanged(event) => custom(&event.0),
        Event::Assigned(_) => vec![one("owner", true)],
        Event::Unassigned(_) | Event::Declined(_) => vec![one("owner", false)],
        Event::Scored(_) => vec![one("score", true)],
        Event::Tagged(event) => vec![adds("tags", &event.tag)],
        Event::Untagged(event) => vec![loses("tags", &event.tag)],
        _ => Vec::new(),
    }
}

fn of_deal(event: &deal::Event) -> Vec<Filling> {
    use deal::{Event, Party};
    match event {
        Event::Opened(event) => {
            let party = event.party.map(|party| match party {
                Party::Contact(contact) => adds("contacts", &contact),
                Party::Company(_) => one("company", true),
            });
            let named = [
                one("value", event.value.is_some()),
                one("expected_close", event.expected_close.is_some()),
                one("owner", event.owner.is_some()),
            ];
            party.into_iter().chain(named).collect()
        }
        Event::Renamed(_) => vec![one("name", true)],
        Event::ValueChanged(_) => vec![one("value", true)],
        Event::ExpectedCloseChanged(_) => vec![one("expected_close", true)],
        Event::ContactAdded(event) => vec![adds("contacts", &event.contact)],
        Event::ContactRemoved(event) => vec![loses("contacts", &event.contact)],
        Event::CompanySet(_) => vec![one("company", true)],
        Event::NextStepSet(_) => vec![one("next_step", true)],
        Event::FieldsChanged(event) => custom(&event.0),
        Event::Assigned(_) => vec![one("owner", true)],
        Event::Tagged(event) => vec![adds("tags", &event.tag)],
        Event::Untagged(event) => vec![loses("tags", &event.tag)],
        _ => Vec::new(),
    }
}

fn point(kind: &Kind) -> &'static str {
    match kind {
        Kind::Email => "email",
        Kind::Phone => "phone",
        Kind::Handle { .. } => "handle",
    }
}

fn custom(changes: &Changes) -> Vec<Filling> {
    let clear = changes.changes.iter().map(|change| (change.field, change.to.is_some()));
    let sealed = changes.sealed.map(|sealed| (sealed.field, sealed.filled));
    clear.chain(sealed).map(|(field, filled)| one(&format!("field:{field}"), filled)).collect()
}

/// What a merge, or undoing one, says of the survivor.
pub(super) fn of_merge(changes: &[merge::Change]) -> Vec<Filling> {
    let filling = |merge::Change { field, to, .. }: &merge::Change| match (field.as_str(), to) {
        // Of a deal's value and lines together only the value is a field of its own.
        ("worth", to) => one("value", to.as_ref().is_some_and(|worth| !worth["value"].is_null())),
        ("contacts", Some(Value::Array(all))) => {
            Filling::Holds(field.clone(), all.iter().map(|contact| item(&contact[0])).collect())
        }
        (_, Some(Value::Array(all))) => Filling::Holds(field.clone(), all.iter().map(item).collect()),
        (_, to) => one(field, to.as_ref().is_some_and(|to| !to.is_null())),
    };
    changes.iter().map(filling).collect()
}

/// One of several values, as events name it.
fn item(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(item).collect::<Vec<_>>().join("/"),
        Value::Object(affiliation) => {
            format!("{}/{}", item(&affiliation["company"]), item(&affiliation["role"]))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Filling, of_merge};
    use kvali_domain::merge::Change;
    use serde_json::json;

    #[test]
    fn what_a_merge_unites_is_named_as_the_events_name_it() {
        let change = |field: &str, to| Change { field: field.to_owned(), from: None, to: Some(to) };
        let holds = |field: &str, items: &[&str]| {
            Filling::Holds(field.to_owned(), items.iter().map(|item| (*item).to_owned()).collect())
        };
        let united = of_merge(&[
            change("affiliations", json!([{ "company": "c1", "role": "director", "from": "2024-01-01" }])),
            change("relations", json!([["p1", "spouse"]])),
            change("contacts", json!([["p1", "payer"]])),
            change("tags", json!([])),
            change("worth", json!({ "lines": {} })),
        ]);
        let expected = [
            holds("affiliations", &["c1/director"]),
            holds("relations", &["p1/spouse"]),
            holds("contacts", &["p1"]),
            holds("tags", &[]),
            holds("value", &[]),
        ];
        assert_eq!(united, expected);
    }
}
