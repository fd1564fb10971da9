//! A call: it rings, is answered, ended or missed, and is matched with who called. It never opens a deal.

use crate::assignee::{self, AssigneeProblem};
use crate::content_hash::ContentHash;
use crate::deal::Deal;
use crate::decider::{Describe, commands, events};
use crate::dictionary::{self, NotInDictionary};
use crate::target::{self, NoSuchTarget};
use crate::text::{self, NotACode, NotAnId, TooLong};
use crate::{
    CallId, Claim, ContactId, DealId, Decider, Given, LeadId, Occurred, Order, Personal, PersonalField,
    Reads, SubjectId, Target, TaskId, UserId, Version, activity_types,
};
use crate::{Due, task};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Characters in a number, as the provider writes it.
pub const MAX_NUMBER: usize = 64;
/// Characters in a disposition's comment.
pub const MAX_COMMENT: usize = 4_000;
/// Characters in a reason.
pub const MAX_REASON: usize = 1_000;
/// Contacts that an ambiguous call may name.
pub const MAX_CANDIDATES: usize = 50;

commands! {
    /// The provider's call id is unused; the called number is given, the caller's may be withheld.
    "RegisterCall" = Register {
        /// The provider's code.
        provider: String,
        provider_id: String,
        direction: Direction,
        #[serde(default)]
        from: Personal,
        to: Personal,
    } => [Started],
    /// The call is ringing; whoever speaks on our side is registered and active.
    "AnswerCall" = Answer { by: UserId } => [Answered],
    /// The call was answered; the duration is zero or more seconds. An outbound call that nobody answered ends
    /// with zero.
    "EndCall" = End { duration_s: i32 } => [Ended],
    /// The call is inbound and was not answered; the assignee of the task to call back is active and not absent,
    /// unless forced with a reason; it is not due before the call was missed.
    "MissCall" = Miss {
        task: TaskId,
        assignee: UserId,
        due: DateTime<Utc>,
        /// Also to an absent user.
        #[serde(default)]
        force: bool,
        #[serde(default)]
        reason: Personal,
    } => [Missed],
    /// One contact, several or nobody. With one contact the call belongs to an open deal, else to a lead; it opens
    /// no deal. Another contact for a matched call needs a reason.
    "MatchCall" = Match {
        outcome: Match,
        #[serde(default)]
        reason: Personal,
    } => [Matched, Ambiguous, Unmatched],
    /// The code is that of an activity type of calls; a comment where the type requires a result.
    "SetCallDisposition" = SetDisposition {
        code: String,
        #[serde(default)]
        comment: Personal,
    } => [DispositionSet],
    /// The call rings no more; its content's SHA-256; consent was given, or is not required for a reason.
    "AttachCallRecording" = AttachRecording { hash: ContentHash, consent: Consent } => [RecordingAttached],
    /// The call was missed and not yet returned; the call that returns it, if named, is an outbound one.
    "ReturnMissedCall" = Return {
        #[serde(default)]
        by: Option<CallId>,
    } => [MissedReturned],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Inbound,
    Outbound,
}

/// Whose number it is, as whoever looked it up found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Match {
    Contact { contact: ContactId, belongs_to: Belongs },
    Several { candidates: Vec<ContactId> },
    Nobody {},
}

/// What a matched call is part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Belongs {
    /// An open deal.
    Deal(DealId),
    Lead(LeadId),
}

impl Belongs {
    pub fn target(self) -> Target {
        match self {
            Self::Deal(id) => Target::Deal(id),
            Self::Lead(id) => Target::Lead(id),
        }
    }
}

/// What the parties said to being recorded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Consent {
    Given {},
    NotRequired {
        #[serde(default)]
        reason: Personal,
    },
    Refused {},
}

events! {
    Started = "call.started",
    Answered = "call.answered",
    Ended = "call.ended",
    Missed = "call.missed",
    Matched = "call.matched",
    Ambiguous = "call.ambiguous",
    Unmatched = "call.unmatched",
    DispositionSet = "call.disposition_set",
    RecordingAttached = "call.recording_attached",
    MissedReturned = "call.missed_returned",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["from", "to"]))]
