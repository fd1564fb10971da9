use crate::configuring::{RING, VISIT, activity_type, activity_type_defined};
use crate::given::{Given, Happened, given};
use crate::sales::*;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Asia::Tbilisi;
use kvali_domain::activity_types::{self, Kind};
use kvali_domain::decider::Describe;
use kvali_domain::dictionary::NotInDictionary;
use kvali_domain::meeting::{
    Attendance, AttendanceRecorded, Attendee, Cancelled, Command, Event, Held, NoShow, Refusal, Rescheduled,
    Schedule, Scheduled, Slot,
};
use kvali_domain::{
    ContactId, Occurred, Personal, Refusal as AnyRefusal, SubjectId, Target, UserId, subject, target,
};
use uuid::Uuid;

macro_rules! meeting_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Meeting($pattern))
    };
}

const HOST: Attendee = Attendee::User(NINO);
const CLIENT: Attendee = Attendee::Contact(ContactId(Uuid::from_u128(0xc0)));
const LEAD: Target = Target::Lead(crate::sales::LEAD);

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an RFC 3339 time")
}

fn start() -> DateTime<Utc> {
    at("2024-07-05T08:00:00Z")
}

fn slot(start: DateTime<Utc>) -> Slot {
    Slot { start, end: start + TimeDelta::hours(1), zone: Tbilisi }
}

fn next_week() -> Slot {
    slot(at("2024-07-12T08:00:00Z"))
}

fn plan() -> Schedule {
    Schedule {
        subject: Personal::new("დემო"),
        activity_type: None,
        time: slot(start()),
        attendees: vec![HOST, CLIENT],
        targets: vec![LEAD],
    }
}

fn planned() -> Scheduled {
    let Schedule { subject, activity_type, time, attendees, targets } = plan();
    Scheduled { meeting: MEETING, subject, activity_type, time, attendees, targets }
}

fn the_lead() -> Happened {
    lead_captured(crate::sales::LEAD, None)
}

fn meeting(events: impl IntoIterator<Item = Event>) -> Given {
    let events = [Event::Scheduled(planned())].into_iter().chain(events);
    given([the_lead()].into_iter().chain(events.map(meeting_event)).collect::<Vec<Happened>>())
}

fn held() -> Event {
    Event::Held(Held { meeting: MEETING, targets: vec![LEAD], result: Personal::new("agreed") })
}

fn missed() -> Event {
    Event::NoShow(NoShow { targets: vec![LEAD] })
}

fn cancelled(reason: &str) -> Event {
    let reason = Personal::new(reason).unless_blank();
    Event::Cancelled(Cancelled { meeting: MEETING, targets: vec![LEAD], reason })
}

fn rescheduled() -> Event {
    Event::Rescheduled(Rescheduled { from: slot(start()), to: next_week() })
}

fn recorded(attendance: Attendance) -> Event {
    Event::AttendanceRecorded(AttendanceRecorded { attendee: CLIENT, attendance })
}

fn record(attendance: Attendance) -> Command {
    Command::RecordAttendance { attendee: CLIENT, attendance }
}

fn hold(result: &str) -> Command {
    Command::Hold { result: Personal::new(result) }
}

fn cancel(reason: &str) -> Command {
    Command::Cancel { reason: Personal::new(reason) }
}

fn reschedule(time: Slot) -> Command {
    Command::Reschedule { time }
}

fn all_but_scheduling() -> Vec<Command> {
    let present = record(Attendance::Present);
    vec![reschedule(next_week()), present, hold("agreed"), Command::MarkNoShow {}, cancel("ill")]
}

#[test]
fn a_meeting_is_scheduled_once() {
    given([the_lead()]).when(Command::Schedule(plan())).then([Event::Scheduled(planned())]);
    meeting([])
        .when(Command::Schedule(plan()))
        .refused(meeting_refusal!(Refusal::AlreadyScheduled))
        .naming(["used once"]);
    let subject = Personal::new(" ");
    given([the_lead()])
        .when(Command::Schedule(Schedule { subject, ..plan() }))
        .then([Event::Scheduled(Scheduled { subject: Personal::default(), ..planned() })]);
}

