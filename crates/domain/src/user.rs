//! A user: invited or registered, active or not, present or absent; name and mail are sealed.

use crate::absence::{Absence, Kind, Progress};
use crate::decider::{Describe, commands, events};
use crate::{Claim, Decider, Given, Occurred, Personal, PersonalField, Reads, StreamId, UserId, Version};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

commands! {
    /// Once; the name is not blank. The user is active at once.
    "RegisterUser" = Register { user: UserId, name: Personal } => [Registered],
    /// Once; the name is not blank; the mail address belongs to one user. The user is active from `ActivateUser` on.
    "InviteUser" = Invite { user: UserId, name: Personal, mail: Personal } => [Invited],
    /// The user is invited or deactivated.
    "ActivateUser" = Activate {} => [Activated],
    /// The user is registered and owns no open work: hand it over first.
    "DeactivateUser" = Deactivate {} => [Deactivated],
    /// Ends no earlier than it begins; meets no other absence of this user; the substitute is another user, active and
    /// not absent in that time.
    "PlanAbsence" = PlanAbsence {
        kind: Kind,
        /// The first local day.
        from: NaiveDate,
        /// The last local day.
        to: NaiveDate,
        /// An IANA zone, such as `Asia/Tbilisi`.
        #[schemars(with = "String")]
        zone: Tz,
        #[serde(default)]
        substitute: Option<UserId>,
    } => [AbsencePlanned],
    /// The absence is planned and no other one is running.
    "StartAbsence" = StartAbsence { absence: i32 } => [AbsenceStarted],
    /// The absence is running; it may end early or late.
    "EndAbsence" = EndAbsence { absence: i32 } => [AbsenceEnded],
    /// The absence is planned.
    "CancelAbsence" = CancelAbsence { absence: i32 } => [AbsenceCancelled],
    /// Zero or more.
    "SetMemberCapacity" = SetCapacity { work: WorkKind, period: Period, count: i32 } => [CapacitySet],
}

/// What a capacity counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    Deals,
    Leads,
    Tasks,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Day,
    Week,
}

events! {
    Registered = "user.registered",
    Invited = "user.invited",
    Activated = "user.activated",
    Deactivated = "user.deactivated",
    AbsencePlanned = "user.absence_planned",
    AbsenceStarted = "user.absence_started",
    AbsenceEnded = "user.absence_ended",
    AbsenceCancelled = "user.absence_cancelled",
    CapacitySet = "user.capacity_set",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["name"]))]
pub struct Registered {
    pub user: UserId,
    #[serde(skip)]
    pub name: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["name", "mail"]))]
