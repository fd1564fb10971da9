use crate::configuring::BIG;
use crate::given::{Given, Happened, Tells, given, on};
use crate::party::{BORIS, COLOUR, FAIR, GLOBEX, SIZE, VIP, country, dictionaries};
use crate::sales::*;
use kvali_domain::assignee::AssigneeProblem;
use kvali_domain::contact::*;
use kvali_domain::contact_point::{ContactPoint, Kind, Meant, Network, NotTaken};
use kvali_domain::deal::External;
use kvali_domain::decider::Describe;
use kvali_domain::dictionary::NotInDictionary;
use kvali_domain::field_changes::{Changes, FieldChange, FieldSetting, FieldValue};
use kvali_domain::fields::{Entity, FieldType};
use kvali_domain::{
    Claim, CompanyId, Condition, ContactId, Personal, Refusal as AnyRefusal, SubjectId, company,
};

macro_rules! refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Contact($pattern))
    };
}

const MOBILE: &str = "+995555123456";

fn nothing() -> Personal {
    Personal::default()
}

fn telegram() -> Kind {
    Kind::Handle { network: Network::parse("telegram").expect("a network") }
}

fn point(kind: Kind, value: &str) -> ContactPoint {
    ContactPoint { kind, value: Personal::new(value), region: None }
}

fn phone() -> ContactPoint {
    point(Kind::Phone, "+995 (555) 12-34-56")
}

fn named() -> Created {
    Created {
        contact: ANNA,
        named: true,
        source: None,
        external: None,
        owner: None,
        given: nothing(),
        family: nothing(),
        full: Personal::new("Anna Kalandadze"),
    }
}

fn unnamed() -> Created {
    Created { named: false, full: nothing(), ..named() }
}

fn anna_event(event: Event) -> Happened {
    at_start(ANNA.stream(), event)
}

fn added(number: i32, kind: Kind, value: &str) -> Event {
    let (value, meant) = (Personal::new(value), Meant::Unique);
    Event::PointAdded(PointAdded { contact: ANNA, point: number, kind, meant, value, reason: nothing() })
}

/// Anna by name, and then this.
fn anna(then: impl IntoIterator<Item = Event>) -> Given {
    given(
        [Event::Created(named())]
            .into_iter()
            .chain(then)
            .map(anna_event)
            .chain(around())
            .chain(dictionaries())
            .chain(crate::party::fields_of(Entity::Contact, FieldType::Text)),
    )
}

/// Whoever has no name but these points.
fn somebody(then: impl IntoIterator<Item = Event>) -> Given {
    given([Event::Created(unnamed())].into_iter().chain(then).map(anna_event))
}

/// Another contact, a company and a user.
fn around() -> [Happened; 3] {
    let boris = Created { contact: BORIS, full: Personal::new("Boris"), ..named() };
    let acme =
        company::Created { company: ACME_LTD, external: None, owner: None, name: Personal::new("Acme") };
    [
        at_start(BORIS.stream(), Event::Created(boris)),
        at_start(ACME_LTD.stream(), company::Event::Created(acme)),
        registered(NINO),
    ]
}

fn archived(contact: ContactId) -> Event {
    Event::Archived(Archived { contact, merged: vec![] })
}

fn create() -> Create {
    Create { full: Personal::new("Anna Kalandadze"), ..Create::default() }
}

fn add(contact_point: ContactPoint) -> Command {
    Command::AddPoint { contact_point, override_duplicate: false, reason: nothing() }
}

fn assign(owner: kvali_domain::UserId) -> Command {
    Command::Assign { owner, force: false, reason: Personal::default() }
}

fn given_to(from: Option<kvali_domain::UserId>, to: kvali_domain::UserId) -> Event {
    Event::Assigned(Assigned { from, to, forced: false, subject: None, reason: Personal::default() })
}

#[test]
fn a_contact_begins_with_a_name() {
    given([]).when(Command::Create(create())).then([Event::Created(named())]);
    let parts = Create { given: Personal::new("Anna"), family: Personal::new(" "), ..Create::default() };
    let event = Created { given: Personal::new("Anna"), full: nothing(), ..named() };
    given([]).when(Command::Create(parts)).then([Event::Created(event)]);
}

