use crate::configuring::{CALL_BACK, RING, SEND_OFFER, VISIT, activity_type, template, template_defined};
use crate::given::{Given, Happened, World, given, on};
use crate::sales::*;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Asia::Tbilisi;
use kvali_domain::activity_types::{self, Kind as TypeKind};
use kvali_domain::assignee::AssigneeProblem;
use kvali_domain::decider::Describe;
use kvali_domain::dictionary::NotInDictionary;
use kvali_domain::task::{
    BecameOverdue, Cancelled, Cause, CauseDetermined, CauseFacts, Command, Completed, Create, Created,
    Deferred, Edit, Edited, Event, ItemAdded, ItemTicked, Kind, LeadTime, Linked, Load, OPEN_TASK_CLAIM,
    Priority, Reassigned, Refusal, ReminderCleared, ReminderFired, ReminderSet, Reopened, Rescheduled,
    Snoozed, Started, Task, Template, Unlinked, WORK_CLAIM,
};
use kvali_domain::task_templates::Defined;
use kvali_domain::{
    ActivityTypeId, Claim, ContactId, DealId, Due, LeadId, Occurred, Personal, Refusal as AnyRefusal, State,
    SubjectId, Target, UserId, company, subject, target,
};
use uuid::Uuid;

macro_rules! task_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Task($pattern))
    };
}

const LEAD: Target = Target::Lead(crate::sales::LEAD);
const MARI: ContactId = ContactId(Uuid::from_u128(0xc0));
const CONTACT: Target = Target::Contact(MARI);
const DEMO: ActivityTypeId = ActivityTypeId(Uuid::from_u128(0xde));
const ABOUT: Target = Target::Deal(DEAL);

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an RFC 3339 time")
}

fn by(text: &str) -> Due {
    Due::Day { date: date(text), zone: Tbilisi }
}

/// Two days after `NOW`, until 20:00 in UTC.
fn friday() -> Due {
    by("2024-07-05")
}

fn call() -> Create {
    Create::new(Personal::new("დარეკვა"), friday(), NINO)
}

fn called() -> Created {
    Created {
        task: TASK,
        subject: Personal::new("დარეკვა"),
        template: None,
        activity_type: None,
        kind: Kind::ToDo,
        result_required: false,
        start: None,
        due: friday(),
        assignee: NINO,
        targets: Vec::new(),
        priority: Priority::Normal,
        estimate_minutes: None,
        forced: false,
        reason: nothing(),
    }
}

/// Nino has a task; further events of it.
fn tasked(events: impl IntoIterator<Item = Event>) -> Vec<Happened> {
    tasked_as(called(), events)
}

fn tasked_as(created: Created, events: impl IntoIterator<Item = Event>) -> Vec<Happened> {
    let people = [registered(NINO), registered(GIORGI), the_lead()];
    let events = [Event::Created(created)].into_iter().chain(events).map(task_event);
    people.into_iter().chain(events).collect()
}

fn the_lead() -> Happened {
    lead_captured(crate::sales::LEAD, None)
}

fn open(events: impl IntoIterator<Item = Event>) -> Given {
    given(tasked(events))
}

fn nothing() -> Personal {
    Personal::default()
}

fn completed() -> Completed {
    Completed {
        task: TASK,
        assignee: NINO,
        deals: Vec::new(),
        due: friday(),
        late: false,
        late_by_seconds: None,
        result: nothing(),
    }
}

fn done() -> Event {
    Event::Completed(completed())
}

fn cancelled() -> Event {
    Event::Cancelled(Cancelled { task: TASK, assignee: NINO, deals: Vec::new(), reason: nothing() })
}

fn reopened(assignee: UserId) -> Event {
    Event::Reopened(Reopened { task: TASK, assignee, deals: Vec::new(), forced: false, reason: nothing() })
}

fn rescheduled(to: Due, slip_no: i32, slip_days: i32) -> Rescheduled {
    Rescheduled { task: TASK, from: friday(), to, overdue: false, slip_no, slip_days, reason: nothing() }
}

fn reschedule(due: Due) -> Command {
    Command::Reschedule { due, reason: nothing() }
}

fn complete(result: &str) -> Command {
    Command::Complete { result: Personal::new(result) }
}

fn became_overdue(due: Due) -> Event {
    Event::BecameOverdue(BecameOverdue { due, since: due.overdue_after(), assignee: NINO })
}

fn reminder(text: &str) -> Event {
    Event::ReminderSet(ReminderSet { at: at(text) })
}

fn snoozed(until: &str, snooze_no: i32) -> Event {
    Event::Snoozed(Snoozed { until: at(until), instead_of: Vec::new(), snooze_no })
}

fn linked(target: Target) -> Event {
    Event::Linked(Linked { target })
}

fn every_command_to_an_open_task() -> Vec<Command> {
    let time = at("2024-07-04T08:00:00Z");
    vec![
        Command::Edit(Edit { priority: Some(Priority::High), ..Edit::default() }),
        Command::Reassign { assignee: GIORGI, force: false, reason: Personal::new("hand-over") },
        reschedule(by("2024-07-09")),
        Command::Snooze { until: time },
        Command::Start {},
        complete("agreed"),
        Command::Cancel { reason: Personal::new("called off") },
        Command::Defer { until: time },
        Command::AddItem { text: Personal::new("price list") },
        Command::TickItem { item: 1 },
        Command::SetReminder { at: time },
        Command::ClearReminder { at: time },
        Command::Link { target: LEAD },
        Command::Unlink { target: LEAD },
        Command::FireReminder { at: time },
        Command::MarkOverdue { due: friday() },
    ]
}

