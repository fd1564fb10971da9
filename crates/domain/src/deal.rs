//! A deal: it moves through a pipeline's stages and ends won or lost.

use crate::decider::{Describe, commands, events};
use crate::loss_reasons;
use crate::pipeline::{Class, Config, Pipeline, Stage, list};
use crate::user::User;
use crate::{
    Claim, CompanyId, ContactId, Decider, Given, LossReasonId, Money, Occurred, Personal, PersonalField,
    PipelineId, Reads, StageId, SubjectId, UserId, Version,
};
use chrono::{DateTime, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

commands! {
    /// The pipeline exists; the stage is an entry stage; party if the policy wants one; the owner is active; the value is
    /// not negative; an external id belongs to one deal.
    "OpenDeal" = Open(Open) => [Opened],
    /// The deal is open; the target is a process stage of its pipeline; forward only and no skip unless the policy
    /// allows; stage entries never run backwards in time.
    "MoveDeal" = Move {
        to: StageId,
        /// The pipeline version the sender looked at; a conflict only if rules have changed since.
        #[serde(default)]
        pipeline_version: Option<Version>,
    } => [StageChanged],
    /// The deal is open; the visit exists and is not a closing one; any process stage; a reason.
    "CorrectStage" = CorrectStage {
        /// The number of the visit that was recorded wrongly, from 1.
        visit: i32,
        to: StageId,
        #[serde(default)]
        reason: Personal,
    } => [StageCorrected],
    /// The deal is open; the owner is registered and active.
    "AssignDeal" = Assign { owner: UserId } => [Assigned],
    /// The deal is open; zero or more.
    "SetDealValue" = SetValue { value: Money } => [ValueChanged],
    /// The deal is open; how often the date was pushed is counted.
    "SetExpectedClose" = SetExpectedClose { date: NaiveDate } => [ExpectedCloseChanged],
    /// The deal is open; a value above zero if the policy wants one; not before the deal entered its stage.
    "CloseWon" = CloseWon {
        #[serde(default)]
        pipeline_version: Option<Version>,
    } => [Won],
    /// The deal is open; a loss reason in force for its pipeline; not before the deal entered its stage.
    "CloseLost" = CloseLost {
        /// Mandatory; optional in shape so that its absence is answered with the accepted codes.
        #[serde(default)]
        reason: Option<LossReasonId>,
        /// Which failure stage; the first one if absent.
        #[serde(default)]
        stage: Option<StageId>,
        #[serde(default)]
        comment: Personal,
        #[serde(default)]
        pipeline_version: Option<Version>,
    } => [Lost],
    /// The deal is closed and the policy allows it; a process stage; a reason.
    "ReopenDeal" = Reopen {
        to: StageId,
        #[serde(default)]
        reason: Personal,
    } => [Reopened],
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Open {
    pub pipeline: PipelineId,
    /// An entry stage; the pipeline's first entry stage if absent.
    #[serde(default)]
    pub stage: Option<StageId>,
    #[serde(default)]
    pub party: Option<Party>,
    /// What the party is called; sealed under the party's key.
    #[serde(default)]
    pub party_name: Personal,
    #[serde(default)]
    pub owner: Option<UserId>,
    #[serde(default)]
    pub value: Option<Money>,
    #[serde(default)]
    pub expected_close: Option<NaiveDate>,
    #[serde(default)]
    pub external: Option<External>,
    #[serde(default)]
    pub pipeline_version: Option<Version>,
}

impl Open {
    /// A deal with nothing but its pipeline.
    pub fn new(pipeline: PipelineId) -> Self {
        Self {
            pipeline,
            stage: None,
            party: None,
            party_name: Personal::default(),
            owner: None,
            value: None,
            expected_close: None,
            external: None,
            pipeline_version: None,
        }
    }
}

/// The contact or company that the deal is with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    Contact(ContactId),
    Company(CompanyId),
}

impl Party {
    fn subject(self) -> SubjectId {
        match self {
            Self::Contact(id) => id.into(),
            Self::Company(id) => id.into(),
        }
    }
}

/// The deal's id in the system that it came from; claimed, so no two deals share one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct External {
    pub source: String,
    pub id: String,
}

