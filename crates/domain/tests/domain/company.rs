use crate::given::{Given, Happened, given, on};
use crate::party::{CHAIR, COLOUR, GLOBEX, INITECH, SIZE, country};
use crate::sales::*;
use kvali_domain::assignee::AssigneeProblem;
use kvali_domain::company::*;
use kvali_domain::contact_point::Meant;
use kvali_domain::deal::External;
use kvali_domain::decider::Describe;
use kvali_domain::field_changes::{Changes, FieldChange, FieldSetting, FieldValue};
use kvali_domain::fields::{Entity, FieldType};
use kvali_domain::{Claim, CompanyId, Condition, Personal, ProductId, Refusal as AnyRefusal, SubjectId};

macro_rules! refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Company($pattern))
    };
}

fn nothing() -> Personal {
    Personal::default()
}

fn created(company: CompanyId) -> Event {
    Event::Created(Created { company, external: None, owner: None, name: Personal::new("Acme") })
}

fn acme_event(event: Event) -> Happened {
    at_start(ACME_LTD.stream(), event)
}

/// Acme, and then this; beside it Globex, Initech and a user.
fn acme(then: impl IntoIterator<Item = Event>) -> Given {
    let others = [GLOBEX, INITECH].map(|company| at_start(company.stream(), created(company)));
    let log = [created(ACME_LTD)].into_iter().chain(then).map(acme_event);
    let fields = crate::party::fields_of(Entity::Company, FieldType::Number);
    given(log.chain(others).chain([registered(NINO)]).chain(fields))
}

fn create() -> Create {
    Create { name: Personal::new("Acme"), ..Create::default() }
}

fn set_domains(domains: &[&str]) -> Command {
    let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
    Command::SetDomains { domains, override_duplicate: false, reason: nothing() }
}

fn domains_set(added: &[&str], removed: &[&str]) -> Event {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Event::DomainsSet(DomainsSet {
        company: ACME_LTD,
        added: texts(added),
        removed: texts(removed),
        meant: Meant::Unique,
        reason: nothing(),
    })
}

fn archived() -> Event {
    Event::Archived(Archived { company: ACME_LTD, merged: vec![] })
}

fn assign(owner: kvali_domain::UserId) -> Command {
    Command::Assign { owner, force: false, reason: Personal::default() }
}

fn given_to(from: Option<kvali_domain::UserId>, to: kvali_domain::UserId) -> Event {
    Event::Assigned(Assigned { from, to, forced: false, subject: None, reason: Personal::default() })
}

#[test]
fn a_company_begins_once_and_with_a_name() {
    given([]).when(Command::Create(create())).then([created(ACME_LTD)]);
    acme([]).when(Command::Create(create())).refused(refusal!(Refusal::AlreadyCreated)).naming(["once"]);
    given([])
        .when(Command::Create(Create { name: Personal::new(" "), ..create() }))
        .refused(refusal!(Refusal::BlankName))
        .naming(["visible character"]);
    given([]).when(Command::Archive {}).refused(refusal!(Refusal::NoSuchCompany)).naming(["create it first"]);
}

#[test]
fn a_company_begins_with_its_domains_and_legal_ids() {
    let asked = Create {
        domains: vec!["Acme.GE".to_owned()],
        legal_ids: Some(ids("GE", "204 378 869", "")),
        ..create()
    };
    given([]).when(Command::Create(asked)).then([
        created(ACME_LTD),
        domains_set(&["acme.ge"], &[]),
        ids_set(Some("204378869"), None),
    ]);
}

#[test]
fn an_external_id_is_one_companys() {
    let external = Some(External { source: "amo".to_owned(), id: "4".to_owned() });
    let event = Event::Created(Created {
        company: ACME_LTD,
        external: external.clone(),
        owner: None,
        name: Personal::new("Acme"),
    });
    given([]).when(Command::Create(Create { external, ..create() })).then([event.clone()]);
    assert_eq!(event.claims(), [Claim::take("company.external_id", "amo\u{1f}4")]);
}

