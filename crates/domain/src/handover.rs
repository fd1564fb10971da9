//! A handover: a user's open work goes to others, item by item, and may come back.

use crate::assignee::{self, AssigneeProblem};
use crate::deal::{self, Deal, OpenDeal};
use crate::decider::{Describe, commands, events};
use crate::lead::{self, Lead};
use crate::task::{self, Task};
use crate::user::WORK_CLAIM;
use crate::{
    Claim, DealId, Decider, Given, LeadId, Occurred, Order, Personal, PersonalField, Reads, SubjectId,
    TaskId, UserId, Version,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

commands! {
    /// Every item is open and owned by `from`, and is named once; its new owner is another user, active and not absent;
    /// with scope `all` nothing else that is open stays with `from`. Items are reassigned by their own rules, all or none.
    "HandOverWork" = HandOver(HandOver) => [WorkHandedOver],
    /// The items were handed over by this handover, are open and still with the substitute; those touched meanwhile only
    /// if confirmed; the one they go back to is active and not absent.
    "ReturnWork" = Return {
        items: Vec<Work>,
        /// Also what was worked on since the handover.
        #[serde(default)]
        confirmed: bool,
    } => [WorkReturned],
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    pub from: UserId,
    pub scope: Scope,
    pub items: Vec<Item>,
    /// Whether the work shall come back when the reason is over.
    #[serde(default)]
    pub return_after: bool,
    #[serde(default)]
    pub reason: Personal,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All open work of the user; refused if an item is missing.
    All,
    /// What is named.
    Selected,
}

/// What may be handed over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    Deal(DealId),
    Lead(LeadId),
    Task(TaskId),
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Deal(id) => write!(f, "deal {id}"),
            Self::Lead(id) => write!(f, "lead {id}"),
            Self::Task(id) => write!(f, "task {id}"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    pub work: Work,
    /// The substitute.
    pub to: UserId,
}

events! {
    WorkHandedOver = "handover.work_handed_over",
    WorkReturned = "handover.work_returned",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct WorkHandedOver {
    pub from: UserId,
    pub scope: Scope,
    pub items: Vec<HandedOver>,
    pub return_after: bool,
    /// Whose key seals the reason: the handover's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<SubjectId>,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HandedOver {
    pub work: Work,
    pub to: UserId,
    /// The version that the work's own stream has after the handover; a later one means that it was touched.
    pub version: Version,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WorkReturned {
    /// The owner before the handover.
    pub to: UserId,
    pub items: Vec<Work>,
    pub confirmed: bool,
}

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::WorkHandedOver(WorkHandedOver { from, scope: Scope::All, .. }) => {
                vec![Claim::none(WORK_CLAIM, from.to_string())]
            }
            _ => Vec::new(),
        }
    }

    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        match self {
            Self::WorkHandedOver(WorkHandedOver { subject: Some(subject), reason, .. }) => {
                vec![PersonalField { subject: *subject, field: "reason", value: reason }]
            }
            _ => Vec::new(),
        }
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this handover does not exist; HandOverWork begins one")]
    NoSuchHandover,
    #[error("this handover was carried out with another content; begin a new one with another id")]
    AlreadyHandedOver,
    #[error("no item is named; name at least one")]
    NothingNamed,
    #[error("{work} is named twice; name each item once")]
    NamedTwice { work: Work },
    #[error("{work} would go from the user to himself; name another user in `to`")]
    ToOneself { work: Work },
    #[error("{work} is not open; leave it out")]
    NotOpen { work: Work },
    #[error("{work} is not owned by user {user} but by {}; leave it out", owner_in_words(*.owner))]
    OtherOwner { work: Work, user: UserId, owner: Option<UserId> },
    #[error("{work} was not handed over by this handover; it holds {}", in_words(.accepted))]
    NotHandedOver { work: Work, accepted: Vec<Work> },
    #[error("worked on since the handover: {}; leave these out, or set `confirmed` to return them too", in_words(.touched))]
    Touched { touched: Vec<Work> },
    #[error(transparent)]
    #[serde(untagged)]
    Owner(#[from] AssigneeProblem),
}

fn owner_in_words(owner: Option<UserId>) -> String {
    owner.map_or_else(|| "nobody".to_owned(), |owner| format!("user {owner}"))
}

fn in_words(works: &[Work]) -> String {
    works.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Handover {
    #[default]
    Absent,
    Done(Record),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub from: UserId,
    pub scope: Scope,
    pub return_after: bool,
    pub items: Vec<HandedOver>,
    pub returned: Vec<Work>,
}

impl Decider for Handover {
    const AGGREGATE: &'static str = "handover";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::HandOver(_))
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        match (self, command) {
            (Self::Absent, Command::HandOver(wanted)) => {
                let users = wanted.items.iter().map(|item| Reads::User(item.to.stream()));
                users.chain(wanted.items.iter().map(|item| item.work.reads())).collect()
            }
            (Self::Done(done), Command::Return { items, .. }) => {
                let user = [Reads::User(done.from.stream())].into_iter();
                user.chain(items.iter().map(|work| work.reads())).collect()
            }
            (Self::Absent, Command::Return { .. }) | (Self::Done(_), Command::HandOver(_)) => Vec::new(),
        }
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, Command::HandOver(wanted)) => hand_over(wanted, given),
            (Self::Done(done), Command::HandOver(wanted)) => {
                if done.is(wanted) {
                    Ok(Vec::new())
                } else {
                    Err(Refusal::AlreadyHandedOver)
                }
            }
            (Self::Absent, Command::Return { .. }) => Err(Refusal::NoSuchHandover),
            (Self::Done(done), Command::Return { items, confirmed }) => {
                let items = done.coming_back(items, given)?;
                let touched = touched(&items, given);
                if !confirmed && !touched.is_empty() {
                    return Err(Refusal::Touched { touched });
                }
                let items: Vec<Work> = items.into_iter().map(|item| item.work).collect();
                let event = WorkReturned { to: done.from, items, confirmed: *confirmed };
                Ok((!event.items.is_empty()).then_some(Event::WorkReturned(event)).into_iter().collect())
            }
        }
    }

    fn follow(&self, command: &Command, _: &Given<'_>) -> Vec<Order> {
        match (self, command) {
            (_, Command::HandOver(wanted)) => {
                wanted.items.iter().map(|item| item.work.assign(item.to)).collect()
            }
            (Self::Done(done), Command::Return { items, .. }) => {
                done.outstanding(items).into_iter().map(|item| item.work.assign(done.from)).collect()
            }
            (Self::Absent, Command::Return { .. }) => Vec::new(),
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        match (&mut *self, event) {
            (_, Event::WorkHandedOver(event)) => {
                *self = Self::Done(Record {
                    from: event.from,
                    scope: event.scope,
                    return_after: event.return_after,
                    items: event.items.clone(),
                    returned: Vec::new(),
                });
            }
            (Self::Done(done), Event::WorkReturned(event)) => done.returned.extend(&event.items),
            (Self::Absent, Event::WorkReturned(_)) => {}
        }
    }
}

