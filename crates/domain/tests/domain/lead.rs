use crate::configuring::BIG;
use crate::given::{Given, Happened, Tells, given};
use crate::party::{BORIS, FAIR, SIZE, VIP, dictionaries, fields_of};
use crate::sales::LEAD;
use crate::sales::*;
use kvali_domain::assignee::AssigneeProblem;
use kvali_domain::contact_point::{ContactPoint, Kind, Meant, NotTaken};
use kvali_domain::deal::{External, Party};
use kvali_domain::decider::Describe;
use kvali_domain::dictionary::NotInDictionary;
use kvali_domain::field_changes::{Changes, FieldChange, FieldSetting, FieldValue};
use kvali_domain::fields::{Entity, FieldType};
use kvali_domain::lead::*;
use kvali_domain::{Claim, Personal, Refusal as AnyRefusal, SubjectId, company, contact, deal};
use std::collections::BTreeMap;

macro_rules! refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Lead($pattern))
    };
}

fn nothing() -> Personal {
    Personal::default()
}

fn words() -> Personal {
    Personal::new("asked twice")
}

fn happened(event: Event) -> Happened {
    at_start(LEAD.stream(), event)
}

fn captured() -> Captured {
    Captured {
        lead: LEAD,
        named: true,
        of_company: false,
        source: None,
        provider_event: None,
        external: None,
        owner: None,
        given: nothing(),
        family: nothing(),
        full: Personal::new("Anna"),
        company_name: nothing(),
        message: nothing(),
    }
}

fn added(meant: Meant, reason: Personal) -> Event {
    let (kind, value) = (Kind::Email, Personal::new("anna@example.ge"));
    Event::PointAdded(PointAdded { lead: LEAD, point: 1, kind, meant, value, reason })
}

fn email() -> ContactPoint {
    ContactPoint { kind: Kind::Email, value: Personal::new(" Anna@Example.GE"), region: None }
}

fn anna() -> Capture {
    Capture { full: Personal::new("Anna"), ..Capture::default() }
}

/// Anna, who can be reached, of Nino's; then this, among users, tags, a source and a pipeline.
fn ninos(then: impl IntoIterator<Item = Event>) -> Given {
    let first = Event::Captured(Captured { owner: Some(NINO), ..captured() });
    lead([first, added(Meant::Unique, nothing())].into_iter().chain(then), [])
}

fn lead(events: impl IntoIterator<Item = Event>, others: impl IntoIterator<Item = Happened>) -> Given {
    let around = [registered(NINO), registered(GIORGI), sales(), reason(PRICE, "price", &[])];
    let events = events.into_iter().map(happened);
    given(around.into_iter().chain(dictionaries()).chain(others).chain(events))
}

fn qualified() -> Event {
    Event::Qualified(Qualified {})
}

fn disqualified() -> Event {
    let (lead, reason, owner) = (LEAD, PRICE, Some(NINO));
    Event::Disqualified(Disqualified { lead, reason, owner, comment: nothing() })
}

fn archived() -> Event {
    Event::Archived(Archived { owner: Some(NINO) })
}

fn assigned(from: Option<kvali_domain::UserId>, to: kvali_domain::UserId) -> Event {
    Event::Assigned(Assigned { lead: LEAD, from, to, forced: false, reason: nothing() })
}

fn assign(owner: kvali_domain::UserId, force: bool, reason: Personal) -> Command {
    Command::Assign { owner, force, reason }
}

fn joins(user: kvali_domain::UserId) -> Claim {
    Claim::count(kvali_domain::user::WORK_CLAIM, user.to_string())
}

fn releases(user: kvali_domain::UserId) -> Claim {
    Claim::uncount(kvali_domain::user::WORK_CLAIM, user.to_string())
}

fn recycled() -> Event {
    Event::Recycled(Recycled { owner: Some(NINO) })
}

fn restored() -> Event {
    Event::Restored(Restored { owner: Some(NINO) })
}

fn recycle(owner: Option<kvali_domain::UserId>) -> Command {
    Command::Recycle { owner, force: false, reason: nothing() }
}

fn restore(owner: Option<kvali_domain::UserId>) -> Command {
    Command::Restore { owner, force: false, reason: nothing() }
}

