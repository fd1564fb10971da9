//! Values of personal and sensitive fields are sealed, in whatever has fields; the state knows that they are there.

use crate::configuring::{field, field_defined, options};
use crate::given::{Given, Happened, given, on};
use crate::sales::*;
use kvali_domain::field_changes::{
    Changes, FieldChange, FieldProblem, FieldSetting, FieldValue, Problem, SealedField,
};
use kvali_domain::fields::{self, Classification, Classified, Defined, Entity, FieldType};
use kvali_domain::pipeline::{Requirement, StageRequirementsSet};
use kvali_domain::{
    Event, FieldId, Order, Personal, Refusal, StreamId, SubjectId, company, contact, deal, lead, pipeline,
};

const PASSPORT: FieldId = FieldId(id(220));
const HEALTH: FieldId = FieldId(id(221));
const SIZE: FieldId = FieldId(id(222));

fn text(value: &str) -> FieldValue {
    FieldValue::Text(value.to_owned())
}

fn choice(key: &str) -> FieldValue {
    FieldValue::Choice(key.to_owned())
}

fn setting(field: FieldId, value: Option<FieldValue>) -> FieldSetting {
    FieldSetting { field, value }
}

/// A personal text, a sensitive choice and a size in clear.
fn defined(entity: Entity) -> [Happened; 3] {
    let of = |body: Defined, class| field_defined(Defined { entity, class, ..body });
    let health = Defined { options: options(&["good", "bad"]), ..field(HEALTH, "health", FieldType::Choice) };
    [
        of(field(PASSPORT, "passport", FieldType::Text), Classification::Personal),
        of(health, Classification::Sensitive),
        of(field(SIZE, "size", FieldType::Text), Classification::None),
    ]
}

fn classified(field: FieldId, from: Classification, to: Classification) -> Happened {
    at_start(fields::STREAM, fields::Event::Classified(Classified { field, from, to }))
}

fn in_clear(field: FieldId, from: Option<FieldValue>, to: Option<FieldValue>) -> Changes {
    Changes::in_clear(vec![FieldChange { field, from, to }])
}

fn sealed_for(stream: StreamId, field: FieldId, value: Option<&str>) -> Changes {
    let sealed = SealedField { field, filled: value.is_some(), subject: SubjectId(stream.0) };
    Changes { sealed: Some(sealed), sealed_value: Personal(value.map(str::to_owned)), ..Changes::default() }
}

fn sealed(field: FieldId, value: Option<&str>) -> Changes {
    sealed_for(DEAL.stream(), field, value)
}

fn event(changes: Changes) -> deal::Event {
    deal::Event::FieldsChanged(deal::FieldsChanged(changes))
}

/// A deal with fields, and what became of them.
fn a_deal(changes: impl IntoIterator<Item = Changes>) -> Vec<Happened> {
    let events = changes.into_iter().map(|changes| deal_event(event(changes)));
    [sales(), opened()].into_iter().chain(defined(Entity::Deal)).chain(events).collect()
}

fn set(settings: impl IntoIterator<Item = FieldSetting>) -> deal::Command {
    deal::Command::SetFields { fields: settings.into_iter().collect() }
}

