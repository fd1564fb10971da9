//! A task: somebody does something by a due time, about a few targets. Free text is sealed under the task's own key.

mod checklist;
mod overdue;
mod reminders;

pub use checklist::{ItemAdded, ItemTicked, MOST_ITEMS};
pub use overdue::{BecameOverdue, Cause, CauseDetermined, CauseFacts, LeadTime, Load, Overdue};
pub use reminders::{
    MOST_REMINDERS, MOST_SNOOZES, Reminder, ReminderCleared, ReminderFired, ReminderSet, Snoozed,
};

use crate::assignee::{self, Assignable, AssigneeProblem};
use crate::decider::{Describe, changed, commands, events, index};
use crate::dictionary::{self, NotInDictionary};
use crate::{
    ActivityTypeId, Claim, DealId, Decider, Due, Given, Occurred, Personal, PersonalField, Reads, Target,
    TaskId, TaskTemplateId, UserId, Version, activity_types, target, task_templates,
};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

commands! {
    /// The subject is not blank; one due, a local day or an instant; it does not start after it is due; the assignee is
    /// active and not absent, unless forced with a reason; at most ten targets, which exist and were not erased; the
    /// activity type is one of tasks or calls, and a result is required where it says so.
    "CreateTask" = Create(Create) => [Created],
    /// As `CreateTask`; the template exists and its version is the one in force; without an activity type the task is of
    /// the template's. The due is computed by whoever applies the template.
    "CreateTaskFromTemplate" = FromTemplate { template: Template, task: Create } => [Created],
    /// The task is open; what is absent stays as it is; it does not start after it is due.
    "EditTask" = Edit(Edit) => [Edited],
    /// The task is open; the assignee is active and not absent, unless forced; a reason.
    "ReassignTask" = Reassign {
        assignee: UserId,
        /// Also to an absent user.
        #[serde(default)]
        force: bool,
        #[serde(default)]
        reason: Personal,
    } => [Reassigned],
    /// The task is open; another due, not before it starts; a reason once it is overdue; how often it was moved to later
    /// is counted.
    "RescheduleTask" = Reschedule {
        due: Due,
        #[serde(default)]
        reason: Personal,
    } => [Rescheduled],
    /// The task is open; the next reminder is later than now and stands for those before it; at most five times.
    "SnoozeTask" = Snooze { until: DateTime<Utc> } => [Snoozed],
    /// The task is open and not started.
    "StartTask" = Start {} => [Started],
    /// The task is open; a result text where one is required.
    "CompleteTask" = Complete {
        #[serde(default)]
        result: Personal,
    } => [Completed],
    /// The task is done or cancelled; whoever does it now is active and not absent, unless forced with a reason.
    "ReopenTask" = Reopen {
        /// Who does it from now on; whoever had it if absent.
        #[serde(default)]
        assignee: Option<UserId>,
        /// Also to an absent user.
        #[serde(default)]
        force: bool,
        #[serde(default)]
        reason: Personal,
    } => [Reopened],
    /// The task is open; a reason.
    "CancelTask" = Cancel {
        #[serde(default)]
        reason: Personal,
    } => [Cancelled],
    /// The task is open; until later than now. Till then it is not overdue.
    "DeferTask" = Defer { until: DateTime<Utc> } => [Deferred],
    /// The task is open; the text is not blank; at most a hundred items.
    "AddChecklistItem" = AddItem { text: Personal } => [ItemAdded],
    /// The task is open and has the item.
    "TickChecklistItem" = TickItem {
        /// The number of the item, from 1.
        item: i32,
    } => [ItemTicked],
    /// The task is open; later than now and before it is due; at most five reminders wait.
    "SetReminder" = SetReminder { at: DateTime<Utc> } => [ReminderSet],
    /// The task is open.
    "ClearReminder" = ClearReminder { at: DateTime<Utc> } => [ReminderCleared],
    /// The task is open; the target exists and was not erased; at most ten.
    "LinkTask" = Link { target: Target } => [Linked],
    /// The task is open; when the main target goes, the next one is the main one.
    "UnlinkTask" = Unlink { target: Target } => [Unlinked],
    /// For the timer: the task is open and has a reminder for that time, which has come; once.
    "FireReminder" = FireReminder { at: DateTime<Utc> } => [ReminderFired],
    /// For the timer: the task is open, still has this due, is not deferred and is past it; once for each due.
    "MarkTaskOverdue" = MarkOverdue { due: Due } => [BecameOverdue],
    /// The task became overdue by this due; the first that holds of absent, overloaded, too short, neglected; once for
    /// each due.
    "DetermineOverdueCause" = DetermineCause {
        due: Due,
        /// As they were at the due instant.
        facts: CauseFacts,
    } => [CauseDetermined],
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    pub subject: Personal,
    #[serde(default)]
    pub activity_type: Option<ActivityTypeId>,
    #[serde(default)]
    pub kind: Kind,
    /// Whether it is completed with a result in words.
    #[serde(default)]
    pub result_required: bool,
    #[serde(default)]
    pub start: Option<DateTime<Utc>>,
    pub due: Due,
    pub assignee: UserId,
    /// What it is about; the first is the main one.
    #[serde(default)]
    pub targets: Vec<Target>,
    #[serde(default)]
    pub priority: Priority,
    #[serde(default)]
    pub estimate_minutes: Option<i32>,
    /// Also to an absent user.
    #[serde(default)]
    pub force: bool,
    #[serde(default)]
    pub reason: Personal,
}