events! {
    Opened = "deal.opened",
    StageChanged = "deal.stage_changed",
    StageCorrected = "deal.stage_corrected",
    Assigned = "deal.assigned",
    ValueChanged = "deal.value_changed",
    ExpectedCloseChanged = "deal.expected_close_changed",
    Won = "deal.won",
    Lost = "deal.lost",
    Reopened = "deal.reopened",
}

/// Visit 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["party_name"]))]
pub struct Opened {
    pub pipeline: PipelineId,
    pub pipeline_version: Version,
    pub stage: StageId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub party: Option<Party>,
    #[serde(skip)]
    pub party_name: Personal,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected_close: Option<NaiveDate>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub external: Option<External>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageChanged {
    pub from: StageId,
    pub to: StageId,
    pub pipeline_version: Version,
    /// The number of the visit that begins.
    pub visit: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct StageCorrected {
    pub visit: i32,
    pub from: StageId,
    pub to: StageId,
    pub pipeline_version: Version,
    /// Whose key seals the reason: the deal's own.
    pub subject: SubjectId,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Assigned {
    pub from: Option<UserId>,
    pub to: UserId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ValueChanged {
    pub from: Option<Money>,
    pub to: Money,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ExpectedCloseChanged {
    pub from: Option<NaiveDate>,
    pub to: NaiveDate,
    /// How often the date has been pushed to a later day, this one included.
    pub push_count: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Won {
    pub from: StageId,
    pub stage: StageId,
    pub pipeline_version: Version,
    pub visit: i32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<Money>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["comment"]))]
pub struct Lost {
    pub from: StageId,
    pub stage: StageId,
    pub pipeline_version: Version,
    pub visit: i32,
    pub reason: LossReasonId,
    /// Whose key seals the comment: the deal's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<SubjectId>,
    #[serde(skip)]
    pub comment: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Reopened {
    pub from: StageId,
    pub to: StageId,
    pub pipeline_version: Version,
    pub visit: i32,
    /// Whose key seals the reason: the deal's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<SubjectId>,
    #[serde(skip)]
    pub reason: Personal,
}

/// The claim that keeps one external id to one deal.
pub const EXTERNAL_CLAIM: &str = "deal.external_id";

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Opened(Opened { external: Some(External { source, id }), .. }) => {
                vec![Claim::take(EXTERNAL_CLAIM, format!("{source}\u{1f}{id}"))]
            }
            _ => Vec::new(),
        }
    }

    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        let (subject, field, value) = match self {
            Self::Opened(event) => (event.party.map(Party::subject), "party_name", &mut event.party_name),
            Self::StageCorrected(event) => (Some(event.subject), "reason", &mut event.reason),
            Self::Lost(event) => (event.subject, "comment", &mut event.comment),
            Self::Reopened(event) => (event.subject, "reason", &mut event.reason),
            _ => return Vec::new(),
        };
        subject.map(|subject| PersonalField { subject, field, value }).into_iter().collect()
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this deal does not exist; open it first")]
    NoSuchDeal,
    #[error("this deal is open already; an id is used once")]
    AlreadyOpened,
    #[error("this deal is closed ({outcome}) and stays closed; {}", if *.may_reopen {
        "its pipeline allows ReopenDeal"
    } else {
        "open a new deal for a new request"
    })]
    Closed { outcome: &'static str, may_reopen: bool },
    #[error("this deal is open; only a closed deal can be reopened")]
    NotClosed,
    #[error("pipeline {pipeline} does not exist; create it first")]
    NoSuchPipeline { pipeline: PipelineId },
    #[error("stage {stage} is not in pipeline {pipeline:?}; accepted: {}", list(.accepted))]
    UnknownStage { stage: StageId, pipeline: String, accepted: Vec<String> },
    #[error("{stage:?} is not an entry stage; deals start in {}", list(.accepted))]
    NotAnEntryStage { stage: String, accepted: Vec<String> },
    #[error("{stage:?} is a {} stage; use {command}", .class.as_str())]
    WrongClass { stage: String, class: Class, command: &'static str },
    #[error("{to:?} lies before {from:?} and this pipeline moves forward only; accepted: {}", steps(.accepted))]
    Backward { from: String, to: String, accepted: Vec<String> },
    #[error("moving from {from:?} to {to:?} skips {}; accepted: {}", list(.skipped), steps(.accepted))]
    Skips { from: String, to: String, skipped: Vec<String>, accepted: Vec<String> },
    #[error(
        "the rules of this pipeline changed in version {changed_in}, after version {named} that the command names; look again and name version {current}"
    )]
    RulesChanged { named: Version, changed_in: Version, current: Version },
    #[error("pipeline version {named} does not exist yet; the current one is {current}")]
    NoSuchVersion { named: Version, current: Version },
    #[error("this pipeline wants a contact or a company for every deal; name one in `party`")]
    PartyRequired,
    #[error("a party's name is given without `party`; name the contact or company that bears it")]
    NameWithoutParty,
    #[error("this pipeline wants a value above zero before a deal is won; set one with SetDealValue")]
    ValueRequired,
    #[error("value {amount} is negative; a deal's value is zero or more")]
    NegativeValue { amount: String },
    #[error("user {user} is not a registered, active user; name one who is")]
    OwnerNotActive { user: UserId },
    #[error("a loss needs a reason; accepted: {}", list(.accepted))]
    LossReasonMissing { accepted: Vec<String> },
    #[error("loss reason {reason} is not in force for this pipeline; accepted: {}", list(.accepted))]
    LossReasonUnknown { reason: LossReasonId, accepted: Vec<String> },
    #[error("this needs a reason; give a text in `reason` or a reason code")]
    ReasonMissing,
    #[error("this deal has no visit {visit}; it has visits 1 to {last}")]
    NoSuchVisit { visit: i32, last: i32 },
    #[error("visit {visit} is a closing one; closing is undone with ReopenDeal, not corrected")]
    ClosingVisit { visit: i32 },
    #[error(
        "{occurred} lies before {last}, when the deal entered its stage; stage entries never run backwards"
    )]
    RunsBackwards { occurred: DateTime<Utc>, last: DateTime<Utc> },
}