pub struct Invited {
    pub user: UserId,
    #[serde(skip)]
    pub name: Personal,
    #[serde(skip)]
    pub mail: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Activated {}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Deactivated {
    /// Who has no open work any more; absent where nobody asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<UserId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AbsencePlanned {
    /// From 1 within the user.
    pub absence: i32,
    pub kind: Kind,
    pub from: NaiveDate,
    pub to: NaiveDate,
    #[schemars(with = "String")]
    pub zone: Tz,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub substitute: Option<UserId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AbsenceStarted {
    pub absence: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AbsenceEnded {
    pub absence: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AbsenceCancelled {
    pub absence: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CapacitySet {
    pub work: WorkKind,
    pub period: Period,
    pub count: i32,
}

/// The claim that keeps one mail address to one user.
pub const MAIL_CLAIM: &str = "user.mail";

/// The claim that everything open joins under its owner.
pub const WORK_CLAIM: &str = "user.work";

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Invited(event) => {
                let mail = event.mail.as_deref();
                mail.map(|mail| Claim::take(MAIL_CLAIM, mail.to_lowercase()).personal()).into_iter().collect()
            }
            Self::Deactivated(Deactivated { user: Some(user) }) => {
                vec![Claim::none(WORK_CLAIM, user.to_string())]
            }
            _ => Vec::new(),
        }
    }

    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        match self {
            Self::Registered(Registered { user, name }) => {
                vec![PersonalField { subject: (*user).into(), field: "name", value: name }]
            }
            Self::Invited(Invited { user, name, mail }) => {
                let subject = (*user).into();
                vec![
                    PersonalField { subject, field: "name", value: name },
                    PersonalField { subject, field: "mail", value: mail },
                ]
            }
            _ => Vec::new(),
        }
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this user is not registered; register the user first")]
    NoSuchUser,
    #[error("this user is registered already")]
    AlreadyRegistered,
    #[error("name is empty; give it at least one visible character")]
    BlankName,
    #[error("this is no mail address; one looks like name@example.com")]
    NoMailAddress,
    #[error("the absence ends on {to}, before it begins on {from}; name the first and the last day")]
    EndsBeforeItBegins { from: NaiveDate, to: NaiveDate },
    #[error(
        "these days meet absence {absence} from {from} to {to}; choose others, or end or cancel that one"
    )]
    Overlaps { absence: i32, from: NaiveDate, to: NaiveDate },
    #[error("nobody stands in for himself; name another user or none")]
    OwnSubstitute,
    #[error("substitute {user} is not a registered, active user; name one who is, or none")]
    SubstituteNotActive { user: UserId },
    #[error("substitute {user} is absent from {from} to {to}; name one who is there, or none")]
    SubstituteAbsent { user: UserId, from: NaiveDate, to: NaiveDate },
    #[error("this user has no absence {absence}; there are {last}, numbered from 1")]
    NoSuchAbsence { absence: i32, last: i32 },
    #[error("absence {absence} is {progress}; {command} expects one that is {expected}")]
    WrongProgress { absence: i32, progress: &'static str, command: &'static str, expected: &'static str },
    #[error("absence {running} is still running; end it with EndAbsence first")]
    StillRunning { running: i32 },
    #[error("capacity {count} is negative; it is zero or more")]
    NegativeCapacity { count: i32 },
}

/// Name and mail are no part of the state: they stay sealed in the log, and no decision needs them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum User {
    #[default]
    Unknown,
    Known(Record),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    Invited,
    Active,
    Inactive,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub standing: Standing,
    /// All there ever were; number n stands at n - 1.
    pub absences: Vec<Absence>,
    pub capacities: Vec<CapacitySet>,
}

impl User {
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Unknown => None,
            Self::Known(record) => Some(record),
        }
    }

    pub fn is_active(&self) -> bool {
        self.record().is_some_and(|record| record.standing == Standing::Active)
    }

    /// The absence that covers `now`: started and not ended, or planned for the local day.
    pub fn is_absent(&self, now: DateTime<Utc>) -> Option<&Absence> {
        self.record()?.absences.iter().find(|absence| absence.covers(now))
    }

    /// The planned or running absence with that day.
    pub fn absent_on(&self, date: NaiveDate, now: DateTime<Utc>) -> Option<&Absence> {
        self.record()?.meeting(date, date, now)
    }
}

impl Decider for User {
    const AGGREGATE: &'static str = "user";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn home(command: &Command) -> Option<StreamId> {
        match command {
            Command::Register { user, .. } | Command::Invite { user, .. } => Some(user.stream()),
            _ => None,
        }
    }

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Register { .. } | Command::Invite { .. })
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        match command {
            Command::PlanAbsence { substitute: Some(substitute), .. } => {
                vec![Reads::User(substitute.stream())]
            }
            _ => Vec::new(),
        }
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (_, Command::Register { name, .. } | Command::Invite { name, .. }) if name.is_blank() => {
                Err(Refusal::BlankName)
            }
            (_, Command::Invite { mail, .. }) if !looks_like_mail(mail) => Err(Refusal::NoMailAddress),
            (Self::Unknown, Command::Register { user, name }) => {
                Ok(vec![Event::Registered(Registered { user: *user, name: name.clone() })])
            }
            (Self::Unknown, Command::Invite { user, name, mail }) => {
                let mail = Personal(mail.as_deref().map(|mail| mail.trim().to_owned()));
                Ok(vec![Event::Invited(Invited { user: *user, name: name.clone(), mail })])
            }
            (Self::Unknown, _) => Err(Refusal::NoSuchUser),
            (Self::Known(_), Command::Register { .. } | Command::Invite { .. }) => {
                Err(Refusal::AlreadyRegistered)
            }
            (Self::Known(record), command) => record.decide(command, given),
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        let standing = match event {
            Event::Registered(_) => Standing::Active,
            Event::Invited(_) => Standing::Invited,
            _ => {
                if let Self::Known(record) = self {
                    record.evolve(event);
                }
                return;
            }
        };
        *self = Self::Known(Record { standing, absences: Vec::new(), capacities: Vec::new() });
    }
}

