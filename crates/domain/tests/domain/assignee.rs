//! The rule for new owners, seen through the deals that are given to them; and that every other way asks it too.

use crate::given::{Happened, World, given, on};
use crate::sales::*;
use kvali_domain::assignee::AssigneeProblem;
use kvali_domain::deal::{self, Assigned, Command, Event, Refusal};
use kvali_domain::pipeline::Policy;
use kvali_domain::{
    DealId, Due, Event as AnyEvent, LeadId, Order, Personal, Refusal as AnyRefusal, State, StreamId,
    SubjectId, TaskId, UserId, call, company, contact, conversation, lead, task, user,
};

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

const CHORE: TaskId = TaskId(id(201));
const DONE: TaskId = TaskId(id(202));
const LOST_LEAD: LeadId = LeadId(id(203));
const OLD_LEAD: LeadId = LeadId(id(204));
const OLD_DEAL: DealId = DealId(id(205));
const DUE: Due = Due::At(NOW);

fn a_task(task: TaskId, assignee: UserId) -> Happened {
    let created = task::Created {
        task,
        subject: Personal::new("call"),
        template: None,
        activity_type: None,
        kind: task::Kind::ToDo,
        result_required: false,
        start: None,
        due: DUE,
        assignee,
        targets: vec![],
        priority: task::Priority::Normal,
        estimate_minutes: None,
        forced: false,
        reason: Personal::default(),
    };
    at_start(task.stream(), task::Event::Created(created))
}

/// Something of everything that Nino, who is away, can be given, or have back.
fn things() -> Vec<Happened> {
    let none = Personal::default;
    let (from, to) = (Personal::new("+995555000001"), Personal::new("+995322000000"));
    let ringing = call::Started {
        provider: "zadarma".to_owned(),
        provider_id: "in-17".to_owned(),
        direction: call::Direction::Inbound,
        subject: CALL.into(),
        from,
        to,
    };
    let chat =
        conversation::Opened { channel: "whatsapp".to_owned(), thread_id: "wa-1".to_owned(), contact: None };
    let company =
        company::Created { company: ACME_LTD, external: None, owner: None, name: Personal::new("Acme") };
    let (lead, owner) = (LOST_LEAD, Some(NINO));
    let disqualified = lead::Disqualified { lead, reason: PRICE, owner, comment: none() };
    let won = deal::Won {
        from: NEW,
        stage: WON,
        pipeline_version: 1,
        visit: 2,
        holds: Some(deal::Holds { stage: NEW, owner, company: None, sole_contact: None }),
        value: None,
    };
    let cancelled = task::Cancelled { task: DONE, assignee: NINO, deals: vec![], reason: none() };
    vec![
        sales_with(Policy { allow_reopen: true, ..STRICT }),
        registered(NINO),
        registered(GIORGI),
        away(NINO, "2024-07-01", "2024-07-09", Some(GIORGI)),
        opened(),
        a_task(CHORE, GIORGI),
        a_task(DONE, NINO),
        at_start(DONE.stream(), task::Event::Cancelled(cancelled)),
        lead_captured(LEAD, None),
        lead_captured(LOST_LEAD, owner),
        at_start(LOST_LEAD.stream(), lead::Event::Disqualified(disqualified)),
        lead_captured(OLD_LEAD, owner),
        at_start(OLD_LEAD.stream(), lead::Event::Archived(lead::Archived { owner })),
        at_start(OLD_DEAL.stream(), Event::Opened(deal::Opened { owner, ..opening() })),
        at_start(OLD_DEAL.stream(), Event::Won(won)),
        contact_known(ANNA),
        at_start(ACME_LTD.stream(), company::Event::Created(company)),
        at_start(CALL.stream(), call::Event::Started(ringing)),
        at_start(CHAT.stream(), conversation::Event::Opened(chat)),
    ]
}

/// Every way to give Nino something, or something back.
fn all_ways(force: bool, reason: &Personal) -> Vec<Order> {
    let reason = || reason.clone();
    let (owner, assignee) = (NINO, NINO);
    let create =
        task::Create { force, reason: reason(), ..task::Create::new(Personal::new("call"), DUE, NINO) };
    vec![
        on(DEAL.stream(), Command::Assign { owner, force, reason: reason() }),
        on(OLD_DEAL.stream(), Command::Reopen { to: NEW, owner: None, force, reason: reason() }),
        on(TASK.stream(), task::Command::Create(create)),
        on(CHORE.stream(), task::Command::Reassign { assignee, force, reason: reason() }),
        on(DONE.stream(), task::Command::Reopen { assignee: None, force, reason: reason() }),
        on(LEAD.stream(), lead::Command::Assign { owner, force, reason: reason() }),
        on(LOST_LEAD.stream(), lead::Command::Recycle { owner: None, force, reason: reason() }),
        on(OLD_LEAD.stream(), lead::Command::Restore { owner: None, force, reason: reason() }),
        on(ANNA.stream(), contact::Command::Assign { owner, force, reason: reason() }),
        on(ACME_LTD.stream(), company::Command::Assign { owner, force, reason: reason() }),
        on(CHAT.stream(), conversation::Command::Assign { assignee, force, reason: reason() }),
        on(CALL.stream(), call::Command::Miss { task: TASK, assignee, due: NOW, force, reason: reason() }),
    ]
}