/// Stages that `MoveDeal` accepts from here, and the commands that always end a deal.
fn steps(stages: &[String]) -> String {
    match stages {
        [] => "CloseWon or CloseLost".to_owned(),
        stages => format!("{}, CloseWon or CloseLost", list(stages)),
    }
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Deal {
    #[default]
    Absent,
    Open(OpenDeal),
    Closed(OpenDeal, Outcome),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    Won,
    Lost,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }
}

/// What a deal has become so far; the last visit of a closed one is its closing stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenDeal {
    pub pipeline: PipelineId,
    /// The stage of each visit as corrected; never empty.
    pub visits: Vec<StageId>,
    pub stage: StageId,
    /// The latest instant that a stage entry is known not to lie before; later entries must not either.
    pub entered_at: Option<DateTime<Utc>>,
    pub owner: Option<UserId>,
    pub value: Option<Money>,
    pub expected_close: Option<NaiveDate>,
    pub push_count: i32,
    pub external: Option<External>,
    pub party: Option<Party>,
}

impl OpenDeal {
    fn visit_count(&self) -> i32 {
        i32::try_from(self.visits.len()).expect("a stream's versions are i32, so its visits are fewer")
    }

    fn next_visit(&self) -> i32 {
        self.visit_count() + 1
    }

    fn enter(&mut self, stage: StageId, occurred: &Occurred) {
        self.visits.push(stage);
        self.stage = stage;
        // A day begins before an instant within it, so the later of both is what is certain.
        self.entered_at = self.entered_at.max(occurred.at());
    }
}

/// Where a visit stands in the list; `None` for numbers below 1.
fn index(visit: i32) -> Option<usize> {
    visit.checked_sub(1).and_then(|at| usize::try_from(at).ok())
}

