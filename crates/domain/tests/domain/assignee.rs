//! The rule for new owners, seen through the deals that are given to them.

use crate::given::{Happened, given};
use crate::sales::*;
use kvali_domain::assignee::AssigneeProblem;
use kvali_domain::deal::{self, Assigned, Command, Event, Refusal};
use kvali_domain::{Personal, Refusal as AnyRefusal, SubjectId, user};

macro_rules! owner_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Deal(Refusal::Owner($pattern)))
    };
}

fn force(reason: &str) -> Command {
    Command::Assign { owner: NINO, force: true, reason: Personal::new(reason) }
}

fn nino_away(substitute: bool) -> Vec<Happened> {
    let substitute = substitute.then_some(GIORGI);
    vec![sales(), opened(), registered(NINO), away(NINO, "2024-07-01", "2024-07-09", substitute)]
}

#[test]
fn work_for_someone_absent_is_refused_with_the_substitute_and_the_day_of_return() {
    for command in
        [Command::assign(NINO), Command::Assign { owner: NINO, force: false, reason: Personal::new("now") }]
    {
        given(nino_away(true))
            .when(command)
            .refused(owner_refusal!(AssigneeProblem::OwnerAbsent {
                user: NINO,
                substitute: Some(GIORGI),
                ..
            }))
            .naming(["2024-07-10", &*GIORGI.to_string(), "force it with a reason"]);
    }
    given(nino_away(false))
        .when(Command::assign(NINO))
        .refused(owner_refusal!(AssigneeProblem::OwnerAbsent { substitute: None, .. }))
        .naming(["2024-07-10", "somebody else"]);
}

#[test]
fn a_deal_is_not_opened_for_someone_absent() {
    given(nino_away(true).into_iter().filter(|happened| happened.stream != DEAL.stream()))
        .when(Command::Open(deal::Open { owner: Some(NINO), ..open() }))
        .refused(owner_refusal!(AssigneeProblem::OwnerAbsent { .. }))
        .naming([&*GIORGI.to_string()]);
}

#[test]
fn absence_is_a_matter_of_local_days() {
    let free = || [Event::Assigned(assigned(None, NINO))];
    let at = |now: &str| given(nino_away(true)).at(now.parse().expect("an RFC 3339 time"));
    let absent = owner_refusal!(AssigneeProblem::OwnerAbsent { .. });
    // Tbilisi is four hours ahead.
    at("2024-06-30T19:59:59Z").when(Command::assign(NINO)).then(free());
    let _said = at("2024-06-30T20:00:00Z").when(Command::assign(NINO)).refused(absent);
    let _said = at("2024-07-09T19:59:59Z").when(Command::assign(NINO)).refused(absent);
    at("2024-07-09T20:00:00Z").when(Command::assign(NINO)).then(free());
}

#[test]
fn force_with_a_reason_reaches_someone_absent_and_says_so() {
    let reason = Personal::new("she asked for it");
    let subject = Some(SubjectId::from(DEAL));
    let event = Assigned { forced: true, subject, reason, ..assigned(None, NINO) };
    given(nino_away(true)).when(force("she asked for it")).then([Event::Assigned(event)]);
    let event = Assigned { forced: true, ..assigned(None, NINO) };
    given(nino_away(true)).because("vip").when(force(" ")).then([Event::Assigned(event)]);
}

#[test]
fn force_without_a_reason_is_refused() {
    given(nino_away(true))
        .when(force(" "))
        .refused(owner_refusal!(AssigneeProblem::ForceWithoutReason { user: NINO }))
        .naming(["`reason`", "reason code"]);
}

#[test]
fn force_is_not_noted_where_nobody_had_to_be_forced() {
    given([sales(), opened(), registered(NINO)])
        .when(force(" "))
        .then([Event::Assigned(assigned(None, NINO))]);
}

#[test]
fn force_does_not_reach_someone_who_left() {
    given([sales(), opened(), registered(NINO), deactivated(NINO)])
        .when(force("all the same"))
        .refused(owner_refusal!(AssigneeProblem::OwnerNotActive { user: NINO }))
        .naming(["registered, active user"]);
}

#[test]
fn someone_invited_gets_no_work_before_being_activated() {
    let name = Personal::new("Nino");
    let invited =
        user::Event::Invited(user::Invited { user: NINO, name, mail: Personal::new("nino@example.com") });
    let log = vec![sales(), opened(), nino_event(invited)];
    let _said = given(log.clone())
        .when(Command::assign(NINO))
        .refused(owner_refusal!(AssigneeProblem::OwnerNotActive { user: NINO }));
    let activated = nino_event(user::Event::Activated(user::Activated {}));
    given(log.into_iter().chain([activated]))
        .when(Command::assign(NINO))
        .then([Event::Assigned(assigned(None, NINO))]);
}

#[test]
fn the_reason_of_an_assignment_is_sealed_under_the_deals_key() {
    let subject = Some(SubjectId::from(DEAL));
    let event = Assigned { subject, reason: Personal::new("because"), ..assigned(None, NINO) };
    let mut event = kvali_domain::Event::Deal(Event::Assigned(event));
    assert!(!event.data().contains("because"));
    let fields = event.personal();
    assert_eq!((fields.len(), fields[0].subject, fields[0].field), (1, SubjectId::from(DEAL), "reason"));
}