impl Create {
    /// A task with what every task needs.
    pub fn new(subject: Personal, due: Due, assignee: UserId) -> Self {
        Self {
            subject,
            activity_type: None,
            kind: Kind::default(),
            result_required: false,
            start: None,
            due,
            assignee,
            targets: Vec::new(),
            priority: Priority::default(),
            estimate_minutes: None,
            force: false,
            reason: Personal::default(),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    #[serde(default)]
    pub subject: Personal,
    #[serde(default)]
    pub start: Option<DateTime<Utc>>,
    #[serde(default)]
    pub priority: Option<Priority>,
    #[serde(default)]
    pub estimate_minutes: Option<i32>,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    #[default]
    ToDo,
    Call,
    Message,
    Visit,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
    Urgent,
}

/// The template that a task was made from, in the version that was applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    pub id: TaskTemplateId,
    pub version: Version,
}

/// The claim that every open task joins for each deal that it is about.
pub use crate::deal::OPEN_TASK_CLAIM;
/// The claim that every open task joins for its assignee.
pub use crate::user::WORK_CLAIM;

events! {
    Created = "task.created",
    Edited = "task.edited",
    Reassigned = "task.reassigned",
    Rescheduled = "task.rescheduled",
    Snoozed = "task.snoozed",
    Started = "task.started",
    Completed = "task.completed",
    Reopened = "task.reopened",
    Cancelled = "task.cancelled",
    Deferred = "task.deferred",
    ItemAdded = "task.checklist_item_added",
    ItemTicked = "task.checklist_item_ticked",
    ReminderSet = "task.reminder_set",
    ReminderCleared = "task.reminder_cleared",
    Linked = "task.linked",
    Unlinked = "task.unlinked",
    ReminderFired = "task.reminder_fired",
    BecameOverdue = "task.became_overdue",
    CauseDetermined = "task.overdue_cause_determined",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["subject", "reason"]))]
pub struct Created {
    /// The task itself; its key seals its texts.
    pub task: TaskId,
    #[serde(skip)]
    pub subject: Personal,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub template: Option<Template>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub activity_type: Option<ActivityTypeId>,
    pub kind: Kind,
    pub result_required: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start: Option<DateTime<Utc>>,
    pub due: Due,
    pub assignee: UserId,
    pub targets: Vec<Target>,
    pub priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub estimate_minutes: Option<i32>,
    /// The assignee was absent.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub forced: bool,
    /// Why an absent user gets it.
    #[serde(skip)]
    pub reason: Personal,
}

