use crate::given::{Happened, given};
use crate::sales::*;
use kvali_domain::assignee::AssigneeProblem;
use kvali_domain::decider::Describe;
use kvali_domain::handover::{
    Command, Event, HandOver, HandedOver, Item, Refusal, Scope, Work, WorkHandedOver, WorkReturned,
};
use kvali_domain::{
    Claim, DealId, Due, Event as AnyEvent, Personal, Refusal as AnyRefusal, SubjectId, UserId, deal, lead,
    task,
};

macro_rules! handover_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Handover($pattern))
    };
}

const OTHER: DealId = DealId(HANDOVER.0);

fn to_giorgi(works: &[Work]) -> HandOver {
    let items = works.iter().map(|work| Item { work: *work, to: GIORGI }).collect();
    HandOver { from: NINO, scope: Scope::Selected, items, return_after: true, reason: Personal::default() }
}

fn hand_over(works: &[Work]) -> Command {
    Command::HandOver(to_giorgi(works))
}

fn give_back(confirmed: bool) -> Command {
    Command::Return { items: vec![Work::Deal(DEAL)], confirmed }
}

/// Two users, and a deal of Nino's at version 1.
fn log(more: impl IntoIterator<Item = Happened>) -> Vec<Happened> {
    let owned = deal::Opened { owner: Some(NINO), ..opening() };
    let before = [sales(), registered(NINO), registered(GIORGI), deal_event(deal::Event::Opened(owned))];
    before.into_iter().chain(more).collect()
}

fn handed_over(scope: Scope) -> Event {
    Event::WorkHandedOver(WorkHandedOver {
        from: NINO,
        scope,
        items: vec![HandedOver { work: Work::Deal(DEAL), to: GIORGI, version: 2 }],
        return_after: true,
        subject: None,
        reason: Personal::default(),
    })
}

fn reassigned(from: UserId, to: UserId) -> deal::Event {
    deal::Event::Assigned(assigned(Some(from), to))
}

fn returned(confirmed: bool) -> Event {
    Event::WorkReturned(WorkReturned { to: NINO, items: vec![Work::Deal(DEAL)], confirmed })
}

/// The deal is with Giorgi, at version 2.
fn done(more: impl IntoIterator<Item = Happened>) -> Vec<Happened> {
    let handover = at_start(HANDOVER.stream(), handed_over(Scope::Selected));
    log([handover, deal_event(reassigned(NINO, GIORGI))].into_iter().chain(more))
}

fn valued() -> Happened {
    deal_event(deal::Event::ValueChanged(deal::ValueChanged { from: None, to: usd("10") }))
}

#[test]
fn deals_handed_over_are_reassigned_with_it() {
    let events = [AnyEvent::Handover(handed_over(Scope::Selected)), AnyEvent::Deal(reassigned(NINO, GIORGI))];
    given(log([])).when(hand_over(&[Work::Deal(DEAL)])).then(events);
}

/// A lead and a task of Nino's, each at version 1.
fn lead_and_task() -> [Happened; 2] {
    let created = task::Created {
        task: TASK,
        subject: Personal::new("call"),
        template: None,
        activity_type: None,
        kind: task::Kind::ToDo,
        result_required: false,
        start: None,
        due: Due::At(NOW + chrono::TimeDelta::days(2)),
        assignee: NINO,
        targets: vec![],
        priority: task::Priority::Normal,
        estimate_minutes: None,
        forced: false,
        reason: Personal::default(),
    };
    [lead_captured(LEAD, Some(NINO)), task_event(task::Event::Created(created))]
}

const BOTH: [Work; 2] = [Work::Lead(LEAD), Work::Task(TASK)];

/// Both change hands, in the words of their own aggregates.
fn both_reassigned(from: UserId, to: UserId) -> [AnyEvent; 2] {
    let reason = || Personal::new("handed over");
    let lead = lead::Assigned { lead: LEAD, from: Some(from), to, forced: false, reason: reason() };
    let task = task::Reassigned { task: TASK, from, to, forced: false, reason: reason() };
    [AnyEvent::Lead(lead::Event::Assigned(lead)), AnyEvent::Task(task::Event::Reassigned(task))]
}

fn both_handed_over() -> Event {
    let items = BOTH.map(|work| HandedOver { work, to: GIORGI, version: 2 }).to_vec();
    let Event::WorkHandedOver(plain) = handed_over(Scope::Selected) else { panic!("it is one") };
    Event::WorkHandedOver(WorkHandedOver { items, ..plain })
}

fn both_done(more: impl IntoIterator<Item = Happened>) -> Vec<Happened> {
    let [lead, task] = both_reassigned(NINO, GIORGI);
    let handover = at_start(HANDOVER.stream(), both_handed_over());
    let reassigned = [at_start(LEAD.stream(), lead), at_start(TASK.stream(), task)];
    log(lead_and_task().into_iter().chain([handover]).chain(reassigned).chain(more))
}