fn events_of(log: &[Happened], order: &Order) -> Vec<AnyEvent> {
    let mut world = World::default();
    for happened in log {
        world.apply(happened);
    }
    world.decide(order, NOW, None, None).unwrap_or_else(|refusal| panic!("{refusal}"))
}

#[test]
fn whatever_is_given_to_someone_absent_is_forced_with_a_reason() {
    let code = |expected: &'static str| move |refusal: &AnyRefusal| refusal.code() == expected;
    let asked = Personal::new("she asked for it");
    for order in all_ways(false, &asked) {
        given(things()).when(order).refused(code("owner_absent")).naming([&*GIORGI.to_string(), "force it"]);
    }
    for order in all_ways(true, &Personal::default()) {
        // What wants a reason in any case says so.
        let _said = given(things())
            .when(order)
            .refused(|refusal| ["force_without_reason", "reason_missing"].contains(&&*refusal.code()));
    }
    for order in all_ways(true, &asked) {
        let events = events_of(&things(), &order);
        let forced = events.iter().filter(|event| event.data().contains(r#""forced":true"#)).count();
        let sealed = events.iter().any(|event| {
            event.clone().personal().iter().any(|field| field.value.as_deref() == asked.as_deref())
        });
        assert!(forced == 1 && sealed, "{order:?} gives {events:?}");
    }
}

#[test]
fn someone_who_is_there_gets_everything_without_force() {
    let back = things()
        .into_iter()
        .filter(|happened| !matches!(happened.event, AnyEvent::User(user::Event::AbsencePlanned(_))));
    let back: Vec<Happened> = back.collect();
    for order in all_ways(true, &Personal::new("she asked for it")) {
        let events = events_of(&back, &order);
        assert!(!events.iter().any(|event| event.data().contains("forced")), "{order:?} gives {events:?}");
    }
}

#[test]
fn what_is_begun_for_an_owner_asks_whether_the_owner_is_there() {
    let owner = Some(NINO);
    let contact = contact::Create { full: Personal::new("Mari"), owner, ..contact::Create::default() };
    let company = company::Create { name: Personal::new("Globex"), owner, ..company::Create::default() };
    for order in [
        on(StreamId(id(206)), contact::Command::Create(contact)),
        on(StreamId(id(207)), company::Command::Create(company)),
    ] {
        let _said = given(things()).when(order).refused(|refusal| refusal.code() == "owner_absent");
    }
}

#[test]
fn a_deal_is_reopened_for_whoever_is_named_if_its_owner_left() {
    let log = || things().into_iter().chain([deactivated(NINO)]);
    let again = |owner| Command::Reopen { to: NEW, owner, force: false, reason: Personal::new("again") };
    given(log())
        .when(on(OLD_DEAL.stream(), again(None)))
        .refused(owner_refusal!(AssigneeProblem::OwnerLeft { user: NINO, .. }))
        .naming(["name somebody who is in `owner`"]);
    let reopened = deal::Reopened {
        from: WON,
        to: NEW,
        pipeline_version: 1,
        visit: 3,
        holds: Some(deal::Holds { stage: NEW, owner: Some(NINO), company: None, sole_contact: None }),
        subject: Some(OLD_DEAL.into()),
        reason: Personal::new("again"),
    };
    given(log())
        .when(on(OLD_DEAL.stream(), again(Some(GIORGI))))
        .then([Event::Reopened(reopened), Event::Assigned(assigned(Some(NINO), GIORGI))]);
}

#[test]
fn a_record_is_its_owners() {
    let owner_of = |happened: &Happened| {
        let mut world = World::default();
        world.apply(happened);
        world.state(happened.stream).and_then(State::owner)
    };
    for owner in [None, Some(NINO)] {
        let name = Personal::new("Acme");
        let company = company::Created { company: ACME_LTD, external: None, owner, name };
        let contact = contact::Created {
            contact: ANNA,
            named: true,
            source: None,
            external: None,
            owner,
            given: Personal::default(),
            family: Personal::default(),
            full: Personal::new("Anna"),
        };
        let deal = deal::Opened { owner, ..opening() };
        for happened in [
            at_start(ACME_LTD.stream(), company::Event::Created(company)),
            at_start(ANNA.stream(), contact::Event::Created(contact)),
            lead_captured(LEAD, owner),
            deal_event(Event::Opened(deal)),
        ] {
            assert_eq!(owner_of(&happened), owner, "{happened:?}");
        }
    }
    assert_eq!(owner_of(&a_task(TASK, GIORGI)), Some(GIORGI));
    assert_eq!(owner_of(&registered(NINO)), None, "a user is nobody's record");
}