#[test]
fn a_lead_needs_a_name_a_contact_point_or_a_company() {
    given([]).when(Command::Capture(Capture::default())).refused(refusal!(Refusal::NothingKnown)).naming([
        "a name",
        "a contact point",
        "a company",
    ]);
    given([]).when(Command::Capture(anna())).then([Event::Captured(captured())]);
    let points = Capture { points: vec![email()], ..Capture::default() };
    let unnamed = Captured { named: false, full: nothing(), ..captured() };
    given([])
        .when(Command::Capture(points))
        .then([Event::Captured(unnamed.clone()), added(Meant::Unique, nothing())]);
    let acme = Capture { company_name: Personal::new("Acme"), ..Capture::default() };
    let of_acme = Captured { of_company: true, company_name: Personal::new("Acme"), ..unnamed };
    given([]).when(Command::Capture(acme)).then([Event::Captured(of_acme)]);
}

#[test]
fn contact_points_are_valid_and_given_once() {
    let bad = ContactPoint { value: Personal::new("nobody"), ..email() };
    let asked = Capture { points: vec![email(), bad], ..anna() };
    given([])
        .when(Command::Capture(asked))
        .refused(refusal!(Refusal::Points(NotTaken::BadContactPoint { place: 2, .. })))
        .naming(["name@example.com"]);
    let twice = Capture { points: vec![email(), email()], ..anna() };
    given([])
        .when(Command::Capture(twice))
        .refused(refusal!(Refusal::Points(NotTaken::SamePointTwice { first: 1, second: 2 })));
    let numbered = (0..101).map(|number| format!("anna{number}@example.ge"));
    let points = numbered.map(|value| ContactPoint { value: Personal::new(value), ..email() }).collect();
    given([])
        .when(Command::Capture(Capture { points, ..anna() }))
        .refused(refusal!(Refusal::Points(NotTaken::TooManyPoints { most: 100 })));
}

#[test]
fn two_leads_with_one_address_claim_one_key_unless_the_duplicate_is_meant() {
    let key = "email\u{1f}anna@example.ge";
    let unique = added(Meant::Unique, nothing());
    assert_eq!(unique.claims(), [Claim::take(POINT_CLAIM, key).personal()]);
    let meant = Capture { points: vec![email()], override_duplicate: true, ..anna() };
    given([])
        .when(Command::Capture(meant.clone()))
        .refused(refusal!(Refusal::ReasonMissing))
        .naming(["`reason`"]);
    let joining = added(Meant::Duplicate, words());
    given([])
        .when(Command::Capture(Capture { reason: words(), ..meant }))
        .then([Event::Captured(captured()), joining.clone()]);
    assert_eq!(joining.claims(), [Claim::join(POINT_CLAIM, key).personal()]);
}

#[test]
fn a_providers_event_and_an_external_id_are_claimed() {
    let pair = |source: &str| Some(External { source: source.to_owned(), id: "17".to_owned() });
    let asked = Capture { provider_event: pair("form"), external: pair("amo"), ..anna() };
    let told =
        Event::Captured(Captured { provider_event: pair("form"), external: pair("amo"), ..captured() });
    given([]).when(Command::Capture(asked)).then([told.clone()]);
    let claims = [Claim::take(EXTERNAL_CLAIM, "amo\u{1f}17"), Claim::take(PROVIDER_CLAIM, "form\u{1f}17")];
    assert_eq!(told.claims(), claims);
}

#[test]
fn the_source_is_one_of_the_dictionary() {
    let of = |source| Command::Capture(Capture { source: Some(source), ..anna() });
    lead([], []).when(of(FAIR)).then([Event::Captured(Captured { source: Some(FAIR), ..captured() })]);
    lead([], [])
        .when(of(kvali_domain::SourceId(id(99))))
        .refused(refusal!(Refusal::Dictionary(NotInDictionary::SourceUnknown { .. })))
        .naming(["fair"]);
}

#[test]
fn an_id_is_captured_once_and_first() {
    ninos([]).when(Command::Capture(anna())).refused(refusal!(Refusal::AlreadyCaptured));
    given([]).when(Command::Qualify {}).refused(refusal!(Refusal::NoSuchLead)).naming(["capture it first"]);
}