#[test]
fn the_owner_is_an_active_user() {
    let event = given_to(None, NINO);
    acme([]).when(assign(NINO)).then([event.clone()]);
    acme([event]).when(assign(NINO)).then_it_is_already_so();
    acme([])
        .when(assign(GIORGI))
        .refused(refusal!(Refusal::Owner(AssigneeProblem::OwnerNotActive { user: GIORGI })))
        .naming(["registered, active user"]);
    given([registered(NINO), deactivated(NINO)])
        .when(Command::Create(Create { owner: Some(NINO), ..create() }))
        .refused(refusal!(Refusal::Owner(AssigneeProblem::OwnerNotActive { user: NINO })));
}

#[test]
fn whoever_a_company_was_created_for_owns_it() {
    let of_nino =
        Created { company: ACME_LTD, external: None, owner: Some(NINO), name: Personal::new("Acme") };
    let log = || [registered(NINO), registered(GIORGI), acme_event(Event::Created(of_nino.clone()))];
    given(log()).when(assign(NINO)).then_it_is_already_so();
    given(log()).when(assign(GIORGI)).then([given_to(Some(NINO), GIORGI)]);
}

#[test]
fn a_new_name_is_not_blank() {
    let event = Renamed { company: ACME_LTD, name: Personal::new("აკმე") };
    acme([]).when(Command::Rename { name: Personal::new("აკმე") }).then([Event::Renamed(event)]);
    acme([]).when(Command::Rename { name: nothing() }).refused(refusal!(Refusal::BlankName));
}

#[test]
fn domains_replace_those_that_were_set() {
    acme([])
        .when(set_domains(&["Acme.GE.", " მაგალითი.გე", "acme.ge"]))
        .then([domains_set(&["acme.ge", "მაგალითი.გე"], &[])]);
    let log = || [domains_set(&["acme.com", "acme.ge"], &[])];
    acme(log()).when(set_domains(&["acme.ge", "acme.de"])).then([domains_set(&["acme.de"], &["acme.com"])]);
    acme(log()).when(set_domains(&["ACME.com", "acme.ge"])).then_it_is_already_so();
    acme(log()).when(set_domains(&[])).then([domains_set(&[], &["acme.com", "acme.ge"])]);
    let claims = domains_set(&["acme.de"], &["acme.com"]).claims();
    let expected = [Claim::release("company.domain", "acme.com"), Claim::take("company.domain", "acme.de")];
    assert_eq!(claims, expected);
}

