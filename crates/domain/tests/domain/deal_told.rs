//! What a deal has been told counts in what it is told next.

use crate::deal_more::{BACK, INTAKE, NEXT, add, after, line, require, revive, text, told, world_with};
use crate::given::{Happened, given, on};
use crate::party::{BORIS, VIP};
use crate::sales::*;
use chrono::{DateTime, TimeDelta, Utc};
use kvali_domain::deal::{self, Command, Event, Matter, Origin, Party, Refusal};
use kvali_domain::pipeline::{self, Clock, Requirement};
use kvali_domain::{Occurred, Personal, Refusal as AnyRefusal};

macro_rules! deal_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Deal($pattern))
    };
}

#[test]
fn what_was_taken_off_is_put_on_again() {
    let tag = || Command::Tag { tag: VIP };
    let untag = || Command::Untag { tag: VIP };
    given(told([tag(), untag()])).when(untag()).then_it_is_already_so();
    given(told([tag(), untag()])).when(tag()).then([Event::Tagged(deal::Tagged { tag: VIP })]);
    let follow = || Command::Follow { user: NINO };
    let unfollow = || Command::Unfollow { user: NINO };
    given(told([follow(), unfollow()])).when(unfollow()).then_it_is_already_so();
    given(told([follow(), unfollow()])).when(follow()).then([Event::Followed(deal::Followed { user: NINO })]);
}

#[test]
fn a_restored_deal_is_archived_again() {
    let restored = || told([CLOSE_WON, Command::Archive {}, Command::Restore {}]);
    given(restored()).when(Command::Restore {}).then_it_is_already_so();
    given(restored()).when(Command::Archive {}).then([Event::Archived(deal::Archived {})]);
}

#[test]
fn a_cleared_probability_is_overridden_no_longer() {
    let override_it = || Command::OverrideProbability { probability: 60, reason: text("they called") };
    let cleared = || told([override_it(), Command::ClearOverride {}]);
    given(cleared()).when(Command::ClearOverride {}).then_it_is_already_so();
    let subject = DEAL.into();
    given(cleared()).when(override_it()).then([Event::ProbabilityOverridden(deal::ProbabilityOverridden {
        probability: 60,
        subject,
        reason: text("they called"),
    })]);
}

#[test]
fn a_line_is_what_it_was_changed_to() {
    let change = || Command::ChangeLine { number: 1, line: line("4", "10", "0") };
    let changed = || told([Command::AddLine { line: line("3", "10", "0") }, change()]);
    given(changed()).when(change()).then_it_is_already_so();
    given(changed())
        .when(Command::RemoveLine { number: 1 })
        .then([Event::LineRemoved(deal::LineRemoved { line: 1, was: line("4", "10", "0") })]);
    let gift = || line("1", "10", "100");
    given(told([])).when(Command::AddLine { line: gift() }).then([
        Event::LineAdded(deal::LineAdded { line: 1, is: gift() }),
        Event::ValueChanged(deal::ValueChanged { from: None, to: usd("0") }),
    ]);
}

/// Opened long before `NOW`, in a stage that shall be left within two days.
fn idle_since(touched: DateTime<Utc>) -> Vec<Happened> {
    let limits = pipeline::StageLimitsSet {
        stage: NEW,
        max_days: Some(30),
        idle_days: Some(2),
        clock: Clock::Calendar,
    };
    let touch = deal_event(Event::Tagged(deal::Tagged { tag: VIP })).on(Occurred::Instant { at: touched });
    vec![sales(), sales_event(pipeline::Event::StageLimitsSet(limits)), opened(), touch]
}

#[test]
fn a_deal_is_idle_from_when_something_was_told_of_it_last() {
    let report = || Command::ReportIdle { spell: None };
    given(idle_since(NOW))
        .at(NOW + TimeDelta::days(1))
        .when(report())
        .refused(deal_refusal!(Refusal::WithinLimit { age_days: 1, max_days: 2 }));
    let went_idle = Event::WentIdle(deal::WentIdle { since: NOW, idle_days: 2 });
    given(idle_since(NOW)).at(NOW + TimeDelta::days(2)).when(report()).then([went_idle.clone()]);
    // That it was reported does not make it less idle, whichever report it was.
    let exceeded = Event::StageLimitExceeded(deal::StageLimitExceeded { visit: 1, max_days: 30 });
    let reported_at = Occurred::Instant { at: NOW + TimeDelta::days(2) };
    let mut reported = idle_since(NOW);
    reported.extend([went_idle, exceeded].map(|event| deal_event(event).on(reported_at)));
    given(reported).at(NOW + TimeDelta::days(9)).when(report()).then_it_is_already_so();
}

#[test]
fn a_hold_is_over_on_its_day() {
    let until = date("2024-07-10");
    let held = Event::PutOnHold(deal::PutOnHold { until, subject: DEAL.into(), reason: Personal::default() });
    let at_hold = |day: &str| {
        let mut log = idle_since(NOW);
        log.push(deal_event(held.clone()).on(Occurred::Instant { at: NOW }));
        given(log).at(day.parse().expect("an RFC 3339 time")).when(Command::ReportIdle { spell: None })
    };
    at_hold("2024-07-09T23:59:59Z").refused(deal_refusal!(Refusal::OnHold { .. }));
    at_hold("2024-07-10T00:00:00Z").then([Event::WentIdle(deal::WentIdle { since: NOW, idle_days: 2 })]);
}