impl Record {
    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self.standing, command) {
            (_, Command::Register { .. } | Command::Invite { .. })
            | (Standing::Active, Command::Activate {})
            | (Standing::Inactive, Command::Deactivate {}) => Ok(Vec::new()),
            (Standing::Invited | Standing::Inactive, Command::Activate {}) => {
                Ok(vec![Event::Activated(Activated {})])
            }
            (Standing::Invited | Standing::Active, Command::Deactivate {}) => {
                Ok(vec![Event::Deactivated(Deactivated { user: Some(UserId(given.stream.0)) })])
            }
            (_, Command::PlanAbsence { kind, from, to, zone, substitute }) => {
                let absence = self.next_absence();
                let (kind, from, to, zone, substitute) = (*kind, *from, *to, *zone, *substitute);
                self.plan(AbsencePlanned { absence, kind, from, to, zone, substitute }, given)
            }
            (_, Command::StartAbsence { absence }) => self.start(*absence),
            (_, Command::EndAbsence { absence }) => self.end(*absence),
            (_, Command::CancelAbsence { absence }) => self.cancel(*absence),
            (_, Command::SetCapacity { work, period, count }) => {
                self.set_capacity(CapacitySet { work: *work, period: *period, count: *count })
            }
        }
    }

    fn plan(&self, planned: AbsencePlanned, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let AbsencePlanned { from, to, substitute, .. } = planned;
        if to < from {
            return Err(Refusal::EndsBeforeItBegins { from, to });
        }
        if let Some(other) = self.meeting(from, to, given.now) {
            let same = AbsencePlanned { absence: other.number, ..planned } == other.planned();
            let (absence, from, to) = (other.number, other.from, other.to);
            return if same { Ok(Vec::new()) } else { Err(Refusal::Overlaps { absence, from, to }) };
        }
        if let Some(user) = substitute {
            stands_in(user, from, to, given)?;
        }
        Ok(vec![Event::AbsencePlanned(planned)])
    }

    fn start(&self, number: i32) -> Result<Vec<Event>, Refusal> {
        let absence = self.absence(number)?;
        match absence.progress {
            Progress::Running => Ok(Vec::new()),
            Progress::Planned => match self.running() {
                Some(running) => Err(Refusal::StillRunning { running: running.number }),
                None => Ok(vec![Event::AbsenceStarted(AbsenceStarted { absence: number })]),
            },
            Progress::Ended | Progress::Cancelled => Err(wrong(absence, "StartAbsence", "planned")),
        }
    }

    fn end(&self, number: i32) -> Result<Vec<Event>, Refusal> {
        let absence = self.absence(number)?;
        match absence.progress {
            Progress::Ended => Ok(Vec::new()),
            Progress::Running => Ok(vec![Event::AbsenceEnded(AbsenceEnded { absence: number })]),
            Progress::Planned | Progress::Cancelled => Err(wrong(absence, "EndAbsence", "running")),
        }
    }

    fn cancel(&self, number: i32) -> Result<Vec<Event>, Refusal> {
        let absence = self.absence(number)?;
        match absence.progress {
            Progress::Cancelled => Ok(Vec::new()),
            Progress::Planned => Ok(vec![Event::AbsenceCancelled(AbsenceCancelled { absence: number })]),
            Progress::Running | Progress::Ended => Err(wrong(absence, "CancelAbsence", "planned")),
        }
    }

    fn set_capacity(&self, wanted: CapacitySet) -> Result<Vec<Event>, Refusal> {
        if wanted.count < 0 {
            return Err(Refusal::NegativeCapacity { count: wanted.count });
        }
        let known = self.capacities.contains(&wanted);
        Ok((!known).then_some(Event::CapacitySet(wanted)).into_iter().collect())
    }

    fn next_absence(&self) -> i32 {
        let count = i32::try_from(self.absences.len());
        count.expect("a stream's versions are i32, so its absences are fewer") + 1
    }

    fn absence(&self, number: i32) -> Result<&Absence, Refusal> {
        let known = self.absences.iter().find(|absence| absence.number == number);
        known.ok_or_else(|| Refusal::NoSuchAbsence { absence: number, last: self.next_absence() - 1 })
    }

    fn running(&self) -> Option<&Absence> {
        self.absences.iter().find(|absence| absence.progress == Progress::Running)
    }

    fn meeting(&self, from: NaiveDate, to: NaiveDate, now: DateTime<Utc>) -> Option<&Absence> {
        self.absences.iter().find(|absence| absence.meets(from, to, now))
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Registered(_) | Event::Invited(_) => {}
            Event::Activated(_) => self.standing = Standing::Active,
            Event::Deactivated(_) => self.standing = Standing::Inactive,
            Event::AbsencePlanned(event) => self.absences.push(Absence {
                number: event.absence,
                kind: event.kind,
                from: event.from,
                to: event.to,
                zone: event.zone,
                substitute: event.substitute,
                progress: Progress::Planned,
            }),
            Event::AbsenceStarted(event) => self.reach(event.absence, Progress::Running),
            Event::AbsenceEnded(event) => self.reach(event.absence, Progress::Ended),
            Event::AbsenceCancelled(event) => self.reach(event.absence, Progress::Cancelled),
            Event::CapacitySet(event) => {
                self.capacities.retain(|known| (known.work, known.period) != (event.work, event.period));
                self.capacities.push(event.clone());
            }
        }
    }

    fn reach(&mut self, number: i32, progress: Progress) {
        for absence in self.absences.iter_mut().filter(|absence| absence.number == number) {
            absence.progress = progress;
        }
    }
}