pub struct Started {
    pub provider: String,
    pub provider_id: String,
    pub direction: Direction,
    /// Whose key seals the numbers: the call's own, for nobody knows yet whose they are.
    pub subject: SubjectId,
    #[serde(skip)]
    pub from: Personal,
    #[serde(skip)]
    pub to: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Answered {
    pub by: UserId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Ended {
    pub duration_s: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Missed {
    /// The task to call back.
    pub task: TaskId,
    pub assignee: UserId,
    pub due: DateTime<Utc>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Matched {
    /// The contact that the call was wrongly matched with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<ContactId>,
    pub contact: ContactId,
    pub belongs_to: Belongs,
    /// Whose key seals the reason: the call's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<SubjectId>,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Ambiguous {
    /// Each once, in the order of their ids.
    pub candidates: Vec<ContactId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Unmatched {}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["comment"]))]
pub struct DispositionSet {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    pub to: String,
    /// Whose key seals the comment: the matched contact's, else the call's own.
    pub subject: SubjectId,
    #[serde(skip)]
    pub comment: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct RecordingAttached {
    /// Recordings of one call are numbered from 1.
    pub number: i32,
    pub hash: ContentHash,
    pub consent: Basis,
    /// Whose key seals the reason: the matched contact's, else the call's own.
    pub subject: SubjectId,
    #[serde(skip)]
    pub reason: Personal,
}

/// Why a recording may be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    Given,
    NotRequired,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MissedReturned {
    /// The task to call back that is thereby done.
    pub task: TaskId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<CallId>,
}

/// The claim that keeps a provider's call id to one call.
pub const PROVIDER_CLAIM: &str = "call.provider_id";

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Started(Started { provider, provider_id, .. }) => {
                vec![Claim::take(PROVIDER_CLAIM, format!("{provider}\u{1f}{provider_id}"))]
            }
            _ => Vec::new(),
        }
    }

    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        let (subject, field, value) = match self {
            Self::Started(Started { subject, from, to, .. }) => {
                let subject = *subject;
                return vec![
                    PersonalField { subject, field: "from", value: from },
                    PersonalField { subject, field: "to", value: to },
                ];
            }
            Self::Matched(event) => (event.subject, "reason", &mut event.reason),
            Self::DispositionSet(event) => (Some(event.subject), "comment", &mut event.comment),
            Self::RecordingAttached(event) => (Some(event.subject), "reason", &mut event.reason),
            _ => return Vec::new(),
        };
        subject.map(|subject| PersonalField { subject, field, value }).into_iter().collect()
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this call does not exist; register it first")]
    NoSuchCall,
    #[error("this call is registered already; an id is used once")]
    AlreadyRegistered,
    #[error("the called number is empty; give it in `to`")]
    NoNumber,
    #[error("this call {phase}; {accepted}")]
    WrongPhase { phase: &'static str, accepted: &'static str },
    #[error(
        "only an inbound call can be missed; end an outbound one that nobody answered with EndCall and 0"
    )]
    Outbound,
    #[error("a duration of {duration_s} seconds is negative; it is zero or more")]
    NegativeDuration { duration_s: i32 },
    #[error("user {user} is not a registered, active user; name one who is")]
    UserNotActive { user: UserId },
    #[error("the task is due at {due}, before the call was missed at {missed}; name a later time")]
    DueBeforeMissed { due: DateTime<Utc>, missed: DateTime<Utc> },
    #[error(
        "{count} different contacts are named; `several` takes 2 to {MAX_CANDIDATES}, for one use `contact`, for none `nobody`"
    )]
    Candidates { count: usize },
    #[error("this call is matched with contact {contact}; name another contact and a reason to correct that")]
    AlreadyMatched { contact: ContactId },
    #[error("deal {deal} is not open; name an open deal or a lead, for a call opens no deal")]
    DealNotOpen { deal: DealId },
    #[error("this needs a reason; give a text in `reason` or a reason code")]
    ReasonMissing,
    #[error(
        "consent to recording was refused; a recording needs consent `given`, or `not_required` with a reason"
    )]
    ConsentRefused,
    #[error("this missed call was returned already; nothing is left to do")]
    AlreadyReturned,
    #[error("call {call} does not return this one; name a registered outbound call, or none")]
    NotAReturn { call: CallId },
    #[error("the disposition {disposition:?} comes with a comment; say in `comment` what came of the call")]
    CommentMissing { disposition: String },
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error(transparent)]
    NotACode(#[from] NotACode),
    #[error(transparent)]
    NotAnId(#[from] NotAnId),
    #[error(transparent)]
    NoSuchTarget(#[from] NoSuchTarget),
    #[error(transparent)]
    #[serde(untagged)]
    Dictionary(#[from] NotInDictionary),
    #[error(transparent)]
    #[serde(untagged)]
    Owner(#[from] AssigneeProblem),
}

/// Numbers and comments are no part of the state: they stay sealed in the log.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Call {
    #[default]
    Absent,
    Registered(Record),
}

/// What a call has become so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub direction: Direction,
    pub phase: Phase,
    pub matching: Option<Match>,
    pub disposition: Option<String>,
    pub recordings: Vec<ContentHash>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Ringing,
    Answered { by: UserId },
    Ended { by: Option<UserId>, duration_s: i32 },
    Missed(CallBack),
    Returned(CallBack, Option<CallId>),
}

/// The task that a missed call leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallBack {
    pub task: TaskId,
    pub assignee: UserId,
    pub due: DateTime<Utc>,
}

impl Phase {
    fn refuses(self, accepted: &'static str) -> Refusal {
        let phase = match self {
            Self::Ringing => "is ringing",
            Self::Answered { .. } => "has been answered",
            Self::Ended { .. } => "has ended",
            Self::Missed(_) => "was missed",
            Self::Returned(..) => "was missed and returned",
        };
        Refusal::WrongPhase { phase, accepted }
    }
}

impl Record {
    /// The contact that the call is matched with.
    pub fn contact(&self) -> Option<ContactId> {
        match self.matching {
            Some(Match::Contact { contact, .. }) => Some(contact),
            _ => None,
        }
    }

    /// The deal or lead that the call belongs to.
    pub fn target(&self) -> Option<Target> {
        match self.matching {
            Some(Match::Contact { belongs_to, .. }) => Some(belongs_to.target()),
            _ => None,
        }
    }

    fn subject(&self, given: &Given<'_>) -> SubjectId {
        self.contact().map_or(SubjectId(given.stream.0), SubjectId::from)
    }
}

impl Call {
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Absent => None,
            Self::Registered(call) => Some(call),
        }
    }
}

