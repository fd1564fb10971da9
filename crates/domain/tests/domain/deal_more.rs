//! What a deal is told beside moving and closing: with whom it is, what it sells, its pace, and the deals that follow.

use crate::configuring::BIG;
use crate::given::{Happened, Sender, World, given, on};
use crate::party::{BORIS, CHAIR, GLOBEX, VIP, dictionaries};
use crate::sales::*;
use chrono::TimeDelta;
use kvali_domain::deal::{self, Command, ContactRole, Deal, Event, Line, Matter, Origin, Party, Refusal};
use kvali_domain::dictionary::NotInDictionary;
use kvali_domain::pipeline::{self, Class, Clock, ForecastCategory, Policy, Requirement};
use kvali_domain::{
    Claim, ContactId, DealId, Event as AnyEvent, Order, Personal, Refusal as AnyRefusal, StageId, State,
    claim::Condition, company, contact,
};
use std::collections::BTreeSet;

macro_rules! deal_refusal {
    ($pattern:pat $(if $guard:expr)?) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Deal($pattern) $(if $guard)?)
    };
}

pub(crate) const NEXT: DealId = DealId(id(101));
pub(crate) const BACK: DealId = DealId(id(102));
pub(crate) const INTAKE: StageId = StageId(id(110));
pub(crate) const REPAIR: StageId = StageId(id(111));

/// Intake → Repair, Done, Gone.
pub(crate) fn service_with(policy: Policy) -> Happened {
    let stages = vec![
        stage(INTAKE, "Intake", Class::Process),
        stage(REPAIR, "Repair", Class::Process),
        stage(StageId(id(112)), "Done", Class::Success),
        stage(StageId(id(113)), "Gone", Class::Failure),
    ];
    let created =
        pipeline::Created { name: "Service".to_owned(), stages, entry_stages: vec![INTAKE], policy };
    at_start(SERVICE.stream(), pipeline::Event::Created(created))
}

fn known(contact: ContactId) -> Happened {
    let none = Personal::default;
    let created = contact::Created {
        contact,
        named: false,
        source: None,
        external: None,
        owner: None,
        given: none(),
        family: none(),
        full: none(),
    };
    at_start(contact.stream(), contact::Event::Created(created))
}

fn incorporated(company: kvali_domain::CompanyId) -> Happened {
    let created = company::Created { company, external: None, owner: None, name: Personal::default() };
    at_start(company.stream(), company::Event::Created(created))
}

pub(crate) fn world_with(policy: Policy) -> Vec<Happened> {
    let linked = pipeline::RecyclePipelineLinked { from: None, to: SERVICE };
    let around = [
        sales_with(policy),
        service_with(STRICT),
        sales_event(pipeline::Event::RecyclePipelineLinked(linked)),
        reason(PRICE, "price", &[SALES, SERVICE]),
        registered(NINO),
        registered(GIORGI),
        known(ANNA),
        known(BORIS),
        incorporated(ACME_LTD),
        incorporated(GLOBEX),
    ];
    around.into_iter().chain(dictionaries()).collect()
}

/// The log after these were carried out.
pub(crate) fn after(log: Vec<Happened>, orders: impl IntoIterator<Item = Order>) -> Vec<Happened> {
    let mut log = log;
    let mut world = World::default();
    for happened in &log {
        world.apply(happened);
    }
    let sender = Sender { actor: ACTOR, now: NOW, occurred: None, reason_code: None };
    for order in orders {
        let happened = world.carry_out(&order, &sender).unwrap_or_else(|refusal| panic!("{refusal}"));
        for (stream, event) in happened {
            let occurred = kvali_domain::Occurred::Instant { at: NOW };
            let happened = Happened { stream, event, occurred };
            world.apply(&happened);
            log.push(happened);
        }
    }
    log
}

pub(crate) fn told(commands: impl IntoIterator<Item = Command>) -> Vec<Happened> {
    let all = [Command::Open(open())].into_iter().chain(commands);
    after(world_with(STRICT), all.map(|command| on(DEAL.stream(), command)))
}

pub(crate) fn require(stage: StageId, entry: &[Requirement], exit: &[Requirement]) -> Happened {
    sales_event(pipeline::Event::StageRequirementsSet(pipeline::StageRequirementsSet {
        stage,
        entry: entry.to_vec(),
        exit: exit.to_vec(),
        newly_required: vec![],
        no_longer_required: vec![],
    }))
}