#[test]
fn a_contact_begins_with_contact_points_numbered_from_one() {
    let points = vec![phone(), point(Kind::Email, "Anna@Example.GE"), point(telegram(), "@Anna")];
    given([]).when(Command::Create(Create { points, ..Create::default() })).then([
        Event::Created(unnamed()),
        added(1, Kind::Phone, MOBILE),
        added(2, Kind::Email, "anna@example.ge"),
        added(3, telegram(), "anna"),
    ]);
}

#[test]
fn who_has_neither_name_nor_contact_point_is_nobody() {
    let blank = Create { given: Personal::new(" "), ..Create::default() };
    given([])
        .when(Command::Create(blank))
        .refused(refusal!(Refusal::NoIdentifier))
        .naming(["part of a name", "contact point"]);
}

#[test]
fn a_contact_keeps_its_source_its_external_id_and_its_owner() {
    let external = Some(External { source: "amo".to_owned(), id: "17".to_owned() });
    let (source, owner) = (Some(FAIR), Some(NINO));
    let asked = Create { source, external: external.clone(), owner, ..create() };
    let event = Event::Created(Created { source, external, owner, ..named() });
    given([registered(NINO)].into_iter().chain(dictionaries()))
        .when(Command::Create(asked))
        .then([event.clone()]);
    assert_eq!(event.claims(), [Claim::take(EXTERNAL_CLAIM, "amo\u{1f}17")]);
    assert_eq!(Event::Created(named()).claims(), []);
}

#[test]
fn the_source_of_a_contact_is_one_of_the_dictionary() {
    let of = |source| Command::Create(Create { source: Some(source), ..create() });
    let unknown = || refusal!(Refusal::Dictionary(NotInDictionary::SourceUnknown { .. }));
    given(dictionaries())
        .when(of(kvali_domain::SourceId(id(99))))
        .refused(unknown())
        .naming(["accepted: \"fair\""]);
    given([]).when(of(FAIR)).refused(unknown()).naming(["accepted: none"]);
}

#[test]
fn a_contact_begins_once() {
    anna([]).when(Command::Create(create())).refused(refusal!(Refusal::AlreadyCreated)).naming(["once"]);
    given([]).when(Command::Archive {}).refused(refusal!(Refusal::NoSuchContact)).naming(["create it first"]);
}

#[test]
fn the_owner_is_an_active_user() {
    let owned = || Command::Create(Create { owner: Some(NINO), ..create() });
    for log in [vec![], vec![registered(NINO), deactivated(NINO)]] {
        given(log)
            .when(owned())
            .refused(refusal!(Refusal::Owner(AssigneeProblem::OwnerNotActive { .. })))
            .naming(["registered, active user"]);
    }
    anna([]).when(assign(NINO)).then([given_to(None, NINO)]);
    anna([given_to(None, NINO)]).when(assign(NINO)).then_it_is_already_so();
    anna([])
        .when(assign(GIORGI))
        .refused(refusal!(Refusal::Owner(AssigneeProblem::OwnerNotActive { user: GIORGI })));
}

#[test]
fn whoever_a_contact_was_created_for_owns_it() {
    let of_nino = Created { owner: Some(NINO), ..named() };
    let log = || [registered(NINO), registered(GIORGI), anna_event(Event::Created(of_nino.clone()))];
    given(log()).when(assign(NINO)).then_it_is_already_so();
    given(log()).when(assign(GIORGI)).then([given_to(Some(NINO), GIORGI)]);
}

#[test]
fn one_contact_point_is_given_once_however_it_is_written() {
    let points = vec![phone(), point(Kind::Email, "a@b.ge"), point(Kind::Phone, "00995 555 12 34 56")];
    given([])
        .when(Command::Create(Create { points, ..create() }))
        .refused(refusal!(Refusal::Points(NotTaken::SamePointTwice { first: 1, second: 3 })))
        .naming(["1 and 3"])
        .not_naming(["555"]);
    let two = vec![point(Kind::Email, "a@b.ge"), point(Kind::Email, "c@d.ge")];
    given([]).when(Command::Create(Create { points: two, ..create() })).then([
        Event::Created(named()),
        added(1, Kind::Email, "a@b.ge"),
        added(2, Kind::Email, "c@d.ge"),
    ]);
    let instagram = Kind::Handle { network: Network::parse("instagram").expect("a network") };
    let namesakes = vec![point(telegram(), "anna"), point(instagram.clone(), "anna")];
    given([]).when(Command::Create(Create { points: namesakes, ..create() })).then([
        Event::Created(named()),
        added(1, telegram(), "anna"),
        added(2, instagram, "anna"),
    ]);
}