#[test]
fn a_next_step_is_done_by_moving_on() {
    let wanted = |commands: Vec<Command>| {
        let mut log = told(commands);
        log.extend([TALK, OFFER].map(|stage| require(stage, &[Requirement::NextStep], &[])));
        log
    };
    let next = || Command::SetNextStep { text: text("call"), task: None };
    let lacking = deal_refusal!(Refusal::Requirements { .. });
    given(wanted(vec![])).when(move_to(TALK)).refused(lacking).naming(["a next step"]);
    given(wanted(vec![next()])).when(move_to(TALK)).then([moved_under(4, NEW, TALK, 2)]);
    given(wanted(vec![next(), move_to(TALK)])).when(move_to(OFFER)).refused(lacking);
    given(wanted(vec![move_to(TALK), next()])).when(move_to(OFFER)).then([moved_under(4, TALK, OFFER, 3)]);
}

#[test]
fn a_stage_that_wants_a_party_wants_a_contact_or_a_company() {
    let wanted = |commands: Vec<Command>| {
        let mut log = told(commands);
        log.push(require(TALK, &[Requirement::Party], &[]));
        log
    };
    let lacking = deal_refusal!(Refusal::Requirements { .. });
    given(wanted(vec![])).when(move_to(TALK)).refused(lacking).naming(["a contact or company"]);
    for command in [add(ANNA), Command::SetCompany { company: ACME_LTD }] {
        given(wanted(vec![command])).when(move_to(TALK)).then([moved_under(3, NEW, TALK, 2)]);
    }
}

#[test]
fn an_approval_is_decided_once_and_blocks_winning_no_longer() {
    let requested = Command::RequestApproval { matter: Matter::Discount, reason: Personal::default() };
    let granted = Event::ApprovalGranted(deal::ApprovalGranted { approval: 1, by: GIORGI.into() });
    let (by, subject, reason) = (GIORGI.into(), DEAL.into(), text("too much"));
    let refused = Event::ApprovalRefused(deal::ApprovalRefused { approval: 1, by, subject, reason });
    let decided = |event: &Event| {
        let mut log = told([requested.clone()]);
        log.push(deal_event(event.clone()));
        given(log)
    };
    let grant = || Command::GrantApproval { approval: 1 };
    let refuse = || Command::RefuseApproval { approval: 1, reason: text("too much") };
    let twice = deal_refusal!(Refusal::ApprovalDecided { approval: 1 });
    decided(&granted).when(grant()).then_it_is_already_so();
    decided(&granted).when(refuse()).refused(twice);
    decided(&refused).when(refuse()).then_it_is_already_so();
    decided(&refused).when(grant()).refused(twice);
    for event in [&granted, &refused] {
        let Event::Won(win) = won(NEW, 2, None) else { panic!("a win") };
        decided(event).when(CLOSE_WON).then([Event::Won(deal::Won { pipeline_version: 2, ..win })]);
    }
}

#[test]
fn another_contact_becomes_primary_when_the_primary_one_goes() {
    let primary = |contact| Command::SetPrimaryContact { contact };
    let remove = |contact| Command::RemoveContact { contact };
    given(told([add(ANNA), add(BORIS), remove(ANNA)])).when(primary(BORIS)).then_it_is_already_so();
    given(told([add(ANNA), add(BORIS), primary(BORIS)])).when(primary(BORIS)).then_it_is_already_so();
    let others_leave = told([add(BORIS), add(ANNA), remove(ANNA)]);
    given(others_leave).when(primary(BORIS)).then_it_is_already_so();
}

#[test]
fn a_deal_that_comes_of_another_is_with_the_same_party_and_of_the_same_value() {
    for (party, with) in [(ACME, ACME), (Party::Contact(ANNA), Party::Contact(ANNA))] {
        let open = deal::Open { party: Some(party), value: Some(usd("250")), ..open() };
        let orders = [Command::Open(open), close_lost(Some(PRICE))];
        let lost = after(world_with(STRICT), orders.map(|command| on(DEAL.stream(), command)));
        let revived = deal::Opened {
            pipeline: SERVICE,
            stage: INTAKE,
            party: Some(with),
            owner: Some(NINO),
            value: Some(usd("250")),
            origin: Some(Origin::Recycle { lost: DEAL }),
            ..opening()
        };
        given(lost.clone()).when(revive()).then([
            Event::Revived(deal::Revived { recycled: NEXT, pipeline: SERVICE }),
            Event::Opened(revived),
        ]);
        let qualified = after(lost, [on(DEAL.stream(), revive()), on(NEXT.stream(), CLOSE_WON)]);
        let back = deal::Opened {
            pipeline_version: 2,
            party: Some(with),
            owner: Some(GIORGI),
            value: Some(usd("250")),
            origin: Some(Origin::Revived { recycled: NEXT, lost: DEAL }),
            ..opening()
        };
        given(qualified)
            .when(on(NEXT.stream(), Command::HandBack { deal: BACK, owner: Some(GIORGI) }))
            .then([Event::HandedBack(deal::HandedBack { deal: BACK, pipeline: SALES }), Event::Opened(back)]);
    }
}