/// What is there has changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["subject"]))]
pub struct Edited {
    pub task: TaskId,
    #[serde(skip)]
    pub subject: Personal,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<Priority>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub estimate_minutes: Option<i32>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Reassigned {
    pub task: TaskId,
    pub from: UserId,
    pub to: UserId,
    /// The assignee was absent.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub forced: bool,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Rescheduled {
    pub task: TaskId,
    pub from: Due,
    pub to: Due,
    /// Whether it was overdue by then.
    pub overdue: bool,
    /// How often the task has been moved to later, this time included.
    pub slip_no: i32,
    /// By how many days it is later this time; 0 where it is not.
    pub slip_days: i32,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Started {}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["result"]))]
pub struct Completed {
    pub task: TaskId,
    pub assignee: UserId,
    pub deals: Vec<DealId>,
    pub due: Due,
    /// Certainly after it was due; `false` where nobody knows when it was done.
    pub late: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub late_by_seconds: Option<i64>,
    #[serde(skip)]
    pub result: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Reopened {
    pub task: TaskId,
    pub assignee: UserId,
    pub deals: Vec<DealId>,
    /// The assignee was absent.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub forced: bool,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Cancelled {
    pub task: TaskId,
    pub assignee: UserId,
    pub deals: Vec<DealId>,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Deferred {
    pub until: DateTime<Utc>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Linked {
    pub target: Target,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Unlinked {
    pub target: Target,
}

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Created(event) => counted(Claim::count, event.assignee, &target::deals(&event.targets)),
            Self::Reopened(event) => counted(Claim::count, event.assignee, &event.deals),
            Self::Completed(event) => counted(Claim::uncount, event.assignee, &event.deals),
            Self::Cancelled(event) => counted(Claim::uncount, event.assignee, &event.deals),
            Self::Reassigned(event) => vec![
                Claim::uncount(WORK_CLAIM, event.from.to_string()),
                Claim::count(WORK_CLAIM, event.to.to_string()),
            ],
            Self::Linked(Linked { target: Target::Deal(deal) }) => {
                vec![Claim::count(OPEN_TASK_CLAIM, deal.to_string())]
            }
            Self::Unlinked(Unlinked { target: Target::Deal(deal) }) => {
                vec![Claim::uncount(OPEN_TASK_CLAIM, deal.to_string())]
            }
            _ => Vec::new(),
        }
    }

    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        let (task, field, value) = match self {
            Self::Created(Created { task, subject, reason, .. }) => {
                let fields = [("subject", subject), ("reason", reason)];
                let subject = (*task).into();
                return fields.map(|(field, value)| PersonalField { subject, field, value }).into();
            }
            Self::Edited(event) => (event.task, "subject", &mut event.subject),
            Self::Reassigned(event) => (event.task, "reason", &mut event.reason),
            Self::Rescheduled(event) => (event.task, "reason", &mut event.reason),
            Self::Completed(event) => (event.task, "result", &mut event.result),
            Self::Reopened(event) => (event.task, "reason", &mut event.reason),
            Self::Cancelled(event) => (event.task, "reason", &mut event.reason),
            Self::ItemAdded(event) => (event.task, "text", &mut event.text),
            _ => return Vec::new(),
        };
        vec![PersonalField { subject: task.into(), field, value }]
    }
}