pub(crate) fn text(words: &str) -> Personal {
    Personal::new(words)
}

pub(crate) fn add(contact: ContactId) -> Command {
    Command::AddContact { contact, role: ContactRole::User }
}

pub(crate) fn line(quantity: &str, price: &str, discount: &str) -> Line {
    let number = |text: &str| text.parse().expect("a decimal");
    let unit_price = usd(price);
    Line { product: CHAIR, quantity: number(quantity), unit_price, discount_percent: number(discount) }
}

#[test]
fn a_repeat_deal_has_the_party_of_a_closed_one() {
    let first = |close: Option<Command>| {
        let opened = Command::Open(deal::Open { party: Some(ACME), ..open() });
        let orders = [opened].into_iter().chain(close);
        after(world_with(STRICT), orders.map(|command| on(DEAL.stream(), command)))
    };
    let repeat = |party| {
        let with = deal::Open { party, ..open() };
        on(NEXT.stream(), Command::OpenRepeat { previous: DEAL, with })
    };
    let origin = Some(Origin::Repeat { previous: DEAL });
    given(first(Some(CLOSE_WON))).when(repeat(Some(ACME))).then([
        Event::Opened(deal::Opened { party: Some(ACME), pipeline_version: 2, origin, ..opening() }),
        Event::LinkedToPrevious(deal::LinkedToPrevious { previous: DEAL }),
    ]);
    given(first(None))
        .when(repeat(Some(ACME)))
        .refused(deal_refusal!(Refusal::PreviousOpen { deal: DEAL }))
        .naming(["close it first"]);
    given(first(Some(CLOSE_WON)))
        .when(repeat(Some(Party::Company(GLOBEX))))
        .refused(deal_refusal!(Refusal::PreviousOfOther { deal: DEAL }))
        .naming(["has the party of the one before"]);
    given(world_with(STRICT))
        .when(repeat(None))
        .refused(deal_refusal!(Refusal::NoSuchPrevious { deal: DEAL }))
        .naming(["name the deal"]);
}

#[test]
fn an_origin_is_not_forged_by_opening() {
    let lost = || told([close_lost(Some(PRICE))]);
    for origin in [
        Origin::Repeat { previous: DEAL },
        Origin::Recycle { lost: DEAL },
        Origin::Revived { recycled: DEAL, lost: DEAL },
    ] {
        let forged = Command::Open(deal::Open { origin: Some(origin), ..open() });
        given(lost())
            .when(on(NEXT.stream(), forged))
            .refused(deal_refusal!(Refusal::RepeatByOpening { .. } | Refusal::NotRevivedSo { .. }))
            .naming(["use "]);
    }
}

pub(crate) fn revive() -> Command {
    Command::Revive { recycled: NEXT, owner: Some(NINO) }
}

#[test]
fn a_lost_deal_is_revived_with_a_deal_in_the_recycle_pipeline() {
    given(told([close_lost(Some(PRICE))])).when(revive()).then([
        Event::Revived(deal::Revived { recycled: NEXT, pipeline: SERVICE }),
        Event::Opened(deal::Opened {
            pipeline: SERVICE,
            stage: INTAKE,
            owner: Some(NINO),
            origin: Some(Origin::Recycle { lost: DEAL }),
            ..opening()
        }),
    ]);
    given(told([close_lost(Some(PRICE)), revive()])).when(revive()).then_it_is_already_so();
    given(told([close_lost(Some(PRICE)), revive()]))
        .when(Command::Revive { recycled: BACK, owner: None })
        .refused(deal_refusal!(Refusal::AlreadyRevived { deal: NEXT }))
        .naming(["go on with that one"]);
    given(told([CLOSE_WON]))
        .when(revive())
        .refused(deal_refusal!(Refusal::NotLost))
        .naming(["OpenRepeatDeal"]);
    given(told([])).when(revive()).refused(deal_refusal!(Refusal::NotLost)).naming(["only a lost deal"]);
}

