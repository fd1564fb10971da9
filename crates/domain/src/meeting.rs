//! A meeting: planned with users and contacts, then held, missed or cancelled. Free text is sealed under its own key.

use crate::decider::{Describe, commands, events};
use crate::dictionary::{self, NotInDictionary};
use crate::{
    ActivityTypeId, ContactId, Decider, Given, MeetingId, Occurred, Personal, PersonalField, Reads, Target,
    UserId, Version, activity_types, target,
};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

commands! {
    /// It ends after it starts; a zone; one to a hundred attendees; at most ten targets, which exist and were not
    /// erased; the activity type is one of meetings.
    "ScheduleMeeting" = Schedule(Schedule) => [Scheduled],
    /// The meeting was not held; another time, which ends after it starts. What was missed or cancelled is planned
    /// again.
    "RescheduleMeeting" = Reschedule { time: Slot } => [Rescheduled],
    /// The attendee is invited; the meeting has started and is not cancelled.
    "RecordAttendance" = RecordAttendance { attendee: Attendee, attendance: Attendance } => [AttendanceRecorded],
    /// A result text; not before the meeting starts; the meeting is not cancelled.
    "HoldMeeting" = Hold { result: Personal } => [Held],
    /// The meeting has started, is not held and not cancelled.
    "MarkMeetingNoShow" = MarkNoShow {} => [NoShow],
    /// The meeting was not held; a reason.
    "CancelMeeting" = Cancel {
        #[serde(default)]
        reason: Personal,
    } => [Cancelled],
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    #[serde(default)]
    pub subject: Personal,
    #[serde(default)]
    pub activity_type: Option<ActivityTypeId>,
    pub time: Slot,
    pub attendees: Vec<Attendee>,
    /// What it is about; the first is the main one.
    #[serde(default)]
    pub targets: Vec<Target>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// An IANA name, such as `Asia/Tbilisi`: whose clocks the meeting goes by.
    #[schemars(with = "String")]
    pub zone: Tz,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attendee {
    User(UserId),
    Contact(ContactId),
}

impl std::fmt::Display for Attendee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => write!(f, "user {id}"),
            Self::Contact(id) => write!(f, "contact {id}"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attendance {
    Present,
    Absent,
}

/// How many may be invited.
pub const MOST_ATTENDEES: usize = 100;

events! {
    Scheduled = "meeting.scheduled",
    Rescheduled = "meeting.rescheduled",
    AttendanceRecorded = "meeting.attendance_recorded",
    Held = "meeting.held",
    NoShow = "meeting.no_show",
    Cancelled = "meeting.cancelled",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["subject"]))]
pub struct Scheduled {
    /// The meeting itself; its key seals its texts.
    pub meeting: MeetingId,
    #[serde(skip)]
    pub subject: Personal,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub activity_type: Option<ActivityTypeId>,
    pub time: Slot,
    pub attendees: Vec<Attendee>,
    pub targets: Vec<Target>,
}

/// What was recorded about the time before, such as who was there, no longer counts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Rescheduled {
    pub from: Slot,
    pub to: Slot,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AttendanceRecorded {
    pub attendee: Attendee,
    pub attendance: Attendance,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["result"]))]