#[test]
fn a_contact_point_that_is_none_is_refused_with_its_place_and_without_its_value() {
    let points = vec![phone(), point(Kind::Email, "anna.example.ge")];
    given([])
        .when(Command::Create(Create { points, ..create() }))
        .refused(refusal!(Refusal::Points(NotTaken::BadContactPoint { place: 2, .. })))
        .naming(["contact point 2", "name@example.com"])
        .not_naming(["anna"]);
    anna([])
        .when(add(point(Kind::Phone, "555 12 34 56")))
        .refused(refusal!(Refusal::Points(NotTaken::BadContactPoint { place: 1, .. })))
        .naming(["+country code", "`region`"])
        .not_naming(["555 12"]);
}

#[test]
fn a_national_number_is_understood_with_its_region() {
    let national = ContactPoint { region: Some(country("GE")), ..point(Kind::Phone, "555 12 34 56") };
    anna([]).when(add(national)).then([added(1, Kind::Phone, MOBILE)]);
}

#[test]
fn points_are_numbered_on_and_no_number_is_used_again() {
    let removed = PointRemoved { contact: ANNA, point: 2, kind: Kind::Phone, value: Personal::new(MOBILE) };
    anna([added(1, Kind::Email, "a@b.ge"), added(2, Kind::Phone, MOBILE), Event::PointRemoved(removed)])
        .when(add(phone()))
        .then([added(3, Kind::Phone, MOBILE)]);
}

#[test]
fn a_contact_has_a_hundred_points_at_most() {
    let many = (1..=100).map(|number| added(number, telegram(), &format!("anna{number}")));
    anna(many)
        .when(add(phone()))
        .refused(refusal!(Refusal::Points(NotTaken::TooManyPoints { most: 100 })))
        .naming(["100"]);
    let points = |most: i32| (1..=most).map(|number| point(telegram(), &format!("anna{number}"))).collect();
    let create_with = |most| Command::Create(Create { points: points(most), ..create() });
    given([]).when(create_with(101)).refused(refusal!(Refusal::Points(NotTaken::TooManyPoints { .. })));
    given([]).when(create_with(100)).then_last(added(100, telegram(), "anna100").event());
    let last = added(i32::MAX, telegram(), "anna");
    anna([last]).when(add(phone())).refused(refusal!(Refusal::Points(NotTaken::TooManyPoints { .. })));
}

#[test]
fn a_key_is_the_contacts_own_unless_a_duplicate_is_meant() {
    let claims = added(1, Kind::Phone, MOBILE).claims();
    let unique = Claim::take("contact_point", format!("phone\u{1f}{MOBILE}")).personal();
    assert!(claims.contains(&unique), "{claims:?}");
    let meant = PointAdded {
        contact: ANNA,
        point: 1,
        kind: Kind::Phone,
        meant: Meant::Duplicate,
        value: Personal::new(MOBILE),
        reason: nothing(),
    };
    let claims = Event::PointAdded(meant).claims();
    let shared = Claim::join("contact_point", format!("phone\u{1f}{MOBILE}")).personal();
    assert!(claims.contains(&shared) && !claims.contains(&unique), "{claims:?}");
    assert!(claims.iter().all(|claim| claim.personal), "{claims:?}");
}

#[test]
fn a_contact_does_not_get_the_same_point_twice() {
    let demands = |event: Event| {
        let claims = event.claims().into_iter();
        claims.filter(|claim| claim.condition == Condition::Free).map(|claim| claim.key).collect::<Vec<_>>()
    };
    let key = demands(added(1, Kind::Phone, MOBILE));
    assert_eq!(key.len(), 1);
    assert_eq!(key, demands(added(2, Kind::Phone, MOBILE)));
    let taken = added(1, Kind::Phone, MOBILE)
        .claims()
        .into_iter()
        .find(|claim| claim.key == key[0] && claim.condition == Condition::Take);
    assert!(taken.is_some());
    assert_ne!(key, demands(added(1, Kind::Phone, "+995555123457")));
}