#[test]
fn open_work_of_the_owner_is_joined_and_released() {
    let owner = Some(NINO);
    assert_eq!(Event::Captured(Captured { owner, ..captured() }).claims(), [joins(NINO)]);
    assert_eq!(assigned(None, NINO).claims(), [joins(NINO)]);
    assert_eq!(assigned(owner, GIORGI).claims(), [releases(NINO), joins(GIORGI)]);
    let declined = Event::Declined(Declined { lead: LEAD, by: NINO, reason: words() });
    let attached = Event::Attached(Attached { deal: DEAL, party: ACME, owner });
    let unassigned = Event::Unassigned(Unassigned { from: NINO });
    for event in [unassigned, declined, disqualified(), converted(), attached, archived()] {
        assert_eq!(event.claims(), [releases(NINO)], "{event:?}");
    }
    for event in [Event::Recycled(Recycled { owner }), Event::Restored(Restored { owner })] {
        assert_eq!(event.claims(), [joins(NINO)], "{event:?}");
    }
}

#[test]
fn a_lead_is_assigned_and_unassigned() {
    ninos([]).when(assign(GIORGI, false, nothing())).then([assigned(Some(NINO), GIORGI)]);
    ninos([]).when(assign(NINO, false, nothing())).then_it_is_already_so();
    ninos([]).when(assign(TAMAR, false, nothing())).refused(refusal!(Refusal::Owner(_)));
    let unassigned = || Event::Unassigned(Unassigned { from: NINO });
    ninos([]).when(Command::Unassign {}).then([unassigned()]);
    ninos([unassigned()]).when(Command::Unassign {}).then_it_is_already_so();
}

#[test]
fn an_absent_user_is_assigned_by_force_with_a_reason() {
    let absent =
        || lead([Event::Captured(captured())], [away(GIORGI, "2024-07-01", "2024-07-14", Some(NINO))]);
    let nino = NINO.to_string();
    absent()
        .when(assign(GIORGI, false, words()))
        .refused(refusal!(Refusal::Owner(_)))
        .naming([nino.as_str(), "2024-07-15"]);
    absent().when(assign(GIORGI, true, nothing())).refused(refusal!(Refusal::Owner(_))).naming(["`reason`"]);
    let (to, reason) = (GIORGI, words());
    let forced = Event::Assigned(Assigned { lead: LEAD, from: None, to, forced: true, reason });
    absent().when(assign(GIORGI, true, words())).then([forced]);
}

#[test]
fn only_the_assignee_accepts_or_declines() {
    let nino = NINO.to_string();
    let decline = |reason| Command::Decline { reason };
    for command in [Command::Accept {}, decline(words())] {
        let answer = ninos([]).sent_by(GIORGI).when(command);
        answer.refused(refusal!(Refusal::NotTheAssignee { .. })).naming([nino.as_str()]);
    }
    let accepted = || Event::Accepted(Accepted { by: NINO });
    ninos([]).sent_by(NINO).when(Command::Accept {}).then([accepted()]);
    ninos([accepted()]).sent_by(NINO).when(Command::Accept {}).then_it_is_already_so();
    ninos([]).sent_by(NINO).when(decline(nothing())).refused(refusal!(Refusal::ReasonMissing));
    let declined = || Event::Declined(Declined { lead: LEAD, by: NINO, reason: words() });
    ninos([]).sent_by(NINO).when(decline(words())).then([declined()]);
    ninos([declined()]).sent_by(NINO).when(decline(words())).then_it_is_already_so();
}

#[test]
fn the_first_response_comes_once_and_after_the_capture() {
    let responded = || Event::FirstResponded(FirstResponded {});
    ninos([]).when(Command::RecordFirstResponse {}).then([responded()]);
    ninos([responded()])
        .when(Command::RecordFirstResponse {})
        .refused(refusal!(Refusal::AlreadyResponded))
        .naming(["RecordContactAttempt"]);
    ninos([])
        .back_dated(instant("2024-05-31T08:00:00Z"))
        .when(Command::RecordFirstResponse {})
        .refused(refusal!(Refusal::BeforeCapture { .. }))
        .naming(["2024-06-01"]);
}

#[test]
fn attempts_are_counted() {
    let (channel, outcome) = (AttemptChannel::Call, AttemptOutcome::NoAnswer);
    let ask = || Command::RecordAttempt { channel, outcome, comment: words() };
    let told = |attempt| {
        Event::ContactAttempted(ContactAttempted { lead: LEAD, attempt, channel, outcome, comment: words() })
    };
    ninos([]).when(ask()).then([told(1)]);
    ninos([told(1)]).when(ask()).then([told(2)]);
}