#[test]
fn a_revived_deal_that_is_won_is_handed_back_to_sales_once() {
    let revived = || told([close_lost(Some(PRICE)), revive()]);
    let back = |deal| on(NEXT.stream(), Command::HandBack { deal, owner: None });
    let won = || after(revived(), [on(NEXT.stream(), CLOSE_WON)]);
    given(revived())
        .when(back(BACK))
        .refused(deal_refusal!(Refusal::NotQualifiedYet))
        .naming(["win it first"]);
    given(won()).when(back(BACK)).then([
        Event::HandedBack(deal::HandedBack { deal: BACK, pipeline: SALES }),
        Event::Opened(deal::Opened {
            pipeline_version: 2,
            origin: Some(Origin::Revived { recycled: NEXT, lost: DEAL }),
            ..opening()
        }),
    ]);
    given(after(won(), [back(BACK)])).when(back(BACK)).then_it_is_already_so();
    given(after(won(), [back(BACK)]))
        .when(back(DealId(id(103))))
        .refused(deal_refusal!(Refusal::AlreadyHandedBack { deal: BACK }))
        .naming([&*BACK.to_string()]);
    given(told([CLOSE_WON]))
        .when(Command::HandBack { deal: BACK, owner: None })
        .refused(deal_refusal!(Refusal::NotARecycledDeal))
        .naming(["that was revived"]);
}

#[test]
fn a_stage_names_what_it_wants_on_entry_and_on_exit() {
    let wants = |entry: StageId, exit: StageId, commands: Vec<Command>| {
        let mut log = told(commands);
        log.extend([require(entry, &[Requirement::Value], &[]), require(exit, &[], &[Requirement::Owner])]);
        log
    };
    for (log, command, what) in [
        (wants(TALK, OFFER, vec![]), move_to(TALK), "a value"),
        (wants(OFFER, NEW, vec![]), move_to(TALK), "an owner"),
        (wants(OFFER, NEW, vec![]), CLOSE_WON, "an owner"),
        (wants(WON, OFFER, vec![]), CLOSE_WON, "a value"),
    ] {
        given(log).when(command).refused(deal_refusal!(Refusal::Requirements { .. })).naming([what]);
    }
    given([sales(), require(NEW, &[Requirement::ExpectedClose], &[])])
        .when(Command::Open(open()))
        .refused(deal_refusal!(Refusal::Requirements { .. }))
        .naming(["an expected close"]);
    let has = vec![Command::SetValue { value: usd("1") }, Command::assign(NINO)];
    let moved = moved_under(4, NEW, TALK, 2);
    given(wants(TALK, NEW, has)).when(move_to(TALK)).then([moved]);
}

#[test]
fn a_move_demands_an_open_task_where_the_policy_wants_one() {
    use kvali_domain::decider::Describe;
    let log = after(
        world_with(Policy { next_task_required: true, ..STRICT }),
        [on(DEAL.stream(), Command::Open(open())), on(DEAL.stream(), move_to(TALK))],
    );
    let Some(AnyEvent::Deal(moved)) = log.last().map(|last| last.event.clone()) else { panic!("no deal") };
    assert!(moved.claims().contains(&Claim::some("deal.open_task", DEAL.to_string())));
}

#[test]
fn a_deal_reopens_within_the_days_of_grace_and_not_while_archived() {
    let policy = Policy { allow_reopen: true, grace_days: Some(2), ..STRICT };
    let closed = |more: Option<Command>| {
        let commands = [Command::Open(open()), CLOSE_WON].into_iter().chain(more);
        after(world_with(policy), commands.map(|command| on(DEAL.stream(), command)))
    };
    given(closed(None))
        .at(NOW + TimeDelta::days(2))
        .when(reopen(NEW, "again"))
        .refused(deal_refusal!(Refusal::GraceOver { days: 2, grace_days: 2 }))
        .naming(["OpenRepeatDeal"]);
    let Event::Reopened(event) = reopened(WON, NEW, 3, text("again")) else { panic!("a reopening") };
    given(closed(None))
        .at(NOW + TimeDelta::days(1))
        .when(reopen(NEW, "again"))
        .then([Event::Reopened(deal::Reopened { pipeline_version: 2, ..event })]);
    for command in [reopen(NEW, "again"), Command::Follow { user: NINO }, Command::Tag { tag: VIP }] {
        given(closed(Some(Command::Archive {})))
            .when(command)
            .refused(deal_refusal!(Refusal::Archived))
            .naming(["RestoreDeal"]);
    }
    given(closed(Some(Command::Archive {})))
        .when(Command::Restore {})
        .then([Event::Restored(deal::Restored {})]);
    given(told([])).when(Command::Archive {}).refused(deal_refusal!(Refusal::StillOpen)).naming(["close it"]);
}