#[test]
fn a_duplicate_is_meant_for_a_reason() {
    let meant = |reason: &str| Command::AddPoint {
        contact_point: phone(),
        override_duplicate: true,
        reason: Personal::new(reason),
    };
    let event = |reason| {
        let (value, meant) = (Personal::new(MOBILE), Meant::Duplicate);
        Event::PointAdded(PointAdded { contact: ANNA, point: 1, kind: Kind::Phone, meant, value, reason })
    };
    anna([]).when(meant("their mother's")).then([event(Personal::new("their mother's"))]);
    anna([]).because("shared").when(meant(" ")).then([event(nothing())]);
    anna([]).when(meant(" ")).refused(refusal!(Refusal::ReasonMissing)).naming(["`reason`"]);
    let asked = Create { points: vec![phone()], override_duplicate: true, ..create() };
    given([]).when(Command::Create(asked)).refused(refusal!(Refusal::ReasonMissing));
}

#[test]
fn one_point_of_each_kind_is_the_primary_one() {
    let set = |point| Command::SetPrimary { point };
    let primary = |point, kind| Event::PrimaryPointSet(PrimaryPointSet { point, kind });
    let points = || {
        vec![
            added(1, Kind::Phone, MOBILE),
            added(2, Kind::Email, "a@b.ge"),
            added(3, Kind::Phone, "+995555123457"),
        ]
    };
    anna(points()).when(set(3)).then([primary(3, Kind::Phone)]);
    let then = |events: Vec<Event>| points().into_iter().chain(events);
    anna(then(vec![primary(3, Kind::Phone), primary(2, Kind::Email)])).when(set(3)).then_it_is_already_so();
    anna(then(vec![primary(3, Kind::Phone), primary(1, Kind::Phone)]))
        .when(set(3))
        .then([primary(3, Kind::Phone)]);
    anna(points()).when(set(4)).refused(refusal!(Refusal::NoSuchPoint { .. })).naming(["1, 2, 3"]);
}

fn invalid(point: i32) -> Event {
    Event::PointInvalidated(PointInvalidated { contact: ANNA, point, evidence: nothing() })
}

#[test]
fn an_invalid_point_is_not_primary() {
    let primary = || Event::PrimaryPointSet(PrimaryPointSet { point: 1, kind: Kind::Phone });
    let points = || {
        vec![
            added(1, Kind::Phone, MOBILE),
            added(2, Kind::Phone, "+995555123457"),
            added(3, Kind::Email, "a@b.ge"),
        ]
    };
    anna(points().into_iter().chain([invalid(1)]))
        .when(Command::SetPrimary { point: 1 })
        .refused(refusal!(Refusal::PointInvalid { .. }))
        .naming(["choose 2"])
        .not_naming(["3"]);
    let verified = Event::PointVerified(PointVerified { contact: ANNA, point: 1, evidence: nothing() });
    anna(points().into_iter().chain([primary(), invalid(1), verified]))
        .when(Command::SetPrimary { point: 1 })
        .then([primary()]);
}

#[test]
fn a_point_is_verified_or_invalidated_on_evidence() {
    let words = || Personal::new("she answered");
    let verify = |evidence| Command::Verify { point: 1, evidence };
    let invalidate = |evidence| Command::Invalidate { point: 1, evidence };
    let point = || added(1, Kind::Phone, MOBILE);
    let verified = |evidence| Event::PointVerified(PointVerified { contact: ANNA, point: 1, evidence });
    let invalidated =
        |evidence| Event::PointInvalidated(PointInvalidated { contact: ANNA, point: 1, evidence });
    anna([point()]).when(verify(words())).then([verified(words())]);
    anna([point()]).when(invalidate(words())).then([invalidated(words())]);
    anna([point()]).because("bounced").when(invalidate(nothing())).then([invalidated(nothing())]);
    for command in [verify(nothing()), invalidate(Personal::new(" "))] {
        anna([point()]).when(command).refused(refusal!(Refusal::EvidenceMissing)).naming(["`evidence`"]);
    }
    for command in [verify(words()), invalidate(words())] {
        anna([]).when(command).refused(refusal!(Refusal::NoSuchPoint { point: 1, .. })).naming(["none"]);
    }
    anna([point(), verified(words())]).when(verify(nothing())).then_it_is_already_so();
    anna([point(), invalidated(words())]).when(invalidate(nothing())).then_it_is_already_so();
    anna([point(), invalidated(words())]).when(verify(words())).then([verified(words())]);
}