#[test]
fn a_task_is_created_for_an_active_user_with_a_due() {
    given([registered(NINO)]).when(Command::Create(call())).then([Event::Created(called())]);
    let due = Due::At(at("2024-07-05T12:00:00Z"));
    given([registered(NINO)])
        .when(Command::Create(Create { due, ..call() }))
        .then([Event::Created(Created { due, ..called() })]);
}

#[test]
fn a_task_keeps_what_it_was_created_with() {
    let start = Some(at("2024-07-05T06:00:00Z"));
    let (priority, estimate_minutes, kind) = (Priority::High, Some(30), Kind::Visit);
    let asked = Create {
        start,
        priority,
        estimate_minutes,
        kind,
        result_required: true,
        targets: vec![LEAD],
        ..call()
    };
    let told = Created {
        start,
        priority,
        estimate_minutes,
        kind,
        result_required: true,
        targets: vec![LEAD],
        ..called()
    };
    given([registered(NINO), the_lead()]).when(Command::Create(asked)).then([Event::Created(told)]);
}

#[test]
fn a_task_is_created_once() {
    open([]).when(Command::Create(call())).refused(task_refusal!(Refusal::AlreadyCreated)).naming(["id"]);
    given(tasked([done()])).when(Command::Create(call())).refused(task_refusal!(Refusal::AlreadyCreated));
}

#[test]
fn a_subject_is_not_blank() {
    for subject in [Personal::new(" "), nothing()] {
        given([registered(NINO)])
            .when(Command::Create(Create { subject, ..call() }))
            .refused(task_refusal!(Refusal::Blank { field: "subject" }))
            .naming(["visible character"]);
    }
}

#[test]
fn an_assignee_is_registered_and_active() {
    for log in [vec![], vec![registered(NINO), deactivated(NINO)]] {
        given(log)
            .when(Command::Create(call()))
            .refused(task_refusal!(Refusal::Owner(AssigneeProblem::OwnerNotActive { user: NINO })))
            .naming(["active user"]);
    }
}

#[test]
fn a_task_does_not_start_after_it_is_due() {
    let starting = |start| Command::Create(Create { start: Some(at(start)), ..call() });
    given([registered(NINO)])
        .when(starting("2024-07-05T20:00:00Z"))
        .refused(task_refusal!(Refusal::StartsAfterDue { .. }))
        .naming(["2024-07-05 in Asia/Tbilisi"]);
    let start = Some(at("2024-07-05T19:59:59Z"));
    given([registered(NINO)])
        .when(starting("2024-07-05T19:59:59Z"))
        .then([Event::Created(Created { start, ..called() })]);
    let log = tasked_as(Created { start, ..called() }, []);
    given(log).when(reschedule(by("2024-07-04"))).refused(task_refusal!(Refusal::StartsAfterDue { .. }));
}

#[test]
fn an_estimate_is_a_minute_or_more() {
    given([registered(NINO)])
        .when(Command::Create(Create { estimate_minutes: Some(0), ..call() }))
        .refused(task_refusal!(Refusal::NoEstimate { minutes: 0 }))
        .naming(["one minute or more"]);
    open([])
        .when(Command::Edit(Edit { estimate_minutes: Some(-1), ..Edit::default() }))
        .refused(task_refusal!(Refusal::NoEstimate { minutes: -1 }));
    given([registered(NINO)])
        .when(Command::Create(Create { estimate_minutes: Some(1), ..call() }))
        .then([Event::Created(Created { estimate_minutes: Some(1), ..called() })]);
}

#[test]
fn a_target_counts_once_and_the_first_is_the_main_one() {
    given([registered(NINO), the_lead(), contact_known(MARI)])
        .when(Command::Create(Create { targets: vec![CONTACT, LEAD, CONTACT], ..call() }))
        .then([Event::Created(Created { targets: vec![CONTACT, LEAD], ..called() })]);
}

#[test]
fn a_deal_that_a_task_is_about_exists() {
    let about = Command::Create(Create { targets: vec![ABOUT], ..call() });
    given([registered(NINO)])
        .when(about.clone())
        .refused(task_refusal!(Refusal::Target(target::Refusal::NoSuchTarget { .. })))
        .naming(["deal that exists"]);
    given([registered(NINO), sales(), opened()])
        .when(about)
        .then([Event::Created(Created { targets: vec![ABOUT], ..called() })]);
    open([])
        .when(Command::Link { target: ABOUT })
        .refused(task_refusal!(Refusal::Target(target::Refusal::NoSuchTarget { .. })));
}

#[test]
fn a_target_was_not_erased() {
    let Target::Lead(lead) = LEAD else { panic!("a lead") };
    let subject = SubjectId::from(lead);
    let erased = || Happened {
        stream: subject.stream(),
        event: kvali_domain::Event::Subject(subject::Event::Erased(subject::Erased { subject })),
        occurred: Occurred::Unknown,
    };
    given([registered(NINO), the_lead(), erased()])
        .when(Command::Create(Create { targets: vec![LEAD], ..call() }))
        .refused(task_refusal!(Refusal::Target(target::Refusal::TargetErased { .. })))
        .naming(["erased"]);
    given(tasked([]).into_iter().chain([erased()]))
        .when(Command::Link { target: LEAD })
        .refused(task_refusal!(Refusal::Target(target::Refusal::TargetErased { .. })));
}