#[test]
fn the_value_follows_from_the_lines() {
    given(told([])).when(Command::AddLine { line: line("3", "10.00", "10") }).then([
        Event::LineAdded(deal::LineAdded { line: 1, is: line("3", "10.00", "10") }),
        Event::ValueChanged(deal::ValueChanged { from: None, to: usd("27") }),
    ]);
    let sold = || told([Command::AddLine { line: line("3", "10.00", "10") }]);
    given(sold())
        .when(Command::SetValue { value: usd("5") })
        .refused(deal_refusal!(Refusal::ValueFromLines))
        .naming(["ChangeDealLine"]);
    given(sold())
        .when(Command::ChangeLine { number: 2, line: line("1", "1", "0") })
        .refused(deal_refusal!(Refusal::NoSuchLine { line: 2, .. }))
        .naming(["[1]"]);
    for (wrong, what) in [
        (line("0", "1", "0"), "above zero"),
        (line("1", "-1", "0"), "zero or more"),
        (line("1", "1", "101"), "0 to 100"),
        (line("79228162514264337593543950335", "2", "0"), "too large"),
    ] {
        given(sold()).when(Command::AddLine { line: wrong }).refused(|_| true).naming([what]);
    }
    let removed = told([Command::AddLine { line: line("1", "1", "0") }, Command::RemoveLine { number: 1 }]);
    given(removed).when(Command::RemoveLine { number: 1 }).then_it_is_already_so();
}

#[test]
fn a_pending_approval_blocks_winning_and_is_decided_by_somebody_else() {
    let request = || Command::RequestApproval { matter: Matter::Discount, reason: Personal::default() };
    let grant = || Command::GrantApproval { approval: 1 };
    given(told([request()]))
        .when(CLOSE_WON)
        .refused(deal_refusal!(Refusal::ApprovalPending { .. }))
        .naming(["[1]"]);
    given(told([request()]))
        .when(grant())
        .refused(deal_refusal!(Refusal::OwnApproval { approval: 1 }))
        .naming(["somebody other"]);
    given(told([request()]))
        .sent_by(GIORGI)
        .when(grant())
        .then([Event::ApprovalGranted(deal::ApprovalGranted { approval: 1, by: GIORGI.into() })]);
    given(told([request()]))
        .sent_by(GIORGI)
        .when(Command::RefuseApproval { approval: 1, reason: Personal::default() })
        .refused(deal_refusal!(Refusal::ReasonMissing))
        .naming(["reason"]);
    given(told([]))
        .when(grant())
        .refused(deal_refusal!(Refusal::NoSuchApproval { .. }))
        .naming(["no approval 1"]);
}

#[test]
fn what_is_said_of_the_near_future_is_checked() {
    let today = NOW.date_naive();
    for (command, what) in [
        (Command::PutOnHold { until: today, reason: text("") }, "a day after today"),
        (Command::OverrideProbability { probability: 101, reason: text("sure") }, "0 to 100"),
        (Command::OverrideProbability { probability: 50, reason: text(" ") }, "reason"),
        (Command::SetForecastCategory { category: ForecastCategory::Closed }, "CloseWon or CloseLost"),
        (Command::SetNextStep { text: text(" "), task: None }, "a text or a task"),
        (Command::Rename { name: text(" ") }, "visible character"),
        (Command::LeaveRetired { to: TALK }, "MoveDeal"),
        (Command::SetPrimaryContact { contact: ANNA }, "AddDealContact"),
        (add(ContactId(id(99))), "in use"),
    ] {
        given(told([])).when(command).refused(|_| true).naming([what]);
    }
    for command in [Command::Resume {}, Command::ClearOverride {}, Command::RemoveContact { contact: ANNA }] {
        given(told([])).when(command).then_it_is_already_so();
    }
}

#[test]
fn a_stage_limit_is_reported_once_and_not_while_on_hold() {
    let limits = pipeline::StageLimitsSet {
        stage: NEW,
        max_days: Some(3),
        idle_days: Some(2),
        clock: Clock::Calendar,
    };
    let limited = |commands: Vec<Command>| {
        let mut log = told(commands);
        log.push(sales_event(pipeline::Event::StageLimitsSet(limits.clone())));
        log
    };
    let report = || Command::ReportStageLimit { limit: None };
    let late = NOW + TimeDelta::days(3);
    given(limited(vec![]))
        .when(report())
        .refused(deal_refusal!(Refusal::WithinLimit { .. }))
        .naming(["limit of 3"]);
    let exceeded = deal_event(Event::StageLimitExceeded(deal::StageLimitExceeded { visit: 1, max_days: 3 }));
    given(limited(vec![])).at(late).when(report()).then([exceeded.event.clone()]);
    let mut reported = limited(vec![]);
    reported.push(exceeded);
    given(reported).at(late).when(report()).then_it_is_already_so();
    let hold = Command::PutOnHold { until: date("2024-08-01"), reason: text("") };
    for command in [report(), Command::ReportIdle { spell: None }] {
        given(limited(vec![hold.clone()]))
            .at(late)
            .when(command)
            .refused(deal_refusal!(Refusal::OnHold { .. }))
            .naming(["ResumeDeal"]);
    }
    given(limited(vec![]))
        .at(late)
        .when(Command::ReportIdle { spell: None })
        .then([Event::WentIdle(deal::WentIdle { since: NOW, idle_days: 2 })]);
}