fn remove(point: i32, value: &str) -> Command {
    Command::RemovePoint { point, value: Personal::new(value), region: None }
}

fn removed(point: i32, kind: Kind, value: &str) -> Event {
    Event::PointRemoved(PointRemoved { contact: ANNA, point, kind, value: Personal::new(value) })
}

#[test]
fn a_point_is_removed_with_its_value() {
    let event = removed(1, Kind::Phone, MOBILE);
    anna([added(1, Kind::Phone, MOBILE)]).when(remove(1, "+995 555 123 456")).then([event.clone()]);
    anna([added(1, Kind::Phone, MOBILE), event]).when(remove(1, MOBILE)).then_it_is_already_so();
    for point in [2, 0, -1, i32::MIN, i32::MAX] {
        anna([added(1, Kind::Phone, MOBILE)])
            .when(remove(point, MOBILE))
            .refused(refusal!(Refusal::NoSuchPoint { .. }));
    }
    anna([added(1, Kind::Phone, MOBILE)])
        .when(remove(1, "anna@example.ge"))
        .refused(refusal!(Refusal::Points(NotTaken::BadContactPoint { .. })));
}

#[test]
fn removing_demands_that_the_value_is_the_points_own_and_lets_go_of_all_that_adding_took() {
    let (adding, removing) =
        (added(2, Kind::Phone, MOBILE).claims(), removed(2, Kind::Phone, MOBILE).claims());
    let of = |claims: &[Claim], conditions: &[Condition]| {
        let mut keys: Vec<(&str, String)> = claims
            .iter()
            .filter(|claim| conditions.contains(&claim.condition))
            .map(|claim| (claim.kind, claim.key.clone()))
            .collect();
        keys.sort();
        keys
    };
    let taken = of(&adding, &[Condition::Take, Condition::Join]);
    assert_eq!(taken, of(&removing, &[Condition::Release]));
    let own = of(&removing, &[Condition::Own]);
    assert!(own.len() == 1 && taken.contains(&own[0]), "{own:?}");
    for other in [removed(1, Kind::Phone, MOBILE), removed(2, Kind::Phone, "+995555123457")] {
        assert_ne!(own, of(&other.claims(), &[Condition::Own]), "only this value, and only of this point");
    }
    assert!(removing.iter().all(|claim| claim.personal));
}

#[test]
fn the_last_point_of_a_nameless_contact_stays() {
    let points = || [added(1, Kind::Phone, MOBILE), added(2, Kind::Email, "a@b.ge")];
    somebody(points()).when(remove(1, MOBILE)).then([removed(1, Kind::Phone, MOBILE)]);
    let one_left = || points().into_iter().chain([removed(1, Kind::Phone, MOBILE)]);
    somebody(one_left())
        .when(remove(2, "a@b.ge"))
        .refused(refusal!(Refusal::OnlyIdentifier { point: 2 }))
        .naming(["add a name"]);
    let renamed = Renamed { contact: ANNA, given: Personal::new("Anna"), family: nothing(), full: nothing() };
    somebody(one_left().chain([Event::Renamed(renamed)])).when(remove(2, "a@b.ge")).then([removed(
        2,
        Kind::Email,
        "a@b.ge",
    )]);
}