impl Decider for Call {
    const AGGREGATE: &'static str = "call";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Register { .. })
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        match command {
            Command::Answer { by: user } | Command::Miss { assignee: user, .. } => {
                vec![Reads::User(user.stream())]
            }
            Command::Match { outcome: Match::Contact { contact, belongs_to }, .. } => {
                [Target::Contact(*contact), belongs_to.target()].into_iter().map(target::reads).collect()
            }
            Command::SetDisposition { .. } => vec![Reads::ActivityTypes(activity_types::STREAM)],
            Command::Return { by: Some(call) } => vec![Reads::Call(call.stream())],
            _ => Vec::new(),
        }
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, Command::Register { provider, provider_id, direction, from, to }) => {
                register(provider, provider_id, *direction, [from, to], given)
            }
            (Self::Absent, _) => Err(Refusal::NoSuchCall),
            (Self::Registered(_), Command::Register { .. }) => Err(Refusal::AlreadyRegistered),
            (Self::Registered(call), Command::Answer { by }) => answer(call, *by, given),
            (Self::Registered(call), Command::End { duration_s }) => end(call, *duration_s),
            (Self::Registered(call), Command::Miss { task, assignee, due, force, reason }) => {
                let call_back = CallBack { task: *task, assignee: *assignee, due: *due };
                miss(call, call_back, force.then_some(reason), given)
            }
            (Self::Registered(call), Command::Match { outcome, reason }) => {
                match_with(call, outcome, reason, given)
            }
            (Self::Registered(call), Command::SetDisposition { code, comment }) => {
                set_disposition(call, code, comment, given)
            }
            (Self::Registered(call), Command::AttachRecording { hash, consent }) => {
                attach_recording(call, hash, consent, given)
            }
            (Self::Registered(call), Command::Return { by }) => return_missed(call, *by, given),
        }
    }

    fn follow(&self, command: &Command, _: &Given<'_>) -> Vec<Order> {
        match (self, command) {
            (Self::Registered(call), Command::Miss { task, assignee, due, force, reason }) => {
                let asked = task_to_call_back(call, CallBack { task: *task, assignee: *assignee, due: *due });
                let create = task::Create { force: *force, reason: reason.clone(), ..asked };
                vec![Order { stream: task.stream(), command: task::Command::Create(create).into() }]
            }
            _ => Vec::new(),
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        match (&mut *self, event) {
            (_, Event::Started(event)) => {
                *self = Self::Registered(Record {
                    direction: event.direction,
                    phase: Phase::Ringing,
                    matching: None,
                    disposition: None,
                    recordings: Vec::new(),
                });
            }
            (Self::Absent, _) => {}
            (Self::Registered(call), event) => call.evolve(event),
        }
    }
}