#[test]
fn whoever_reports_a_limit_may_name_that_of_the_visit_but_not_of_another_one() {
    let report =
        |visit, max_days| Command::ReportStageLimit { limit: Some(deal::VisitLimit { visit, max_days }) };
    let exceeded = |max_days| Event::StageLimitExceeded(deal::StageLimitExceeded { visit: 1, max_days });
    let late = NOW + TimeDelta::days(5);
    // The pipeline has no limit, or has another one by now.
    given(told([])).at(late).when(report(1, 5)).then([exceeded(5)]);
    given(told([]))
        .at(late)
        .when(report(1, 6))
        .refused(deal_refusal!(Refusal::WithinLimit { age_days: 5, max_days: 6 }))
        .naming(["limit of 6"]);
    given(told([]))
        .at(late)
        .when(report(2, 5))
        .refused(deal_refusal!(Refusal::NoSuchVisit { visit: 2, .. }))
        .naming(["visits 1 to 1"]);
    let mut reported = told([]);
    reported.push(deal_event(exceeded(5)));
    given(reported.clone()).at(late).when(report(1, 4)).then_it_is_already_so();
    given(reported).at(late).when(report(0, 4)).then_it_is_already_so();
}

#[test]
fn a_deal_goes_idle_once_for_each_time_in_which_nothing_happens() {
    let report = |days| {
        let since = NOW + TimeDelta::days(days);
        Command::ReportIdle { spell: Some(deal::IdleSpell { since, idle_days: 3 }) }
    };
    let idle = |days| Event::WentIdle(deal::WentIdle { since: NOW + TimeDelta::days(days), idle_days: 3 });
    let late = NOW + TimeDelta::days(9);
    // Somebody called on the fourth day, which the deal itself does not know of.
    given(told([])).at(late).when(report(4)).then([idle(4)]);
    // What it knows counts: nothing was said of it before it was opened.
    given(told([])).at(late).when(report(-4)).then([idle(0)]);
    given(told([]))
        .at(late)
        .when(report(7))
        .refused(deal_refusal!(Refusal::WithinLimit { age_days: 2, max_days: 3 }))
        .naming(["limit of 3"]);
    let mut reported = told([]);
    reported.push(deal_event(idle(4)));
    for since in [0, 4] {
        given(reported.clone()).at(late).when(report(since)).then_it_is_already_so();
    }
    given(reported).at(late).when(report(5)).then([idle(5)]);
}

#[test]
fn a_deal_is_left_without_task_once_for_each_time_that_its_last_one_ended() {
    let report = |days| Command::ReportWithoutTask { since: Some(NOW + TimeDelta::days(days)) };
    let left = |days| {
        let since = Some(NOW + TimeDelta::days(days));
        Event::LeftWithoutTask(deal::LeftWithoutTask { deal: DEAL, merged: vec![], since })
    };
    given(told([])).when(report(1)).then([left(1)]);
    let mut reported = told([]);
    reported.push(deal_event(left(1)));
    given(reported.clone()).when(report(1)).then_it_is_already_so();
    given(reported.clone()).when(report(0)).then_it_is_already_so();
    given(reported).when(report(2)).then([left(2)]);
}

/// What the state says that the deal holds.
fn held(deal: &Deal) -> BTreeSet<(&'static str, String)> {
    let Deal::Open(deal) = deal else { return BTreeSet::new() };
    let sole = deal.with.contacts.keys().next().filter(|_| deal.with.contacts.len() == 1);
    let stage = Some(("stage.deals", deal.stage.to_string()));
    let owner = deal.owner.map(|owner| ("user.work", owner.to_string()));
    let company = deal.with.company.map(|company| ("company.deals", company.to_string()));
    let contact = sole.map(|contact| ("contact.sole_deals", contact.to_string()));
    stage.into_iter().chain(owner).chain(company).chain(contact).collect()
}