#[test]
fn a_removed_point_is_primary_no_longer() {
    let primary = || Event::PrimaryPointSet(PrimaryPointSet { point: 1, kind: Kind::Phone });
    let log = [
        added(1, Kind::Phone, MOBILE),
        primary(),
        removed(1, Kind::Phone, MOBILE),
        added(2, Kind::Phone, MOBILE),
    ];
    let next = PrimaryPointSet { point: 2, kind: Kind::Phone };
    anna(log).when(Command::SetPrimary { point: 2 }).then([Event::PrimaryPointSet(next)]);
    let another_goes = [
        added(1, Kind::Phone, MOBILE),
        primary(),
        added(2, Kind::Email, "a@b.ge"),
        removed(2, Kind::Email, "a@b.ge"),
    ];
    anna(another_goes).when(Command::SetPrimary { point: 1 }).then_it_is_already_so();
}

#[test]
fn a_new_name_has_at_least_one_part() {
    let rename = |given: &str, family: &str| Command::Rename {
        given: Personal::new(given),
        family: Personal::new(family),
        full: nothing(),
    };
    let event = Renamed { contact: ANNA, given: Personal::new("Anna"), family: nothing(), full: nothing() };
    anna([]).when(rename("Anna", " ")).then([Event::Renamed(event)]);
    anna([]).when(rename("", " ")).refused(refusal!(Refusal::BlankName)).naming(["`family`"]);
}

#[test]
fn an_address_has_a_country_and_lines() {
    let (country, lines) = (country("GE"), Personal::new("Rustaveli 12\nTbilisi"));
    let event = AddressChanged { contact: ANNA, country, lines: lines.clone() };
    anna([]).when(Command::ChangeAddress { country, lines }).then([Event::AddressChanged(event)]);
}

#[test]
fn fields_change_to_what_they_are_not_yet() {
    let text = |text: &str| Some(FieldValue::Text(text.to_owned()));
    let set = |field, value| FieldSetting { field, value };
    let was = FieldChange { field: SIZE, from: None, to: text("L") };
    let log = || [Event::FieldsChanged(FieldsChanged(Changes::in_clear(vec![was.clone()])))];
    let change = |field, from, to| FieldChange { field, from, to };
    anna(log()).when(Command::SetFields { fields: vec![set(SIZE, None), set(COLOUR, text("red"))] }).then([
        Event::FieldsChanged(FieldsChanged(Changes::in_clear(vec![
            change(SIZE, text("L"), None),
            change(COLOUR, None, text("red")),
        ]))),
    ]);
    anna(log()).when(Command::SetFields { fields: vec![set(SIZE, text("L"))] }).then_it_is_already_so();
    let cleared = FieldsChanged(Changes::in_clear(vec![change(SIZE, text("L"), None)]));
    anna(log().into_iter().chain([Event::FieldsChanged(cleared)]))
        .when(Command::SetFields { fields: vec![set(SIZE, None)] })
        .then_it_is_already_so();
    anna([])
        .when(Command::SetFields { fields: vec![set(SIZE, None), set(SIZE, text("L"))] })
        .refused(refusal!(Refusal::BadFields { .. }))
        .naming(["name it once"]);
    anna([])
        .when(Command::SetFields { fields: vec![] })
        .refused(refusal!(Refusal::BadFields { .. }))
        .naming(["at least one"]);
}

fn start(company: CompanyId, role: Role, from: Option<&str>) -> Command {
    Command::StartAffiliation { company, role, title: Personal::new("CEO"), from: from.map(date) }
}

fn director() -> AffiliationStarted {
    AffiliationStarted {
        contact: ANNA,
        company: ACME_LTD,
        role: Role::Director,
        from: None,
        title: Personal::new("CEO"),
    }
}

fn started(from: Option<&str>) -> Event {
    Event::AffiliationStarted(AffiliationStarted { from: from.map(date), ..director() })
}

fn ended(until: &str) -> Event {
    Event::AffiliationEnded(AffiliationEnded { company: ACME_LTD, role: Role::Director, until: date(until) })
}

#[test]
fn somebody_is_affiliated_with_an_active_company() {
    let command = || start(ACME_LTD, Role::Director, Some("2024-03-01"));
    anna([]).when(command()).then([started(Some("2024-03-01"))]);
    given([anna_event(Event::Created(named()))])
        .when(command())
        .refused(refusal!(Refusal::CompanyNotActive { .. }))
        .naming(["name an active one"]);
    let gone = company::Event::Archived(company::Archived { company: ACME_LTD, merged: vec![] });
    let log = [anna_event(Event::Created(named()))].into_iter().chain(around());
    given(log.chain([at_start(ACME_LTD.stream(), gone)]))
        .when(command())
        .refused(refusal!(Refusal::CompanyNotActive { .. }));
}