impl Absence {
    fn planned(&self) -> AbsencePlanned {
        AbsencePlanned {
            absence: self.number,
            kind: self.kind,
            from: self.from,
            to: self.to,
            zone: self.zone,
            substitute: self.substitute,
        }
    }
}

fn stands_in(user: UserId, from: NaiveDate, to: NaiveDate, given: &Given<'_>) -> Result<(), Refusal> {
    if user.stream() == given.stream {
        return Err(Refusal::OwnSubstitute);
    }
    let Some(record) = given.facts.user(user).filter(|known| known.is_active()).and_then(User::record) else {
        return Err(Refusal::SubstituteNotActive { user });
    };
    match record.meeting(from, to, given.now) {
        Some(Absence { from, to, .. }) => Err(Refusal::SubstituteAbsent { user, from: *from, to: *to }),
        None => Ok(()),
    }
}

fn wrong(absence: &Absence, command: &'static str, expected: &'static str) -> Refusal {
    let (absence, progress) = (absence.number, absence.progress.as_str());
    Refusal::WrongProgress { absence, progress, command, expected }
}

/// Something, one `@`, and a domain with a dot inside; nothing invisible.
fn looks_like_mail(mail: &Personal) -> bool {
    let mail = mail.as_deref().unwrap_or_default().trim();
    let visible = !mail.chars().any(|c| c.is_whitespace() || c.is_control());
    visible
        && mail.split_once('@').is_some_and(|(name, domain)| {
            let labels = || domain.split('.');
            !name.is_empty()
                && !domain.contains('@')
                && labels().count() > 1
                && labels().all(|label| !label.is_empty())
        })
}
