//! What a merge leaves where it was, what it takes along, and how those who were merged are met.

use crate::deal_more::{after, line};
use crate::given::{Happened, given, on};
use crate::joining::previewed;
use crate::merging::*;
use crate::party::{BORIS, GLOBEX, SIZE, fields_of};
use crate::sales::*;
use kvali_domain::contact_point::{ContactPoint, Kind};
use kvali_domain::deal::External;
use kvali_domain::field_changes::{FieldSetting, FieldValue, Held};
use kvali_domain::fields::{Entity, FieldType};
use kvali_domain::merge::{self, Change, Problem};
use kvali_domain::{
    CompanyId, ContactId, LeadId, Order, Personal, Refusal, State, StreamId, SubjectId, company, contact,
    deal, lead, pipeline, subject,
};
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

fn lead_of(log: &[Happened], lead: LeadId) -> lead::Record {
    match world(log).state(lead.stream()) {
        Some(State::Lead(lead)) => lead.record().expect("it was captured").clone(),
        other => panic!("{other:?}"),
    }
}

fn company_of(log: &[Happened], company: CompanyId) -> company::Record {
    match world(log).state(company.stream()) {
        Some(State::Company(company)) => company.record().expect("it was created").clone(),
        other => panic!("{other:?}"),
    }
}

fn with_users(log: Vec<Happened>) -> Vec<Happened> {
    [registered(NINO), registered(GIORGI)].into_iter().chain(log).collect()
}

#[test]
fn an_archived_record_of_any_kind_is_restored_before_it_is_merged_away() {
    let archived = |refusal: &Refusal| {
        matches!(
            refusal,
            Refusal::Company(company::Refusal::Merge(Problem::ArchivedRecord { .. }))
                | Refusal::Lead(lead::Refusal::Merge(Problem::ArchivedRecord { .. }))
                | Refusal::Deal(deal::Refusal::Merge(Problem::ArchivedRecord { .. }))
        )
    };
    let log = after(companies(), [on(GLOBEX.stream(), company::Command::Archive {})]);
    given(log.clone()).when(merge_companies(&log, ACME_LTD, &[GLOBEX])).refused(archived).naming(["restore"]);
    let log = after(leads(), [on(OTHER_LEAD.stream(), lead::Command::Archive {})]);
    given(log.clone()).when(merge_leads(&log, LEAD, OTHER_LEAD)).refused(archived).naming(["restore"]);
    let log =
        after(deals(), [CLOSE_WON, deal::Command::Archive {}].map(|command| on(TWIN.stream(), command)));
    given(log.clone()).when(merge_deals(&log, DEAL, TWIN)).refused(archived).naming(["restore"]);
}

#[test]
fn what_is_said_to_a_company_or_a_lead_that_was_merged_reaches_the_survivor() {
    let log = with_users(companies());
    let order = merge_companies(&log, ACME_LTD, &[GLOBEX]);
    let assign = company::Command::Assign { owner: NINO, force: false, reason: Personal::default() };
    let log = after(log, [order, on(GLOBEX.stream(), assign)]);
    assert_eq!([ACME_LTD, GLOBEX].map(|company| company_of(&log, company).owner), [Some(NINO), None]);
    let log = leads();
    let order = merge_leads(&log, LEAD, OTHER_LEAD);
    let log = after(log, [order, on(OTHER_LEAD.stream(), assign_lead(NINO))]);
    assert_eq!([LEAD, OTHER_LEAD].map(|lead| lead_of(&log, lead).owner), [Some(NINO), Some(GIORGI)]);
}

#[test]
fn an_external_id_stays_with_the_record_that_it_was_given_to() {
    let external = |id: &str| Some(External { source: "amo".to_owned(), id: id.to_owned() });
    let person = |contact: ContactId, id| {
        let full = Personal::new("Anna");
        let create = contact::Create { full, external: external(id), ..contact::Create::default() };
        on(contact.stream(), contact::Command::Create(create))
    };
    let log = merge_people(after(vec![], [person(ANNA, "1"), person(BORIS, "2")]), ANNA, &[BORIS]);
    assert_eq!([ANNA, BORIS].map(|contact| record(&log, contact).external), ["1", "2"].map(external));
    let firm = |company: CompanyId, id| {
        let name = Personal::new("Acme");
        let create = company::Create { name, external: external(id), ..company::Create::default() };
        on(company.stream(), company::Command::Create(create))
    };
    let log = after(vec![], [firm(ACME_LTD, "1"), firm(GLOBEX, "2")]);
    let order = merge_companies(&log, ACME_LTD, &[GLOBEX]);
    let log = after(log, [order]);
    assert_eq!(
        [ACME_LTD, GLOBEX].map(|company| company_of(&log, company).external),
        ["1", "2"].map(external)
    );
}