pub struct Held {
    pub meeting: MeetingId,
    pub targets: Vec<Target>,
    #[serde(skip)]
    pub result: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NoShow {
    pub targets: Vec<Target>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Cancelled {
    pub meeting: MeetingId,
    pub targets: Vec<Target>,
    #[serde(skip)]
    pub reason: Personal,
}

impl Describe for Event {
    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        let (meeting, field, value) = match self {
            Self::Scheduled(event) => (event.meeting, "subject", &mut event.subject),
            Self::Held(event) => (event.meeting, "result", &mut event.result),
            Self::Cancelled(event) => (event.meeting, "reason", &mut event.reason),
            Self::Rescheduled(_) | Self::AttendanceRecorded(_) | Self::NoShow(_) => return Vec::new(),
        };
        vec![PersonalField { subject: meeting.into(), field, value }]
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this meeting does not exist; schedule it first")]
    NoSuchMeeting,
    #[error("this meeting is scheduled already; an id is used once")]
    AlreadyScheduled,
    #[error("this meeting was held and stays so; schedule another one")]
    AlreadyHeld,
    #[error("this meeting is cancelled; RescheduleMeeting plans it again")]
    IsCancelled,
    #[error("it ends {end}, which is not after it starts ({start}); let it end later")]
    EndsBeforeStart { start: DateTime<Utc>, end: DateTime<Utc> },
    #[error("nobody is invited; name at least one user or contact in `attendees`")]
    NoAttendees,
    #[error("{given} attendees are too many; name at most {MOST_ATTENDEES}")]
    TooManyAttendees { given: usize },
    #[error("{attendee} is not invited; invited are {}", invited(.accepted))]
    NotInvited { attendee: Attendee, accepted: Vec<Attendee> },
    #[error("this meeting starts {start}; say this when it has started")]
    NotStarted { start: DateTime<Utc> },
    #[error("a meeting is held with a result; say in `result` what came of it")]
    ResultMissing,
    #[error("this needs a reason; give a text in `reason` or a reason code")]
    ReasonMissing,
    #[error(transparent)]
    #[serde(untagged)]
    Target(#[from] target::Refusal),
    #[error(transparent)]
    #[serde(untagged)]
    Dictionary(#[from] NotInDictionary),
}

fn invited(attendees: &[Attendee]) -> String {
    attendees.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Meeting {
    #[default]
    Absent,
    Planned(Plan),
    Missed(Plan),
    Held(Plan),
    Cancelled(Plan),
}

/// What a meeting is, without its texts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    pub time: Slot,
    /// Never empty; each with what was recorded of them.
    pub attendees: Vec<(Attendee, Option<Attendance>)>,
    /// The first is the main one.
    pub targets: Vec<Target>,
}

impl Meeting {
    fn into_plan(self) -> Option<Plan> {
        match self {
            Self::Absent => None,
            Self::Planned(plan) | Self::Missed(plan) | Self::Held(plan) | Self::Cancelled(plan) => Some(plan),
        }
    }
}

impl Decider for Meeting {
    const AGGREGATE: &'static str = "meeting";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Schedule(_))
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        match (self, command) {
            (Self::Absent, Command::Schedule(meeting)) => {
                let types = meeting.activity_type.map(|_| Reads::ActivityTypes(activity_types::STREAM));
                types.into_iter().chain(target::reads_all(&meeting.targets)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, Command::Schedule(meeting)) => schedule(meeting, given),
            (Self::Absent, _) => Err(Refusal::NoSuchMeeting),
            (_, Command::Schedule(_)) => Err(Refusal::AlreadyScheduled),
            (
                Self::Planned(plan) | Self::Missed(plan) | Self::Held(plan),
                Command::RecordAttendance { attendee, attendance },
            ) => record(plan, *attendee, *attendance, given),
            (Self::Held(_), _) => Err(Refusal::AlreadyHeld),
            (
                Self::Planned(plan) | Self::Missed(plan) | Self::Cancelled(plan),
                Command::Reschedule { time },
            ) => reschedule(plan, *time),
            (Self::Cancelled(_), Command::Cancel { reason }) if reason.is_blank() => Ok(Vec::new()),
            (Self::Cancelled(_), _) => Err(Refusal::IsCancelled),
            (Self::Missed(_), Command::MarkNoShow {}) => Ok(Vec::new()),
            (Self::Planned(plan), Command::MarkNoShow {}) => {
                has_started(plan, given)?;
                Ok(vec![Event::NoShow(NoShow { targets: plan.targets.clone() })])
            }
            (Self::Planned(plan) | Self::Missed(plan), Command::Hold { result }) => hold(plan, result, given),
            (Self::Planned(plan) | Self::Missed(plan), Command::Cancel { reason }) => {
                cancel(plan, reason, given)
            }
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        if let Event::Scheduled(event) = event {
            let attendees = event.attendees.iter().map(|attendee| (*attendee, None)).collect();
            *self = Self::Planned(Plan { time: event.time, attendees, targets: event.targets.clone() });
        }
        *self = match (std::mem::take(self), event) {
            (mut same, Event::AttendanceRecorded(event)) => {
                same.record(event);
                same
            }
            (same, Event::Scheduled(_)) => same,
            (before, event) => before.into_plan().map_or(Self::Absent, |plan| plan.after(event)),
        };
    }
}

impl Meeting {
    fn record(&mut self, event: &AttendanceRecorded) {
        let (Self::Planned(plan) | Self::Missed(plan) | Self::Held(plan) | Self::Cancelled(plan)) = self
        else {
            return;
        };
        for (_, attendance) in plan.attendees.iter_mut().filter(|(known, _)| *known == event.attendee) {
            *attendance = Some(event.attendance);
        }
    }
}

impl Plan {
    fn after(mut self, event: &Event) -> Meeting {
        match event {
            Event::Held(_) => Meeting::Held(self),
            Event::NoShow(_) => Meeting::Missed(self),
            Event::Cancelled(_) => Meeting::Cancelled(self),
            Event::Rescheduled(event) => {
                self.time = event.to;
                self.attendees.iter_mut().for_each(|(_, attendance)| *attendance = None);
                Meeting::Planned(self)
            }
            Event::Scheduled(_) | Event::AttendanceRecorded(_) => Meeting::Planned(self),
        }
    }
}

fn schedule(meeting: &Schedule, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    ends_after_start(meeting.time)?;
    if meeting.attendees.is_empty() {
        return Err(Refusal::NoAttendees);
    }
    if meeting.attendees.len() > MOST_ATTENDEES {
        return Err(Refusal::TooManyAttendees { given: meeting.attendees.len() });
    }
    if let Some(activity_type) = meeting.activity_type {
        dictionary::activity_type(activity_type, dictionary::OF_MEETINGS, given)?;
    }
    let mut attendees = Vec::new();
    for attendee in &meeting.attendees {
        if !attendees.contains(attendee) {
            attendees.push(*attendee);
        }
    }
    Ok(vec![Event::Scheduled(Scheduled {
        meeting: own(given),
        subject: meeting.subject.unless_blank(),
        activity_type: meeting.activity_type,
        time: meeting.time,
        attendees,
        targets: target::accepted(&meeting.targets, given)?,
    })])
}

fn reschedule(plan: &Plan, time: Slot) -> Result<Vec<Event>, Refusal> {
    ends_after_start(time)?;
    if plan.time == time {
        return Ok(Vec::new());
    }
    Ok(vec![Event::Rescheduled(Rescheduled { from: plan.time, to: time })])
}

fn record(
    plan: &Plan,
    attendee: Attendee,
    attendance: Attendance,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let Some((_, known)) = plan.attendees.iter().find(|(invited, _)| *invited == attendee) else {
        let accepted = plan.attendees.iter().map(|(invited, _)| *invited).collect();
        return Err(Refusal::NotInvited { attendee, accepted });
    };
    if *known == Some(attendance) {
        return Ok(Vec::new());
    }
    has_started(plan, given)?;
    Ok(vec![Event::AttendanceRecorded(AttendanceRecorded { attendee, attendance })])
}

fn hold(plan: &Plan, result: &Personal, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    if result.is_blank() {
        return Err(Refusal::ResultMissing);
    }
    has_started(plan, given)?;
    let targets = plan.targets.clone();
    Ok(vec![Event::Held(Held { meeting: own(given), targets, result: result.clone() })])
}

fn cancel(plan: &Plan, reason: &Personal, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    if !given.has_reason(reason) {
        return Err(Refusal::ReasonMissing);
    }
    let (targets, reason) = (plan.targets.clone(), reason.unless_blank());
    Ok(vec![Event::Cancelled(Cancelled { meeting: own(given), targets, reason })])
}

fn own(given: &Given<'_>) -> MeetingId {
    MeetingId(given.stream.0)
}

fn ends_after_start(Slot { start, end, .. }: Slot) -> Result<(), Refusal> {
    if end > start { Ok(()) } else { Err(Refusal::EndsBeforeStart { start, end }) }
}

/// By now, and by when it is said to have happened.
fn has_started(plan: &Plan, given: &Given<'_>) -> Result<(), Refusal> {
    let start = plan.time.start;
    let before = given.now < start || given.occurred.is_some_and(|occurred| occurred.is_before(start));
    if before { Err(Refusal::NotStarted { start }) } else { Ok(()) }
}