#[test]
fn a_meeting_ends_after_it_starts() {
    let time = Slot { end: start(), ..slot(start()) };
    given([])
        .when(Command::Schedule(Schedule { time, ..plan() }))
        .refused(meeting_refusal!(Refusal::EndsBeforeStart { .. }))
        .naming(["end later"]);
    meeting([]).when(reschedule(time)).refused(meeting_refusal!(Refusal::EndsBeforeStart { .. }));
}

#[test]
fn somebody_is_invited_each_once_and_not_everybody() {
    let inviting = |attendees| Command::Schedule(Schedule { attendees, ..plan() });
    given([])
        .when(inviting(vec![]))
        .refused(meeting_refusal!(Refusal::NoAttendees))
        .naming(["at least one user or contact"]);
    given([the_lead()]).when(inviting(vec![HOST, CLIENT, HOST])).then([Event::Scheduled(planned())]);
    let crowd = |size| (0..size).map(|number| Attendee::User(UserId(Uuid::from_u128(number)))).collect();
    given([])
        .when(inviting(crowd(101)))
        .refused(meeting_refusal!(Refusal::TooManyAttendees { given: 101 }))
        .naming(["at most 100"]);
    let attendees = crowd(100);
    given([the_lead()])
        .when(inviting(crowd(100)))
        .then([Event::Scheduled(Scheduled { attendees, ..planned() })]);
}

#[test]
fn what_a_meeting_is_about_exists_and_was_not_erased() {
    let about = |target| Command::Schedule(Schedule { targets: vec![target], ..plan() });
    given([])
        .when(about(Target::Deal(DEAL)))
        .refused(meeting_refusal!(Refusal::Target(target::Refusal::NoSuchTarget { .. })));
    given([sales(), opened()])
        .when(about(Target::Deal(DEAL)))
        .then([Event::Scheduled(Scheduled { targets: vec![Target::Deal(DEAL)], ..planned() })]);
    let Target::Lead(lead) = LEAD else { panic!("a lead") };
    let subject = SubjectId::from(lead);
    let erased = Happened {
        stream: subject.stream(),
        event: kvali_domain::Event::Subject(subject::Event::Erased(subject::Erased { subject })),
        occurred: Occurred::Unknown,
    };
    given([the_lead(), erased])
        .when(about(LEAD))
        .refused(meeting_refusal!(Refusal::Target(target::Refusal::TargetErased { .. })));
}

#[test]
fn a_meeting_that_was_never_scheduled_obeys_nothing_else() {
    for command in all_but_scheduling() {
        given([])
            .when(command)
            .refused(meeting_refusal!(Refusal::NoSuchMeeting))
            .naming(["schedule it first"]);
    }
}

#[test]
fn a_meeting_moves_to_another_time() {
    meeting([]).when(reschedule(next_week())).then([rescheduled()]);
    meeting([]).when(reschedule(slot(start()))).then_it_is_already_so();
    meeting([rescheduled()]).when(reschedule(next_week())).then_it_is_already_so();
}

#[test]
fn a_meeting_that_was_missed_or_cancelled_is_planned_again() {
    for ending in [missed(), cancelled("ill")] {
        let log = || [recorded(Attendance::Absent), ending.clone(), rescheduled()];
        meeting([ending.clone()]).when(reschedule(next_week())).then([rescheduled()]);
        let at = next_week().start;
        meeting(log()).at(at).when(hold("agreed")).then([held()]);
        meeting(log()).at(at).when(record(Attendance::Absent)).then([recorded(Attendance::Absent)]);
    }
}

#[test]
fn a_meeting_that_was_held_stays_so() {
    let after = start() + TimeDelta::hours(2);
    for command in [reschedule(next_week()), hold("agreed"), Command::MarkNoShow {}, cancel("ill")] {
        meeting([held()])
            .at(after)
            .when(command)
            .refused(meeting_refusal!(Refusal::AlreadyHeld))
            .naming(["another"]);
    }
}

#[test]
fn who_was_invited_was_there_or_not() {
    meeting([]).at(start()).when(record(Attendance::Present)).then([recorded(Attendance::Present)]);
    for ending in [held(), missed()] {
        meeting([recorded(Attendance::Present), ending])
            .at(start())
            .when(record(Attendance::Absent))
            .then([recorded(Attendance::Absent)]);
    }
    meeting([recorded(Attendance::Present)])
        .at(start())
        .when(record(Attendance::Present))
        .then_it_is_already_so();
}