/// Fields that are in conflict, of those that any of these fills.
fn conflicts(log: &[Happened], streams: &[StreamId]) -> Vec<(String, bool)> {
    let preview = previewed(&world(log), streams).expect("records of one kind");
    preview.fields.into_iter().map(|field| (field.field, field.conflict)).collect()
}

#[test]
fn what_all_fill_alike_or_only_one_fills_is_no_conflict() {
    let customer = contact::Command::SetLifecycleStage {
        stage: contact::LifecycleStage::Customer,
        reason: Personal::default(),
    };
    let log = after(people(), [on(BORIS.stream(), assign(NINO)), on(BORIS.stream(), customer)]);
    let expected = [("lifecycle_stage", false), ("name", true), ("owner", false)];
    assert_eq!(
        conflicts(&log, &[ANNA.stream(), BORIS.stream()]),
        expected.map(|(field, conflict)| (field.to_owned(), conflict))
    );
    let named = after(
        deals(),
        [DEAL, TWIN].map(|deal| on(deal.stream(), deal::Command::Rename { name: Personal::new("Chairs") })),
    );
    let name = ("name".to_owned(), true);
    assert!(
        conflicts(&named, &[DEAL.stream(), TWIN.stream()]).contains(&name),
        "sealed texts are not compared"
    );
    let companies = companies();
    let of_companies = conflicts(&companies, &[ACME_LTD.stream(), GLOBEX.stream()]);
    assert_eq!(of_companies, [("domains".to_owned(), false), name]);
}

#[test]
fn twenty_records_are_merged_at_once() {
    let many: Vec<ContactId> = (0..20).map(|number| ContactId(id(200 + number))).collect();
    let log = after(people(), many.iter().map(|contact| created(*contact, "Anna")));
    let log = merge_people(log, ANNA, &many);
    assert_eq!(record(&log, ANNA).merging.losers().count(), 20);
}

#[test]
fn an_unmerge_tells_what_goes_back_and_nothing_else() {
    let log = merge_people(people(), ANNA, &[BORIS]);
    let customer = contact::Command::SetLifecycleStage {
        stage: contact::LifecycleStage::Customer,
        reason: Personal::default(),
    };
    let log = after(log, [on(ANNA.stream(), customer)]);
    let back = |field: &str, from, to| Change { field: field.to_owned(), from: Some(from), to: Some(to) };
    let unmerged = contact::Unmerged {
        merge: 1,
        losers: vec![BORIS],
        changes: vec![
            back("name", json!({ "of": BORIS }), json!({ "of": ANNA })),
            back("owner", json!(GIORGI), json!(NINO)),
        ],
        before: None,
        after: None,
    };
    let separated = contact::Separated { survivor: ANNA, holds: None };
    given(log)
        .when(unmerge(ANNA, 1, false))
        .then([contact::Event::Unmerged(unmerged), contact::Event::Separated(separated)]);
}

#[test]
fn whatever_was_merged_is_erased_with_what_it_was_merged_with() {
    let erased = |log: &[Happened], named: Uuid| -> BTreeSet<Uuid> {
        let subject = SubjectId(named);
        let erase = on(subject.stream(), subject::Command::Erase { subject });
        let events = world(log).decide(&erase, NOW, None, None).expect("nobody is held back");
        let erased = |event| match event {
            kvali_domain::Event::Subject(subject::Event::Erased(erased)) => erased.subject.0,
            other => panic!("{other:?}"),
        };
        events.into_iter().map(erased).collect()
    };
    let companies = companies();
    let order = merge_companies(&companies, ACME_LTD, &[GLOBEX]);
    let leads = leads();
    let lead_order = merge_leads(&leads, LEAD, OTHER_LEAD);
    let deals = deals();
    let deal_order = merge_deals(&deals, DEAL, TWIN);
    for (log, order, pair) in [
        (companies, order, [ACME_LTD.0, GLOBEX.0]),
        (leads, lead_order, [LEAD.0, OTHER_LEAD.0]),
        (deals, deal_order, [DEAL.0, TWIN.0]),
    ] {
        let log = after(log, [order]);
        for named in pair {
            assert_eq!(erased(&log, named), pair.into_iter().collect());
        }
    }
}

#[test]
fn a_custom_field_goes_over_and_comes_back() {
    let value = || FieldValue::Text("12".to_owned());
    let set = lead::Command::Update(lead::Update {
        fields: vec![FieldSetting { field: SIZE, value: Some(value()) }],
        ..lead::Update::default()
    });
    let log: Vec<_> = leads().into_iter().chain(fields_of(Entity::Lead, FieldType::Text)).collect();
    let log = after(log, [on(OTHER_LEAD.stream(), set)]);
    let order = merge_leads(&log, LEAD, OTHER_LEAD);
    let log = after(log, [order]);
    assert_eq!(lead_of(&log, LEAD).fields.get(&SIZE), Some(&Held::Clear(value())));
    let log = after(log, [on(LEAD.stream(), UNMERGE_LEAD)]);
    assert_eq!([LEAD, OTHER_LEAD].map(|lead| lead_of(&log, lead).fields.len()), [0, 1]);
}