#[test]
fn a_status_goes_back_only_with_a_reason() {
    use Working::{Contacted, New};
    let ask = |status, reason| Command::ChangeStatus { status, reason };
    let told = |from, to, reason| Event::StatusChanged(StatusChanged { lead: LEAD, from, to, reason });
    let contacted = || told(Standing::New, Contacted, nothing());
    ninos([]).when(ask(Contacted, nothing())).then([contacted()]);
    ninos([contacted()]).when(ask(Contacted, nothing())).then_it_is_already_so();
    ninos([contacted()])
        .when(ask(New, nothing()))
        .refused(refusal!(Refusal::BackNeedsReason { .. }))
        .naming(["contacted", "new", "`reason`"]);
    ninos([contacted()]).when(ask(New, words())).then([told(Standing::Contacted, New, words())]);
    ninos([qualified()]).when(ask(New, nothing())).refused(refusal!(Refusal::BackNeedsReason { .. }));
    ninos([qualified()]).when(ask(New, words())).then([told(Standing::Qualified, New, words())]);
}

#[test]
fn a_score_lies_between_0_and_100_and_names_its_model() {
    let factors = || BTreeMap::from([("budget".to_owned(), 30)]);
    let ask = |model: &str, score| Command::Score { model: model.to_owned(), score, factors: factors() };
    let told = |score| Event::Scored(Scored { model: "v1".to_owned(), score, factors: factors() });
    for score in [0, 100] {
        ninos([]).when(ask("v1", score)).then([told(score)]);
    }
    for score in [-1, 101] {
        let answer = ninos([]).when(ask("v1", score));
        answer.refused(refusal!(Refusal::ScoreOutOfRange { .. })).naming(["from 0 to 100"]);
    }
    ninos([]).when(ask(" ", 5)).refused(refusal!(Refusal::Blank { .. })).naming(["model"]);
    ninos([told(5)]).when(ask("v1", 5)).then_it_is_already_so();
}

#[test]
fn a_qualified_lead_has_an_owner_and_can_be_reached() {
    ninos([]).when(Command::Qualify {}).then([qualified()]);
    ninos([qualified()]).when(Command::Qualify {}).then_it_is_already_so();
    lead([Event::Captured(captured())], [])
        .when(Command::Qualify {})
        .refused(refusal!(Refusal::NoOwner))
        .naming(["AssignLead"]);
    let owned = Captured { owner: Some(NINO), ..captured() };
    lead([Event::Captured(owned.clone())], [])
        .when(Command::Qualify {})
        .refused(refusal!(Refusal::NotReachable))
        .naming(["contact point", "company"]);
    let of_acme = Captured { of_company: true, ..owned };
    lead([Event::Captured(of_acme)], []).when(Command::Qualify {}).then([qualified()]);
}

#[test]
fn disqualifying_needs_a_reason_in_force() {
    let ask = |reason| Command::Disqualify { reason, comment: nothing() };
    ninos([]).when(ask(Some(PRICE))).then([disqualified()]);
    ninos([disqualified()]).when(ask(Some(PRICE))).then_it_is_already_so();
    ninos([disqualified()]).when(ask(Some(TIMING))).refused(refusal!(Refusal::NotInWork { .. }));
    ninos([]).when(ask(None)).refused(refusal!(Refusal::LossReasonMissing { .. })).naming(["price"]);
    ninos([]).when(ask(Some(TIMING))).refused(refusal!(Refusal::LossReasonUnknown { .. })).naming(["price"]);
}

#[test]
fn only_a_disqualified_lead_is_recycled() {
    ninos([disqualified()]).when(recycle(None)).then([recycled()]);
    ninos([disqualified(), recycled()]).when(recycle(None)).then_it_is_already_so();
    ninos([qualified()]).when(recycle(None)).refused(refusal!(Refusal::NotDisqualified { .. }));
}

fn converted() -> Event {
    Event::Converted(Converted {
        contact: BORIS,
        contact_created: true,
        company: None,
        company_created: false,
        deal: Some(DEAL),
        owner: Some(NINO),
    })
}

fn convert_lead(convert: Convert) -> Command {
    Command::Convert(Box::new(convert))
}

fn conversion() -> Convert {
    let with = contact::Create { points: vec![email()], ..contact::Create::default() };
    let deal = Some(ToDeal { id: DEAL, with: open() });
    Convert { contact: ToContact::Create { id: BORIS, with: Box::new(with) }, company: None, deal }
}