impl Deal {
    /// What is known of the deal, open or closed.
    pub fn record(&self) -> Option<&OpenDeal> {
        match self {
            Self::Absent => None,
            Self::Open(deal) | Self::Closed(deal, _) => Some(deal),
        }
    }

    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Closed(_, outcome) => Some(*outcome),
            Self::Absent | Self::Open(_) => None,
        }
    }
}

impl Decider for Deal {
    const AGGREGATE: &'static str = "deal";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Open(_))
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        let pipeline = self.record().map(|deal| Reads::Pipeline(deal.pipeline.stream())).into_iter();
        // Whatever a closed deal is told, the refusal says whether its pipeline allows reopening.
        if matches!(self, Self::Closed(..)) {
            return pipeline.collect();
        }
        match command {
            Command::Open(open) => {
                let owner = open.owner.map(|owner| Reads::User(owner.stream()));
                [Reads::Pipeline(open.pipeline.stream())].into_iter().chain(owner).collect()
            }
            Command::Assign { owner } => vec![Reads::User(owner.stream())],
            Command::SetValue { .. } | Command::SetExpectedClose { .. } => Vec::new(),
            Command::CloseLost { .. } => pipeline.chain([Reads::LossReasons(loss_reasons::STREAM)]).collect(),
            Command::Move { .. }
            | Command::CorrectStage { .. }
            | Command::CloseWon { .. }
            | Command::Reopen { .. } => pipeline.collect(),
        }
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, Command::Open(open)) => open_deal(open, given),
            (Self::Absent, _) => Err(Refusal::NoSuchDeal),
            (_, Command::Open(_)) => Err(Refusal::AlreadyOpened),
            (Self::Closed(deal, _), Command::Reopen { to, reason }) => reopen(deal, *to, reason, given),
            (Self::Closed(deal, outcome), _) => Err(closed(deal, *outcome, given)),
            (Self::Open(deal), Command::Move { to, pipeline_version }) => {
                move_on(deal, *to, *pipeline_version, given)
            }
            (Self::Open(deal), Command::CorrectStage { visit, to, reason }) => {
                correct(deal, *visit, *to, reason, given)
            }
            (Self::Open(deal), Command::Assign { owner }) => assign(deal, *owner, given),
            (Self::Open(deal), Command::SetValue { value }) => set_value(deal, *value),
            (Self::Open(deal), Command::SetExpectedClose { date }) => Ok(set_expected_close(deal, *date)),
            (Self::Open(deal), Command::CloseWon { pipeline_version }) => win(deal, *pipeline_version, given),
            (Self::Open(deal), Command::CloseLost { reason, stage, comment, pipeline_version }) => {
                let config = rules(deal.pipeline, *pipeline_version, given)?;
                lose(deal, config, *reason, *stage, comment, given)
            }
            (Self::Open(_), Command::Reopen { .. }) => Err(Refusal::NotClosed),
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, occurred: &Occurred) {
        if let Event::Opened(event) = event {
            *self = Self::Open(OpenDeal {
                pipeline: event.pipeline,
                visits: vec![event.stage],
                stage: event.stage,
                entered_at: occurred.at(),
                owner: event.owner,
                value: event.value,
                expected_close: event.expected_close,
                push_count: 0,
                external: event.external.clone(),
                party: event.party,
            });
        }
        *self = match (std::mem::take(self), event) {
            (Self::Absent, _) => Self::Absent,
            (Self::Open(deal) | Self::Closed(deal, _), Event::Reopened(event)) => {
                Self::Open(deal.entering(event.to, occurred))
            }
            (Self::Open(deal) | Self::Closed(deal, _), Event::Won(event)) => {
                Self::Closed(deal.entering(event.stage, occurred), Outcome::Won)
            }
            (Self::Open(deal) | Self::Closed(deal, _), Event::Lost(event)) => {
                Self::Closed(deal.entering(event.stage, occurred), Outcome::Lost)
            }
            (Self::Open(deal), event) => Self::Open(deal.evolved(event, occurred)),
            (Self::Closed(deal, outcome), event) => Self::Closed(deal.evolved(event, occurred), outcome),
        };
    }
}