/// Each of what has fields, told to hold values in clear and sealed ones; and what comes of it.
fn all_of_them() -> Vec<(Entity, Given, Order, [Event; 3])> {
    let asked = || {
        vec![
            setting(PASSPORT, Some(text("60001234567"))),
            setting(SIZE, Some(text("large"))),
            setting(HEALTH, Some(choice("bad"))),
        ]
    };
    let changes = |stream| {
        [
            in_clear(SIZE, None, Some(text("large"))),
            sealed_for(stream, PASSPORT, Some(r#"{"text":"60001234567"}"#)),
            sealed_for(stream, HEALTH, Some(r#"{"choice":"bad"}"#)),
        ]
    };
    let acme =
        company::Created { company: ACME_LTD, external: None, owner: None, name: Personal::new("Acme") };
    let acme = at_start(ACME_LTD.stream(), company::Event::Created(acme));
    let world = |entity, record: Vec<Happened>| given(record.into_iter().chain(defined(entity)));
    vec![
        (
            Entity::Deal,
            world(Entity::Deal, vec![sales(), opened()]),
            on(DEAL.stream(), set(asked())),
            changes(DEAL.stream()).map(|changes| Event::Deal(event(changes))),
        ),
        (
            Entity::Lead,
            world(Entity::Lead, vec![lead_captured(LEAD, None)]),
            on(
                LEAD.stream(),
                lead::Command::Update(lead::Update { fields: asked(), ..lead::Update::default() }),
            ),
            changes(LEAD.stream())
                .map(|changes| Event::Lead(lead::Event::FieldsChanged(lead::FieldsChanged(changes)))),
        ),
        (
            Entity::Contact,
            world(Entity::Contact, vec![contact_known(ANNA)]),
            on(ANNA.stream(), contact::Command::SetFields { fields: asked() }),
            changes(ANNA.stream()).map(|changes| {
                Event::Contact(contact::Event::FieldsChanged(contact::FieldsChanged(changes)))
            }),
        ),
        (
            Entity::Company,
            world(Entity::Company, vec![acme]),
            on(ACME_LTD.stream(), company::Command::SetFields { fields: asked() }),
            changes(ACME_LTD.stream()).map(|changes| {
                Event::Company(company::Event::FieldsChanged(company::FieldsChanged(changes)))
            }),
        ),
    ]
}

#[test]
fn values_of_personal_and_sensitive_fields_are_sealed_under_the_records_key() {
    for (_, world, order, events) in all_of_them() {
        world.when(order).then(events);
    }
}

#[test]
fn the_bytes_of_a_sealed_value_tell_only_that_it_is_there() {
    for (entity, _, order, events) in all_of_them() {
        for mut event in events.into_iter().skip(1) {
            assert!(!event.data().contains("60001234567") && !event.data().contains("bad"), "{entity:?}");
            let fields: Vec<_> = event.personal().iter().map(|found| (found.subject, found.field)).collect();
            assert_eq!(fields, [(SubjectId(order.stream.0), "sealed_value")]);
        }
    }
    let mut cleared = event(sealed(PASSPORT, None));
    assert!(kvali_domain::decider::Describe::personal(&mut cleared).is_empty());
}

#[test]
fn a_sealed_value_is_read_back_by_whoever_has_the_key() {
    assert_eq!(sealed(PASSPORT, Some(r#"{"text":"60001234567"}"#)).unsealed(), Some(text("60001234567")));
    assert_eq!(sealed(PASSPORT, None).unsealed(), None);
}

#[test]
fn a_sealed_value_that_is_given_counts_as_another_and_is_cleared_once() {
    let (value, stored) = (|| Some(text("60001234567")), Some(r#"{"text":"60001234567"}"#));
    let filled = || sealed(PASSPORT, stored);
    given(a_deal([filled()])).when(set([setting(PASSPORT, value())])).then([event(filled())]);
    given(a_deal([filled()])).when(set([setting(PASSPORT, None)])).then([event(sealed(PASSPORT, None))]);
    given(a_deal([filled(), sealed(PASSPORT, None)]))
        .when(set([setting(PASSPORT, None)]))
        .then_it_is_already_so();
}

#[test]
fn a_sealed_value_is_checked_before_it_is_sealed() {
    let problem = |expected: fn(&FieldProblem) -> bool| move |refusal: &Refusal| matches!(refusal, Refusal::Deal(deal::Refusal::BadFields { problem: Problem::Field(found) }) if expected(found));
    given(a_deal([]))
        .when(set([setting(HEALTH, Some(choice("secretly")))]))
        .refused(problem(|found| matches!(found, FieldProblem::UnknownOption { .. })))
        .naming([r#""good", "bad""#])
        .not_naming(["secretly"]);
    let _said = given(a_deal([]))
        .when(set([setting(PASSPORT, Some(FieldValue::Bool(true)))]))
        .refused(problem(|found| matches!(found, FieldProblem::WrongType { .. })));
}

#[test]
fn a_stage_that_requires_a_field_is_content_with_a_sealed_value() {
    let required = StageRequirementsSet {
        stage: TALK,
        entry: vec![Requirement::Field(PASSPORT)],
        exit: vec![],
        newly_required: vec![PASSPORT],
        no_longer_required: vec![],
    };
    let required = sales_event(pipeline::Event::StageRequirementsSet(required));
    let log = |changes: Vec<Changes>| a_deal(changes).into_iter().chain([required.clone()]);
    let filled = || sealed(PASSPORT, Some(r#"{"text":"60001234567"}"#));
    given(log(vec![filled()])).when(move_to(TALK)).then([moved_under(2, NEW, TALK, 2)]);
    for changes in [vec![], vec![filled(), sealed(PASSPORT, None)]] {
        let _said =
            given(log(changes)).when(move_to(TALK)).refused(|refusal| refusal.code() == "requirements");
    }
}

#[test]
fn what_is_written_follows_the_class_of_its_time() {
    use Classification::{None as Open, Personal as Private};
    // The size becomes personal: what it was stays in clear, and is not told again.
    let log = |changes: Vec<Changes>| a_deal(changes).into_iter().chain([classified(SIZE, Open, Private)]);
    let before = || in_clear(SIZE, None, Some(text("large")));
    given(log(vec![before()]))
        .when(set([setting(SIZE, Some(text("small")))]))
        .then([event(sealed(SIZE, Some(r#"{"text":"small"}"#)))]);
    given(log(vec![before()])).when(set([setting(SIZE, None)])).then([event(sealed(SIZE, None))]);
    // The passport becomes open: what it was stays sealed.
    let log =
        |changes: Vec<Changes>| a_deal(changes).into_iter().chain([classified(PASSPORT, Private, Open)]);
    let before = || sealed(PASSPORT, Some(r#"{"text":"60001234567"}"#));
    let shown = || in_clear(PASSPORT, None, Some(text("60001234567")));
    given(log(vec![before()]))
        .when(set([setting(PASSPORT, Some(text("60001234567")))]))
        .then([event(shown())]);
    given(log(vec![before(), shown()]))
        .when(set([setting(PASSPORT, Some(text("60001234567")))]))
        .then_it_is_already_so();
    given(log(vec![before()])).when(set([setting(PASSPORT, None)])).then([event(sealed(PASSPORT, None))]);
}