#[test]
fn a_conversion_creates_its_contact_and_its_deal_in_the_same_answer() {
    let created = contact::Created {
        contact: BORIS,
        named: false,
        source: None,
        external: None,
        owner: None,
        given: nothing(),
        family: nothing(),
        full: nothing(),
    };
    let point = contact::PointAdded {
        contact: BORIS,
        point: 1,
        kind: Kind::Email,
        meant: Meant::Unique,
        value: Personal::new("anna@example.ge"),
        reason: nothing(),
    };
    let opened = deal::Opened { party: Some(Party::Contact(BORIS)), ..opening() };
    ninos([qualified()]).when(convert_lead(conversion())).then([
        converted().event(),
        contact::Event::Created(created).event(),
        contact::Event::PointAdded(point).event(),
        deal::Event::Opened(opened).event(),
    ]);
    ninos([qualified(), converted()]).when(convert_lead(conversion())).then_it_is_already_so();
}

#[test]
fn a_conversion_links_whoever_is_known_and_creates_a_company() {
    let boris = contact::Created {
        contact: BORIS,
        named: true,
        source: None,
        external: None,
        owner: None,
        given: nothing(),
        family: nothing(),
        full: Personal::new("Boris"),
    };
    let boris = at_start(BORIS.stream(), contact::Event::Created(boris));
    let name = || Personal::new("Acme");
    let with = company::Create { name: name(), ..company::Create::default() };
    let company = Some(ToCompany::Create { id: ACME_LTD, with });
    let convert = Convert { contact: ToContact::Link(BORIS), company, deal: None };
    let created = company::Created { company: ACME_LTD, external: None, owner: None, name: name() };
    let converted = Converted {
        contact: BORIS,
        contact_created: false,
        company: Some(ACME_LTD),
        company_created: true,
        deal: None,
        owner: None,
    };
    lead([Event::Captured(captured()), qualified()], [boris])
        .when(convert_lead(convert))
        .then([Event::Converted(converted).event(), company::Event::Created(created).event()]);
}

#[test]
fn a_conversion_links_a_company_that_is_known() {
    let acme =
        company::Created { company: ACME_LTD, external: None, owner: None, name: Personal::new("Acme") };
    let acme = at_start(ACME_LTD.stream(), company::Event::Created(acme));
    let convert =
        Convert { contact: ToContact::Link(BORIS), company: Some(ToCompany::Link(ACME_LTD)), deal: None };
    let converted = Converted {
        contact: BORIS,
        contact_created: false,
        company: Some(ACME_LTD),
        company_created: false,
        deal: None,
        owner: None,
    };
    lead([Event::Captured(captured()), qualified()], [contact_known(BORIS), acme])
        .when(convert_lead(convert))
        .then([Event::Converted(converted)]);
}

#[test]
fn the_deal_of_a_conversion_is_with_its_contact_and_its_company() {
    let name = || Personal::new("Acme");
    let with = company::Create { name: name(), ..company::Create::default() };
    let company = Some(ToCompany::Create { id: ACME_LTD, with });
    let ask = |party| {
        let deal = Some(ToDeal { id: DEAL, with: deal::Open { party, ..open() } });
        let convert = Convert { company: company.clone(), deal, ..conversion() };
        ninos([qualified()]).when(convert_lead(convert))
    };
    let company_set = deal::CompanySet { from: None, to: ACME_LTD };
    for with_the_contact in [None, Some(Party::Contact(BORIS))] {
        ask(with_the_contact).then_last(deal::Event::CompanySet(company_set.clone()).event());
    }
    ask(Some(Party::Contact(ANNA))).refused(refusal!(Refusal::DealWithOther)).naming(["contact or company"]);
    let contact_added = deal::ContactAdded {
        contact: BORIS,
        role: deal::ContactRole::DecisionMaker,
        sole_before: None,
        sole_after: Some(BORIS),
    };
    ask(Some(Party::Company(ACME_LTD))).then_last(deal::Event::ContactAdded(contact_added).event());
}

