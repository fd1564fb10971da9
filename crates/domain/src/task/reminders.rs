//! What reminds of a task, and how often that may be put off.

use super::{Event, OpenTask, Refusal, later_than_now};
use crate::{Given, UserId};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often a task may be snoozed.
pub const MOST_SNOOZES: i32 = 5;

/// How many reminders may wait.
pub const MOST_REMINDERS: usize = 5;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Snoozed {
    pub until: DateTime<Utc>,
    /// The reminders that will not come because of it.
    pub instead_of: Vec<DateTime<Utc>>,
    pub snooze_no: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReminderSet {
    pub at: DateTime<Utc>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReminderCleared {
    pub at: DateTime<Utc>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReminderFired {
    pub at: DateTime<Utc>,
    pub assignee: UserId,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reminder {
    pub at: DateTime<Utc>,
    pub fired: bool,
}

pub(super) fn snooze(
    task: &OpenTask,
    until: DateTime<Utc>,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let instead_of: Vec<_> = task.waiting().filter(|waiting| *waiting < until).collect();
    let waits = task.waiting().any(|waiting| waiting == until);
    if waits && instead_of.is_empty() {
        return Ok(Vec::new());
    }
    later_than_now(until, given)?;
    if task.snoozes >= MOST_SNOOZES {
        return Err(Refusal::TooManySnoozes);
    }
    if !waits && task.waiting().count() - instead_of.len() >= MOST_REMINDERS {
        return Err(Refusal::TooManyReminders);
    }
    Ok(vec![Event::Snoozed(Snoozed { until, instead_of, snooze_no: task.snoozes + 1 })])
}

pub(super) fn set_reminder(
    task: &OpenTask,
    at: DateTime<Utc>,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    if task.reminders.iter().any(|reminder| reminder.at == at) {
        return Ok(Vec::new());
    }
    if at >= task.due.overdue_after() {
        return Err(Refusal::ReminderAfterDue { at, due: task.due });
    }
    later_than_now(at, given)?;
    if task.waiting().count() >= MOST_REMINDERS {
        return Err(Refusal::TooManyReminders);
    }
    Ok(vec![Event::ReminderSet(ReminderSet { at })])
}

pub(super) fn fire(task: &OpenTask, at: DateTime<Utc>, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    match task.reminders.iter().find(|reminder| reminder.at == at) {
        None => Err(Refusal::NoSuchReminder { at, accepted: task.waiting().collect() }),
        Some(Reminder { fired: true, .. }) => Ok(Vec::new()),
        Some(_) if at > given.now => Err(Refusal::ReminderNotDue { at, now: given.now }),
        Some(_) => Ok(vec![Event::ReminderFired(ReminderFired { at, assignee: task.assignee })]),
    }
}