impl OpenDeal {
    fn entering(mut self, stage: StageId, occurred: &Occurred) -> Self {
        self.enter(stage, occurred);
        self
    }

    fn evolved(mut self, event: &Event, occurred: &Occurred) -> Self {
        match event {
            Event::StageChanged(event) => self.enter(event.to, occurred),
            Event::StageCorrected(event) => {
                if let Some(visit) = index(event.visit).and_then(|at| self.visits.get_mut(at)) {
                    *visit = event.to;
                }
                self.stage = *self.visits.last().unwrap_or(&self.stage);
            }
            Event::Assigned(event) => self.owner = Some(event.to),
            Event::ValueChanged(event) => self.value = Some(event.to),
            Event::ExpectedCloseChanged(event) => {
                self.expected_close = Some(event.to);
                self.push_count = event.push_count;
            }
            Event::Opened(_) | Event::Won(_) | Event::Lost(_) | Event::Reopened(_) => {}
        }
        self
    }
}

fn open_deal(open: &Open, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    let config = rules(open.pipeline, open.pipeline_version, given)?;
    let entry = open.stage.or_else(|| config.entry_stages.first().copied());
    let entry = entry.expect("a pipeline has an entry stage from its creation on");
    let is_entry = |stage: &&Stage| config.entry_stages.contains(&stage.id);
    let accepted = || config.stages.iter().filter(is_entry).map(|stage| stage.name.clone()).collect();
    let stage = known(config, entry, accepted)?;
    if !is_entry(&stage) {
        return Err(Refusal::NotAnEntryStage { stage: stage.name.clone(), accepted: accepted() });
    }
    if config.policy.party_required && open.party.is_none() {
        return Err(Refusal::PartyRequired);
    }
    if open.party.is_none() && !open.party_name.is_blank() {
        return Err(Refusal::NameWithoutParty);
    }
    if let Some(value) = open.value {
        not_negative(value)?;
    }
    if let Some(owner) = open.owner {
        active(owner, given)?;
    }
    Ok(vec![Event::Opened(Opened {
        pipeline: open.pipeline,
        pipeline_version: config.version,
        stage: stage.id,
        party: open.party,
        party_name: open.party_name.unless_blank(),
        owner: open.owner,
        value: open.value,
        expected_close: open.expected_close,
        external: open.external.clone(),
    })])
}

fn move_on(
    deal: &OpenDeal,
    to: StageId,
    named: Option<Version>,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let config = rules(deal.pipeline, named, given)?;
    let target = process_stage(config, to)?;
    if target.id == deal.stage {
        return Ok(Vec::new());
    }
    follows_order(config, deal.stage, target)?;
    forward_in_time(deal, given)?;
    Ok(vec![Event::StageChanged(StageChanged {
        from: deal.stage,
        to,
        pipeline_version: config.version,
        visit: deal.next_visit(),
    })])
}

/// The movement policy: forward only, one stage at a time, unless it allows more.
fn follows_order(config: &Config, from: StageId, target: &Stage) -> Result<(), Refusal> {
    let process: Vec<&Stage> = config.of_class(Class::Process).collect();
    let place = |id| process.iter().position(|stage| stage.id == id);
    let (Some(here), Some(there)) = (place(from), place(target.id)) else { return Ok(()) };
    let accepted = || accepted_moves(config, &process, here);
    let (from, to) = (process[here].name.clone(), target.name.clone());
    if there < here && !config.policy.allow_backward {
        return Err(Refusal::Backward { from, to, accepted: accepted() });
    }
    if there > here + 1 && !config.policy.allow_skip {
        let skipped = process[here + 1..there].iter().map(|stage| stage.name.clone()).collect();
        return Err(Refusal::Skips { from, to, skipped, accepted: accepted() });
    }
    Ok(())
}

