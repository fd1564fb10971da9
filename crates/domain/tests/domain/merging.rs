//! Records of one kind become one, and are told apart again.

use crate::deal_more::{after, world_with};
use crate::given::{Happened, Sender, World, given, on};
use crate::joining::{looked_up, merged, previewed};
use crate::party::{BORIS, GLOBEX, INITECH, VIP};
use crate::sales::*;
use kvali_domain::claim::Condition;
use kvali_domain::contact_point::{ContactPoint, Kind};
use kvali_domain::merge::{self, Change, Choice, Problem, Seen};
use kvali_domain::{
    Command, CompanyId, ContactId, DealId, Event, LeadId, Money, Order, Personal, Refusal, State, StreamId,
    SubjectId, UserId, company, contact, deal, handover, lead, pipeline, subject, user,
};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

pub(crate) const CLARA: ContactId = ContactId(id(160));
pub(crate) const TWIN: DealId = DealId(id(161));
pub(crate) const THIRD: DealId = DealId(id(162));
pub(crate) const OTHER_LEAD: LeadId = LeadId(id(163));

macro_rules! problem {
    ($pattern:pat) => {
        |refusal: &Refusal| {
            matches!(
                refusal,
                Refusal::Contact(contact::Refusal::Merge($pattern))
                    | Refusal::Company(company::Refusal::Merge($pattern))
                    | Refusal::Lead(lead::Refusal::Merge($pattern))
                    | Refusal::Deal(deal::Refusal::Merge($pattern))
            )
        }
    };
}

pub(crate) fn world(log: &[Happened]) -> World {
    let mut world = World::default();
    for happened in log {
        world.apply(happened);
    }
    world
}

/// The same, of somebody who looks at this log.
pub(crate) fn looked_up_in(order: &Order, log: &[Happened]) -> Order {
    looked_up(order, &world(log))
}

/// What a state is apart from the number of its events and of its merges.
fn bare(state: &State) -> State {
    let mut state = state.clone();
    match &mut state {
        State::Contact(contact::Contact::Known(record)) => {
            (record.merging.version, record.merging.last) = (0, 0);
        }
        State::Company(company::Company::Known(record)) => {
            (record.merging.version, record.merging.last) = (0, 0);
        }
        State::Lead(lead::Lead::Known(record)) => (record.merging.version, record.merging.last) = (0, 0),
        State::Deal(deal::Deal::Open(record) | deal::Deal::Closed(record, _)) => {
            (record.merging.version, record.merging.last, record.version) = (0, 0, 0);
            record.touched_at = None;
        }
        _ => {}
    }
    state
}

/// unmerge(merge(x)) = x, for every record that `order` merges in `world`.
pub(crate) fn comes_apart_again(
    world: &World,
    order: &Order,
    sender: &Sender<'_>,
) -> Result<(), TestCaseError> {
    let unmerge = |merge| merge::Unmerge { merge, chain: false };
    let events = world.carry_out(order, sender).unwrap_or_default();
    let Some((survivor, event)) = events.first() else { return Ok(()) };
    let undo: Command = match event {
        Event::Contact(contact::Event::Merged(event)) => {
            contact::Command::Unmerge(unmerge(event.merge)).into()
        }
        Event::Company(company::Event::Merged(event)) => {
            company::Command::Unmerge(unmerge(event.merge)).into()
        }
        Event::Lead(lead::Event::Merged(event)) => lead::Command::Unmerge(unmerge(event.merge)).into(),
        Event::Deal(deal::Event::Merged(event)) => deal::Command::Unmerge(unmerge(event.merge)).into(),
        _ => return Ok(()),
    };
    let occurred = kvali_domain::Occurred::Instant { at: sender.now };
    let mut apart = world.clone();
    let happen = |world: &mut World, events: Vec<(StreamId, Event)>| {
        for (stream, event) in events {
            world.apply(&Happened { stream, event, occurred });
        }
    };
    happen(&mut apart, events.clone());
    match apart.carry_out(&on(*survivor, undo), sender) {
        Ok(events) => happen(&mut apart, events),
        // Who owns what would be open again must be there.
        Err(
            Refusal::Deal(deal::Refusal::OwnerLeft { .. }) | Refusal::Lead(lead::Refusal::OwnerLeft { .. }),
        ) => {
            return Ok(());
        }
        Err(refusal) => return Err(TestCaseError::fail(refusal.to_string())),
    }
    for (stream, _) in &events {
        let (before, after) = (world.state(*stream).map(bare), apart.state(*stream).map(bare));
        prop_assert_eq!(before, after, "{} after {:?}", stream, order);
    }
    Ok(())
}

/// Whoever was merged is named by the survivor, and the way to it has an end.
pub(crate) fn every_alias_resolves(world: &World, stream: StreamId) -> Result<(), TestCaseError> {
    let Some(into) = world.state(stream).and_then(State::merged_into) else { return Ok(()) };
    let names = match world.state(into) {
        Some(State::Contact(contact::Contact::Known(record))) => record.merging.losers().collect(),
        Some(State::Company(company::Company::Known(record))) => record.merging.losers().collect(),
        Some(State::Lead(lead::Lead::Known(record))) => record.merging.losers().collect(),
        Some(State::Deal(deal)) => {
            deal.record().map(|record| record.merging.losers().collect()).unwrap_or_default()
        }
        _ => BTreeSet::new(),
    };
    prop_assert!(names.contains(&stream.0), "{} does not know of {}", into, stream);
    prop_assert!(world.state(world.survivor(stream)).is_some_and(|state| state.merged_into().is_none()));
    Ok(())
}

