//! When a task is overdue, and why.

use super::{Event, OpenTask, Refusal};
use crate::{Due, Given, UserId};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known of the due instant; what is absent is not known.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CauseFacts {
    /// Whether the assignee was on leave.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub absent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub load: Option<Load>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lead_time: Option<LeadTime>,
    /// How often the assignee did something about the deal since the task was made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub activities: Option<i32>,
}

/// The assignee's day.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Open tasks that were due that day.
    pub open_tasks: i32,
    pub capacity: i32,
}

/// From when the task was made to when it was due.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeadTime {
    pub minutes: i32,
    /// What the type of activity needs.
    pub least_minutes: i32,
}

/// Why a task became overdue, in order of precedence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Absent,
    Overloaded,
    TooShort,
    Neglected,
    Unknown,
}

impl CauseFacts {
    /// The first cause that they justify.
    pub fn cause(&self) -> Cause {
        let holds = [
            (self.absent == Some(true), Cause::Absent),
            (self.load.is_some_and(|load| load.open_tasks > load.capacity), Cause::Overloaded),
            (self.lead_time.is_some_and(|time| time.minutes < time.least_minutes), Cause::TooShort),
            (self.activities == Some(0), Cause::Neglected),
        ];
        holds.into_iter().find(|(holds, _)| *holds).map_or(Cause::Unknown, |(_, cause)| cause)
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BecameOverdue {
    pub due: Due,
    /// From when on: the end of the due, or of the deferral if that was later.
    pub since: DateTime<Utc>,
    pub assignee: UserId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CauseDetermined {
    pub due: Due,
    pub cause: Cause,
    pub facts: CauseFacts,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overdue {
    pub due: Due,
    pub cause: Option<CauseFacts>,
}

pub(super) fn mark(task: &OpenTask, due: Due, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    if task.marked(due).is_some() {
        return Ok(Vec::new());
    }
    if task.due != due {
        return Err(Refusal::OtherDue { due: task.due });
    }
    let since = task.overdue_after();
    if !task.is_past(given.now) {
        return Err(Refusal::NotOverdueYet { since, now: given.now });
    }
    Ok(vec![Event::BecameOverdue(BecameOverdue { due, since, assignee: task.assignee })])
}

pub(super) fn determine(task: &OpenTask, due: Due, facts: &CauseFacts) -> Result<Vec<Event>, Refusal> {
    let overdue = task.marked(due).ok_or(Refusal::NeverOverdue { due })?;
    match overdue.cause {
        None => {
            Ok(vec![Event::CauseDetermined(CauseDetermined { due, cause: facts.cause(), facts: *facts })])
        }
        Some(known) if known == *facts => Ok(Vec::new()),
        Some(known) => Err(Refusal::CauseKnown { cause: known.cause() }),
    }
}