/// What each kind of work is read as, and how it is given to somebody.
impl Work {
    fn reads(self) -> Reads {
        match self {
            Self::Deal(id) => Reads::Deal(id.stream()),
            Self::Lead(id) => Reads::Lead(id.stream()),
            Self::Task(id) => Reads::Task(id.stream()),
        }
    }

    fn assign(self, to: UserId) -> Order {
        let reason = Personal::new("handed over");
        match self {
            Self::Deal(id) => Order { stream: id.stream(), command: deal::Command::assign(to).into() },
            Self::Lead(id) => {
                let command = lead::Command::Assign { owner: to, force: false, reason };
                Order { stream: id.stream(), command: command.into() }
            }
            Self::Task(id) => {
                let command = task::Command::Reassign { assignee: to, force: false, reason };
                Order { stream: id.stream(), command: command.into() }
            }
        }
    }

    /// Its version, if it is open and belongs to `user`.
    fn owned_by(self, user: UserId, given: &Given<'_>) -> Result<Version, Refusal> {
        let (owner, version) = match self {
            Self::Deal(id) => match given.facts.get::<Deal>(id.stream()) {
                Some(Deal::Open(OpenDeal { owner, version, .. })) => (*owner, *version),
                Some(Deal::Closed(..) | Deal::Absent) | None => return Err(Refusal::NotOpen { work: self }),
            },
            Self::Lead(id) => match given.facts.get::<Lead>(id.stream()).and_then(Lead::record) {
                Some(lead) if lead.is_open() && !lead.archived => (lead.owner, lead.merging.version),
                _ => return Err(Refusal::NotOpen { work: self }),
            },
            Self::Task(id) => match given.facts.get::<Task>(id.stream()) {
                Some(Task::Open(task)) => (Some(task.assignee), task.version),
                _ => return Err(Refusal::NotOpen { work: self }),
            },
        };
        if owner == Some(user) { Ok(version) } else { Err(Refusal::OtherOwner { work: self, user, owner }) }
    }
}