#[test]
fn leads_and_tasks_are_handed_over_and_come_back_like_deals() {
    let [lead, task] = both_reassigned(NINO, GIORGI);
    given(log(lead_and_task())).when(hand_over(&BOTH)).then([
        AnyEvent::Handover(both_handed_over()),
        lead,
        task,
    ]);
    let give_back = |confirmed| Command::Return { items: BOTH.to_vec(), confirmed };
    let back = |confirmed| {
        let [lead, task] = both_reassigned(GIORGI, NINO);
        let returned = WorkReturned { to: NINO, items: BOTH.to_vec(), confirmed };
        [AnyEvent::Handover(Event::WorkReturned(returned)), lead, task]
    };
    given(both_done([])).when(give_back(false)).then(back(false));
    let touched = || {
        [
            at_start(LEAD.stream(), lead::Event::FirstResponded(lead::FirstResponded {})),
            task_event(task::Event::Started(task::Started {})),
        ]
    };
    given(both_done(touched()))
        .when(give_back(false))
        .refused(handover_refusal!(Refusal::Touched { .. }))
        .naming([&*BOTH[0].to_string(), &*BOTH[1].to_string(), "`confirmed`"]);
    given(both_done(touched())).when(give_back(true)).then(back(true));
}

#[test]
fn a_lead_or_task_that_is_done_or_anothers_is_not_handed_over() {
    let done = [
        at_start(LEAD.stream(), lead::Event::Archived(lead::Archived { owner: Some(NINO) })),
        task_event(task::Event::Cancelled(task::Cancelled {
            task: TASK,
            assignee: NINO,
            deals: vec![],
            reason: Personal::default(),
        })),
    ];
    let [lead, task] = both_reassigned(NINO, GIORGI);
    let others = [at_start(LEAD.stream(), lead), at_start(TASK.stream(), task)];
    for work in BOTH {
        given(log(lead_and_task().into_iter().chain(done.clone())))
            .when(hand_over(&[work]))
            .refused(handover_refusal!(Refusal::NotOpen { .. }))
            .naming([&*work.to_string(), "not open"]);
        given(log(lead_and_task().into_iter().chain(others.clone())))
            .when(hand_over(&[work]))
            .refused(handover_refusal!(Refusal::OtherOwner { .. }))
            .naming([&*work.to_string(), &*GIORGI.to_string()]);
    }
}

#[test]
fn handing_over_everything_leaves_nothing_open() {
    assert_eq!(handed_over(Scope::All).claims(), [Claim::none("user.work", NINO.to_string())]);
    assert_eq!(handed_over(Scope::Selected).claims(), []);
}

#[test]
fn the_reason_is_sealed_under_the_handovers_key() {
    let wanted = HandOver { reason: Personal::new("leave"), ..to_giorgi(&[Work::Deal(DEAL)]) };
    let Event::WorkHandedOver(plain) = handed_over(Scope::Selected) else { panic!("it is one") };
    let subject = Some(SubjectId::from(HANDOVER));
    let mut event =
        Event::WorkHandedOver(WorkHandedOver { subject, reason: Personal::new("leave"), ..plain });
    let events = [AnyEvent::Handover(event.clone()), AnyEvent::Deal(reassigned(NINO, GIORGI))];
    given(log([])).when(Command::HandOver(wanted)).then(events);
    assert!(!event.data().contains("leave"));
    let fields = event.personal();
    assert_eq!((fields.len(), fields[0].subject, fields[0].field), (1, SubjectId::from(HANDOVER), "reason"));
}

#[test]
fn the_same_handover_again_is_already_so_and_another_needs_another_id() {
    given(done([])).when(hand_over(&[Work::Deal(DEAL)])).then_it_is_already_so();
    let all = HandOver { scope: Scope::All, ..to_giorgi(&[Work::Deal(DEAL)]) };
    given(done([]))
        .when(Command::HandOver(all))
        .refused(handover_refusal!(Refusal::AlreadyHandedOver))
        .naming(["another id"]);
}

#[test]
fn a_handover_names_something_and_each_item_once() {
    given(log([]))
        .when(hand_over(&[]))
        .refused(handover_refusal!(Refusal::NothingNamed))
        .naming(["at least one"]);
    given(log([]))
        .when(hand_over(&[Work::Deal(DEAL), Work::Deal(DEAL)]))
        .refused(handover_refusal!(Refusal::NamedTwice { work: Work::Deal(DEAL) }))
        .naming([&*DEAL.to_string(), "once"]);
    for (items, refused) in [(vec![], "nothing_named"), (vec![Work::Deal(DEAL); 2], "named_twice")] {
        let _said = given(done([]))
            .when(Command::Return { items, confirmed: false })
            .refused(|refusal| refusal.code() == refused);
    }
}