fn accepted_moves(config: &Config, process: &[&Stage], here: usize) -> Vec<String> {
    let may_move = |there: usize| match there.cmp(&here) {
        std::cmp::Ordering::Less => config.policy.allow_backward,
        std::cmp::Ordering::Equal => false,
        std::cmp::Ordering::Greater => there == here + 1 || config.policy.allow_skip,
    };
    let moves = process.iter().enumerate().filter(|(there, _)| may_move(*there));
    moves.map(|(_, stage)| stage.name.clone()).collect()
}

fn correct(
    deal: &OpenDeal,
    visit: i32,
    to: StageId,
    reason: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let config = rules(deal.pipeline, None, given)?;
    let target = process_stage(config, to)?;
    let Some(from) = index(visit).and_then(|at| deal.visits.get(at)).copied() else {
        return Err(Refusal::NoSuchVisit { visit, last: deal.visit_count() });
    };
    if config.stage(from).is_some_and(|stage| stage.class != Class::Process) {
        return Err(Refusal::ClosingVisit { visit });
    }
    if from == target.id {
        return Ok(Vec::new());
    }
    needs_reason(reason, given)?;
    Ok(vec![Event::StageCorrected(StageCorrected {
        visit,
        from,
        to,
        pipeline_version: config.version,
        subject: SubjectId(given.stream.0),
        reason: reason.unless_blank(),
    })])
}

fn assign(deal: &OpenDeal, owner: UserId, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    if deal.owner == Some(owner) {
        return Ok(Vec::new());
    }
    active(owner, given)?;
    Ok(vec![Event::Assigned(Assigned { from: deal.owner, to: owner })])
}

fn set_value(deal: &OpenDeal, value: Money) -> Result<Vec<Event>, Refusal> {
    not_negative(value)?;
    if deal.value == Some(value) {
        return Ok(Vec::new());
    }
    Ok(vec![Event::ValueChanged(ValueChanged { from: deal.value, to: value })])
}

fn set_expected_close(deal: &OpenDeal, date: NaiveDate) -> Vec<Event> {
    if deal.expected_close == Some(date) {
        return Vec::new();
    }
    let pushed = deal.expected_close.is_some_and(|from| date > from);
    let push_count = deal.push_count + i32::from(pushed);
    vec![Event::ExpectedCloseChanged(ExpectedCloseChanged {
        from: deal.expected_close,
        to: date,
        push_count,
    })]
}

fn win(deal: &OpenDeal, named: Option<Version>, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    let config = rules(deal.pipeline, named, given)?;
    forward_in_time(deal, given)?;
    if config.policy.value_required
        && !deal.value.is_some_and(|value| value.amount.is_sign_positive() && !value.amount.is_zero())
    {
        return Err(Refusal::ValueRequired);
    }
    let success = config.of_class(Class::Success).next().expect("a pipeline has a success stage");
    Ok(vec![Event::Won(Won {
        from: deal.stage,
        stage: success.id,
        pipeline_version: config.version,
        visit: deal.next_visit(),
        value: deal.value,
    })])
}

fn lose(
    deal: &OpenDeal,
    config: &Config,
    reason: Option<LossReasonId>,
    stage: Option<StageId>,
    comment: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let reasons = given.facts.loss_reasons();
    let accepted = || reasons.map_or_else(Vec::new, |reasons| reasons.accepted(deal.pipeline));
    let Some(reason) = reason else {
        return Err(Refusal::LossReasonMissing { accepted: accepted() });
    };
    let serves =
        reasons.and_then(|reasons| reasons.get(reason)).is_some_and(|reason| reason.serves(deal.pipeline));
    if !serves {
        return Err(Refusal::LossReasonUnknown { reason, accepted: accepted() });
    }
    let failure = match stage {
        Some(id) => stage_of(config, id, Class::Failure)?,
        None => config.of_class(Class::Failure).next().expect("a pipeline has a failure stage"),
    };
    forward_in_time(deal, given)?;
    Ok(vec![Event::Lost(Lost {
        from: deal.stage,
        stage: failure.id,
        pipeline_version: config.version,
        visit: deal.next_visit(),
        reason,
        subject: own_key(comment, given),
        comment: comment.unless_blank(),
    })])
}