fn hand_over(wanted: &HandOver, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    named_once(wanted.items.iter().map(|item| item.work), given)?;
    let mut items = Vec::with_capacity(wanted.items.len());
    for Item { work, to } in wanted.items.iter().copied() {
        if to == wanted.from {
            return Err(Refusal::ToOneself { work });
        }
        // One event of its own stream reassigns it.
        let version = work.owned_by(wanted.from, given)?.saturating_add(1);
        assignee::check(to, given, None)?;
        items.push(HandedOver { work, to, version });
    }
    Ok(vec![Event::WorkHandedOver(WorkHandedOver {
        from: wanted.from,
        scope: wanted.scope,
        items,
        return_after: wanted.return_after,
        subject: (!wanted.reason.is_blank()).then_some(SubjectId(given.stream.0)),
        reason: wanted.reason.unless_blank(),
    })])
}

/// Merged records are one.
fn named_once(works: impl Iterator<Item = Work>, given: &Given<'_>) -> Result<(), Refusal> {
    let record = |work: Work| (given.facts.survivor(work.reads().stream()), work);
    let mut works: Vec<_> = works.map(record).collect();
    works.sort_unstable();
    match works.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(Refusal::NamedTwice { work: pair[1].1 }),
        None if works.is_empty() => Err(Refusal::NothingNamed),
        None => Ok(()),
    }
}

impl Record {
    fn is(&self, wanted: &HandOver) -> bool {
        let items = self.items.iter().map(|item| Item { work: item.work, to: item.to });
        self.from == wanted.from
            && self.scope == wanted.scope
            && self.return_after == wanted.return_after
            && items.eq(wanted.items.iter().copied())
    }

    /// The items of this handover among `works` that have not come back.
    fn outstanding(&self, works: &[Work]) -> Vec<HandedOver> {
        let out = |item: &&HandedOver| works.contains(&item.work) && !self.returned.contains(&item.work);
        self.items.iter().filter(out).copied().collect()
    }

    /// The outstanding items among `works`, all of them open and still with the substitute.
    fn coming_back(&self, works: &[Work], given: &Given<'_>) -> Result<Vec<HandedOver>, Refusal> {
        named_once(works.iter().copied(), given)?;
        let accepted = || self.items.iter().map(|item| item.work).collect::<Vec<_>>();
        if let Some(work) = works.iter().find(|work| !accepted().contains(work)) {
            return Err(Refusal::NotHandedOver { work: *work, accepted: accepted() });
        }
        let items = self.outstanding(works);
        for item in &items {
            item.work.owned_by(item.to, given)?;
        }
        if !items.is_empty() {
            assignee::check(self.from, given, None)?;
        }
        Ok(items)
    }
}

fn touched(items: &[HandedOver], given: &Given<'_>) -> Vec<Work> {
    let same = |item: &&HandedOver| item.work.owned_by(item.to, given) == Ok(item.version);
    items.iter().filter(|item| !same(item)).map(|item| item.work).collect()
}
