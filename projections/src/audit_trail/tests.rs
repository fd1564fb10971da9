use super::changes::{Change, Held, needs_past, of_one, of_stream};
use super::fields::{Rule, TABLE};
use super::filter::{Filter, MEMBERS};
use kvali_domain::contact::{self, Renamed};
use kvali_domain::history::SHAPES;
use kvali_domain::{
    ActorId, Channel, CommandId, ContactId, Event, EventId, Occurred, Personal, Recorded, StreamId, TenantId,
};
use kvali_eventstore::Opened;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const STREAM: Uuid = Uuid::from_u128(7);

/// As if it stood in the log; sealed with the texts it has.
fn opened(version: i32, mut event: Event) -> Opened {
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut personal = Vec::new();
    for found in event.personal().into_iter().filter(|found| found.value.0.is_some()) {
        personal.extend_from_slice(found.subject.0.as_bytes());
        personal.push(u8::try_from(found.field.len()).unwrap());
        personal.extend_from_slice(found.field.as_bytes());
        personal.extend_from_slice(&[0; 4]);
    }
    let recorded = Recorded {
        tenant: TenantId(Uuid::nil()),
        position: version.into(),
        stream: StreamId(STREAM),
        version,
        event_id: EventId(Uuid::nil()),
        event_type: event.event_type().to_owned(),
        schema_version: event.schema_version(),
        occurred: Occurred::Instant { at },
        recorded_at: at,
        actor: ActorId(Uuid::nil()),
        on_behalf_of: None,
        channel: Channel::Api,
        reason_code: None,
        command: CommandId(Uuid::nil()),
        correlation: Uuid::nil(),
        causation: None,
        data: event.data(),
        personal: (!personal.is_empty()).then_some(personal),
    };
    Opened { recorded, event }
}

fn event(event_type: &str, data: &Value) -> Event {
    Event::decode(event_type, 1, &data.to_string()).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "a field may hold nothing, and reads so beside it")]
fn clear(value: impl Into<Value>) -> Option<Held> {
    Some(Held::Clear(value.into()))
}

fn change(field: &str, before: Option<Held>, after: Option<Held>) -> Change {
    Change { field: field.to_owned(), before, after }
}

#[test]
fn every_type_of_event_has_a_row() {
    let told: Vec<&str> = TABLE.iter().map(|(event_type, _)| *event_type).collect();
    let known: Vec<&str> =
        SHAPES.iter().filter(|shape| shape.version == 1).map(|shape| shape.event_type).collect();
    let missing: Vec<_> = known.iter().filter(|known| !told.contains(known)).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
    assert_eq!(told.len(), known.len(), "one row each");
}

#[test]
fn every_aggregate_is_of_one_category() {
    let categories = ["configuration", "staff", "access", "records", "work", "privacy"];
    let of = |word: &str| {
        let filter = Filter { category: Some(word.parse().unwrap()), ..Filter::default() };
        filter.known().unwrap().types.unwrap()
    };
    let told: Vec<&str> = categories.iter().flat_map(|word| of(word)).collect();
    assert_eq!(told.len(), TABLE.len());
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>().len(), TABLE.len());
}

#[test]
fn rules_name_members_that_there_are() {
    for (event_type, rules) in TABLE {
        let (_, members) = MEMBERS.iter().find(|(of, _)| of == event_type).unwrap();
        let named = |rule: &Rule| match *rule {
            Rule::Item { key, .. } | Rule::Gone { key, .. } | Rule::Mark { key, .. } => vec![key],
            Rule::Replaces(named) => named.to_vec(),
            Rule::ReplacesIf(flag, named) => [&[flag], named].concat(),
            Rule::Change { from, to, .. } => vec![from, to],
            Rule::ItemChange { key, from, to, .. } => vec![key, from, to],
            Rule::Set { to, .. } => vec![to],
            _ => Vec::new(),
        };
        for name in rules.iter().flat_map(named).filter(|name| !name.is_empty()) {
            assert!(members.contains(name), "{event_type} has no {name}; it has {members:?}");
        }
    }
}