#[test]
fn an_open_deal_holds_its_stage_owner_company_and_sole_contact_whatever_happens() {
    let remove = |contact| Command::RemoveContact { contact };
    let commands = [
        move_to(NEW),
        move_to(TALK),
        move_to(OFFER),
        correct(1, OFFER, "wrong"),
        correct(2, NEW, "wrong"),
        Command::assign(NINO),
        Command::assign(GIORGI),
        add(ANNA),
        add(BORIS),
        remove(ANNA),
        remove(BORIS),
        Command::AddContact { contact: ANNA, role: ContactRole::Payer },
        Command::SetCompany { company: ACME_LTD },
        Command::SetCompany { company: GLOBEX },
        CLOSE_WON,
        close_lost(Some(PRICE)),
        reopen(NEW, "again"),
        reopen(OFFER, "again"),
    ];
    let policy = Policy { allow_backward: true, allow_skip: true, allow_reopen: true, ..STRICT };
    let sender = Sender { actor: ACTOR, now: NOW, occurred: None, reason_code: None };
    let mut dice: u64 = 1;
    let mut accepted = BTreeSet::new();
    for party in [None, Some(ACME), Some(Party::Contact(ANNA))].repeat(20) {
        let mut world = World::default();
        for happened in world_with(policy) {
            world.apply(&happened);
        }
        let mut holds = BTreeSet::new();
        let mut command = Command::Open(deal::Open { party, owner: Some(NINO), ..open() });
        for _ in 0..60 {
            let happened = world.carry_out(&on(DEAL.stream(), command.clone()), &sender).unwrap_or_default();
            for (stream, event) in happened {
                accepted.insert(event.event_type());
                for Claim { kind, key, condition, .. } in event.claims() {
                    match condition {
                        Condition::Count => assert!(holds.insert((kind, key)), "counted twice by {event:?}"),
                        Condition::Uncount => {
                            assert!(holds.remove(&(kind, key)), "not counted before {event:?}");
                        }
                        _ => {}
                    }
                }
                let occurred = kvali_domain::Occurred::Instant { at: NOW };
                world.apply(&Happened { stream, event, occurred });
            }
            let Some(State::Deal(deal)) = world.state(DEAL.stream()) else { panic!("no deal") };
            assert_eq!(holds, held(deal), "after {command:?}");
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            command = commands[usize::try_from(dice >> 33).expect("31 bits") % commands.len()].clone();
        }
    }
    assert_eq!(accepted.len(), 10, "each kind of event was among them: {accepted:?}");
}

#[test]
fn contacts_come_and_go_and_the_first_one_is_primary() {
    let added = |contact, sole_before, sole_after| {
        Event::ContactAdded(deal::ContactAdded { contact, role: ContactRole::User, sole_before, sole_after })
    };
    let removed = |contact, sole_before, sole_after| {
        Event::ContactRemoved(deal::ContactRemoved { contact, sole_before, sole_after })
    };
    given(told([])).when(add(ANNA)).then([added(ANNA, None, Some(ANNA))]);
    given(told([add(ANNA)])).when(add(ANNA)).then_it_is_already_so();
    given(told([add(ANNA)])).when(add(BORIS)).then([added(BORIS, Some(ANNA), None)]);
    let both = || told([add(ANNA), add(BORIS)]);
    given(both()).when(Command::SetPrimaryContact { contact: ANNA }).then_it_is_already_so();
    given(both())
        .when(Command::SetPrimaryContact { contact: BORIS })
        .then([Event::PrimaryContactSet(deal::PrimaryContactSet { from: Some(ANNA), to: BORIS })]);
    let remove = |contact| Command::RemoveContact { contact };
    given(both()).when(remove(ANNA)).then([removed(ANNA, None, Some(BORIS))]);
    let opened = Command::Open(deal::Open { party: Some(Party::Contact(ANNA)), ..open() });
    let wants_party = world_with(Policy { party_required: true, ..STRICT });
    let alone = after(wants_party, [on(DEAL.stream(), opened)]);
    given(alone.clone())
        .when(remove(ANNA))
        .refused(deal_refusal!(Refusal::LastContact))
        .naming(["add another or a company"]);
    let with_company = after(alone, [on(DEAL.stream(), Command::SetCompany { company: ACME_LTD })]);
    given(with_company).when(remove(ANNA)).then([removed(ANNA, Some(ANNA), None)]);
}