#[test]
fn what_is_no_domain_is_refused_with_its_place() {
    for domain in ["acme", "", "acme..ge", "info@acme.ge", "-acme.ge", "ac me.ge", "acme.ge/shop", "ac_me.ge"]
    {
        acme([])
            .when(set_domains(&["acme.ge", domain]))
            .refused(refusal!(Refusal::NotADomain { place: 2 }))
            .naming(["domain 2", "example.com"]);
    }
    let many: Vec<String> = (0..101).map(|number| format!("acme{number}.ge")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    acme([]).when(set_domains(&many)).refused(refusal!(Refusal::TooManyDomains { most: 100 }));
}

#[test]
fn a_company_has_a_hundred_domains_at_most() {
    let many: Vec<String> = (0..101).map(|number| format!("acme{number:03}.ge")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    acme([])
        .when(set_domains(&many))
        .refused(refusal!(Refusal::TooManyDomains { most: 100 }))
        .naming(["100"]);
    acme([]).when(set_domains(&many[..100])).then([domains_set(&many[..100], &[])]);
}

#[test]
fn a_provider_of_free_mail_is_no_companys_domain() {
    for domain in ["gmail.com", "Mail.RU", "yandex.ru", "ukr.net", "web.de", "wp.pl"] {
        acme([])
            .when(set_domains(&[domain]))
            .refused(refusal!(Refusal::FreeMail { .. }))
            .naming([&*domain.to_lowercase(), "leave it out"]);
    }
}

#[test]
fn a_duplicate_is_meant_for_a_reason() {
    let meant = |reason: &str| Command::SetDomains {
        domains: vec!["acme.ge".to_owned()],
        override_duplicate: true,
        reason: Personal::new(reason),
    };
    let event = |reason| {
        let (added, removed) = (vec!["acme.ge".to_owned()], vec![]);
        let meant = Meant::Duplicate;
        Event::DomainsSet(DomainsSet { company: ACME_LTD, added, removed, meant, reason })
    };
    acme([]).when(meant("one holding")).then([event(Personal::new("one holding"))]);
    acme([]).because("holding").when(meant("")).then([event(nothing())]);
    acme([]).when(meant(" ")).refused(refusal!(Refusal::ReasonMissing)).naming(["`reason`"]);
    assert_eq!(event(nothing()).claims(), [Claim::join("company.domain", "acme.ge")]);
    let asked = Create { override_duplicate: true, ..create() };
    given([]).when(Command::Create(asked)).refused(refusal!(Refusal::ReasonMissing));
}

fn ids(code: &str, tax_id: &str, registration_id: &str) -> LegalIds {
    let (tax_id, registration_id) = (Personal::new(tax_id), Personal::new(registration_id));
    LegalIds { country: country(code), tax_id, registration_id }
}

fn set_ids(ids: LegalIds, replaces: Option<LegalIds>) -> Command {
    Command::SetLegalIds { ids, replaces, override_duplicate: false, reason: nothing() }
}

fn known(code: &str, tax_id: bool, registration_id: bool) -> LegalIdsKnown {
    LegalIdsKnown { country: country(code), tax_id, registration_id }
}

/// Georgian ids where there were none.
fn ids_set(tax_id: Option<&str>, registration_id: Option<&str>) -> Event {
    Event::LegalIdsSet(LegalIdsSet {
        company: ACME_LTD,
        known: known("GE", tax_id.is_some(), registration_id.is_some()),
        replaced: None,
        meant: Meant::Unique,
        tax_id: Personal(tax_id.map(str::to_owned)),
        registration_id: Personal(registration_id.map(str::to_owned)),
        old_tax_id: nothing(),
        old_registration_id: nothing(),
        reason: nothing(),
    })
}

#[test]
fn legal_ids_are_checked_and_one_of_them_is_enough() {
    acme([]).when(set_ids(ids("GE", "204 378 869", ""), None)).then([ids_set(Some("204378869"), None)]);
    acme([]).when(set_ids(ids("GE", " ", "b 12/7"), None)).then([ids_set(None, Some("B12/7"))]);
    acme([]).when(set_ids(ids("GE", "", " "), None)).refused(refusal!(Refusal::NoLegalId)).naming(["tax id"]);
    acme([])
        .when(set_ids(ids("GE", "2043788", ""), None))
        .refused(refusal!(Refusal::BadLegalId { .. }))
        .naming(["9 digits"])
        .not_naming(["2043788"]);
    acme([])
        .when(set_ids(ids("DE", "DE136695977", ""), None))
        .refused(refusal!(Refusal::BadLegalId { .. }))
        .naming(["check digit"]);
    acme([])
        .when(set_ids(ids("GE", "", "§"), None))
        .refused(refusal!(Refusal::BadLegalId { .. }))
        .naming(["registration id"]);
}

#[test]
fn ids_that_are_known_are_named_before_they_are_replaced() {
    let log = || [ids_set(Some("204378869"), Some("B12"))];
    let new = || ids("DE", "DE136695976", "");
    for replaces in [None, Some(ids("GE", "204378869", "")), Some(ids("DE", "136695976", "B12"))] {
        acme(log())
            .when(set_ids(new(), replaces))
            .refused(refusal!(Refusal::ReplacesMissing { .. }))
            .naming(["`replaces`", "tax_id and registration_id of GE"]);
    }
    let old = || ids("GE", "204-378-869", "b12");
    acme(log()).when(set_ids(new(), Some(old()))).then([Event::LegalIdsSet(replacing())]);
    acme(log()).when(set_ids(old(), Some(old()))).then_it_is_already_so();
    let corrected = LegalIdsSet {
        known: known("GE", true, true),
        tax_id: Personal::new("404378869"),
        registration_id: Personal::new("B12"),
        ..replacing()
    };
    acme(log())
        .when(set_ids(ids("GE", "404378869", "b12"), Some(old())))
        .then([Event::LegalIdsSet(corrected)]);
    acme([]).when(set_ids(new(), Some(old()))).refused(refusal!(Refusal::NothingToReplace));
}

fn replacing() -> LegalIdsSet {
    LegalIdsSet {
        company: ACME_LTD,
        known: known("DE", true, false),
        replaced: Some(known("GE", true, true)),
        meant: Meant::Unique,
        tax_id: Personal::new("136695976"),
        registration_id: nothing(),
        old_tax_id: Personal::new("204378869"),
        old_registration_id: Personal::new("B12"),
        reason: nothing(),
    }
}

/// Kind, key and condition of each claim, in order.
fn told(claims: Vec<Claim>) -> Vec<(Condition, &'static str, String)> {
    assert!(claims.iter().all(|claim| claim.personal), "{claims:?}");
    let told =
        claims.into_iter().map(|claim| (claim.condition, claim.kind, claim.key.replace('\u{1f}', " ")));
    told.collect()
}

#[test]
fn an_id_is_one_companys_in_its_country() {
    let own = |id: &str| format!("{ACME_LTD} {id}");
    assert_eq!(
        told(ids_set(Some("204378869"), Some("B12")).claims()),
        [
            (Condition::Take, "company.tax_id", "GE 204378869".to_owned()),
            (Condition::Take, "company.own_tax_id", own("GE 204378869")),
            (Condition::Take, "company.registration_id", "GE B12".to_owned()),
            (Condition::Take, "company.own_registration_id", own("GE B12")),
        ]
    );
}

#[test]
fn replacing_demands_that_the_old_ids_are_its_own_and_lets_go_of_them() {
    let own = |id: &str| format!("{ACME_LTD} {id}");
    assert_eq!(
        told(Event::LegalIdsSet(replacing()).claims()),
        [
            (Condition::Own, "company.own_tax_id", own("GE 204378869")),
            (Condition::Release, "company.tax_id", "GE 204378869".to_owned()),
            (Condition::Release, "company.own_tax_id", own("GE 204378869")),
            (Condition::Take, "company.tax_id", "DE 136695976".to_owned()),
            (Condition::Take, "company.own_tax_id", own("DE 136695976")),
            (Condition::Own, "company.own_registration_id", own("GE B12")),
            (Condition::Release, "company.registration_id", "GE B12".to_owned()),
            (Condition::Release, "company.own_registration_id", own("GE B12")),
        ]
    );
}

#[test]
fn an_id_that_stays_is_shown_to_be_its_own_and_stays_claimed() {
    let stays =
        LegalIdsSet { known: known("GE", true, false), tax_id: Personal::new("204378869"), ..replacing() };
    let tax =
        told(Event::LegalIdsSet(stays).claims()).into_iter().filter(|(_, kind, _)| kind.ends_with("tax_id"));
    let own = format!("{ACME_LTD} GE 204378869");
    assert_eq!(tax.collect::<Vec<_>>(), [(Condition::Own, "company.own_tax_id", own)]);
}

fn set_parent(ancestors: &[CompanyId]) -> Command {
    Command::SetParent { parent: ancestors.first().copied(), ancestors: ancestors.to_vec() }
}

fn parent_set(from: Option<CompanyId>, to: Option<CompanyId>) -> Event {
    Event::ParentSet(ParentSet { from, to })
}

/// Initech stands above Globex.
fn globex_below_initech() -> Happened {
    at_start(GLOBEX.stream(), parent_set(None, Some(INITECH)))
}

fn group(then: impl IntoIterator<Item = Happened>) -> Given {
    let companies = [ACME_LTD, GLOBEX, INITECH].map(|company| at_start(company.stream(), created(company)));
    given(companies.into_iter().chain(then))
}

#[test]
fn a_parent_is_named_with_its_whole_chain() {
    group([globex_below_initech()])
        .when(set_parent(&[GLOBEX, INITECH]))
        .then([parent_set(None, Some(GLOBEX))]);
    group([]).when(set_parent(&[INITECH])).then([parent_set(None, Some(INITECH))]);
    let below = || acme_event(parent_set(None, Some(INITECH)));
    group([below()]).when(set_parent(&[INITECH])).then_it_is_already_so();
    group([below()]).when(set_parent(&[])).then([parent_set(Some(INITECH), None)]);
    group([]).when(set_parent(&[])).then_it_is_already_so();
}

#[test]
fn a_chain_that_is_not_the_true_one_is_read_again() {
    for (ancestors, after, next) in [
        (vec![GLOBEX], GLOBEX, INITECH.to_string()),
        (vec![GLOBEX, INITECH, GLOBEX], INITECH, "none".to_owned()),
        (vec![INITECH, GLOBEX], INITECH, "none".to_owned()),
        (vec![GLOBEX, INITECH, ACME_LTD], INITECH, "none".to_owned()),
    ] {
        group([globex_below_initech()])
            .when(set_parent(&ancestors))
            .refused(refusal!(Refusal::StaleAncestors { .. }))
            .naming(["read it again", &after.to_string(), &next]);
    }
    group([])
        .when(Command::SetParent { parent: Some(GLOBEX), ancestors: vec![] })
        .refused(refusal!(Refusal::StaleAncestors { .. }))
        .naming([&*GLOBEX.to_string()]);
    for parent in [None, Some(INITECH)] {
        group([])
            .when(Command::SetParent { parent, ancestors: vec![GLOBEX] })
            .refused(refusal!(Refusal::AncestorsWithoutParent))
            .naming(["start with `parent`"]);
    }
}

#[test]
fn nobody_stands_above_itself() {
    group([]).when(set_parent(&[ACME_LTD])).refused(refusal!(Refusal::Cycle { .. })).naming(["below it"]);
    let log = || [globex_below_initech(), at_start(INITECH.stream(), parent_set(None, Some(ACME_LTD)))];
    for ancestors in [vec![GLOBEX, INITECH, ACME_LTD], vec![GLOBEX, INITECH]] {
        group(log()).when(set_parent(&ancestors)).refused(refusal!(Refusal::Cycle { .. }));
    }
}

/// Of two commands that would close a circle together, each reads what the other writes.
#[test]
fn every_company_of_the_chain_is_a_condition_of_the_append() {
    use kvali_domain::{Decider, Reads};
    let reads = Company::default().reads(&set_parent(&[GLOBEX, INITECH]));
    let expected = [Reads::Company(GLOBEX.stream()), Reads::Company(INITECH.stream())];
    assert!(expected.iter().all(|link| reads.contains(link)) && reads.len() == 2, "{reads:?}");
    let first = || at_start(GLOBEX.stream(), parent_set(None, Some(ACME_LTD)));
    group([first()]).when(set_parent(&[GLOBEX])).refused(refusal!(Refusal::Cycle { .. }));
}

#[test]
fn a_chain_has_an_end() {
    let many: Vec<CompanyId> = (100..140).map(|number| CompanyId(id(number))).collect();
    group([]).when(set_parent(&many)).refused(refusal!(Refusal::ChainTooLong { most: 32 })).naming(["32"]);
    let below = |pair: &[CompanyId]| at_start(pair[0].stream(), parent_set(None, pair.get(1).copied()));
    let longest = &many[..32];
    let there = longest.iter().map(|company| at_start(company.stream(), created(*company)));
    let log = there.chain(longest.windows(2).map(below));
    group(log).when(set_parent(longest)).then([parent_set(None, Some(many[0]))]);
}

#[test]
fn a_parent_is_an_active_company() {
    let gone = Event::Archived(Archived { company: GLOBEX, merged: vec![] });
    for log in [vec![], vec![at_start(GLOBEX.stream(), created(GLOBEX)), at_start(GLOBEX.stream(), gone)]] {
        given([acme_event(created(ACME_LTD))].into_iter().chain(log))
            .when(set_parent(&[GLOBEX]))
            .refused(refusal!(Refusal::ParentNotActive { .. }))
            .naming(["name an active one"]);
    }
}

#[test]
fn fields_change_to_what_they_are_not_yet() {
    let set = |field, value| FieldSetting { field, value };
    let change = FieldChange { field: SIZE, from: None, to: Some(FieldValue::Number(12.into())) };
    let event = Event::FieldsChanged(FieldsChanged(Changes::in_clear(vec![change])));
    let command = || Command::SetFields {
        fields: vec![set(SIZE, Some(FieldValue::Number(12.into()))), set(COLOUR, None)],
    };
    acme([]).when(command()).then([event.clone()]);
    acme([event]).when(command()).then_it_is_already_so();
    acme([])
        .when(Command::SetFields { fields: vec![set(SIZE, None), set(SIZE, None)] })
        .refused(refusal!(Refusal::BadFields { .. }))
        .naming(["name it once"]);
}

#[test]
fn a_territory_is_a_code() {
    let set = |territory: Option<&str>| Command::SetTerritory { territory: territory.map(str::to_owned) };
    let event = |from: Option<&str>, to: Option<&str>| {
        Event::TerritorySet(TerritorySet { from: from.map(str::to_owned), to: to.map(str::to_owned) })
    };
    acme([]).when(set(Some(" ge-tb "))).then([event(None, Some("GE-TB"))]);
    let log = || [event(None, Some("GE-TB"))];
    acme(log()).when(set(Some("GE-TB"))).then_it_is_already_so();
    acme(log()).when(set(None)).then([event(Some("GE-TB"), None)]);
    for code in ["", "old town", "თბ", &"A".repeat(33)] {
        acme([]).when(set(Some(code))).refused(refusal!(Refusal::NotATerritory)).naming(["1 to 32 letters"]);
    }
}

fn grant(product: Option<ProductId>, exclusive: bool, from: &str, until: Option<&str>) -> Command {
    let (from, until) = (date(from), until.map(date));
    Command::GrantTerms(GrantTerms { country: country("GE"), product, exclusive, from, until })
}

fn granted(terms: i32, holds: Option<ProductId>) -> ContractTermsGranted {
    ContractTermsGranted {
        terms,
        country: country("GE"),
        product: Some(CHAIR),
        exclusive: true,
        from: date("2024-01-01"),
        until: None,
        holds,
    }
}

fn terms_ended(until: &str) -> Event {
    let (country, releases) = (country("GE"), Some(CHAIR));
    Event::ContractTermsEnded(ContractTermsEnded { terms: 1, until: date(until), country, releases })
}

fn end(terms: i32, until: &str) -> Command {
    Command::EndTerms { terms, until: date(until) }
}

#[test]
fn an_exclusivity_is_one_companys_as_long_as_its_terms_run() {
    let event = Event::ContractTermsGranted(granted(1, Some(CHAIR)));
    acme([]).when(grant(Some(CHAIR), true, "2024-01-01", None)).then([event.clone()]);
    let key = format!("GE\u{1f}{CHAIR}");
    assert_eq!(event.claims(), [Claim::take("contract.exclusive", key.clone())]);
    acme([event]).when(end(1, "2024-06-30")).then([terms_ended("2024-06-30")]);
    assert_eq!(terms_ended("2024-06-30").claims(), [Claim::release("contract.exclusive", key)]);
}

#[test]
fn terms_that_are_over_or_not_exclusive_hold_nothing() {
    let over = ContractTermsGranted { until: Some(date("2024-07-02")), ..granted(1, None) };
    acme([])
        .when(grant(Some(CHAIR), true, "2024-01-01", Some("2024-07-02")))
        .then([Event::ContractTermsGranted(over.clone())]);
    assert!(Event::ContractTermsGranted(over).claims().is_empty());
    let last_day = ContractTermsGranted { until: Some(date("2024-07-03")), ..granted(1, Some(CHAIR)) };
    acme([])
        .when(grant(Some(CHAIR), true, "2024-01-01", Some("2024-07-03")))
        .then([Event::ContractTermsGranted(last_day)]);
    let shared = ContractTermsGranted { exclusive: false, product: None, ..granted(1, None) };
    acme([]).when(grant(None, false, "2024-01-01", None)).then([Event::ContractTermsGranted(shared)]);
}

#[test]
fn exclusive_terms_are_for_one_product_and_granted_once() {
    acme([])
        .when(grant(None, true, "2024-01-01", None))
        .refused(refusal!(Refusal::ExclusiveForAll))
        .naming(["name it"]);
    let log = || [Event::ContractTermsGranted(granted(1, Some(CHAIR)))];
    acme(log())
        .when(grant(Some(CHAIR), true, "2024-02-01", None))
        .refused(refusal!(Refusal::ExclusiveAlready { terms: 1 }))
        .naming(["end them first"]);
    let again = granted(2, Some(CHAIR));
    acme(log().into_iter().chain([terms_ended("2024-06-30")]))
        .when(grant(Some(CHAIR), true, "2024-01-01", None))
        .then([Event::ContractTermsGranted(again)]);
}

#[test]
fn exclusivities_for_other_products_and_countries_stand_side_by_side() {
    let (table, germany) = (ProductId(id(98)), country("DE"));
    let log = || [Event::ContractTermsGranted(granted(1, Some(CHAIR)))];
    let other = ContractTermsGranted { product: Some(table), ..granted(2, Some(table)) };
    acme(log()).when(grant(Some(table), true, "2024-01-01", None)).then([Event::ContractTermsGranted(other)]);
    let from = date("2024-01-01");
    let abroad = GrantTerms { country: germany, product: Some(CHAIR), exclusive: true, from, until: None };
    let event = ContractTermsGranted { country: germany, ..granted(2, Some(CHAIR)) };
    acme(log()).when(Command::GrantTerms(abroad)).then([Event::ContractTermsGranted(event)]);
}

#[test]
fn terms_that_hold_nothing_let_go_of_nothing() {
    let shared = ContractTermsGranted { exclusive: false, ..granted(1, None) };
    let (until, country) = (date("2024-06-30"), country("GE"));
    let event = Event::ContractTermsEnded(ContractTermsEnded { terms: 1, until, country, releases: None });
    acme([Event::ContractTermsGranted(shared)]).when(end(1, "2024-06-30")).then([event.clone()]);
    assert!(event.claims().is_empty());
}

#[test]
fn terms_do_not_end_before_they_start() {
    acme([])
        .when(grant(None, false, "2024-01-02", Some("2024-01-01")))
        .refused(refusal!(Refusal::EndsBeforeStart { .. }))
        .naming(["2024-01-01", "2024-01-02"]);
    let log = || [Event::ContractTermsGranted(granted(1, Some(CHAIR)))];
    acme(log()).when(end(1, "2023-12-31")).refused(refusal!(Refusal::EndsBeforeStart { .. }));
    // Terms may be for a single day.
    acme(log()).when(end(1, "2024-01-01")).then([terms_ended("2024-01-01")]);
    let day = ContractTermsGranted {
        product: None,
        exclusive: false,
        until: Some(date("2024-01-01")),
        ..granted(1, None)
    };
    acme([])
        .when(grant(None, false, "2024-01-01", Some("2024-01-01")))
        .then([Event::ContractTermsGranted(day)]);
}

#[test]
fn terms_end_once_when_the_day_has_come() {
    let log = || vec![Event::ContractTermsGranted(granted(1, Some(CHAIR)))];
    acme(log())
        .when(end(1, "2024-07-05"))
        .refused(refusal!(Refusal::EndsInTheFuture { .. }))
        .naming(["2024-07-05", "2024-07-03"]);
    acme(log()).when(end(1, "2024-07-04")).then([terms_ended("2024-07-04")]);
    let over = || log().into_iter().chain([terms_ended("2024-06-30")]);
    acme(over()).when(end(1, "2024-06-30")).then_it_is_already_so();
    acme(over())
        .when(end(1, "2024-07-01"))
        .refused(refusal!(Refusal::TermsEnded { .. }))
        .naming(["2024-06-30"]);
    let two = || log().into_iter().chain([Event::ContractTermsGranted(granted(2, None))]);
    acme(two()).when(end(3, "2024-07-01")).refused(refusal!(Refusal::NoSuchTerms { .. })).naming(["1, 2"]);
    acme([]).when(end(1, "2024-07-01")).refused(refusal!(Refusal::NoSuchTerms { .. })).naming(["none"]);
    let last = || granted(i32::MAX, None);
    acme([Event::ContractTermsGranted(last())])
        .when(grant(None, false, "2024-01-01", None))
        .refused(refusal!(Refusal::TooManyTerms));
}

#[test]
fn an_archived_company_waits_to_be_restored() {
    acme([]).when(Command::Archive {}).then([archived()]);
    acme([archived()]).when(Command::Archive {}).then_it_is_already_so();
    acme([archived()]).when(Command::Restore {}).then([Event::Restored(Restored {})]);
    acme([]).when(Command::Restore {}).then_it_is_already_so();
    for command in [set_domains(&["acme.ge"]), grant(None, false, "2024-01-01", None), set_parent(&[GLOBEX])]
    {
        acme([archived()])
            .when(command)
            .refused(refusal!(Refusal::CompanyArchived))
            .naming(["RestoreCompany"]);
    }
    let back = [archived(), Event::Restored(Restored {})];
    acme(back).when(set_domains(&["acme.ge"])).then([domains_set(&["acme.ge"], &[])]);
}

#[test]
fn a_company_with_an_open_deal_is_not_archived() {
    assert_eq!(archived().claims(), [Claim::none("company.deals", ACME_LTD.to_string())]);
}

#[test]
fn what_is_personal_is_sealed_under_the_companys_own_key() {
    let personal = |mut event: Event| {
        let fields = event.personal();
        assert!(fields.iter().all(|found| found.subject == SubjectId::from(ACME_LTD)));
        fields.into_iter().map(|found| found.field).collect::<Vec<_>>()
    };
    assert_eq!(personal(created(ACME_LTD)), ["name"]);
    assert_eq!(personal(domains_set(&[], &[])), ["reason"]);
    let sealed = ["tax_id", "registration_id", "old_tax_id", "old_registration_id", "reason"];
    assert_eq!(personal(ids_set(None, None)), sealed);
    assert!(personal(archived()).is_empty());
}

#[test]
fn a_command_for_another_company_is_decided_on_that_one() {
    given([]).when(on(GLOBEX.stream(), Command::Create(create()))).then([created(GLOBEX)]);
}