/// Whatever an event says is told in one way or another.
#[test]
fn every_example_changes_something_unless_it_only_reports() {
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/events")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(event_type) = name.strip_suffix(".v1.example.json") else { continue };
        let data: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let mut event = event(event_type, &data);
        event.personal().into_iter().for_each(|found| *found.value = Personal::new("a text"));
        let (_, rules) = TABLE.iter().find(|(of, _)| *of == event_type).unwrap();
        let changes = of_one(&opened(2, event));
        // What goes was set by an event before, which is not here.
        let is_change = |rule: &Rule| !matches!(rule, Rule::Cleared(_) | Rule::Gone { .. } | Rule::Aside(_));
        assert!(!changes.is_empty() || !rules.iter().any(is_change), "{event_type}: {changes:?}");
        assert!(changes.is_empty() || !rules.is_empty(), "{event_type}: {changes:?}");
        assert!(changes.iter().all(|change| !change.field.is_empty()), "{event_type}: {changes:?}");
    }
}

#[test]
fn a_move_says_itself_what_was_before() {
    let (lead, offer) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let moved = opened(
        2,
        event("deal.stage_changed", &json!({ "from": lead, "to": offer, "pipeline_version": 1, "visit": 2 })),
    );
    assert!(!needs_past(&moved));
    let stage = change("stage", clear(lead.to_string()), clear(offer.to_string()));
    assert_eq!(of_one(&moved), [stage]);
}

fn renamed(given: Option<&str>, family: Option<&str>) -> Event {
    let text = |text: Option<&str>| Personal(text.map(str::to_owned));
    let contact = ContactId(STREAM);
    let (given, family, full) = (text(given), text(family), Personal(None));
    Event::Contact(contact::Event::Renamed(Renamed { contact, given, family, full }))
}

#[test]
fn a_renamed_contact_was_called_otherwise_before() {
    let personal = |text: &str| Some(Held::Personal(text.into()));
    let history = [opened(1, renamed(Some("Nino"), Some("Beridze"))), opened(2, renamed(Some("Nino"), None))];
    assert!(needs_past(&history[1]));
    let told = of_stream(&history, &BTreeSet::from([2]));
    assert_eq!(told[&2], [change("family", personal("Beridze"), None)], "what stays is not told");
}

#[test]
fn what_was_erased_is_told_to_have_been_there() {
    let mut history = [opened(1, renamed(Some("Nino"), None)), opened(2, renamed(Some("Nina"), None))];
    for opened in &mut history {
        opened.event.personal().into_iter().for_each(|found| *found.value = Personal(None));
    }
    let told = of_stream(&history, &BTreeSet::from([2]));
    assert_eq!(told[&2], [change("given", Some(Held::Erased), Some(Held::Erased))]);
}

#[test]
fn a_removed_point_had_a_value() {
    let added = json!({ "contact": STREAM, "point": 2, "kind": "phone", "meant": "unique" });
    let removed = json!({ "contact": STREAM, "point": 2, "kind": "phone" });
    let history = [
        opened(1, event("contact.point_added", &added)),
        opened(2, event("contact.point_removed", &removed)),
    ];
    let told = of_stream(&history, &BTreeSet::from([1, 2]));
    assert_eq!(told[&1], [change("points.2.kind", None, clear("phone"))]);
    assert_eq!(told[&2], [change("points.2.kind", clear("phone"), None)]);
    assert!(told[&2][0].is_of("kind") && told[&2][0].is_of("points") && !told[&2][0].is_of("point"));
}

#[test]
fn a_filter_by_field_looks_at_events_that_may_change_it() {
    let types = |field: &str| {
        let filter = Filter {
            field: Some(field.to_owned()),
            category: Some("records".parse().unwrap()),
            ..Filter::default()
        };
        filter.known().unwrap().types.unwrap()
    };
    assert!(types("stage").contains(&"deal.stage_changed") && types("stage").contains(&"deal.opened"));
    assert!(!types("stage").contains(&"deal.assigned"));
    assert!(types("given").contains(&"contact.renamed") && !types("given").contains(&"company.renamed"));
    let wrong = Filter { aggregate: Some("deals".to_owned()), ..Filter::default() }.known().unwrap_err();
    assert!(wrong.to_string().contains("\"deal\""), "{wrong}");
    let wrong = Filter { channel: Some("fax".to_owned()), ..Filter::default() }.known().unwrap_err();
    assert!(wrong.to_string().contains("\"api\""), "{wrong}");
}