#[test]
fn work_goes_to_somebody_else() {
    let items = vec![Item { work: Work::Deal(DEAL), to: NINO }];
    given(log([]))
        .when(Command::HandOver(HandOver { items, ..to_giorgi(&[]) }))
        .refused(handover_refusal!(Refusal::ToOneself { .. }))
        .naming(["another user in `to`"]);
}

#[test]
fn a_substitute_is_active_and_present() {
    let _said = given(log([deactivated(GIORGI)]))
        .when(hand_over(&[Work::Deal(DEAL)]))
        .refused(handover_refusal!(Refusal::Owner(AssigneeProblem::OwnerNotActive { user: GIORGI })));
    given(log([away(GIORGI, "2024-07-01", "2024-07-09", None)]))
        .when(hand_over(&[Work::Deal(DEAL)]))
        .refused(handover_refusal!(Refusal::Owner(AssigneeProblem::OwnerAbsent { user: GIORGI, .. })))
        .naming(["2024-07-10"]);
}

#[test]
fn work_is_handed_over_while_its_owner_is_away() {
    let events = [AnyEvent::Handover(handed_over(Scope::Selected)), AnyEvent::Deal(reassigned(NINO, GIORGI))];
    given(log([away(NINO, "2024-07-01", "2024-07-09", Some(GIORGI))]))
        .when(hand_over(&[Work::Deal(DEAL)]))
        .then(events);
}

#[test]
fn only_open_work_of_the_user_is_handed_over() {
    for (log, work) in
        [(log([]), Work::Deal(OTHER)), (log([deal_event(won(NEW, 2, None))]), Work::Deal(DEAL))]
    {
        given(log)
            .when(hand_over(&[work]))
            .refused(handover_refusal!(Refusal::NotOpen { .. }))
            .naming([&*work.to_string(), "leave it out"]);
    }
    given(log([deal_event(reassigned(NINO, GIORGI))]))
        .when(hand_over(&[Work::Deal(DEAL)]))
        .refused(handover_refusal!(Refusal::OtherOwner { user: NINO, owner: Some(GIORGI), .. }))
        .naming([&*GIORGI.to_string(), "leave it out"]);
}

#[test]
fn untouched_work_comes_back() {
    let events = [AnyEvent::Handover(returned(false)), AnyEvent::Deal(reassigned(GIORGI, NINO))];
    given(done([])).when(give_back(false)).then(events);
}

#[test]
fn work_comes_back_once() {
    let back = at_start(HANDOVER.stream(), returned(false));
    given(done([deal_event(reassigned(GIORGI, NINO)), back])).when(give_back(false)).then_it_is_already_so();
}

#[test]
fn touched_work_comes_back_only_if_confirmed() {
    given(done([valued()]))
        .when(give_back(false))
        .refused(handover_refusal!(Refusal::Touched { .. }))
        .naming([&*DEAL.to_string(), "`confirmed`"]);
    let events = [AnyEvent::Handover(returned(true)), AnyEvent::Deal(reassigned(GIORGI, NINO))];
    given(done([valued()])).when(give_back(true)).then(events);
}

#[test]
fn work_that_went_on_to_a_third_or_was_closed_does_not_come_back() {
    for confirmed in [false, true] {
        let _said = given(done([deal_event(reassigned(GIORGI, TAMAR))]))
            .when(give_back(confirmed))
            .refused(handover_refusal!(Refusal::OtherOwner { user: GIORGI, owner: Some(TAMAR), .. }));
        let _said = given(done([deal_event(won(NEW, 2, None))]))
            .when(give_back(confirmed))
            .refused(handover_refusal!(Refusal::NotOpen { work: Work::Deal(DEAL) }));
    }
}

#[test]
fn only_what_was_handed_over_comes_back() {
    given(done([]))
        .when(Command::Return { items: vec![Work::Deal(OTHER)], confirmed: true })
        .refused(handover_refusal!(Refusal::NotHandedOver { .. }))
        .naming([&*OTHER.to_string(), &*DEAL.to_string()]);
    given([])
        .when(give_back(true))
        .refused(handover_refusal!(Refusal::NoSuchHandover))
        .naming(["HandOverWork"]);
}

#[test]
fn work_comes_back_to_someone_who_is_there() {
    let _said = given(done([deactivated(NINO)]))
        .when(give_back(false))
        .refused(handover_refusal!(Refusal::Owner(AssigneeProblem::OwnerNotActive { user: NINO })));
    let _said = given(done([away(NINO, "2024-07-01", "2024-07-09", None)]))
        .when(give_back(false))
        .refused(handover_refusal!(Refusal::Owner(AssigneeProblem::OwnerAbsent { user: NINO, .. })));
}