#[test]
fn a_refusal_of_any_part_refuses_the_conversion() {
    let ask = |convert| ninos([qualified()]).when(convert_lead(convert));
    let nobody = ToContact::Create { id: BORIS, with: Box::default() };
    ask(Convert { contact: nobody, ..conversion() })
        .refused(|refusal| matches!(refusal, AnyRefusal::Contact(contact::Refusal::NoIdentifier)));
    let nowhere = ToDeal { id: DEAL, with: deal::Open::new(SERVICE) };
    ask(Convert { deal: Some(nowhere), ..conversion() })
        .refused(|refusal| matches!(refusal, AnyRefusal::Deal(_)));
    let blank = ToCompany::Create { id: ACME_LTD, with: company::Create::default() };
    ask(Convert { company: Some(blank), ..conversion() })
        .refused(|refusal| matches!(refusal, AnyRefusal::Company(_)));
    ask(Convert { contact: ToContact::Link(ANNA), ..conversion() })
        .refused(refusal!(Refusal::NoSuchContact { .. }));
    ask(Convert { company: Some(ToCompany::Link(ACME_LTD)), ..conversion() })
        .refused(refusal!(Refusal::NoSuchCompany { .. }));
    let others = ToDeal { id: DEAL, with: deal::Open { party: Some(ACME), ..open() } };
    ask(Convert { deal: Some(others), ..conversion() }).refused(refusal!(Refusal::DealWithOther));
}

#[test]
fn only_a_qualified_lead_is_converted() {
    ninos([])
        .when(convert_lead(conversion()))
        .refused(refusal!(Refusal::NotQualified { .. }))
        .naming(["QualifyLead"]);
}

#[test]
fn a_lead_is_attached_to_an_open_deal_of_the_same_party() {
    let with_acme = || deal_event(deal::Event::Opened(deal::Opened { party: Some(ACME), ..opening() }));
    let at = |deals: Vec<Happened>, then: Vec<Event>| {
        lead([Event::Captured(captured())].into_iter().chain(then), deals)
    };
    let ask = |party| Command::Attach { deal: DEAL, party };
    let attached = |party| Event::Attached(Attached { deal: DEAL, party, owner: None });
    let (anna, contact) = (Party::Contact(ANNA), deal::ContactRole::DecisionMaker);
    at(vec![with_acme()], vec![]).when(ask(ACME)).then([attached(ACME)]);
    at(vec![with_acme()], vec![attached(ACME)]).when(ask(ACME)).then_it_is_already_so();
    at(vec![with_acme()], vec![]).when(ask(anna)).refused(refusal!(Refusal::OtherParty { .. }));
    let joined =
        deal::ContactAdded { contact: ANNA, role: contact, sole_before: Some(ANNA), sole_after: Some(ANNA) };
    let joined = deal_event(deal::Event::ContactAdded(joined));
    at(vec![with_acme(), joined], vec![]).when(ask(anna)).then([attached(anna)]);
    let lost = deal_event(lost(NEW, 2));
    at(vec![with_acme(), lost], vec![]).when(ask(ACME)).refused(refusal!(Refusal::DealNotOpen { .. }));
}

#[test]
fn a_tag_of_the_dictionary_is_put_on_and_taken_off_once() {
    let (tagged, untagged) = (|| Event::Tagged(Tagged { tag: VIP }), Event::Untagged(Untagged { tag: VIP }));
    ninos([]).when(Command::Tag { tag: VIP }).then([tagged()]);
    ninos([tagged()]).when(Command::Tag { tag: VIP }).then_it_is_already_so();
    ninos([tagged()]).when(Command::Untag { tag: VIP }).then([untagged]);
    ninos([]).when(Command::Untag { tag: VIP }).then_it_is_already_so();
    ninos([])
        .when(Command::Tag { tag: kvali_domain::TagId(id(99)) })
        .refused(refusal!(Refusal::Dictionary(NotInDictionary::TagUnknown { .. })))
        .naming(["vip"]);
}

#[test]
fn an_update_changes_something_of_a_lead_that_is_not_converted() {
    let update = || Command::Update(Update { full: Personal::new("Anna K"), ..Update::default() });
    ninos([]).when(Command::Update(Update::default())).refused(refusal!(Refusal::NoChange));
    let renamed = Renamed {
        lead: LEAD,
        named: true,
        of_company: false,
        given: nothing(),
        family: nothing(),
        full: Personal::new("Anna K"),
        company_name: nothing(),
    };
    ninos([disqualified()]).when(update()).then([Event::Renamed(renamed)]);
    ninos([converted()]).when(update()).refused(refusal!(Refusal::NotInWork { .. })).naming(["converted"]);
}