#[test]
fn the_same_role_is_open_once() {
    let log = || [started(Some("2024-03-01"))];
    anna(log()).when(start(ACME_LTD, Role::Director, Some("2024-03-01"))).then_it_is_already_so();
    anna(log())
        .when(start(ACME_LTD, Role::Director, None))
        .refused(refusal!(Refusal::RoleOpen { .. }))
        .naming(["since 2024-03-01", "end it first"]);
    let other = AffiliationStarted { role: Role::Owner, ..director() };
    anna(log()).when(start(ACME_LTD, Role::Owner, None)).then([Event::AffiliationStarted(other)]);
    anna(log().into_iter().chain([ended("2024-06-30")]))
        .when(start(ACME_LTD, Role::Director, None))
        .then([started(None)]);
    // What ends is that role with that company, and nothing beside it.
    let beside = [(ACME_LTD, Role::Owner), (GLOBEX, Role::Director)];
    let beside = || beside.map(|(company, role)| AffiliationStarted { company, role, ..director() });
    for open in beside() {
        let log = [Event::AffiliationStarted(open.clone()), started(None), ended("2024-06-30")];
        anna(log).when(start(open.company, open.role, None)).then_it_is_already_so();
    }
}

#[test]
fn an_affiliation_ends_once_and_not_before_it_starts() {
    let end = |until| Command::EndAffiliation { company: ACME_LTD, role: Role::Director, until: date(until) };
    let log = || [started(Some("2024-03-01"))];
    anna(log()).when(end("2024-03-01")).then([ended("2024-03-01")]);
    anna([started(None)]).when(end("1999-01-01")).then([ended("1999-01-01")]);
    anna(log())
        .when(end("2024-02-29"))
        .refused(refusal!(Refusal::EndsBeforeStart { .. }))
        .naming(["2024-02-29", "2024-03-01"]);
    let over = || log().into_iter().chain([ended("2024-06-30")]);
    anna(over()).when(end("2024-06-30")).then_it_is_already_so();
    anna(over())
        .when(end("2024-07-01"))
        .refused(refusal!(Refusal::RoleNotOpen { .. }))
        .naming(["start it first"]);
    anna([]).when(end("2024-07-01")).refused(refusal!(Refusal::RoleNotOpen { .. }));
}

#[test]
fn a_contact_is_related_to_another_active_one() {
    let relate = |other| Command::Relate { other, relation: Relation::Spouse };
    let unrelate = || Command::Unrelate { other: BORIS, relation: Relation::Spouse };
    let set = || Event::RelationSet(RelationSet { other: BORIS, relation: Relation::Spouse });
    let gone = || Event::RelationRemoved(RelationRemoved { other: BORIS, relation: Relation::Spouse });
    anna([]).when(relate(BORIS)).then([set()]);
    anna([set()]).when(relate(BORIS)).then_it_is_already_so();
    anna([set()]).when(unrelate()).then([gone()]);
    anna([set(), gone()]).when(unrelate()).then_it_is_already_so();
    anna([]).when(relate(ANNA)).refused(refusal!(Refusal::SameContact)).naming(["another contact"]);
    let stranger = ContactId(id(99));
    anna([]).when(relate(stranger)).refused(refusal!(Refusal::OtherNotActive { .. })).naming(["active one"]);
    let log = [anna_event(Event::Created(named()))].into_iter().chain(around());
    given(log.chain([at_start(BORIS.stream(), archived(BORIS))]))
        .when(relate(BORIS))
        .refused(refusal!(Refusal::OtherNotActive { .. }));
}