pub(crate) fn created(contact: ContactId, full: &str) -> Order {
    let full = Personal::new(full);
    on(contact.stream(), contact::Command::Create(contact::Create { full, ..contact::Create::default() }))
}

pub(crate) fn assign(owner: UserId) -> contact::Command {
    contact::Command::Assign { owner, force: false, reason: Personal::default() }
}

/// Anna twice, with different owners; and Clara, who has none.
pub(crate) fn people() -> Vec<Happened> {
    let log = vec![registered(NINO), registered(GIORGI), registered(TAMAR)];
    after(
        log,
        [
            created(ANNA, "Anna K."),
            created(BORIS, "Anna Kalandadze"),
            created(CLARA, "Clara"),
            on(ANNA.stream(), assign(NINO)),
            on(BORIS.stream(), assign(GIORGI)),
        ],
    )
}

pub(crate) fn order_on(log: &[Happened], survivor: ContactId, losers: &[ContactId]) -> Order {
    looked_up(&on(survivor.stream(), contact::Command::Merge(merged(losers))), &world(log))
}

fn merge_of(log: &[Happened], survivor: ContactId, losers: &[ContactId]) -> merge::Merge<ContactId> {
    match order_on(log, survivor, losers).command {
        Command::Contact(contact::Command::Merge(merge)) => merge,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn merge_people(log: Vec<Happened>, survivor: ContactId, losers: &[ContactId]) -> Vec<Happened> {
    let order = order_on(&log, survivor, losers);
    after(log, [order])
}

pub(crate) fn record(log: &[Happened], contact: ContactId) -> contact::Record {
    match world(log).state(contact.stream()) {
        Some(State::Contact(contact)) => contact.record().expect("it is there").clone(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn unmerge(contact: ContactId, merge: i32, chain: bool) -> Order {
    on(contact.stream(), contact::Command::Unmerge(merge::Unmerge { merge, chain }))
}

#[test]
fn a_preview_shows_every_field_and_what_is_in_conflict() {
    let log = people();
    let preview =
        previewed(&world(&log), &[ANNA.stream(), BORIS.stream(), CLARA.stream()]).expect("contacts");
    assert_eq!(
        preview.seen,
        [(ANNA, 2), (BORIS, 2), (CLARA, 1)].map(|(id, version)| Seen { id: id.0, version })
    );
    let told: Vec<_> = preview
        .fields
        .iter()
        .map(|field| (field.field.as_str(), field.conflict, field.values.len()))
        .collect();
    assert_eq!(told, [("name", true, 3), ("owner", true, 2)]);
    let names = &preview.fields[0].values;
    assert_eq!(names[1], (BORIS.0, json!({ "of": BORIS.0 })), "a sealed value is told by whose it is");
    assert_eq!(previewed(&world(&log), &[ANNA.stream(), NINO.stream()]), None, "a user is no contact");
    assert_eq!(previewed(&world(&log), &[ANNA.stream(), GLOBEX.stream()]), None, "nor is who is not there");
}

#[test]
fn the_survivor_takes_what_is_chosen_and_the_other_goes_into_it() {
    let log = people();
    let mut asked = merge_of(&log, ANNA, &[BORIS]);
    asked.choices = vec![
        Choice { field: "name".to_owned(), from: BORIS },
        Choice { field: "owner".to_owned(), from: ANNA },
    ];
    let changes = vec![Change {
        field: "name".to_owned(),
        from: Some(json!({ "of": ANNA })),
        to: Some(json!({ "of": BORIS })),
    }];
    let event =
        contact::Merged { merge: 1, losers: vec![BORIS], kin: vec![], changes, before: None, after: None };
    let into = contact::MergedInto { survivor: ANNA, holds: None };
    given(log.clone())
        .when(on(ANNA.stream(), contact::Command::Merge(asked.clone())))
        .then([contact::Event::Merged(event), contact::Event::MergedInto(into)]);
    let log = after(log, [on(ANNA.stream(), contact::Command::Merge(asked.clone()))]);
    assert_eq!((record(&log, ANNA).name_of, record(&log, ANNA).owner), (Some(BORIS), Some(NINO)));
    given(log).when(on(ANNA.stream(), contact::Command::Merge(asked))).then_it_is_already_so();
}

#[test]
fn every_conflict_is_decided_and_nothing_else() {
    let log = people();
    let with = |choices: Vec<(&str, ContactId)>| {
        let choices = choices.into_iter().map(|(field, from)| Choice { field: field.to_owned(), from });
        let asked = merge::Merge { choices: choices.collect(), ..merge_of(&log, ANNA, &[BORIS]) };
        given(log.clone()).when(on(ANNA.stream(), contact::Command::Merge(asked)))
    };
    with(vec![("name", ANNA)])
        .refused(problem!(Problem::Undecided { .. }))
        .naming(["owner", &ANNA.to_string(), &BORIS.to_string()])
        .not_naming(["name ("]);
    with(vec![("name", ANNA), ("owner", CLARA)])
        .refused(problem!(Problem::NoValue { .. }))
        .naming([ANNA.to_string().as_str(), &BORIS.to_string()]);
    with(vec![("size", ANNA)]).refused(problem!(Problem::NoConflict { .. })).naming(["name, owner"]);
    with(vec![("name", ANNA), ("name", BORIS)]).refused(problem!(Problem::ChosenTwice { .. }));
}

const NINO_AS_CONTACT: ContactId = ContactId(NINO.0);

#[test]
fn a_preview_that_something_overtook_is_made_again() {
    let log = people();
    for changed in [ANNA, BORIS] {
        let asked = merge_of(&log, ANNA, &[BORIS]);
        let log = after(log.clone(), [on(changed.stream(), assign(TAMAR))]);
        given(log)
            .when(on(ANNA.stream(), contact::Command::Merge(asked)))
            .refused(problem!(Problem::StalePreview { .. }))
            .naming([changed.to_string().as_str(), "version 3", "preview again"]);
    }
}

#[test]
fn others_are_named_once_exist_and_stand_for_themselves() {
    let log = people();
    let refused = |losers: &[ContactId]| {
        given(log.clone()).when(on(ANNA.stream(), contact::Command::Merge(merged(losers))))
    };
    refused(&[]).refused(problem!(Problem::NoLosers));
    refused(&[BORIS; 21]).refused(problem!(Problem::TooManyLosers { most: 20 }));
    refused(&[ANNA]).refused(problem!(Problem::SurvivorIsLoser { .. }));
    refused(&[BORIS, BORIS]).refused(problem!(Problem::LoserTwice { .. }));
    refused(&[NINO_AS_CONTACT])
        .refused(problem!(Problem::NoSuchRecord { .. }))
        .naming([NINO.to_string().as_str()]);
    let log = merge_people(log.clone(), ANNA, &[BORIS]);
    given(log.clone())
        .when(on(CLARA.stream(), contact::Command::Merge(merged(&[BORIS]))))
        .refused(problem!(Problem::MergedAway { .. }))
        .naming([ANNA.to_string().as_str()]);
    given(log.clone())
        .when(on(BORIS.stream(), contact::Command::Merge(merged(&[ANNA]))))
        .refused(problem!(Problem::SurvivorIsLoser { .. }));
    given(log)
        .when(on(ANNA.stream(), contact::Command::Merge(merged(&[BORIS, CLARA]))))
        .refused(problem!(Problem::SurvivorIsLoser { .. }));
}

#[test]
fn what_is_sent_to_the_one_that_was_merged_reaches_the_survivor() {
    let log = merge_people(people(), ANNA, &[BORIS]);
    let log = merge_people(log, CLARA, &[ANNA]);
    let tag = after(
        log,
        [
            on(
                kvali_domain::tags::STREAM,
                kvali_domain::tags::Command::Define { tag: VIP, name: "VIP".to_owned() },
            ),
            on(BORIS.stream(), contact::Command::Tag { tag: VIP }),
        ],
    );
    assert!(record(&tag, CLARA).tags.contains(&VIP), "through two merges");
    assert!(record(&tag, BORIS).tags.is_empty());
    // Whoever refers to it sees the survivor.
    let archived = after(tag, [on(ANNA.stream(), contact::Command::Archive {})]);
    let relate = contact::Command::Relate { other: BORIS, relation: contact::Relation::Colleague };
    let other = after(archived, [created(ContactId(id(170)), "Other")]);
    given(other)
        .when(on(StreamId(id(170)), relate))
        .refused(|refusal| matches!(refusal, Refusal::Contact(contact::Refusal::OtherNotActive { .. })));
}

#[test]
fn a_contact_point_is_handled_where_it_was_added() {
    let mail = ContactPoint { kind: Kind::Email, value: Personal::new("anna@acme.ge"), region: None };
    let add = contact::Command::AddPoint {
        contact_point: mail.clone(),
        override_duplicate: false,
        reason: Personal::default(),
    };
    let log = after(people(), [on(BORIS.stream(), add.clone())]);
    let log = merge_people(log, ANNA, &[BORIS]);
    let evidence = Personal::new("the mail came back");
    let log = after(log, [on(BORIS.stream(), contact::Command::Invalidate { point: 1, evidence })]);
    assert_eq!(record(&log, BORIS).points[&1].standing, contact::Standing::Invalid);
    assert!(record(&log, ANNA).points.is_empty());
    let another = ContactPoint { value: Personal::new("k@acme.ge"), ..mail };
    let add = contact::Command::AddPoint {
        contact_point: another,
        override_duplicate: false,
        reason: Personal::default(),
    };
    let log = after(log, [on(BORIS.stream(), add)]);
    assert_eq!(record(&log, ANNA).points.len(), 1, "a new one is the survivor's");
}

#[test]
fn an_unmerge_gives_back_what_was_taken_and_keeps_what_was_said_since() {
    let log = people();
    let (anna, boris) = (record(&log, ANNA), record(&log, BORIS));
    let merged = merge_people(log, ANNA, &[BORIS]);
    assert_eq!(record(&merged, ANNA).owner, Some(GIORGI), "the other's is chosen");
    let since = on(
        ANNA.stream(),
        contact::Command::SetLifecycleStage {
            stage: contact::LifecycleStage::Customer,
            reason: Personal::default(),
        },
    );
    let log = after(merged, [since, unmerge(ANNA, 1, false)]);
    let apart = record(&log, ANNA);
    assert_eq!((apart.owner, apart.name_of), (anna.owner, anna.name_of));
    assert_eq!(apart.lifecycle_stage, Some(contact::LifecycleStage::Customer));
    assert_eq!((record(&log, BORIS).owner, record(&log, BORIS).merging.into), (boris.owner, None));
    given(log.clone()).when(unmerge(ANNA, 1, false)).then_it_is_already_so();
    given(log.clone())
        .when(unmerge(ANNA, 2, false))
        .refused(problem!(Problem::NoSuchMerge { .. }))
        .naming(["it has had 1"]);
    given(log).when(unmerge(BORIS, 0, false)).refused(problem!(Problem::NoSuchMerge { .. }));
}

#[test]
fn later_merges_are_undone_first_or_with_it() {
    let log = merge_people(people(), ANNA, &[BORIS]);
    let log = merge_people(log, ANNA, &[CLARA]);
    given(log.clone())
        .when(unmerge(ANNA, 1, false))
        .refused(problem!(Problem::LaterMerges { .. }))
        .naming(["one: 2", "chain"]);
    let one = after(log.clone(), [unmerge(ANNA, 2, false)]);
    assert_eq!(record(&one, ANNA).merging.losers().collect::<Vec<_>>(), [BORIS.0]);
    let all = after(log, [unmerge(ANNA, 1, true)]);
    assert_eq!(record(&all, ANNA).merging.losers().count(), 0);
    assert_eq!([BORIS, CLARA].map(|contact| record(&all, contact).merging.into), [None, None]);
    assert_eq!(record(&all, ANNA).name_of, Some(ANNA));
}

#[test]
fn a_survivor_that_was_merged_itself_comes_back_with_its_own() {
    let log = merge_people(people(), ANNA, &[BORIS]);
    let log = merge_people(log, CLARA, &[ANNA]);
    given(log.clone())
        .when(unmerge(ANNA, 1, false))
        .refused(problem!(Problem::MergedAway { .. }))
        .naming([CLARA.to_string().as_str(), "undo that merge first"]);
    let log = after(log, [unmerge(CLARA, 1, false)]);
    assert_eq!(record(&log, ANNA).merging.into, None);
    assert_eq!(record(&log, BORIS).merging.into, Some(ANNA.0), "what it had merged is still its own");
    let log = after(log, [unmerge(ANNA, 1, false)]);
    assert_eq!(record(&log, BORIS).merging.into, None);
}

#[test]
fn no_record_goes_or_comes_by_itself() {
    let log = merge_people(people(), ANNA, &[BORIS]);
    let to = |contact: ContactId, command| given(log.clone()).when(on(contact.stream(), command));
    to(CLARA, contact::Command::Yield { survivor: ANNA }).refused(problem!(Problem::NotByItself { .. }));
    to(BORIS, contact::Command::Yield { survivor: ANNA }).then_it_is_already_so();
    to(BORIS, contact::Command::Separate { survivor: ANNA }).refused(problem!(Problem::StillMerged { .. }));
    to(CLARA, contact::Command::Separate { survivor: ANNA }).then_it_is_already_so();
}

#[test]
fn lists_are_united_without_links_among_the_merged() {
    let relate = |contact: ContactId, other, relation| {
        on(contact.stream(), contact::Command::Relate { other, relation })
    };
    let spouse = contact::Relation::Spouse;
    let log =
        after(people(), [relate(BORIS, CLARA, spouse), relate(BORIS, ANNA, contact::Relation::Colleague)]);
    let log = merge_people(log, ANNA, &[BORIS]);
    assert_eq!(record(&log, ANNA).relations, BTreeSet::from([(CLARA, spouse)]));
    let log = after(log, [unmerge(ANNA, 1, false)]);
    assert_eq!((record(&log, ANNA).relations.len(), record(&log, BORIS).relations.len()), (0, 2));
}

#[test]
fn a_contact_with_others_in_it_is_archived_only_if_none_of_them_is_all_that_a_deal_is_with() {
    let log = merge_people(people(), ANNA, &[BORIS]);
    let events = world(&log)
        .decide(&on(ANNA.stream(), contact::Command::Archive {}), NOW, None, None)
        .expect("it is archived");
    let claims: Vec<_> =
        events.iter().flat_map(Event::claims).map(|claim| (claim.condition, claim.key)).collect();
    assert_eq!(claims, [ANNA, BORIS].map(|contact| (Condition::None, contact.to_string())));
    // Also of those who came by way of others.
    let log = merge_people(log, CLARA, &[ANNA]);
    let archive = on(CLARA.stream(), contact::Command::Archive {});
    assert_eq!(claims_of(&log, &archive).len(), 3);
}

#[test]
fn an_archived_record_is_restored_before_it_is_merged_away() {
    let log = after(people(), [on(BORIS.stream(), contact::Command::Archive {})]);
    given(log.clone())
        .when(order_on(&log, ANNA, &[BORIS]))
        .refused(problem!(Problem::ArchivedRecord { .. }))
        .naming([BORIS.to_string().as_str(), "restore"]);
}

#[test]
fn no_contact_is_left_without_name_and_point_by_an_unmerge() {
    let mail = ContactPoint { kind: Kind::Email, value: Personal::new("anna@acme.ge"), region: None };
    let nameless = contact::Create { points: vec![mail.clone()], ..contact::Create::default() };
    let log = after(
        vec![],
        [on(ANNA.stream(), contact::Command::Create(nameless)), created(BORIS, "Anna Kalandadze")],
    );
    let log = merge_people(log, ANNA, &[BORIS]);
    assert_eq!(record(&log, ANNA).name_of, Some(BORIS));
    let remove = contact::Command::RemovePoint { point: 1, value: mail.value, region: None };
    given(log)
        .when(on(ANNA.stream(), remove))
        .refused(|refusal| matches!(refusal, Refusal::Contact(contact::Refusal::OnlyIdentifier { .. })));
}

fn company_created(company: CompanyId, domains: &[&str]) -> Order {
    let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
    let create = company::Create { name: Personal::new("Acme"), domains, ..company::Create::default() };
    on(company.stream(), company::Command::Create(create))
}

pub(crate) fn companies() -> Vec<Happened> {
    after(
        vec![],
        [
            company_created(ACME_LTD, &["acme.ge"]),
            company_created(GLOBEX, &["globex.com"]),
            company_created(INITECH, &[]),
        ],
    )
}

pub(crate) fn merge_companies(log: &[Happened], survivor: CompanyId, losers: &[CompanyId]) -> Order {
    looked_up(&on(survivor.stream(), company::Command::Merge(merged(losers))), &world(log))
}

fn below(company: CompanyId, ancestors: &[CompanyId]) -> Order {
    let command =
        company::Command::SetParent { parent: ancestors.first().copied(), ancestors: ancestors.to_vec() };
    on(company.stream(), command)
}

pub(crate) fn claims_of(log: &[Happened], order: &Order) -> Vec<(Condition, String)> {
    let events = world(log).decide(order, NOW, None, None).unwrap_or_else(|refusal| panic!("{refusal}"));
    events.iter().flat_map(Event::claims).map(|claim| (claim.condition, claim.key)).collect()
}

#[test]
fn domains_go_over_to_the_surviving_company_and_back() {
    let log = companies();
    let order = merge_companies(&log, ACME_LTD, &[GLOBEX]);
    let globex = |condition| (condition, "globex.com".to_owned());
    assert_eq!(claims_of(&log, &order), [globex(Condition::Join), globex(Condition::Release)]);
    let log = after(log, [order]);
    let back = on(ACME_LTD.stream(), company::Command::Unmerge(merge::Unmerge { merge: 1, chain: false }));
    assert_eq!(claims_of(&log, &back), [globex(Condition::Release), globex(Condition::Join)]);
}

#[test]
fn a_domain_that_the_survivor_gave_up_is_not_taken_back() {
    let log = companies();
    let order = merge_companies(&log, ACME_LTD, &[GLOBEX]);
    let give_up = company::Command::SetDomains {
        domains: vec!["acme.ge".to_owned()],
        override_duplicate: false,
        reason: Personal::default(),
    };
    let log = after(log, [order, on(ACME_LTD.stream(), give_up)]);
    let unmerge = on(ACME_LTD.stream(), company::Command::Unmerge(merge::Unmerge { merge: 1, chain: false }));
    let claims = claims_of(&log, &unmerge);
    assert!(claims.iter().all(|(condition, _)| *condition == Condition::Release), "{claims:?}");
    let log = after(log, [unmerge]);
    let domains = |company: CompanyId| match world(&log).state(company.stream()) {
        Some(State::Company(company)) => company.record().map(|record| record.domains.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!((domains(ACME_LTD), domains(GLOBEX)), (Some(1), Some(0)));
}

#[test]
fn companies_below_different_parents_are_not_merged() {
    let log = after(companies(), [below(GLOBEX, &[INITECH])]);
    for (survivor, loser) in [(ACME_LTD, GLOBEX), (INITECH, GLOBEX)] {
        given(log.clone())
            .when(merge_companies(&log, survivor, &[loser]))
            .refused(|refusal| matches!(refusal, Refusal::Company(company::Refusal::OtherParent { .. })))
            .naming([loser.to_string().as_str(), "SetParentCompany"]);
    }
}

#[test]
fn no_company_comes_to_stand_below_itself_by_way_of_one_that_was_merged() {
    let log = after(companies(), [below(INITECH, &[GLOBEX])]);
    let order = merge_companies(&log, ACME_LTD, &[GLOBEX]);
    let log = after(log, [order]);
    given(log.clone())
        .when(below(ACME_LTD, &[INITECH, GLOBEX]))
        .refused(|refusal| matches!(refusal, Refusal::Company(company::Refusal::Cycle { .. })));
    given(log)
        .when(below(ACME_LTD, &[GLOBEX]))
        .refused(|refusal| matches!(refusal, Refusal::Company(company::Refusal::Cycle { .. })));
}

#[test]
fn a_company_comes_back_below_the_parent_that_the_survivor_has_by_then() {
    let log = companies();
    let order = merge_companies(&log, ACME_LTD, &[GLOBEX]);
    let unmerge = on(ACME_LTD.stream(), company::Command::Unmerge(merge::Unmerge { merge: 1, chain: false }));
    let log = after(log, [order, below(ACME_LTD, &[INITECH]), unmerge]);
    let parent = |company: CompanyId| match world(&log).state(company.stream()) {
        Some(State::Company(company)) => company.record().and_then(|record| record.parent),
        other => panic!("{other:?}"),
    };
    assert_eq!((parent(ACME_LTD), parent(GLOBEX)), (Some(INITECH), Some(INITECH)));
}

pub(crate) fn assign_lead(owner: UserId) -> lead::Command {
    lead::Command::Assign { owner, force: false, reason: Personal::default() }
}

/// Two leads, the second of them Giorgi's.
pub(crate) fn leads() -> Vec<Happened> {
    let log = vec![registered(NINO), registered(GIORGI), contact_known(ANNA)];
    let capture = |owner| {
        let company_name = Personal::new("Acme");
        lead::Command::Capture(lead::Capture { company_name, owner, ..lead::Capture::default() })
    };
    after(log, [on(LEAD.stream(), capture(None)), on(OTHER_LEAD.stream(), capture(Some(GIORGI)))])
}

pub(crate) fn merge_leads(log: &[Happened], survivor: LeadId, loser: LeadId) -> Order {
    looked_up(&on(survivor.stream(), lead::Command::Merge(merged(&[loser]))), &world(log))
}

pub(crate) const UNMERGE_LEAD: lead::Command =
    lead::Command::Unmerge(merge::Unmerge { merge: 1, chain: false });

#[test]
fn a_merged_lead_is_work_once() {
    let log = leads();
    let order = merge_leads(&log, LEAD, OTHER_LEAD);
    let giorgi = |condition| (condition, GIORGI.to_string());
    assert_eq!(claims_of(&log, &order), [giorgi(Condition::Count), giorgi(Condition::Uncount)]);
    let log = after(log, [order]);
    let back = on(LEAD.stream(), UNMERGE_LEAD);
    assert_eq!(claims_of(&log, &back), [giorgi(Condition::Uncount), giorgi(Condition::Count)]);
}

#[test]
fn a_lead_comes_back_only_to_an_owner_who_is_there() {
    let log = leads();
    let order = merge_leads(&log, LEAD, OTHER_LEAD);
    let log = after(
        log,
        [
            order,
            on(LEAD.stream(), lead::Command::Unassign {}),
            on(GIORGI.stream(), user::Command::Deactivate {}),
        ],
    );
    given(log)
        .when(UNMERGE_LEAD)
        .refused(|refusal| matches!(refusal, Refusal::Lead(lead::Refusal::OwnerLeft { .. })))
        .naming([GIORGI.to_string().as_str(), "activate"]);
}

#[test]
fn a_lead_that_came_to_something_is_the_survivor() {
    let log = leads();
    let convert = lead::Convert { contact: lead::ToContact::Link(ANNA), company: None, deal: None };
    let convert = lead::Command::Convert(Box::new(convert));
    let log =
        after(log, [on(OTHER_LEAD.stream(), lead::Command::Qualify {}), on(OTHER_LEAD.stream(), convert)]);
    given(log.clone())
        .when(merge_leads(&log, LEAD, OTHER_LEAD))
        .refused(|refusal| matches!(refusal, Refusal::Lead(lead::Refusal::NotMergedAway { .. })))
        .naming(["converted", "merge into it"]);
    let order = merge_leads(&log, OTHER_LEAD, LEAD);
    assert_eq!(world(&log).decide(&order, NOW, None, None).map(|events| events.len()), Ok(2));
    let archived = after(log.clone(), [on(LEAD.stream(), lead::Command::Archive {})]);
    given(archived.clone())
        .when(merge_leads(&archived, LEAD, OTHER_LEAD))
        .refused(|refusal| matches!(refusal, Refusal::Lead(lead::Refusal::NotInWork { .. })));
}

pub(crate) fn deal_opened(deal: DealId, owner: UserId, value: &str) -> Order {
    let open = deal::Open { party: Some(ACME), owner: Some(owner), value: Some(usd(value)), ..open() };
    on(deal.stream(), deal::Command::Open(open))
}

/// Two deals of one pipeline, with different owners and values.
pub(crate) fn deals() -> Vec<Happened> {
    let log = world_with(pipeline::Policy { next_task_required: true, ..STRICT });
    after(log, [deal_opened(DEAL, NINO, "100"), deal_opened(TWIN, GIORGI, "250")])
}

pub(crate) fn merge_deals(log: &[Happened], survivor: DealId, loser: DealId) -> Order {
    looked_up(&on(survivor.stream(), deal::Command::Merge(merged(&[loser]))), &world(log))
}

pub(crate) const UNMERGE_DEAL: deal::Command =
    deal::Command::Unmerge(merge::Unmerge { merge: 1, chain: false });

pub(crate) fn deal_of(log: &[Happened], deal: DealId) -> deal::OpenDeal {
    match world(log).state(deal.stream()) {
        Some(State::Deal(deal)) => deal.record().expect("it was opened").clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_surviving_deal_stays_in_its_stage_and_takes_value_and_owner_that_are_chosen() {
    let log = deals();
    let order = merge_deals(&log, DEAL, TWIN);
    let log = after(log, [order]);
    let survivor = deal_of(&log, DEAL);
    let value: Option<Money> = Some(usd("250"));
    assert_eq!((survivor.stage, survivor.value, survivor.owner), (NEW, value, Some(GIORGI)));
    let log = after(log, [on(DEAL.stream(), UNMERGE_DEAL)]);
    let survivor = deal_of(&log, DEAL);
    assert_eq!((survivor.value, survivor.owner), (Some(usd("100")), Some(NINO)));
}

#[test]
fn lines_go_with_the_value_that_follows_from_them() {
    let line = deal::Line {
        product: crate::party::CHAIR,
        quantity: 3.into(),
        unit_price: usd("20"),
        discount_percent: 0.into(),
    };
    let log = after(deals(), [on(TWIN.stream(), deal::Command::AddLine { line: line.clone() })]);
    let order = merge_deals(&log, DEAL, TWIN);
    let log = after(log, [order, on(DEAL.stream(), deal::Command::AddLine { line })]);
    assert_eq!(deal_of(&log, DEAL).value, Some(usd("120.00")), "the line that came and a second one");
}

#[test]
fn a_merged_deal_is_counted_once() {
    let log = deals();
    let order = merge_deals(&log, DEAL, TWIN);
    let mut counted: std::collections::BTreeMap<String, i32> = std::collections::BTreeMap::new();
    let mut count = |claims: Vec<(Condition, String)>| {
        for (condition, key) in claims {
            *counted.entry(key).or_default() += if condition == Condition::Count { 1 } else { -1 };
        }
        counted.retain(|_, count| *count != 0);
        counted.clone()
    };
    let fewer = [(NEW.to_string(), -1), (NINO.to_string(), -1), (ACME_LTD.to_string(), -1)];
    assert_eq!(
        count(claims_of(&log, &order)),
        fewer.into_iter().collect(),
        "one deal less, and it is Giorgi's"
    );
    let log = after(log, [order]);
    assert_eq!(count(claims_of(&log, &on(DEAL.stream(), UNMERGE_DEAL))), [].into_iter().collect());
    // A closed survivor is counted by nothing.
    let closed = after(deals(), [on(DEAL.stream(), CLOSE_WON)]);
    let order = merge_deals(&closed, DEAL, TWIN);
    let uncounted = claims_of(&closed, &order);
    assert!(uncounted.iter().all(|(condition, _)| *condition == Condition::Uncount), "{uncounted:?}");
    assert_eq!(uncounted.len(), 3);
}

#[test]
fn a_closed_deal_or_one_of_another_pipeline_is_not_merged_away() {
    let log = after(deals(), [on(TWIN.stream(), close_lost(Some(PRICE)))]);
    given(log.clone())
        .when(merge_deals(&log, DEAL, TWIN))
        .refused(|refusal| matches!(refusal, Refusal::Deal(deal::Refusal::NotMergedAway { .. })))
        .naming(["merge into it"]);
    let elsewhere = deal::Open { party: Some(ACME), ..deal::Open::new(SERVICE) };
    let log = after(deals(), [on(THIRD.stream(), deal::Command::Open(elsewhere))]);
    given(log.clone())
        .when(merge_deals(&log, DEAL, THIRD))
        .refused(|refusal| matches!(refusal, Refusal::Deal(deal::Refusal::OtherPipeline { .. })))
        .naming(["one pipeline"]);
}

#[test]
fn a_task_about_any_of_the_merged_deals_lets_the_survivor_move_on() {
    let log = deals();
    let order = merge_deals(&log, DEAL, TWIN);
    let log = after(log, [order]);
    let claims = claims_of(&log, &on(DEAL.stream(), move_to(TALK)));
    let some: Vec<_> = claims.into_iter().filter(|(condition, _)| *condition == Condition::Some).collect();
    assert_eq!(some, [DEAL, TWIN].map(|deal| (Condition::Some, deal.to_string())));
    let claims = claims_of(&log, &on(DEAL.stream(), deal::Command::ReportWithoutTask { since: None }));
    assert_eq!(claims, [DEAL, TWIN].map(|deal| (Condition::None, deal.to_string())));
    let moved = on(TWIN.stream(), move_to(TALK));
    assert_eq!(deal_of(&after(log, [moved]), DEAL).stage, TALK, "whichever of them is moved");
}

#[test]
fn a_deal_comes_back_out_of_a_stage_that_was_retired() {
    let log = deals();
    let order = merge_deals(&log, DEAL, TWIN);
    let retire = pipeline::Command::RetireStage { stage: NEW, to: Some(TALK), deals: vec![DEAL] };
    let entries = on(SALES.stream(), pipeline::Command::SetEntryStages { stages: vec![TALK] });
    let log = after(log, [order, entries, on(SALES.stream(), retire), on(DEAL.stream(), UNMERGE_DEAL)]);
    let (survivor, back) = (deal_of(&log, DEAL), deal_of(&log, TWIN));
    assert_eq!((survivor.stage, back.stage, back.visits.len()), (TALK, TALK, 2));
}

#[test]
fn a_deal_comes_back_only_to_an_owner_who_is_there() {
    let log = deals();
    let order = merge_deals(&log, DEAL, TWIN);
    let log = after(
        log,
        [
            order,
            on(DEAL.stream(), deal::Command::assign(NINO)),
            on(GIORGI.stream(), user::Command::Deactivate {}),
        ],
    );
    given(log)
        .when(UNMERGE_DEAL)
        .refused(|refusal| matches!(refusal, Refusal::Deal(deal::Refusal::OwnerLeft { .. })))
        .naming([GIORGI.to_string().as_str(), "activate"]);
}

#[test]
fn whoever_was_merged_is_erased_as_one_person() {
    let log = merge_people(people(), ANNA, &[BORIS]);
    let log = merge_people(log, CLARA, &[ANNA]);
    for named in [ANNA, BORIS, CLARA] {
        let subject = SubjectId::from(named);
        let events =
            world(&log).decide(&on(subject.stream(), subject::Command::Erase { subject }), NOW, None, None);
        let erased: BTreeSet<Uuid> = events
            .expect("nobody is held back")
            .into_iter()
            .map(|event| match event {
                Event::Subject(subject::Event::Erased(erased)) => erased.subject.0,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(erased, [ANNA, BORIS, CLARA].map(|contact| contact.0).into_iter().collect());
    }
}

#[test]
fn whoever_was_erased_is_merged_with_those_only_who_were_erased_as_well() {
    let erase = |contact: ContactId| {
        let subject = SubjectId::from(contact);
        on(subject.stream(), subject::Command::Erase { subject })
    };
    for gone in [ANNA, BORIS] {
        let other = if gone == ANNA { BORIS } else { ANNA };
        let log = after(people(), [erase(gone)]);
        given(log.clone())
            .when(order_on(&log, ANNA, &[BORIS]))
            .refused(|refusal| {
                let told = Problem::ErasedApart { erased: gone.0, other: other.0 };
                matches!(refusal, Refusal::Contact(contact::Refusal::Merge(problem)) if *problem == told)
            })
            .naming(["erase", &other.to_string()]);
        let log = after(log, [erase(other)]);
        let order = order_on(&log, ANNA, &[BORIS]);
        assert_eq!(after(log.clone(), [order]).len(), log.len() + 2);
    }
}

#[test]
fn the_survivor_goes_back_only_to_an_owner_who_is_there() {
    let log = deals();
    let order = merge_deals(&log, DEAL, TWIN);
    let log = after(log, [order, on(NINO.stream(), user::Command::Deactivate {})]);
    given(log).when(UNMERGE_DEAL).refused(
        |refusal| matches!(refusal, Refusal::Deal(deal::Refusal::OwnerLeft { user }) if *user == NINO),
    );
    let log = leads();
    let log = after(log, [on(LEAD.stream(), assign_lead(NINO))]);
    let order = merge_leads(&log, LEAD, OTHER_LEAD);
    let log = after(log, [order, on(NINO.stream(), user::Command::Deactivate {})]);
    given(log).when(UNMERGE_LEAD).refused(
        |refusal| matches!(refusal, Refusal::Lead(lead::Refusal::OwnerLeft { user }) if *user == NINO),
    );
}

#[test]
fn a_deal_does_not_come_back_into_an_archived_pipeline_or_to_an_archived_company() {
    let log = deals();
    let order = merge_deals(&log, DEAL, TWIN);
    let log = after(log, [order, on(DEAL.stream(), CLOSE_WON)]);
    let archived = after(log.clone(), [on(SALES.stream(), pipeline::Command::Archive {})]);
    given(archived)
        .when(UNMERGE_DEAL)
        .refused(|refusal| matches!(refusal, Refusal::Deal(deal::Refusal::OpenInArchive)));
    let archived = after(log, [on(ACME_LTD.stream(), company::Command::Archive {})]);
    given(archived)
        .when(UNMERGE_DEAL)
        .refused(|refusal| matches!(refusal, Refusal::Deal(deal::Refusal::WithArchived { .. })))
        .naming(["company", &ACME_LTD.to_string(), "restore it first"]);
}

#[test]
fn a_deal_that_waits_for_an_approval_is_not_merged_away() {
    let ask = deal::Command::RequestApproval { matter: deal::Matter::Close, reason: Personal::default() };
    let log = after(deals(), [on(TWIN.stream(), ask)]);
    given(log.clone())
        .when(merge_deals(&log, DEAL, TWIN))
        .refused(|refusal| matches!(refusal, Refusal::Deal(deal::Refusal::WaitsForApproval { .. })))
        .naming(["approval (\"1\")"]);
}

#[test]
fn lines_that_came_with_a_merge_go_with_it() {
    let line = |price: &str| deal::Line {
        product: crate::party::CHAIR,
        quantity: 1.into(),
        unit_price: usd(price),
        discount_percent: 0.into(),
    };
    let add = |deal: DealId, price| on(deal.stream(), deal::Command::AddLine { line: line(price) });
    let log = after(deals(), [add(DEAL, "100"), add(DEAL, "50"), add(TWIN, "500")]);
    let order = merge_deals(&log, DEAL, TWIN);
    let change = on(DEAL.stream(), deal::Command::ChangeLine { number: 1, line: line("600") });
    let log = after(log, [order, change]);
    assert_eq!(deal_of(&log, DEAL).value, Some(usd("600.00")));
    let log = after(log, [on(DEAL.stream(), UNMERGE_DEAL)]);
    assert_eq!(deal_of(&log, DEAL).value, Some(usd("150.00")));
    // Its own lines go on as ever.
    let log = after(log, [on(DEAL.stream(), deal::Command::RemoveLine { number: 2 })]);
    assert_eq!(deal_of(&log, DEAL).value, Some(usd("100.00")));
}

#[test]
fn a_stage_visit_is_corrected_where_it_was() {
    let log = after(deals(), [on(TWIN.stream(), move_to(TALK))]);
    let order = merge_deals(&log, DEAL, TWIN);
    let log = after(log, [order]);
    let order = on(TWIN.stream(), correct(2, OFFER, "was an offer already"));
    assert_eq!(claims_of(&log, &order), [], "it is counted nowhere");
    let log = after(log, [order]);
    assert_eq!((deal_of(&log, DEAL).stage, deal_of(&log, TWIN).stage), (NEW, OFFER));
}

#[test]
fn whoever_gets_a_lead_by_a_merge_has_not_answered_yet() {
    let log = after(leads(), [on(LEAD.stream(), assign_lead(NINO))]);
    let sender = Sender { actor: NINO.into(), now: NOW, occurred: None, reason_code: None };
    let accepted =
        world(&log).carry_out(&on(LEAD.stream(), lead::Command::Accept {}), &sender).expect("it is hers");
    let mut log = log;
    let occurred = kvali_domain::Occurred::Instant { at: NOW };
    log.extend(accepted.into_iter().map(|(stream, event)| Happened { stream, event, occurred }));
    let order = merge_leads(&log, LEAD, OTHER_LEAD);
    let log = after(log, [order]);
    given(log)
        .sent_by(GIORGI)
        .when(on(LEAD.stream(), lead::Command::Accept {}))
        .then([lead::Event::Accepted(lead::Accepted { by: GIORGI })]);
}

#[test]
fn names_alone_reach_nobody_however_many() {
    let named = || {
        lead::Command::Capture(lead::Capture {
            full: Personal::new("Anna"),
            owner: Some(NINO),
            ..lead::Capture::default()
        })
    };
    let log = after(vec![registered(NINO)], [on(LEAD.stream(), named()), on(OTHER_LEAD.stream(), named())]);
    let order = merge_leads(&log, LEAD, OTHER_LEAD);
    let log = after(log, [order]);
    given(log)
        .when(on(LEAD.stream(), lead::Command::Qualify {}))
        .refused(|refusal| matches!(refusal, Refusal::Lead(lead::Refusal::NotReachable)));
}

#[test]
fn merged_work_is_handed_over_once() {
    let log = deals();
    let order = merge_deals(&log, DEAL, TWIN);
    let log = after(log, [order]);
    let item = |deal| handover::Item { work: handover::Work::Deal(deal), to: NINO };
    let hand_over = handover::HandOver {
        from: GIORGI,
        scope: handover::Scope::Selected,
        items: vec![item(DEAL), item(TWIN)],
        return_after: false,
        reason: Personal::default(),
    };
    given(log)
        .when(on(HANDOVER.stream(), handover::Command::HandOver(hand_over)))
        .refused(|refusal| matches!(refusal, Refusal::Handover(handover::Refusal::NamedTwice { .. })));
}