#[test]
fn a_task_has_at_most_ten_targets() {
    let lead = |number| Target::Lead(LeadId(Uuid::from_u128(number)));
    let targets: Vec<Target> = (0..11).map(lead).collect();
    given([registered(NINO)])
        .when(Command::Create(Create { targets: targets.clone(), ..call() }))
        .refused(task_refusal!(Refusal::Target(target::Refusal::TooManyTargets { .. })))
        .naming(["at most 10"]);
    let full = || tasked_as(Created { targets: targets[..10].to_vec(), ..called() }, []);
    given(full())
        .when(Command::Link { target: lead(10) })
        .refused(task_refusal!(Refusal::Target(target::Refusal::TooManyTargets { .. })));
    given(full()).when(Command::Link { target: lead(9) }).then_it_is_already_so();
    let there = (0..10).map(|number| lead_captured(LeadId(Uuid::from_u128(number)), None));
    let ten = targets[..10].to_vec();
    given([registered(NINO)].into_iter().chain(there))
        .when(Command::Create(Create { targets: ten.clone(), ..call() }))
        .then([Event::Created(Created { targets: ten, ..called() })]);
    given(tasked_as(Created { targets: targets[..9].to_vec(), ..called() }, []))
        .when(Command::Link { target: LEAD })
        .then([linked(LEAD)]);
}

#[test]
fn a_company_that_a_task_is_about_exists() {
    let about = || Command::Link { target: Target::Company(ACME_LTD) };
    open([])
        .when(about())
        .refused(task_refusal!(Refusal::Target(target::Refusal::NoSuchTarget { .. })))
        .naming(["no company", "company or deal that exists"]);
    let name = Personal::new("Acme");
    let created = company::Created { company: ACME_LTD, external: None, owner: None, name };
    let created = at_start(ACME_LTD.stream(), company::Event::Created(created));
    given(tasked([]).into_iter().chain([created])).when(about()).then([linked(Target::Company(ACME_LTD))]);
}

/// Nino, an activity type of calls with a result, one of visits without, one of meetings; and a template of calls in its
/// second version.
fn dictionaries() -> Vec<Happened> {
    let of = |kind, result_required, id, code| {
        let body = activity_types::Defined { kind, result_required, ..activity_type(id, code) };
        at_start(activity_types::STREAM, activity_types::Event::Defined(body))
    };
    let call_back = |version| template_defined(Defined { version, ..template(CALL_BACK, "Call back") });
    vec![
        registered(NINO),
        of(TypeKind::Call, true, RING, "ring"),
        of(TypeKind::Task, false, VISIT, "visit"),
        of(TypeKind::Meeting, false, DEMO, "demo"),
        call_back(1),
        call_back(2),
    ]
}

#[test]
fn what_a_task_demands_follows_from_its_activity_type() {
    let of = |activity_type| Create { activity_type: Some(activity_type), ..call() };
    let ring = Created { activity_type: Some(RING), kind: Kind::Call, result_required: true, ..called() };
    given(dictionaries()).when(Command::Create(of(RING))).then([Event::Created(ring.clone())]);
    let visit = Created { activity_type: Some(VISIT), kind: Kind::Visit, ..called() };
    let asked = Create { kind: Kind::Visit, ..of(VISIT) };
    given(dictionaries()).when(Command::Create(asked)).then([Event::Created(visit.clone())]);
    let strict = Create { kind: Kind::Visit, result_required: true, ..of(VISIT) };
    given(dictionaries())
        .when(Command::Create(strict))
        .then([Event::Created(Created { result_required: true, ..visit })]);
    given(tasked_as(ring, []))
        .when(Command::Complete { result: nothing() })
        .refused(task_refusal!(Refusal::ResultMissing));
}