#[test]
fn a_lead_goes_back_to_the_owner_whom_it_had() {
    let log = after(leads(), [on(LEAD.stream(), assign_lead(NINO))]);
    let order = merge_leads(&log, LEAD, OTHER_LEAD);
    let log = after(log, [order]);
    assert_eq!(lead_of(&log, LEAD).owner, Some(GIORGI), "the other's is chosen");
    let log = after(log, [on(LEAD.stream(), UNMERGE_LEAD)]);
    assert_eq!([LEAD, OTHER_LEAD].map(|lead| lead_of(&log, lead).owner), [Some(NINO), Some(GIORGI)]);
}

#[test]
fn a_lead_is_reached_by_way_of_whoever_was_merged_into_it() {
    let captured = |lead: LeadId, points| {
        let full = Personal::new("Anna");
        let capture = lead::Capture { full, points, owner: Some(NINO), ..lead::Capture::default() };
        on(lead.stream(), lead::Command::Capture(capture))
    };
    let mail = ContactPoint { kind: Kind::Email, value: Personal::new("anna@acme.ge"), region: None };
    let log = vec![registered(NINO)];
    let log = after(log, [captured(LEAD, vec![]), captured(OTHER_LEAD, vec![mail])]);
    let order = merge_leads(&log, LEAD, OTHER_LEAD);
    given(after(log, [order]))
        .when(on(LEAD.stream(), lead::Command::Qualify {}))
        .then([lead::Event::Qualified(lead::Qualified {})]);
}

#[test]
fn a_lead_that_is_not_in_work_is_merged_without_being_counted() {
    let disqualify = lead::Command::Disqualify { reason: Some(PRICE), comment: Personal::default() };
    let log: Vec<_> = leads().into_iter().chain([reason(PRICE, "price", &[])]).collect();
    let log = after(log, [on(OTHER_LEAD.stream(), disqualify)]);
    assert_eq!(claims_of(&log, &merge_leads(&log, LEAD, OTHER_LEAD)), []);
}

#[test]
fn lines_that_came_with_one_merge_stay_when_a_later_one_is_undone() {
    let add = |line| deal::Command::AddLine { line };
    let third = deal::Open { party: Some(ACME), owner: Some(GIORGI), ..open() };
    let log = after(
        deals(),
        [on(TWIN.stream(), add(line("1", "250", "0"))), on(THIRD.stream(), deal::Command::Open(third))],
    );
    let order = merge_deals(&log, DEAL, TWIN);
    let log = after(log, [order]);
    let order = merge_deals(&log, DEAL, THIRD);
    let change = deal::Command::ChangeLine { number: 1, line: line("1", "600", "0") };
    let unmerge = |merge| deal::Command::Unmerge(merge::Unmerge { merge, chain: false });
    let log = after(log, [order, on(DEAL.stream(), change), on(DEAL.stream(), unmerge(2))]);
    assert_eq!(deal_of(&log, DEAL).value, Some(usd("600")));
    let log = after(log, [on(DEAL.stream(), unmerge(1))]);
    assert_eq!(deal_of(&log, DEAL).value, Some(usd("100")));
}

#[test]
fn a_deal_comes_back_out_of_a_retired_stage_to_where_the_survivor_stands() {
    let log = deals();
    let order = merge_deals(&log, DEAL, TWIN);
    let retire = pipeline::Command::RetireStage { stage: NEW, to: Some(TALK), deals: vec![DEAL] };
    let entries = pipeline::Command::SetEntryStages { stages: vec![TALK] };
    let orders: [Order; 5] = [
        order,
        on(SALES.stream(), entries),
        on(SALES.stream(), retire),
        on(DEAL.stream(), move_to(OFFER)),
        on(DEAL.stream(), UNMERGE_DEAL),
    ];
    assert_eq!(deal_of(&after(log, orders), TWIN).stage, OFFER);
}

#[test]
fn a_merge_of_deals_says_whether_owner_and_value_change() {
    let change = |field: &str, to| Change { field: field.to_owned(), from: None, to };
    let changed = |owner, value| deal::Changed { owner, value, ..deal::Changed::default() };
    assert_eq!(deal::Changed::by(&[]), changed(None, None));
    assert_eq!(
        deal::Changed::by(&[change("name", Some(json!({ "of": TWIN }))), change("owner", Some(json!(NINO)))]),
        changed(Some(Some(NINO)), None)
    );
    assert_eq!(deal::Changed::by(&[change("owner", None)]), changed(Some(None), None));
    let worth = json!({ "value": usd("250") });
    assert_eq!(deal::Changed::by(&[change("worth", Some(worth))]), changed(None, Some(Some(usd("250")))));
    assert_eq!(deal::Changed::by(&[change("worth", None)]), changed(None, Some(None)));
}