#[test]
fn a_contact_of_a_closed_deal_may_come_to_light_and_is_held_by_nothing() {
    let added = |contact| {
        let role = ContactRole::User;
        Event::ContactAdded(deal::ContactAdded { contact, role, sole_before: None, sole_after: None })
    };
    given(told([CLOSE_WON])).when(add(ANNA)).then([added(ANNA)]);
    given(told([CLOSE_WON, add(ANNA)])).when(add(ANNA)).then_it_is_already_so();
    given(told([CLOSE_WON]))
        .when(add(ContactId(id(99))))
        .refused(deal_refusal!(Refusal::NoSuchContact { .. }))
        .naming(["in use"]);
    given(told([CLOSE_WON, Command::Archive {}]))
        .when(add(ANNA))
        .refused(deal_refusal!(Refusal::Archived))
        .naming(["RestoreDeal"]);
}

#[test]
fn a_company_is_one_that_is_in_use() {
    given(told([Command::SetCompany { company: ACME_LTD }]))
        .when(Command::SetCompany { company: GLOBEX })
        .then([Event::CompanySet(deal::CompanySet { from: Some(ACME_LTD), to: GLOBEX })]);
    let unknown = kvali_domain::CompanyId(id(99));
    given(told([]))
        .when(Command::SetCompany { company: unknown })
        .refused(deal_refusal!(Refusal::NoSuchCompany { company } if *company == unknown))
        .naming(["in use"]);
}

#[test]
fn a_deal_leaves_a_retired_stage_whatever_the_policy_says_of_moves() {
    let retired = pipeline::StageRetired { stage: NEW, to: Some(OFFER), no_longer_required: vec![] };
    let mut log = told([]);
    log.push(sales_event(pipeline::Event::StageRetired(retired)));
    given(log).when(Command::LeaveRetired { to: OFFER }).then([Event::StageChanged(deal::StageChanged {
        from: NEW,
        to: OFFER,
        pipeline_version: 3,
        visit: 2,
        with_task_of: vec![],
        retired: true,
    })]);
}

#[test]
fn a_hold_outlasts_a_move_and_ends_with_closing() {
    let hold = || Command::PutOnHold { until: date("2024-08-01"), reason: text("") };
    given(told([hold(), move_to(TALK)])).when(Command::Resume {}).then([Event::Resumed(deal::Resumed {})]);
    let policy = Policy { allow_reopen: true, ..STRICT };
    let commands = [Command::Open(open()), hold(), CLOSE_WON, reopen(NEW, "again")];
    let log = after(world_with(policy), commands.map(|command| on(DEAL.stream(), command)));
    given(log).when(Command::Resume {}).then_it_is_already_so();
}

#[test]
fn tags_and_followers_are_marked_once_and_unmarked_once() {
    let tag = || Command::Tag { tag: VIP };
    let follow = || Command::Follow { user: NINO };
    given(told([])).when(tag()).then([Event::Tagged(deal::Tagged { tag: VIP })]);
    given(told([tag()])).when(tag()).then_it_is_already_so();
    given(told([tag()]))
        .when(Command::Untag { tag: VIP })
        .then([Event::Untagged(deal::Untagged { tag: VIP })]);
    given(told([])).when(Command::Untag { tag: VIP }).then_it_is_already_so();
    given(told([CLOSE_WON])).when(follow()).then([Event::Followed(deal::Followed { user: NINO })]);
    given(told([follow()])).when(follow()).then_it_is_already_so();
    given(told([follow()]))
        .when(Command::Unfollow { user: NINO })
        .then([Event::Unfollowed(deal::Unfollowed { user: NINO })]);
}

#[test]
fn a_tag_of_a_deal_is_one_of_the_dictionary_and_a_merged_one_stands_for_another() {
    given(told([])).when(Command::Tag { tag: BIG }).then([Event::Tagged(deal::Tagged { tag: VIP })]);
    given(told([]))
        .when(Command::Tag { tag: kvali_domain::TagId(id(99)) })
        .refused(deal_refusal!(Refusal::Dictionary(NotInDictionary::TagUnknown { .. })))
        .naming(["accepted: \"vip\""]);
}