#[test]
fn a_life_cycle_goes_on_freely_and_back_for_a_reason() {
    use LifecycleStage::{Customer, Lead, Other, Subscriber};
    let set = |stage, reason: &str| Command::SetLifecycleStage { stage, reason: Personal::new(reason) };
    let changed = |from, to, reason| {
        Event::LifecycleStageChanged(LifecycleStageChanged { contact: ANNA, from, to, reason })
    };
    anna([]).when(set(Customer, "")).then([changed(None, Customer, nothing())]);
    let log = |stage| [changed(None, stage, nothing())];
    anna(log(Lead)).when(set(Customer, "")).then([changed(Some(Lead), Customer, nothing())]);
    anna(log(Lead)).when(set(Lead, "")).then_it_is_already_so();
    let why = || Personal::new("a mistake");
    anna(log(Customer)).when(set(Subscriber, "a mistake")).then([changed(Some(Customer), Subscriber, why())]);
    anna(log(Customer)).because("typo").when(set(Lead, "")).then([changed(Some(Customer), Lead, nothing())]);
    anna(log(Customer))
        .when(set(Lead, " "))
        .refused(refusal!(Refusal::StepBack { .. }))
        .naming(["from customer back to lead", "from customer on"]);
    anna(log(Customer)).when(set(Other, "")).then([changed(Some(Customer), Other, nothing())]);
    anna(log(Other)).when(set(Lead, "")).refused(refusal!(Refusal::StepBack { .. }));
}

#[test]
fn a_tag_is_put_on_and_taken_off_once() {
    let (tag, untag) = (|| Command::Tag { tag: VIP }, || Command::Untag { tag: VIP });
    let tagged = || Event::Tagged(Tagged { tag: VIP });
    let untagged = || Event::Untagged(Untagged { tag: VIP });
    anna([]).when(tag()).then([tagged()]);
    anna([tagged()]).when(tag()).then_it_is_already_so();
    anna([tagged()]).when(untag()).then([untagged()]);
    anna([tagged(), untagged()]).when(untag()).then_it_is_already_so();
}

#[test]
fn a_tag_of_a_contact_is_one_of_the_dictionary_and_a_merged_one_stands_for_another() {
    anna([]).when(Command::Tag { tag: BIG }).then([Event::Tagged(Tagged { tag: VIP })]);
    anna([])
        .when(Command::Tag { tag: kvali_domain::TagId(id(99)) })
        .refused(refusal!(Refusal::Dictionary(NotInDictionary::TagUnknown { .. })))
        .naming(["accepted: \"vip\""]);
}

#[test]
fn an_archived_contact_waits_to_be_restored() {
    let gone = || [archived(ANNA)];
    anna([]).when(Command::Archive {}).then([archived(ANNA)]);
    anna(gone()).when(Command::Archive {}).then_it_is_already_so();
    anna(gone()).when(Command::Restore {}).then([Event::Restored(Restored {})]);
    anna([]).when(Command::Restore {}).then_it_is_already_so();
    for command in [add(phone()), Command::Tag { tag: VIP }, assign(NINO)] {
        anna(gone()).when(command).refused(refusal!(Refusal::ContactArchived)).naming(["RestoreContact"]);
    }
    let back = gone().into_iter().chain([Event::Restored(Restored {})]);
    anna(back).when(Command::Tag { tag: VIP }).then([Event::Tagged(Tagged { tag: VIP })]);
}

#[test]
fn the_only_contact_of_an_open_deal_is_not_archived() {
    assert_eq!(archived(ANNA).claims(), [Claim::none("contact.sole_deals", ANNA.to_string())]);
}

#[test]
fn what_is_personal_is_sealed_under_the_contacts_own_key() {
    let personal = |mut event: Event| {
        let fields = event.personal();
        assert!(fields.iter().all(|found| found.subject == SubjectId::from(ANNA)));
        fields.into_iter().map(|found| found.field).collect::<Vec<_>>()
    };
    assert_eq!(personal(Event::Created(named())), ["given", "family", "full"]);
    assert_eq!(personal(added(1, Kind::Phone, MOBILE)), ["value", "reason"]);
    assert_eq!(personal(removed(1, Kind::Phone, MOBILE)), ["value"]);
    assert_eq!(personal(invalid(1)), ["evidence"]);
    assert_eq!(personal(started(None)), ["title"]);
    assert!(personal(archived(ANNA)).is_empty());
}

#[test]
fn a_command_for_another_contact_is_decided_on_that_one() {
    let created = Created { contact: BORIS, ..named() };
    given([]).when(on(BORIS.stream(), Command::Create(create()))).then([Event::Created(created)]);
}