/// What an open task holds, joined or released.
fn counted(claim: fn(&'static str, String) -> Claim, assignee: UserId, deals: &[DealId]) -> Vec<Claim> {
    let deals = deals.iter().map(|deal| claim(OPEN_TASK_CLAIM, deal.to_string()));
    [claim(WORK_CLAIM, assignee.to_string())].into_iter().chain(deals).collect()
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this task does not exist; create it first")]
    NoSuchTask,
    #[error("this task is there already; an id is used once")]
    AlreadyCreated,
    #[error("this task is {outcome}; ReopenTask opens it again")]
    Closed { outcome: &'static str },
    #[error("this task is open; only one that is done or cancelled can be reopened")]
    NotClosed,
    #[error("{field} is empty; give it at least one visible character")]
    Blank { field: &'static str },
    #[error("it starts {start}, after it is due ({due}); start earlier or let it be due later")]
    StartsAfterDue { start: DateTime<Utc>, due: Due },
    #[error("{minutes} minutes are no estimate; give one minute or more")]
    NoEstimate { minutes: i32 },
    #[error("this needs a reason; give a text in `reason` or a reason code")]
    ReasonMissing,
    #[error("this task is completed with a result; say in `result` what came of it")]
    ResultMissing,
    #[error("{time} is over (it is {now}); name a later time")]
    NotLater { time: DateTime<Utc>, now: DateTime<Utc> },
    #[error("this task was snoozed {MOST_SNOOZES} times; do it, reschedule it or cancel it")]
    TooManySnoozes,
    #[error("{at} is not before {due}, when this task is due; remind earlier or let it be due later")]
    ReminderAfterDue { at: DateTime<Utc>, due: Due },
    #[error("{MOST_REMINDERS} reminders wait already; clear one with ClearReminder")]
    TooManyReminders,
    #[error("this task has no reminder for {at}; there are {}", times(.accepted))]
    NoSuchReminder { at: DateTime<Utc>, accepted: Vec<DateTime<Utc>> },
    #[error("the reminder is for {at} and it is {now}; fire it then")]
    ReminderNotDue { at: DateTime<Utc>, now: DateTime<Utc> },
    #[error("this checklist has {MOST_ITEMS} items already; make another task of the rest")]
    TooManyItems,
    #[error("this task has no checklist item {item}; it has {}", if *.last == 0 { "none".to_owned() } else { format!("1 to {last}") })]
    NoSuchItem { item: i32, last: i32 },
    #[error("this task is due {due}; name that due")]
    OtherDue { due: Due },
    #[error("this task is not overdue before {since} has passed (it is {now}); mark it after that")]
    NotOverdueYet { since: DateTime<Utc>, now: DateTime<Utc> },
    #[error("this task did not become overdue by {due}; causes are for dues that MarkTaskOverdue has marked")]
    NeverOverdue { due: Due },
    #[error("the cause was determined from other facts; it stays as it is")]
    CauseKnown { cause: Cause },
    #[error(transparent)]
    #[serde(untagged)]
    Target(#[from] target::Refusal),
    #[error(transparent)]
    #[serde(untagged)]
    Dictionary(#[from] NotInDictionary),
    #[error(transparent)]
    #[serde(untagged)]
    Owner(#[from] AssigneeProblem),
}

fn times(times: &[DateTime<Utc>]) -> String {
    match times {
        [] => "none".to_owned(),
        times => times.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Task {
    #[default]
    Absent,
    Open(OpenTask),
    Closed(OpenTask, Outcome),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    Done,
    Cancelled,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a task has become so far, without its texts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenTask {
    /// That of its last event.
    pub version: Version,
    pub assignee: UserId,
    pub due: Due,
    /// What was promised at first.
    pub original_due: Due,
    pub start: Option<DateTime<Utc>>,
    pub progress: Progress,
    pub result_required: bool,
    pub priority: Priority,
    pub estimate_minutes: Option<i32>,
    /// The first is the main one.
    pub targets: Vec<Target>,
    pub slips: i32,
    pub slip_days: i32,
    pub snoozes: i32,
    pub reminders: Vec<Reminder>,
    /// Whether each item is ticked, from item 1 on.
    pub ticked: Vec<bool>,
    /// Every due that it became overdue by.
    pub overdue: Vec<Overdue>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    Waiting,
    Started,
    Deferred { until: DateTime<Utc> },
}

impl Task {
    /// What is known of the task, open or closed.
    pub fn record(&self) -> Option<&OpenTask> {
        match self {
            Self::Absent => None,
            Self::Open(task) | Self::Closed(task, _) => Some(task),
        }
    }
}

impl OpenTask {
    /// From when on it is overdue: a deferral stops the clock.
    fn overdue_after(&self) -> DateTime<Utc> {
        match self.progress {
            Progress::Deferred { until } => until.max(self.due.overdue_after()),
            Progress::Waiting | Progress::Started => self.due.overdue_after(),
        }
    }

    fn is_past(&self, at: DateTime<Utc>) -> bool {
        let deferred = matches!(self.progress, Progress::Deferred { until } if at < until);
        self.due.is_past(at) && !deferred
    }

    fn marked(&self, due: Due) -> Option<&Overdue> {
        self.overdue.iter().find(|overdue| overdue.due == due)
    }

    fn waiting(&self) -> impl Iterator<Item = DateTime<Utc>> {
        self.reminders.iter().filter(|reminder| !reminder.fired).map(|reminder| reminder.at)
    }

    fn last_item(&self) -> i32 {
        i32::try_from(self.ticked.len()).expect("a checklist has at most a hundred items")
    }
}

impl Decider for Task {
    const AGGREGATE: &'static str = "task";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Create(_) | Command::FromTemplate { .. })
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        let user = |user: UserId| Reads::User(user.stream());
        match (self, command) {
            (Self::Absent, Command::Create(task) | Command::FromTemplate { task, .. }) => {
                let template = matches!(command, Command::FromTemplate { .. });
                let of_type = template || task.activity_type.is_some();
                let dictionaries = [
                    template.then_some(Reads::TaskTemplates(task_templates::STREAM)),
                    of_type.then_some(Reads::ActivityTypes(activity_types::STREAM)),
                ];
                let people = [user(task.assignee)].into_iter();
                people
                    .chain(dictionaries.into_iter().flatten())
                    .chain(target::reads_all(&task.targets))
                    .collect()
            }
            (Self::Open(_), Command::Reassign { assignee, .. }) => vec![user(*assignee)],
            (Self::Open(_), Command::Link { target }) => target::reads_all(&[*target]).collect(),
            (Self::Closed(task, _), Command::Reopen { assignee, .. }) => {
                vec![user(assignee.unwrap_or(task.assignee))]
            }
            _ => Vec::new(),
        }
    }

    fn owner(&self) -> Option<UserId> {
        self.record().map(|task| task.assignee)
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, Command::Create(task)) => create(task, None, given),
            (Self::Absent, Command::FromTemplate { template, task }) => create(task, Some(*template), given),
            (Self::Absent, _) => Err(Refusal::NoSuchTask),
            (_, Command::Create(_) | Command::FromTemplate { .. }) => Err(Refusal::AlreadyCreated),
            (Self::Open(task) | Self::Closed(task, _), Command::DetermineCause { due, facts }) => {
                overdue::determine(task, *due, facts)
            }
            (Self::Closed(task, _), Command::Reopen { assignee, force, reason }) => {
                reopen(task, *assignee, force.then_some(reason), reason, given)
            }
            (Self::Closed(_, Outcome::Done), Command::Complete { result: words })
            | (Self::Closed(_, Outcome::Cancelled), Command::Cancel { reason: words })
                if words.is_blank() =>
            {
                Ok(Vec::new())
            }
            (Self::Closed(_, outcome), _) => Err(Refusal::Closed { outcome: outcome.as_str() }),
            (Self::Open(_), Command::Reopen { .. }) => Err(Refusal::NotClosed),
            (Self::Open(task), command) => task.decide(command, given),
        }
    }

    fn evolve(&mut self, event: &Event, version: Version, _: &Occurred) {
        if let Event::Created(event) = event {
            *self = Self::Open(created(event));
        }
        *self = match (std::mem::take(self), event) {
            (Self::Absent, _) => Self::Absent,
            (Self::Open(task) | Self::Closed(task, _), Event::Completed(_)) => {
                Self::Closed(task, Outcome::Done)
            }
            (Self::Open(task) | Self::Closed(task, _), Event::Cancelled(_)) => {
                Self::Closed(task, Outcome::Cancelled)
            }
            (Self::Open(task) | Self::Closed(task, _), Event::Reopened(event)) => {
                Self::Open(OpenTask { assignee: event.assignee, progress: Progress::Waiting, ..task })
            }
            (Self::Open(task), event) => Self::Open(task.evolved(event)),
            (Self::Closed(task, outcome), event) => Self::Closed(task.evolved(event), outcome),
        };
        if let Self::Open(task) | Self::Closed(task, _) = self {
            task.version = version;
        }
    }
}

impl OpenTask {
    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match command {
            // Decided by whether the task is there and open.
            Command::Create(_)
            | Command::FromTemplate { .. }
            | Command::Reopen { .. }
            | Command::DetermineCause { .. } => Ok(Vec::new()),
            Command::Edit(edit) => change(self, edit, given),
            Command::Reassign { assignee, force, reason } => {
                reassign(self, *assignee, force.then_some(reason), reason, given)
            }
            Command::Reschedule { due, reason } => reschedule(self, *due, reason, given),
            Command::Snooze { until } => reminders::snooze(self, *until, given),
            Command::Start {} => Ok(changed(self.progress != Progress::Started, Event::Started(Started {}))),
            Command::Complete { result } => complete(self, result, given),
            Command::Cancel { reason } => cancel(self, reason, given),
            Command::Defer { until } => defer(self, *until, given),
            Command::AddItem { text } => checklist::add_item(self, text, given),
            Command::TickItem { item } => checklist::tick(self, *item),
            Command::SetReminder { at } => reminders::set_reminder(self, *at, given),
            Command::ClearReminder { at } => {
                let waits = self.waiting().any(|waiting| waiting == *at);
                Ok(changed(waits, Event::ReminderCleared(ReminderCleared { at: *at })))
            }
            Command::Link { target } => link(self, *target, given),
            Command::Unlink { target } => {
                let linked = self.targets.contains(target);
                Ok(changed(linked, Event::Unlinked(Unlinked { target: *target })))
            }
            Command::FireReminder { at } => reminders::fire(self, *at, given),
            Command::MarkOverdue { due } => overdue::mark(self, *due, given),
        }
    }

    fn evolved(mut self, event: &Event) -> Self {
        match event {
            Event::Edited(event) => {
                self.start = event.start.or(self.start);
                self.priority = event.priority.unwrap_or(self.priority);
                self.estimate_minutes = event.estimate_minutes.or(self.estimate_minutes);
            }
            Event::Reassigned(event) => self.assignee = event.to,
            Event::Rescheduled(event) => {
                self.due = event.to;
                self.slips = event.slip_no;
                self.slip_days = self.slip_days.saturating_add(event.slip_days);
            }
            Event::Snoozed(event) => {
                self.snoozes = event.snooze_no;
                self.reminders.retain(|reminder| reminder.fired || !event.instead_of.contains(&reminder.at));
                self.remind(event.until);
            }
            Event::Started(_) => self.progress = Progress::Started,
            Event::Deferred(event) => self.progress = Progress::Deferred { until: event.until },
            Event::ItemAdded(_) => self.ticked.push(false),
            Event::ItemTicked(event) => {
                if let Some(ticked) = index(event.item).and_then(|at| self.ticked.get_mut(at)) {
                    *ticked = true;
                }
            }
            Event::ReminderSet(event) => self.remind(event.at),
            Event::ReminderCleared(event) => self.reminders.retain(|reminder| reminder.at != event.at),
            Event::ReminderFired(event) => {
                for reminder in self.reminders.iter_mut().filter(|reminder| reminder.at == event.at) {
                    reminder.fired = true;
                }
            }
            Event::Linked(event) => self.targets.push(event.target),
            Event::Unlinked(event) => self.targets.retain(|target| *target != event.target),
            Event::BecameOverdue(event) => self.overdue.push(Overdue { due: event.due, cause: None }),
            Event::CauseDetermined(event) => {
                for overdue in self.overdue.iter_mut().filter(|overdue| overdue.due == event.due) {
                    overdue.cause = Some(event.facts);
                }
            }
            Event::Created(_) | Event::Completed(_) | Event::Reopened(_) | Event::Cancelled(_) => {}
        }
        self
    }

    fn remind(&mut self, at: DateTime<Utc>) {
        self.reminders.retain(|reminder| reminder.at != at);
        self.reminders.push(Reminder { at, fired: false });
    }
}

fn created(event: &Created) -> OpenTask {
    OpenTask {
        version: 0,
        assignee: event.assignee,
        due: event.due,
        original_due: event.due,
        start: event.start,
        progress: Progress::Waiting,
        result_required: event.result_required,
        priority: event.priority,
        estimate_minutes: event.estimate_minutes,
        targets: event.targets.clone(),
        slips: 0,
        slip_days: 0,
        snoozes: 0,
        reminders: Vec::new(),
        ticked: Vec::new(),
        overdue: Vec::new(),
    }
}

fn create(task: &Create, template: Option<Template>, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    not_blank("subject", &task.subject)?;
    starts_in_time(task.start, task.due)?;
    some_minutes(task.estimate_minutes)?;
    let Assignable { user: assignee, forced } =
        assignee::check(task.assignee, given, task.force.then_some(&task.reason))?;
    let of_template = template.map(|template| dictionary::task_template(template, given)).transpose()?;
    let activity_type = task.activity_type.or(of_template.map(|template| template.activity_type));
    let demands = demands_of_type(activity_type, task, given)?;
    Ok(vec![Event::Created(Created {
        task: own(given),
        subject: task.subject.clone(),
        template,
        activity_type,
        kind: demands.kind,
        result_required: demands.result_required,
        start: task.start,
        due: task.due,
        assignee,
        targets: target::accepted(&task.targets, given)?,
        priority: task.priority,
        estimate_minutes: task.estimate_minutes,
        forced,
        reason: task.reason.unless_blank(),
    })])
}

struct Demands {
    kind: Kind,
    result_required: bool,
}

/// What the type of activity makes of a task: it may demand more than the command does, never less.
fn demands_of_type(
    activity_type: Option<ActivityTypeId>,
    task: &Create,
    given: &Given<'_>,
) -> Result<Demands, Refusal> {
    let Some(activity_type) = activity_type else {
        return Ok(Demands { kind: task.kind, result_required: task.result_required });
    };
    let known = dictionary::activity_type(activity_type, dictionary::OF_TASKS, given)?;
    let kind = if known.kind == activity_types::Kind::Call { Kind::Call } else { task.kind };
    Ok(Demands { kind, result_required: known.result_required || task.result_required })
}

fn change(task: &OpenTask, edit: &Edit, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    if edit.subject.as_deref().is_some() {
        not_blank("subject", &edit.subject)?;
    }
    starts_in_time(edit.start, task.due)?;
    some_minutes(edit.estimate_minutes)?;
    let start = edit.start.filter(|start| Some(*start) != task.start);
    let priority = edit.priority.filter(|priority| *priority != task.priority);
    let estimate_minutes = edit.estimate_minutes.filter(|minutes| Some(*minutes) != task.estimate_minutes);
    // What the subject was is sealed, so one that is given counts as another.
    let differs =
        !edit.subject.is_blank() || start.is_some() || priority.is_some() || estimate_minutes.is_some();
    let subject = edit.subject.clone();
    Ok(changed(
        differs,
        Event::Edited(Edited { task: own(given), subject, start, priority, estimate_minutes }),
    ))
}

fn reassign(
    task: &OpenTask,
    assignee: UserId,
    force: Option<&Personal>,
    reason: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    if task.assignee == assignee {
        return Ok(Vec::new());
    }
    let forced = assignee::check(assignee, given, force)?.forced;
    needs_reason(reason, given)?;
    Ok(vec![Event::Reassigned(Reassigned {
        task: own(given),
        from: task.assignee,
        to: assignee,
        forced,
        reason: reason.unless_blank(),
    })])
}

fn reschedule(
    task: &OpenTask,
    due: Due,
    reason: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    if task.due == due {
        return Ok(Vec::new());
    }
    starts_in_time(task.start, due)?;
    let overdue = task.marked(task.due).is_some() || task.is_past(given.now);
    if overdue {
        needs_reason(reason, given)?;
    }
    let later = due.overdue_after() > task.due.overdue_after();
    Ok(vec![Event::Rescheduled(Rescheduled {
        task: own(given),
        from: task.due,
        to: due,
        overdue,
        slip_no: task.slips.saturating_add(i32::from(later)),
        slip_days: if later { task.due.days_until(due).max(0) } else { 0 },
        reason: reason.unless_blank(),
    })])
}

fn complete(task: &OpenTask, result: &Personal, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    if task.result_required && result.is_blank() {
        return Err(Refusal::ResultMissing);
    }
    let done_at = given.occurred.map_or(Some(given.now), Occurred::at);
    let late_at = done_at.filter(|done_at| task.is_past(*done_at));
    Ok(vec![Event::Completed(Completed {
        task: own(given),
        assignee: task.assignee,
        deals: target::deals(&task.targets),
        due: task.due,
        late: late_at.is_some(),
        late_by_seconds: late_at.map(|at| at.signed_duration_since(task.overdue_after()).num_seconds()),
        result: result.unless_blank(),
    })])
}

fn cancel(task: &OpenTask, reason: &Personal, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    needs_reason(reason, given)?;
    Ok(vec![Event::Cancelled(Cancelled {
        task: own(given),
        assignee: task.assignee,
        deals: target::deals(&task.targets),
        reason: reason.unless_blank(),
    })])
}

fn reopen(
    task: &OpenTask,
    named: Option<UserId>,
    force: Option<&Personal>,
    reason: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let Assignable { user: assignee, forced } =
        assignee::back(named, task.assignee, "assignee", given, force)?;
    Ok(vec![Event::Reopened(Reopened {
        task: own(given),
        assignee,
        deals: target::deals(&task.targets),
        forced,
        reason: reason.unless_blank(),
    })])
}

fn defer(task: &OpenTask, until: DateTime<Utc>, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    if task.progress == (Progress::Deferred { until }) {
        return Ok(Vec::new());
    }
    later_than_now(until, given)?;
    Ok(vec![Event::Deferred(Deferred { until })])
}

fn link(task: &OpenTask, target: Target, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    if task.targets.contains(&target) {
        return Ok(Vec::new());
    }
    let all: Vec<Target> = task.targets.iter().copied().chain([target]).collect();
    if all.len() > target::MOST {
        return Err(target::Refusal::TooManyTargets { given: all.len(), most: target::MOST }.into());
    }
    target::accepted(&[target], given)?;
    Ok(vec![Event::Linked(Linked { target })])
}

fn own(given: &Given<'_>) -> TaskId {
    TaskId(given.stream.0)
}

fn not_blank(field: &'static str, text: &Personal) -> Result<(), Refusal> {
    if text.is_blank() { Err(Refusal::Blank { field }) } else { Ok(()) }
}

fn starts_in_time(start: Option<DateTime<Utc>>, due: Due) -> Result<(), Refusal> {
    match start {
        Some(start) if due.is_past(start) => Err(Refusal::StartsAfterDue { start, due }),
        _ => Ok(()),
    }
}

fn some_minutes(estimate: Option<i32>) -> Result<(), Refusal> {
    match estimate {
        Some(minutes) if minutes < 1 => Err(Refusal::NoEstimate { minutes }),
        _ => Ok(()),
    }
}

fn later_than_now(time: DateTime<Utc>, given: &Given<'_>) -> Result<(), Refusal> {
    if time > given.now { Ok(()) } else { Err(Refusal::NotLater { time, now: given.now }) }
}

fn needs_reason(reason: &Personal, given: &Given<'_>) -> Result<(), Refusal> {
    if given.has_reason(reason) { Ok(()) } else { Err(Refusal::ReasonMissing) }
}