#[test]
fn a_task_is_of_an_activity_type_of_tasks_or_calls() {
    let unknown = ActivityTypeId(Uuid::from_u128(0xac));
    for activity_type in [DEMO, unknown] {
        let asked = Create { activity_type: Some(activity_type), ..call() };
        given(dictionaries())
            .when(Command::Create(asked))
            .refused(task_refusal!(Refusal::Dictionary(NotInDictionary::ActivityTypeUnknown { .. })))
            .naming([r#"accepted: "ring", "visit""#]);
    }
}

#[test]
fn a_task_tells_the_template_that_it_was_made_from_and_is_of_its_type() {
    let from = |version, task| {
        let template = Template { id: CALL_BACK, version };
        (template, Command::FromTemplate { template, task })
    };
    let (template, command) = from(2, call());
    let made = Created {
        template: Some(template),
        activity_type: Some(RING),
        kind: Kind::Call,
        result_required: true,
        ..called()
    };
    given(dictionaries()).when(command).then([Event::Created(made)]);
    let (template, command) = from(2, Create { activity_type: Some(VISIT), ..call() });
    let made = Created { template: Some(template), activity_type: Some(VISIT), ..called() };
    given(dictionaries()).when(command).then([Event::Created(made)]);
}

#[test]
fn a_template_is_applied_in_the_version_in_force() {
    let from = |id, version| Command::FromTemplate { template: Template { id, version }, task: call() };
    for version in [-1, 0, 1, 3] {
        given(dictionaries())
            .when(from(CALL_BACK, version))
            .refused(task_refusal!(Refusal::Dictionary(NotInDictionary::TemplateVersion { in_force: 2, .. })))
            .naming(["Call back", "accepted: 2"]);
    }
    given(dictionaries())
        .when(from(SEND_OFFER, 1))
        .refused(task_refusal!(Refusal::Dictionary(NotInDictionary::TemplateUnknown { .. })))
        .naming([r#"accepted: "Call back""#]);
}

#[test]
fn a_task_that_is_not_there_obeys_nothing() {
    for command in every_command_to_an_open_task() {
        given([registered(NINO), registered(GIORGI)])
            .when(command)
            .refused(task_refusal!(Refusal::NoSuchTask))
            .naming(["create it first"]);
    }
}

#[test]
fn a_task_that_is_done_or_cancelled_refuses_what_is_for_open_ones() {
    for (ending, outcome) in [(done(), "done"), (cancelled(), "cancelled")] {
        for command in every_command_to_an_open_task() {
            open([ending.clone()])
                .when(command)
                .refused(task_refusal!(Refusal::Closed { .. }))
                .naming([outcome, "ReopenTask"]);
        }
    }
}

#[test]
fn editing_tells_what_changed() {
    let edit = Edit {
        subject: Personal::new("შეხვედრა"),
        start: Some(at("2024-07-04T08:00:00Z")),
        priority: Some(Priority::Urgent),
        estimate_minutes: Some(20),
    };
    let Edit { subject, start, priority, estimate_minutes } = edit.clone();
    let edited =
        || Event::Edited(Edited { task: TASK, subject: subject.clone(), start, priority, estimate_minutes });
    open([]).when(Command::Edit(edit.clone())).then([edited()]);
    let same = Edit { subject: nothing(), ..edit.clone() };
    open([edited()]).when(Command::Edit(same)).then_it_is_already_so();
    let only = Edit { subject: nothing(), priority: Some(Priority::Low), ..edit };
    let (start, priority, estimate_minutes) = (None, Some(Priority::Low), None);
    open([edited()]).when(Command::Edit(only)).then([Event::Edited(Edited {
        task: TASK,
        subject: nothing(),
        start,
        priority,
        estimate_minutes,
    })]);
    open([]).when(Command::Edit(Edit::default())).then_it_is_already_so();
    let nothing_else = Edit { subject: nothing(), start: None, priority: None, estimate_minutes: None };
    for one in [
        Edit { subject: Personal::new("შეხვედრა"), ..nothing_else.clone() },
        Edit { start: Some(at("2024-07-04T08:00:00Z")), ..nothing_else.clone() },
        Edit { priority: Some(Priority::Urgent), ..nothing_else.clone() },
        Edit { estimate_minutes: Some(20), ..nothing_else },
    ] {
        let Edit { subject, start, priority, estimate_minutes } = one.clone();
        open([]).when(Command::Edit(one)).then([Event::Edited(Edited {
            task: TASK,
            subject,
            start,
            priority,
            estimate_minutes,
        })]);
    }
}

#[test]
fn an_edited_task_still_has_a_subject_and_starts_in_time() {
    open([])
        .when(Command::Edit(Edit { subject: Personal::new(" "), ..Edit::default() }))
        .refused(task_refusal!(Refusal::Blank { field: "subject" }));
    open([])
        .when(Command::Edit(Edit { start: Some(at("2024-07-05T20:00:00Z")), ..Edit::default() }))
        .refused(task_refusal!(Refusal::StartsAfterDue { .. }));
}

#[test]
fn a_task_is_reassigned_to_an_active_user_for_a_reason() {
    let to =
        |assignee, reason: &str| Command::Reassign { assignee, force: false, reason: Personal::new(reason) };
    let told =
        |reason| Event::Reassigned(Reassigned { task: TASK, from: NINO, to: GIORGI, forced: false, reason });
    open([]).when(to(GIORGI, "leave")).then([told(Personal::new("leave"))]);
    open([]).because("leave").when(to(GIORGI, " ")).then([told(nothing())]);
    open([]).when(to(GIORGI, " ")).refused(task_refusal!(Refusal::ReasonMissing)).naming(["reason code"]);
    open([]).when(to(NINO, "")).then_it_is_already_so();
    open([told(nothing())]).when(to(GIORGI, "")).then_it_is_already_so();
    given(tasked([]).into_iter().chain([deactivated(GIORGI)]))
        .when(to(GIORGI, "leave"))
        .refused(task_refusal!(Refusal::Owner(AssigneeProblem::OwnerNotActive { user: GIORGI })));
}

#[test]
fn only_moves_to_later_count_as_slips() {
    let (monday, tuesday) = (by("2024-07-08"), by("2024-07-09"));
    open([]).when(reschedule(monday)).then([Event::Rescheduled(rescheduled(monday, 1, 3))]);
    let slipped = || Event::Rescheduled(rescheduled(monday, 1, 3));
    let from = monday;
    open([slipped()])
        .when(reschedule(tuesday))
        .then([Event::Rescheduled(Rescheduled { from, ..rescheduled(tuesday, 2, 1) })]);
    open([slipped()])
        .when(reschedule(friday()))
        .then([Event::Rescheduled(Rescheduled { from, ..rescheduled(friday(), 1, 0) })]);
    let same_evening = Due::At(at("2024-07-05T20:30:00Z"));
    open([]).when(reschedule(same_evening)).then([Event::Rescheduled(rescheduled(same_evening, 1, 0))]);
    let end_of_the_day = Due::At(at("2024-07-05T20:00:00Z"));
    open([]).when(reschedule(end_of_the_day)).then([Event::Rescheduled(rescheduled(end_of_the_day, 0, 0))]);
    open([]).when(reschedule(friday())).then_it_is_already_so();
}

#[test]
fn once_overdue_a_task_is_rescheduled_for_a_reason() {
    let late = at("2024-07-05T20:00:00Z");
    let monday = by("2024-07-08");
    open([]).at(late).when(reschedule(monday)).refused(task_refusal!(Refusal::ReasonMissing));
    open([became_overdue(friday())]).when(reschedule(monday)).refused(task_refusal!(Refusal::ReasonMissing));
    let reason = Personal::new("client away");
    let told = Rescheduled { overdue: true, reason: reason.clone(), ..rescheduled(monday, 1, 3) };
    open([]).at(late).when(Command::Reschedule { due: monday, reason }).then([Event::Rescheduled(told)]);
    open([])
        .at(late - TimeDelta::seconds(1))
        .when(reschedule(monday))
        .then([Event::Rescheduled(rescheduled(monday, 1, 3))]);
}

#[test]
fn snoozing_stands_for_the_reminders_before_it() {
    let until = at("2024-07-04T08:00:00Z");
    let (before, after) = ("2024-07-04T07:00:00Z", "2024-07-05T07:00:00Z");
    let snoozed = || Event::Snoozed(Snoozed { until, instead_of: vec![at(before)], snooze_no: 1 });
    open([reminder(before), reminder(after)]).when(Command::Snooze { until }).then([snoozed()]);
    let log = || [reminder(before), reminder(after), snoozed()];
    open(log()).when(Command::Snooze { until }).then_it_is_already_so();
    open(log())
        .at(until)
        .when(Command::FireReminder { at: at(before) })
        .refused(task_refusal!(Refusal::NoSuchReminder { .. }));
    for time in [until, at(after)] {
        let fired = Event::ReminderFired(ReminderFired { at: time, assignee: NINO });
        open(log()).at(time).when(Command::FireReminder { at: time }).then([fired]);
    }
}

#[test]
fn a_task_is_snoozed_to_later_than_now() {
    open([])
        .when(Command::Snooze { until: NOW })
        .refused(task_refusal!(Refusal::NotLater { .. }))
        .naming(["later time"]);
}

#[test]
fn a_task_is_snoozed_five_times_at_most() {
    let until = at("2024-07-04T08:00:00Z");
    let snooze_no = 5;
    let fifth = Event::Snoozed(Snoozed { until, instead_of: vec![at("2024-07-03T10:00:00Z")], snooze_no });
    open([snoozed("2024-07-03T10:00:00Z", 4)]).when(Command::Snooze { until }).then([fifth]);
    open([snoozed("2024-07-03T10:00:00Z", 5)])
        .when(Command::Snooze { until })
        .refused(task_refusal!(Refusal::TooManySnoozes))
        .naming(["reschedule"]);
}

#[test]
fn a_task_starts_once() {
    open([]).when(Command::Start {}).then([Event::Started(Started {})]);
    open([Event::Started(Started {})]).when(Command::Start {}).then_it_is_already_so();
}

#[test]
fn a_task_is_done_in_time_until_its_due_is_over() {
    let end = friday().overdue_after();
    open([]).at(end - TimeDelta::microseconds(1)).when(complete("")).then([done()]);
    let late =
        |seconds| Event::Completed(Completed { late: true, late_by_seconds: Some(seconds), ..completed() });
    open([]).at(end).when(complete("")).then([late(0)]);
    open([]).at(end + TimeDelta::minutes(90)).when(complete("")).then([late(5400)]);
}

#[test]
fn a_task_is_late_by_when_it_was_done_and_not_by_when_that_was_told() {
    let told = at("2024-07-09T08:00:00Z");
    let complete_when = |occurred| open([]).at(told).back_dated(occurred).when(complete(""));
    complete_when(instant("2024-07-05T19:00:00Z")).then([done()]);
    complete_when(day("2024-07-05", Tbilisi)).then([done()]);
    complete_when(Occurred::Unknown).then([done()]);
    let late = Completed { late: true, late_by_seconds: Some(0), ..completed() };
    complete_when(day("2024-07-06", Tbilisi)).then([Event::Completed(late)]);
    complete_when(instant("2024-07-09T08:00:01Z"))
        .refused(|refusal| refusal.code() == "in_the_future")
        .naming(["never post-dated"]);
}

#[test]
fn a_task_that_wants_a_result_is_completed_with_one() {
    let log = || tasked_as(Created { result_required: true, ..called() }, []);
    given(log()).when(complete(" ")).refused(task_refusal!(Refusal::ResultMissing)).naming(["`result`"]);
    given(log())
        .when(complete("offer sent"))
        .then([Event::Completed(Completed { result: Personal::new("offer sent"), ..completed() })]);
}

#[test]
fn ending_a_task_twice_the_same_way_is_already_so_unless_words_would_be_lost() {
    open([done()]).when(complete("")).then_it_is_already_so();
    open([cancelled()]).when(Command::Cancel { reason: nothing() }).then_it_is_already_so();
    open([done()]).when(Command::Cancel { reason: nothing() }).refused(task_refusal!(Refusal::Closed { .. }));
    open([cancelled()]).when(complete("")).refused(task_refusal!(Refusal::Closed { .. }));
}

#[test]
fn a_task_that_is_done_or_cancelled_is_reopened_for_an_active_user() {
    let reopen = |assignee| Command::Reopen { assignee, force: false, reason: nothing() };
    for ending in [done(), cancelled()] {
        open([ending.clone()]).when(reopen(None)).then([reopened(NINO)]);
        open([ending.clone()]).when(reopen(Some(GIORGI))).then([reopened(GIORGI)]);
        let log = || tasked([ending.clone()]).into_iter().chain([deactivated(NINO)]);
        given(log())
            .when(reopen(None))
            .refused(task_refusal!(Refusal::Owner(AssigneeProblem::OwnerLeft { user: NINO, .. })))
            .naming(["name somebody who is in `assignee`"]);
        given(log())
            .when(reopen(Some(NINO)))
            .refused(task_refusal!(Refusal::Owner(AssigneeProblem::OwnerNotActive { user: NINO })));
        given(log()).when(reopen(Some(GIORGI))).then([reopened(GIORGI)]);
        open([ending, reopened(GIORGI)])
            .when(complete(""))
            .then([Event::Completed(Completed { assignee: GIORGI, ..completed() })]);
    }
    // Work on it starts afresh.
    open([Event::Started(Started {}), done(), reopened(NINO)])
        .when(Command::Start {})
        .then([Event::Started(Started {})]);
    open([]).when(reopen(None)).refused(task_refusal!(Refusal::NotClosed)).naming(["done or cancelled"]);
}

#[test]
fn a_task_is_known_open_or_closed() {
    let known = |log: Vec<Happened>| {
        let mut world = World::default();
        for happened in &log {
            world.apply(happened);
        }
        match world.state(TASK.stream()) {
            Some(State::Task(task)) => task.record().map(|task| (task.assignee, task.due)),
            other => panic!("{other:?}"),
        }
    };
    for events in [vec![], vec![done()], vec![cancelled()]] {
        assert_eq!(known(tasked(events)), Some((NINO, friday())));
    }
    assert_eq!(Task::default().record(), None);
}

#[test]
fn a_task_is_cancelled_for_a_reason() {
    open([])
        .when(Command::Cancel { reason: Personal::new(" ") })
        .refused(task_refusal!(Refusal::ReasonMissing))
        .naming(["reason"]);
    open([]).because("duplicate").when(Command::Cancel { reason: nothing() }).then([cancelled()]);
}

#[test]
fn deferring_stops_the_clock() {
    let until = at("2024-07-10T08:00:00Z");
    let deferred = || Event::Deferred(Deferred { until });
    let (early, after) = (until - TimeDelta::seconds(1), until + TimeDelta::seconds(60));
    open([]).when(Command::Defer { until }).then([deferred()]);
    open([deferred()]).when(Command::Defer { until }).then_it_is_already_so();
    open([])
        .when(Command::Defer { until: NOW })
        .refused(task_refusal!(Refusal::NotLater { .. }))
        .naming(["later time"]);
    open([deferred()]).at(early).when(complete("")).then([done()]);
    open([deferred()])
        .at(early)
        .when(Command::MarkOverdue { due: friday() })
        .refused(task_refusal!(Refusal::NotOverdueYet { .. }))
        .naming(["2024-07-10 08:00:00"]);
    let overdue = BecameOverdue { due: friday(), since: until, assignee: NINO };
    open([deferred()])
        .at(after)
        .when(Command::MarkOverdue { due: friday() })
        .then([Event::BecameOverdue(overdue)]);
    let late = Completed { late: true, late_by_seconds: Some(60), ..completed() };
    open([deferred()]).at(after).when(complete("")).then([Event::Completed(late)]);
    open([deferred()]).when(Command::Start {}).then([Event::Started(Started {})]);
}

#[test]
fn a_checklist_is_numbered_and_ticked() {
    let add = |text: &str| Command::AddItem { text: Personal::new(text) };
    let added = |item| Event::ItemAdded(ItemAdded { task: TASK, item, text: Personal::new("ფასი") });
    open([]).when(add("ფასი")).then([added(1)]);
    open([added(1)]).when(add("ფასი")).then([added(2)]);
    open([]).when(add(" ")).refused(task_refusal!(Refusal::Blank { field: "text" }));
    let ticked = || Event::ItemTicked(ItemTicked { item: 2 });
    open([added(1), added(2)]).when(Command::TickItem { item: 2 }).then([ticked()]);
    open([added(1), added(2), ticked()]).when(Command::TickItem { item: 2 }).then_it_is_already_so();
    for item in [0, 3, i32::MIN, i32::MAX] {
        open([added(1), added(2)])
            .when(Command::TickItem { item })
            .refused(task_refusal!(Refusal::NoSuchItem { .. }))
            .naming(["1 to 2"]);
    }
    open([])
        .when(Command::TickItem { item: 1 })
        .refused(task_refusal!(Refusal::NoSuchItem { .. }))
        .naming(["none"]);
    open((1..=100).map(added))
        .when(add("more"))
        .refused(task_refusal!(Refusal::TooManyItems))
        .naming(["100"]);
}

#[test]
fn a_reminder_lies_between_now_and_the_due() {
    let set = |text: &str| Command::SetReminder { at: at(text) };
    open([]).when(set("2024-07-05T19:59:59Z")).then([reminder("2024-07-05T19:59:59Z")]);
    open([])
        .when(set("2024-07-05T20:00:00Z"))
        .refused(task_refusal!(Refusal::ReminderAfterDue { .. }))
        .naming(["2024-07-05 in Asia/Tbilisi"]);
    open([]).when(set("2024-07-03T09:46:40Z")).refused(task_refusal!(Refusal::NotLater { .. }));
}

#[test]
fn five_reminders_wait_at_most() {
    let hour = |hour: usize| format!("2024-07-04T0{hour}:00:00Z");
    let five = || (1..=5).map(|number| reminder(&hour(number)));
    let sixth = at(&hour(6));
    let full = task_refusal!(Refusal::TooManyReminders);
    open(five()).when(Command::SetReminder { at: sixth }).refused(full).naming(["ClearReminder"]);
    open(five()).when(Command::SetReminder { at: at(&hour(5)) }).then_it_is_already_so();
    let cleared = || Event::ReminderCleared(ReminderCleared { at: at(&hour(1)) });
    let fired = || Event::ReminderFired(ReminderFired { at: at(&hour(1)), assignee: NINO });
    for event in [cleared(), fired()] {
        open(five().chain([event])).when(Command::SetReminder { at: sixth }).then([reminder(&hour(6))]);
    }
    let earlier = at("2024-07-04T00:30:00Z");
    open(five()).when(Command::Snooze { until: earlier }).refused(full);
    // One that stands for another needs no room.
    let (until, instead_of) = (at("2024-07-04T01:30:00Z"), vec![at(&hour(1))]);
    open(five()).when(Command::Snooze { until }).then([Event::Snoozed(Snoozed {
        until,
        instead_of,
        snooze_no: 1,
    })]);
}

#[test]
fn a_reminder_is_cleared_once() {
    let time = at("2024-07-04T08:00:00Z");
    let cleared = || Event::ReminderCleared(ReminderCleared { at: time });
    open([reminder("2024-07-04T08:00:00Z")]).when(Command::ClearReminder { at: time }).then([cleared()]);
    open([reminder("2024-07-04T08:00:00Z"), cleared()])
        .when(Command::ClearReminder { at: time })
        .then_it_is_already_so();
}

#[test]
fn a_reminder_fires_once_when_its_time_has_come() {
    let time = at("2024-07-04T08:00:00Z");
    let set = || reminder("2024-07-04T08:00:00Z");
    let fired = || Event::ReminderFired(ReminderFired { at: time, assignee: NINO });
    open([set()]).at(time).when(Command::FireReminder { at: time }).then([fired()]);
    open([set(), fired()]).at(time).when(Command::FireReminder { at: time }).then_it_is_already_so();
    open([set()])
        .at(time - TimeDelta::seconds(1))
        .when(Command::FireReminder { at: time })
        .refused(task_refusal!(Refusal::ReminderNotDue { .. }))
        .naming(["fire it then"]);
    open([set()])
        .at(time)
        .when(Command::FireReminder { at: NOW })
        .refused(task_refusal!(Refusal::NoSuchReminder { .. }))
        .naming(["2024-07-04 08:00:00"]);
}

#[test]
fn a_task_becomes_overdue_once_for_each_due() {
    let end = friday().overdue_after();
    let monday = by("2024-07-08");
    let mark = |due| Command::MarkOverdue { due };
    open([]).at(end).when(mark(friday())).then([became_overdue(friday())]);
    open([became_overdue(friday())]).at(end).when(mark(friday())).then_it_is_already_so();
    open([])
        .at(end - TimeDelta::microseconds(1))
        .when(mark(friday()))
        .refused(task_refusal!(Refusal::NotOverdueYet { .. }))
        .naming(["2024-07-05 20:00:00"]);
    let moved = || Event::Rescheduled(rescheduled(monday, 1, 3));
    open([moved()])
        .at(end)
        .when(mark(friday()))
        .refused(task_refusal!(Refusal::OtherDue { .. }))
        .naming(["2024-07-08 in Asia/Tbilisi"]);
    let log = || [became_overdue(friday()), moved()];
    open(log()).at(monday.overdue_after()).when(mark(monday)).then([became_overdue(monday)]);
    let back = Event::Rescheduled(Rescheduled { from: monday, ..rescheduled(friday(), 1, 0) });
    open(log().into_iter().chain([back])).at(end).when(mark(friday())).then_it_is_already_so();
}

#[test]
fn the_cause_is_the_first_that_the_facts_justify() {
    let absent = CauseFacts {
        absent: Some(true),
        load: Some(Load { open_tasks: 9, capacity: 8 }),
        lead_time: Some(LeadTime { minutes: 59, least_minutes: 60 }),
        activities: Some(0),
    };
    let overloaded = CauseFacts { absent: Some(false), ..absent };
    let too_short = CauseFacts { load: Some(Load { open_tasks: 8, capacity: 8 }), ..overloaded };
    let neglected = CauseFacts { lead_time: Some(LeadTime { minutes: 60, least_minutes: 60 }), ..too_short };
    let unknown = CauseFacts { activities: Some(1), ..neglected };
    for (facts, cause) in [
        (absent, Cause::Absent),
        (overloaded, Cause::Overloaded),
        (too_short, Cause::TooShort),
        (neglected, Cause::Neglected),
        (unknown, Cause::Unknown),
        (CauseFacts::default(), Cause::Unknown),
    ] {
        let due = friday();
        let told = || Event::CauseDetermined(CauseDetermined { due, cause, facts });
        open([became_overdue(due)]).when(Command::DetermineCause { due, facts }).then([told()]);
        open([became_overdue(due), done()]).when(Command::DetermineCause { due, facts }).then([told()]);
        open([became_overdue(due), told()])
            .when(Command::DetermineCause { due, facts })
            .then_it_is_already_so();
    }
}

#[test]
fn a_cause_is_determined_once_for_a_due_that_became_overdue() {
    let (due, facts) = (friday(), CauseFacts::default());
    open([])
        .when(Command::DetermineCause { due, facts })
        .refused(task_refusal!(Refusal::NeverOverdue { .. }))
        .naming(["MarkTaskOverdue"]);
    let told = Event::CauseDetermined(CauseDetermined { due, cause: Cause::Unknown, facts });
    let other = CauseFacts { absent: Some(true), ..facts };
    open([became_overdue(due), told])
        .when(Command::DetermineCause { due, facts: other })
        .refused(task_refusal!(Refusal::CauseKnown { cause: Cause::Unknown }))
        .naming(["stays"]);
}

#[test]
fn a_target_is_linked_and_unlinked_once() {
    open([]).when(Command::Link { target: LEAD }).then([linked(LEAD)]);
    open([linked(LEAD)]).when(Command::Link { target: LEAD }).then_it_is_already_so();
    let unlinked = || Event::Unlinked(Unlinked { target: LEAD });
    open([linked(LEAD)]).when(Command::Unlink { target: LEAD }).then([unlinked()]);
    open([linked(LEAD), unlinked()]).when(Command::Unlink { target: LEAD }).then_it_is_already_so();
}

#[test]
fn an_open_task_holds_its_assignee_and_its_deals_until_it_ends() {
    let other = DealId(Uuid::from_u128(0xdea2));
    let deals = vec![DEAL, other];
    let (work, about) =
        (|user: UserId| (WORK_CLAIM, user.to_string()), |deal: DealId| (OPEN_TASK_CLAIM, deal.to_string()));
    let count = |(kind, key)| Claim::count(kind, key);
    let uncount = |(kind, key)| Claim::uncount(kind, key);
    let created = Created { targets: vec![ABOUT, LEAD, Target::Deal(other)], ..called() };
    let all = || [work(NINO), about(DEAL), about(other)].into_iter();
    let counted: Vec<Claim> = all().map(count).collect();
    let uncounted: Vec<Claim> = all().map(uncount).collect();
    assert_eq!(Event::Created(created).claims(), counted);
    let again =
        Reopened { task: TASK, assignee: NINO, deals: deals.clone(), forced: false, reason: nothing() };
    assert_eq!(Event::Reopened(again).claims(), counted);
    assert_eq!(Event::Completed(Completed { deals: deals.clone(), ..completed() }).claims(), uncounted);
    let off = Cancelled { task: TASK, assignee: NINO, deals, reason: nothing() };
    assert_eq!(Event::Cancelled(off).claims(), uncounted);
    let moved = Event::Reassigned(Reassigned {
        task: TASK,
        from: NINO,
        to: GIORGI,
        forced: false,
        reason: nothing(),
    });
    assert_eq!(moved.claims(), [uncount(work(NINO)), count(work(GIORGI))]);
    assert_eq!(linked(ABOUT).claims(), [count(about(DEAL))]);
    assert_eq!(Event::Unlinked(Unlinked { target: ABOUT }).claims(), [uncount(about(DEAL))]);
    assert_eq!(linked(LEAD).claims(), []);
    assert_eq!(Event::Started(Started {}).claims(), []);
}

#[test]
fn what_ends_or_returns_tells_the_deals_that_the_task_is_about_by_then() {
    let about = |deals: &[DealId]| Event::Completed(Completed { deals: deals.to_vec(), ..completed() });
    let created = || Created { targets: vec![LEAD, ABOUT], ..called() };
    let unlinked = || Event::Unlinked(Unlinked { target: ABOUT });
    given(tasked_as(created(), [])).when(complete("")).then([about(&[DEAL])]);
    given(tasked_as(created(), [unlinked()])).when(complete("")).then([about(&[])]);
    open([linked(ABOUT)]).when(complete("")).then([about(&[DEAL])]);
    let again = Reopened { task: TASK, assignee: NINO, deals: vec![DEAL], forced: false, reason: nothing() };
    given(tasked_as(created(), [about(&[DEAL])]))
        .when(Command::Reopen { assignee: None, force: false, reason: nothing() })
        .then([Event::Reopened(again)]);
    let off = Cancelled { task: TASK, assignee: NINO, deals: vec![DEAL], reason: nothing() };
    given(tasked_as(created(), []))
        .because("duplicate")
        .when(Command::Cancel { reason: nothing() })
        .then([Event::Cancelled(off)]);
}

#[test]
fn texts_are_sealed_under_the_tasks_own_key() {
    let texts = [
        (Event::Created(called()), vec!["subject", "reason"]),
        (Event::Rescheduled(rescheduled(friday(), 0, 0)), vec!["reason"]),
        (done(), vec!["result"]),
        (cancelled(), vec!["reason"]),
        (reopened(NINO), vec!["reason"]),
        (Event::ItemAdded(ItemAdded { task: TASK, item: 1, text: nothing() }), vec!["text"]),
    ];
    for (mut event, names) in texts {
        let fields: Vec<_> = event.personal().iter().map(|found| (found.subject, found.field)).collect();
        let sealed: Vec<_> = names.into_iter().map(|name| (SubjectId::from(TASK), name)).collect();
        assert_eq!(fields, sealed);
    }
}

#[test]
fn nothing_in_a_task_panics_at_the_edges_of_time() {
    let edges = [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC];
    let dues = edges.map(|edge| Due::Day { date: edge.date_naive(), zone: Tbilisi });
    for due in dues.into_iter().chain(edges.map(Due::At)) {
        let task = Create { due, ..call() };
        given([registered(NINO)])
            .when(Command::Create(task))
            .then([Event::Created(Created { due, ..called() })]);
        open([]).because("edge").when(reschedule(due)).then([Event::Rescheduled(Rescheduled {
            slip_no: i32::from(!due.is_past(NOW)),
            slip_days: friday().days_until(due).max(0),
            ..rescheduled(due, 0, 0)
        })]);
    }
    for edge in edges {
        open([]).at(edge).when(on(TASK.stream(), Command::Start {})).then([Event::Started(Started {})]);
    }
}