#[test]
fn a_deal_without_task_is_reported_only_if_nobody_holds_one() {
    use kvali_domain::decider::Describe;
    let left = Event::LeftWithoutTask(deal::LeftWithoutTask { deal: DEAL, merged: vec![], since: None });
    assert_eq!(left.claims(), [Claim::none("deal.open_task", DEAL.to_string())]);
    given(told([])).when(Command::ReportWithoutTask { since: None }).then([left]);
}

#[test]
fn a_revival_obeys_what_the_recycle_pipeline_wants() {
    let wants = pipeline::StageRequirementsSet {
        stage: INTAKE,
        entry: vec![Requirement::Owner, Requirement::Value],
        exit: vec![],
        newly_required: vec![],
        no_longer_required: vec![],
    };
    let wanted = || at_start(SERVICE.stream(), pipeline::Event::StageRequirementsSet(wants.clone()));
    let lost = |commands: Vec<Command>| {
        let mut log = told(commands.into_iter().chain([close_lost(Some(PRICE))]));
        log.push(wanted());
        log
    };
    given(lost(vec![]))
        .when(Command::Revive { recycled: NEXT, owner: None })
        .refused(deal_refusal!(Refusal::Requirements { .. }))
        .naming(["an owner", "a value"]);
    let log = after(lost(vec![Command::SetValue { value: usd("1") }]), [on(DEAL.stream(), revive())]);
    given(log).when(revive()).then_it_is_already_so();
}

#[test]
fn an_overridden_probability_is_cleared_and_a_category_and_a_next_step_are_kept() {
    let overridden = || Command::OverrideProbability { probability: 60, reason: text("they called") };
    given(told([])).when(overridden()).then([Event::ProbabilityOverridden(deal::ProbabilityOverridden {
        probability: 60,
        subject: DEAL.into(),
        reason: text("they called"),
    })]);
    given(told([overridden()])).when(overridden()).then_it_is_already_so();
    given(told([overridden()]))
        .when(Command::ClearOverride {})
        .then([Event::ProbabilityOverrideCleared(deal::ProbabilityOverrideCleared { from: 60 })]);
    let commit = || Command::SetForecastCategory { category: ForecastCategory::Commit };
    given(told([])).when(commit()).then([Event::ForecastCategorySet(deal::ForecastCategorySet {
        from: None,
        to: ForecastCategory::Commit,
    })]);
    given(told([commit()])).when(commit()).then_it_is_already_so();
    let step = Command::SetNextStep { text: text(" "), task: Some(TASK) };
    given(told([])).when(step).then([Event::NextStepSet(deal::NextStepSet {
        task: Some(TASK),
        subject: DEAL.into(),
        text: Personal::default(),
    })]);
}

#[test]
fn a_name_is_kept_as_it_is_given() {
    let name = || text("სკამები");
    given(told([]))
        .when(Command::Rename { name: name() })
        .then([Event::Renamed(deal::Renamed { subject: DEAL.into(), name: name() })]);
}

#[test]
fn a_changed_line_changes_the_value_and_lines_share_a_currency() {
    let sold = || told([Command::AddLine { line: line("3", "10", "0") }]);
    let (from, to) = (line("3", "10", "0"), line("4", "10", "0"));
    given(sold()).when(Command::ChangeLine { number: 1, line: to.clone() }).then([
        Event::LineChanged(deal::LineChanged { line: 1, from: from.clone(), to }),
        Event::ValueChanged(deal::ValueChanged { from: Some(usd("30")), to: usd("40") }),
    ]);
    given(sold())
        .when(Command::RemoveLine { number: 1 })
        .then([Event::LineRemoved(deal::LineRemoved { line: 1, was: from })]);
    let mut euro = line("1", "1", "0");
    euro.unit_price.currency = kvali_domain::money::Currency::parse("EUR").expect("three capitals");
    given(sold())
        .when(Command::AddLine { line: euro })
        .refused(deal_refusal!(Refusal::OtherCurrency { .. }))
        .naming(["in USD"]);
}

#[test]
fn a_deals_fields_are_named_and_known() {
    use kvali_domain::field_changes::{FieldSetting, Problem};
    given(told([]))
        .when(Command::SetFields { fields: vec![] })
        .refused(deal_refusal!(Refusal::BadFields { problem: Problem::NoFields }))
        .naming(["name at least one"]);
    let unknown = FieldSetting { field: kvali_domain::FieldId(id(99)), value: None };
    given(told([]))
        .when(Command::SetFields { fields: vec![unknown] })
        .refused(deal_refusal!(Refusal::BadFields { problem: Problem::Field(_) }))
        .naming(["fields: "]);
}