#[test]
fn the_fields_of_a_lead_change_once_and_are_those_of_the_dictionary() {
    let value = || Some(FieldValue::Text("12".to_owned()));
    let set = || {
        let fields = vec![FieldSetting { field: SIZE, value: value() }];
        Command::Update(Update { fields, ..Update::default() })
    };
    let changed = || {
        let changes = vec![FieldChange { field: SIZE, from: None, to: value() }];
        Event::FieldsChanged(FieldsChanged(Changes::in_clear(changes)))
    };
    let known = |then: Vec<Event>| {
        lead([Event::Captured(captured())].into_iter().chain(then), fields_of(Entity::Lead, FieldType::Text))
    };
    known(vec![]).when(set()).then([changed()]);
    known(vec![changed()]).when(set()).then_it_is_already_so();
    ninos([]).when(set()).refused(refusal!(Refusal::BadFields { .. }));
}

#[test]
fn a_merged_tag_stands_for_the_one_that_it_was_merged_into() {
    ninos([]).when(Command::Tag { tag: BIG }).then([Event::Tagged(Tagged { tag: VIP })]);
}

#[test]
fn an_archived_lead_refuses_work_until_it_is_restored() {
    let work = [
        Command::Qualify {},
        Command::Unassign {},
        recycle(None),
        Command::Tag { tag: VIP },
        convert_lead(conversion()),
        Command::Attach { deal: DEAL, party: ACME },
        assign(GIORGI, false, nothing()),
    ];
    for command in work {
        let answer = ninos([archived()]).when(command);
        answer.refused(refusal!(Refusal::NotInWork { .. })).naming(["archived", "RestoreLead"]);
    }
    ninos([]).when(Command::Archive {}).then([archived()]);
    ninos([archived()]).when(Command::Archive {}).then_it_is_already_so();
    ninos([converted()]).when(Command::Archive {}).refused(refusal!(Refusal::NotInWork { .. }));
    ninos([archived()]).when(restore(None)).then([restored()]);
    ninos([archived(), restored()]).when(restore(None)).then_it_is_already_so();
}

#[test]
fn a_lead_in_work_again_is_given_to_whoever_is_named() {
    for (gone, command, back) in
        [(disqualified(), recycle(Some(GIORGI)), recycled()), (archived(), restore(Some(GIORGI)), restored())]
    {
        let events = || [back.clone(), assigned(Some(NINO), GIORGI)];
        ninos([gone.clone()]).when(command.clone()).then(events());
        ninos([gone].into_iter().chain(events())).when(command).then_it_is_already_so();
    }
    for command in [recycle(Some(GIORGI)), restore(Some(GIORGI))] {
        ninos([]).when(command).refused(refusal!(Refusal::StaysWithOwner)).naming(["AssignLead"]);
    }
    ninos([disqualified(), Event::Archived(Archived { owner: None })])
        .when(restore(Some(GIORGI)))
        .refused(refusal!(Refusal::NotInWork { .. }))
        .naming(["RecycleLead"]);
}

#[test]
fn a_lead_does_not_come_back_to_somebody_who_left() {
    for (gone, command) in [(disqualified(), recycle(None)), (archived(), restore(None))] {
        let first = Event::Captured(Captured { owner: Some(NINO), ..captured() });
        lead([first, gone], [deactivated(NINO)])
            .when(command)
            .refused(refusal!(Refusal::Owner(AssigneeProblem::OwnerLeft { user: NINO, .. })))
            .naming(["name somebody who is in `owner`"]);
    }
    let nobodys = [Event::Captured(captured()), Event::Archived(Archived { owner: None })];
    lead(nobodys, [deactivated(NINO)]).when(restore(None)).then([Event::Restored(Restored { owner: None })]);
}

#[test]
fn personal_fields_are_sealed_under_the_lead() {
    let events = [Event::Captured(captured()), added(Meant::Unique, nothing()), disqualified()];
    let fields: [&[&str]; 3] =
        [&["given", "family", "full", "company_name", "message"], &["value", "reason"], &["comment"]];
    for (mut event, names) in events.into_iter().zip(fields) {
        let sealed = event.personal();
        assert!(sealed.iter().all(|field| field.subject == SubjectId::from(LEAD)));
        assert_eq!(sealed.iter().map(|field| field.field).collect::<Vec<_>>(), names);
    }
}