fn reopen(deal: &OpenDeal, to: StageId, reason: &Personal, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    let config = rules(deal.pipeline, None, given)?;
    if !config.policy.allow_reopen {
        let won = config.stage(deal.stage).is_some_and(|stage| stage.class == Class::Success);
        let outcome = if won { Outcome::Won } else { Outcome::Lost };
        return Err(Refusal::Closed { outcome: outcome.as_str(), may_reopen: false });
    }
    let target = process_stage(config, to)?;
    needs_reason(reason, given)?;
    forward_in_time(deal, given)?;
    Ok(vec![Event::Reopened(Reopened {
        from: deal.stage,
        to: target.id,
        pipeline_version: config.version,
        visit: deal.next_visit(),
        subject: own_key(reason, given),
        reason: reason.unless_blank(),
    })])
}

fn closed(deal: &OpenDeal, outcome: Outcome, given: &Given<'_>) -> Refusal {
    let config = given.facts.pipeline(deal.pipeline).and_then(Pipeline::config);
    let may_reopen = config.is_some_and(|config| config.policy.allow_reopen);
    Refusal::Closed { outcome: outcome.as_str(), may_reopen }
}

/// The rules in force; a command that names an older version conflicts only if they changed since.
fn rules<'a>(pipeline: PipelineId, named: Option<Version>, given: &Given<'a>) -> Result<&'a Config, Refusal> {
    let facts = given.facts;
    let config =
        facts.pipeline(pipeline).and_then(Pipeline::config).ok_or(Refusal::NoSuchPipeline { pipeline })?;
    match named {
        Some(named) if named > config.version => {
            Err(Refusal::NoSuchVersion { named, current: config.version })
        }
        Some(named) if named < config.rules_version => {
            Err(Refusal::RulesChanged { named, changed_in: config.rules_version, current: config.version })
        }
        _ => Ok(config),
    }
}

fn known(config: &Config, id: StageId, accepted: impl FnOnce() -> Vec<String>) -> Result<&Stage, Refusal> {
    config.stage(id).ok_or_else(|| Refusal::UnknownStage {
        stage: id,
        pipeline: config.name.clone(),
        accepted: accepted(),
    })
}

fn process_stage(config: &Config, id: StageId) -> Result<&Stage, Refusal> {
    stage_of(config, id, Class::Process)
}

fn stage_of(config: &Config, id: StageId, class: Class) -> Result<&Stage, Refusal> {
    let stage = known(config, id, || config.names_of(class))?;
    if stage.class == class {
        return Ok(stage);
    }
    let command = match stage.class {
        Class::Process => "MoveDeal",
        Class::Success => "CloseWon",
        Class::Failure => "CloseLost",
    };
    Err(Refusal::WrongClass { stage: stage.name.clone(), class: stage.class, command })
}

fn active(user: UserId, given: &Given<'_>) -> Result<(), Refusal> {
    let known = given.facts.user(user).is_some_and(User::is_active);
    if known { Ok(()) } else { Err(Refusal::OwnerNotActive { user }) }
}

fn not_negative(value: Money) -> Result<(), Refusal> {
    if value.amount.is_sign_negative() && !value.amount.is_zero() {
        return Err(Refusal::NegativeValue { amount: value.to_string() });
    }
    Ok(())
}

fn needs_reason(reason: &Personal, given: &Given<'_>) -> Result<(), Refusal> {
    if given.has_reason(reason) { Ok(()) } else { Err(Refusal::ReasonMissing) }
}

fn own_key(text: &Personal, given: &Given<'_>) -> Option<SubjectId> {
    (!text.is_blank()).then_some(SubjectId(given.stream.0))
}

fn forward_in_time(deal: &OpenDeal, given: &Given<'_>) -> Result<(), Refusal> {
    match given.runs_backwards(deal.entered_at) {
        Some((occurred, last)) => Err(Refusal::RunsBackwards { occurred, last }),
        None => Ok(()),
    }
}