#[test]
fn nobody_is_recorded_who_was_not_invited() {
    let attendee = Attendee::User(GIORGI);
    meeting([])
        .at(start())
        .when(Command::RecordAttendance { attendee, attendance: Attendance::Present })
        .refused(meeting_refusal!(Refusal::NotInvited { .. }))
        .naming([format!("user {GIORGI} is not invited").as_str(), &format!("user {NINO}, contact")]);
}

#[test]
fn nothing_is_said_of_a_meeting_that_has_not_started() {
    let early = || meeting([]).at(start() - TimeDelta::microseconds(1));
    for command in [record(Attendance::Absent), hold("agreed"), Command::MarkNoShow {}] {
        early()
            .when(command.clone())
            .refused(meeting_refusal!(Refusal::NotStarted { .. }))
            .naming(["2024-07-05 08:00:00"]);
        let later = || meeting([]).at(start() + TimeDelta::days(1));
        later()
            .back_dated(instant("2024-07-05T07:59:59Z"))
            .when(command.clone())
            .refused(meeting_refusal!(Refusal::NotStarted { .. }));
        early()
            .back_dated(Occurred::Unknown)
            .when(command)
            .refused(meeting_refusal!(Refusal::NotStarted { .. }));
    }
    let that_day = day("2024-07-05", Tbilisi);
    meeting([]).at(start()).back_dated(that_day).when(hold("agreed")).then([held()]);
}

#[test]
fn a_meeting_is_held_with_a_result() {
    meeting([]).at(start()).when(hold("agreed")).then([held()]);
    meeting([missed()]).at(start()).when(hold("agreed")).then([held()]);
    meeting([])
        .at(start())
        .when(hold(" "))
        .refused(meeting_refusal!(Refusal::ResultMissing))
        .naming(["`result`"]);
}

#[test]
fn a_meeting_is_missed_once() {
    meeting([]).at(start()).when(Command::MarkNoShow {}).then([missed()]);
    meeting([missed()]).at(start()).when(Command::MarkNoShow {}).then_it_is_already_so();
}

#[test]
fn a_meeting_is_cancelled_for_a_reason() {
    meeting([]).when(cancel("ill")).then([cancelled("ill")]);
    meeting([missed()]).when(cancel("ill")).then([cancelled("ill")]);
    meeting([]).because("ill").when(cancel("")).then([cancelled("")]);
    meeting([]).when(cancel(" ")).refused(meeting_refusal!(Refusal::ReasonMissing)).naming(["reason code"]);
    meeting([cancelled("ill")]).when(cancel("")).then_it_is_already_so();
}

#[test]
fn a_cancelled_meeting_obeys_only_a_new_time() {
    for command in [record(Attendance::Present), hold("agreed"), Command::MarkNoShow {}, cancel("twice")] {
        meeting([cancelled("ill")])
            .at(start())
            .when(command)
            .refused(meeting_refusal!(Refusal::IsCancelled))
            .naming(["RescheduleMeeting"]);
    }
}

#[test]
fn texts_are_sealed_under_the_meetings_own_key() {
    let texts = [(Event::Scheduled(planned()), "subject"), (held(), "result"), (cancelled("ill"), "reason")];
    for (mut event, field) in texts {
        let fields: Vec<_> = event.personal().iter().map(|found| (found.subject, found.field)).collect();
        assert_eq!(fields, [(SubjectId::from(MEETING), field)]);
    }
}

#[test]
fn a_meeting_is_of_an_activity_type_of_meetings() {
    let of = |activity_type| Command::Schedule(Schedule { activity_type: Some(activity_type), ..plan() });
    let demo = activity_types::Defined { kind: Kind::Meeting, ..activity_type(VISIT, "demo") };
    let demo = at_start(activity_types::STREAM, activity_types::Event::Defined(demo));
    let log = || [the_lead(), demo.clone(), activity_type_defined(RING, "ring")];
    given(log())
        .when(of(VISIT))
        .then([Event::Scheduled(Scheduled { activity_type: Some(VISIT), ..planned() })]);
    given(log())
        .when(of(RING))
        .refused(meeting_refusal!(Refusal::Dictionary(NotInDictionary::ActivityTypeUnknown { .. })))
        .naming([r#"accepted: "demo""#]);
}