impl Record {
    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Started(_) => {}
            Event::Answered(event) => self.phase = Phase::Answered { by: event.by },
            Event::Ended(event) => {
                let by = if let Phase::Answered { by } = self.phase { Some(by) } else { None };
                self.phase = Phase::Ended { by, duration_s: event.duration_s };
            }
            Event::Missed(Missed { task, assignee, due }) => {
                self.phase = Phase::Missed(CallBack { task: *task, assignee: *assignee, due: *due });
            }
            Event::MissedReturned(event) => {
                if let Phase::Missed(call_back) = self.phase {
                    self.phase = Phase::Returned(call_back, event.by);
                }
            }
            Event::Matched(Matched { contact, belongs_to, .. }) => {
                self.matching = Some(Match::Contact { contact: *contact, belongs_to: *belongs_to });
            }
            Event::Ambiguous(event) => {
                self.matching = Some(Match::Several { candidates: event.candidates.clone() });
            }
            Event::Unmatched(_) => self.matching = Some(Match::Nobody {}),
            Event::DispositionSet(event) => self.disposition = Some(event.to.clone()),
            Event::RecordingAttached(event) => self.recordings.push(event.hash.clone()),
        }
    }
}

/// It is about the deal or lead that the call belongs to.
fn task_to_call_back(call: &Record, call_back: CallBack) -> task::Create {
    task::Create {
        kind: task::Kind::Call,
        targets: call.target().into_iter().collect(),
        ..task::Create::new(Personal::new("Call back"), Due::At(call_back.due), call_back.assignee)
    }
}

fn register(
    provider: &str,
    provider_id: &str,
    direction: Direction,
    [from, to]: [&Personal; 2],
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    text::code("provider", provider)?;
    text::foreign_id("provider_id", provider_id)?;
    text::within("from", from, MAX_NUMBER)?;
    text::within("to", to, MAX_NUMBER)?;
    if to.is_blank() {
        return Err(Refusal::NoNumber);
    }
    Ok(vec![Event::Started(Started {
        provider: provider.to_owned(),
        provider_id: provider_id.to_owned(),
        direction,
        subject: SubjectId(given.stream.0),
        from: from.unless_blank(),
        to: to.clone(),
    })])
}

fn answer(call: &Record, user: UserId, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    match call.phase {
        Phase::Answered { by } | Phase::Ended { by: Some(by), .. } if by == user => Ok(Vec::new()),
        Phase::Ringing => {
            active(user, given)?;
            Ok(vec![Event::Answered(Answered { by: user })])
        }
        phase => Err(phase.refuses("only a ringing call can be answered")),
    }
}

fn end(call: &Record, duration_s: i32) -> Result<Vec<Event>, Refusal> {
    if duration_s < 0 {
        return Err(Refusal::NegativeDuration { duration_s });
    }
    match (call.phase, call.direction) {
        (Phase::Ended { duration_s: known, .. }, _) if known == duration_s => Ok(Vec::new()),
        (Phase::Answered { .. }, _) => Ok(vec![Event::Ended(Ended { duration_s })]),
        (Phase::Ringing, Direction::Outbound) if duration_s == 0 => {
            Ok(vec![Event::Ended(Ended { duration_s })])
        }
        (Phase::Ringing, Direction::Outbound) => {
            Err(call.phase.refuses("give AnswerCall first, or a duration of 0 if nobody answered"))
        }
        (Phase::Ringing, Direction::Inbound) => {
            Err(call.phase.refuses("give AnswerCall first, or MissCall if nobody answered"))
        }
        _ => Err(call.phase.refuses("only a call that goes on can end")),
    }
}

fn miss(
    call: &Record,
    call_back: CallBack,
    force: Option<&Personal>,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let CallBack { task, assignee, due } = call_back;
    match (call.phase, call.direction) {
        (_, Direction::Outbound) => return Err(Refusal::Outbound),
        (Phase::Missed(known) | Phase::Returned(known, _), _) if known == call_back => return Ok(Vec::new()),
        (Phase::Ringing, Direction::Inbound) => {}
        (phase, _) => return Err(phase.refuses("only a ringing call can be missed")),
    }
    assignee::check(assignee, given, force)?;
    let missed = given.occurred.map_or(Some(given.now), Occurred::at);
    if let Some(missed) = missed.filter(|missed| due < *missed) {
        return Err(Refusal::DueBeforeMissed { due, missed });
    }
    Ok(vec![Event::Missed(Missed { task, assignee, due })])
}

fn match_with(
    call: &Record,
    outcome: &Match,
    reason: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    text::within("reason", reason, MAX_REASON)?;
    let outcome = in_order(outcome);
    if call.matching.as_ref() == Some(&outcome) {
        return Ok(Vec::new());
    }
    let event = match (call.contact(), outcome) {
        (from, Match::Contact { contact, belongs_to }) => {
            target::exists(Target::Contact(contact), given)?;
            part_of(belongs_to, given)?;
            if from.is_some() && !given.has_reason(reason) {
                return Err(Refusal::ReasonMissing);
            }
            let subject = (!reason.is_blank()).then_some(SubjectId(given.stream.0));
            Event::Matched(Matched { from, contact, belongs_to, subject, reason: reason.unless_blank() })
        }
        (Some(contact), _) => return Err(Refusal::AlreadyMatched { contact }),
        (None, Match::Several { candidates }) => {
            if !(2..=MAX_CANDIDATES).contains(&candidates.len()) {
                return Err(Refusal::Candidates { count: candidates.len() });
            }
            Event::Ambiguous(Ambiguous { candidates })
        }
        (None, Match::Nobody {}) => Event::Unmatched(Unmatched {}),
    };
    Ok(vec![event])
}

/// Candidates each once and sorted, so that the same ones are the same answer.
fn in_order(outcome: &Match) -> Match {
    let mut outcome = outcome.clone();
    if let Match::Several { candidates } = &mut outcome {
        candidates.sort_unstable();
        candidates.dedup();
    }
    outcome
}

fn part_of(belongs_to: Belongs, given: &Given<'_>) -> Result<(), Refusal> {
    target::exists(belongs_to.target(), given)?;
    match belongs_to {
        Belongs::Deal(deal) if !matches!(given.facts.get(deal.stream()), Some(Deal::Open(_))) => {
            Err(Refusal::DealNotOpen { deal })
        }
        _ => Ok(()),
    }
}

fn set_disposition(
    call: &Record,
    code: &str,
    comment: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let known = dictionary::disposition(code, given)?;
    text::within("comment", comment, MAX_COMMENT)?;
    if comment.is_blank() {
        if call.disposition.as_deref() == Some(&*known.code) {
            return Ok(Vec::new());
        }
        if known.result_required {
            return Err(Refusal::CommentMissing { disposition: known.code.clone() });
        }
    }
    Ok(vec![Event::DispositionSet(DispositionSet {
        from: call.disposition.clone(),
        to: known.code.clone(),
        subject: call.subject(given),
        comment: comment.unless_blank(),
    })])
}

fn attach_recording(
    call: &Record,
    hash: &ContentHash,
    consent: &Consent,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let (basis, reason) = match consent {
        Consent::Refused {} => return Err(Refusal::ConsentRefused),
        Consent::Given {} => (Basis::Given, Personal::default()),
        Consent::NotRequired { reason } if !given.has_reason(reason) => return Err(Refusal::ReasonMissing),
        Consent::NotRequired { reason } => (Basis::NotRequired, reason.unless_blank()),
    };
    text::within("reason", &reason, MAX_REASON)?;
    if call.phase == Phase::Ringing {
        return Err(call.phase.refuses("a recording comes once it is answered, ended or missed"));
    }
    if call.recordings.contains(hash) {
        return Ok(Vec::new());
    }
    let recordings = i32::try_from(call.recordings.len());
    let recordings = recordings.expect("a stream's versions are i32, so its recordings are fewer");
    Ok(vec![Event::RecordingAttached(RecordingAttached {
        number: recordings + 1,
        hash: hash.clone(),
        consent: basis,
        subject: call.subject(given),
        reason,
    })])
}

fn return_missed(call: &Record, by: Option<CallId>, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    let task = match call.phase {
        Phase::Missed(call_back) => call_back.task,
        Phase::Returned(_, known) if known == by => return Ok(Vec::new()),
        Phase::Returned(..) => return Err(Refusal::AlreadyReturned),
        phase => return Err(phase.refuses("only a missed call can be returned")),
    };
    if let Some(other) = by {
        let record = given.facts.get(other.stream()).and_then(Call::record);
        if record.is_none_or(|other| other.direction != Direction::Outbound) {
            return Err(Refusal::NotAReturn { call: other });
        }
    }
    Ok(vec![Event::MissedReturned(MissedReturned { task, by })])
}

fn active(user: UserId, given: &Given<'_>) -> Result<(), Refusal> {
    if given.is_active(user) { Ok(()) } else { Err(Refusal::UserNotActive { user }) }
}
