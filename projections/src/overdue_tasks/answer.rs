//! The answer as people read it.

use super::query::Place;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use kvali_domain::task::{Cause, CauseFacts};
use kvali_domain::{DealId, TaskId, UserId};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What was asked for; the rest is absent.
#[derive(Clone, PartialEq, Default, Debug, Serialize, JsonSchema)]
pub struct Answer {
    /// Open and past their due, oldest first unless asked otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overdue: Option<Listed<OverdueTask>>,
    /// Open, and due on the local day that it is in the zone of their due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_today: Option<Listed<DueTask>>,
    /// Done in the period asked about, after they were due; latest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_late: Option<Listed<LateTask>>,
    /// Open, and moved to later; the most often moved first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slipped: Option<Listed<SlippedTask>>,
    /// Open deals about which nobody has an open task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deals_without_task: Option<Listed<WithoutTask>>,
    /// Open deals that stand in their stage for longer than they may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_stage_limit: Option<Listed<OverLimit>>,
    /// Open deals to which nothing has happened for too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_deals: Option<Listed<IdleDeal>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Listed<Workload>>,
}

/// A page of a list, and how long the list is.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Listed<T> {
    pub total: usize,
    pub rows: Vec<T>,
    /// Where to go on, if there are more.
    #[serde(skip)]
    pub next: Option<Place>,
}

impl<T> Listed<T> {
    pub(super) fn all(rows: Vec<T>) -> Self {
        Self { total: rows.len(), rows, next: None }
    }
}

/// Null names: erased, or never given.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
pub struct Person {
    pub id: UserId,
    pub name: Option<String>,
}

/// Exactly one of day and instant; the zone is that of the day, else that of the person or the question.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Due {
    pub day: NaiveDate,
    #[schemars(with = "String")]
    pub zone: Tz,
    pub at: Option<DateTime<Utc>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct DealAt {
    pub id: DealId,
    pub external_id: Option<String>,
    pub name: Option<String>,
    pub owner: Option<Person>,
    pub pipeline: String,
    pub stage: String,
}

/// What every list of tasks says of one.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct DueTask {
    pub task: TaskId,
    pub subject: Option<String>,
    pub assignee: Person,
    /// Merged deals by what they are now.
    pub deals: Vec<DealId>,
    pub due: Due,
    pub is_overdue: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct OverdueTask {
    #[serde(flatten)]
    pub task: DueTask,
    pub since: DateTime<Utc>,
    pub overdue_by_seconds: i64,
    pub slips: i32,
    pub cause: Cause,
    /// What the cause was judged from, as it stood at the due instant.
    pub evidence: CauseFacts,
    /// Whether the log holds the judgement; else it is made by what is known now.
    pub is_determined: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct LateTask {
    #[serde(flatten)]
    pub task: DueTask,
    pub original_due: Due,
    pub done_at: Option<DateTime<Utc>>,
    pub late_by_seconds: i64,
    pub slips: i32,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct SlippedTask {
    #[serde(flatten)]
    pub task: DueTask,
    pub original_due: Due,
    pub slips: i32,
    pub slip_days: i32,
    pub snoozes: i32,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct WithoutTask {
    #[serde(flatten)]
    pub deal: DealAt,
    /// When the last open task ended; null: there never was one.
    pub since: Option<DateTime<Utc>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct OverLimit {
    #[serde(flatten)]
    pub deal: DealAt,
    pub visit: i32,
    pub entered_at: Option<DateTime<Utc>>,
    pub max_days: i32,
    pub since: DateTime<Utc>,
    pub over_by_seconds: i64,
    pub on_hold_until: Option<NaiveDate>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct IdleDeal {
    #[serde(flatten)]
    pub deal: DealAt,
    pub last_event_at: Option<DateTime<Utc>>,
    pub idle_days: i32,
    pub since: DateTime<Utc>,
    pub idle_for_seconds: i64,
    pub on_hold_until: Option<NaiveDate>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Workload {
    pub person: Person,
    pub open: i64,
    pub overdue: i64,
    pub due_today: i64,
    /// From Monday to Sunday of this week, by the zone of each due.
    pub due_this_week: i64,
    /// Null: nobody has set one.
    pub capacity_per_day: Option<i32>,
    pub capacity_per_week: Option<i32>,
    pub is_absent: bool,
    /// The last day as planned.
    pub absent_until: Option<NaiveDate>,
}

impl Answer {
    /// Where the list that has more rows goes on, if one alone was asked for.
    pub fn next(&self) -> Option<Place> {
        let lists = [
            self.overdue.as_ref().and_then(|list| list.next),
            self.due_today.as_ref().and_then(|list| list.next),
            self.done_late.as_ref().and_then(|list| list.next),
            self.slipped.as_ref().and_then(|list| list.next),
            self.deals_without_task.as_ref().and_then(|list| list.next),
            self.over_stage_limit.as_ref().and_then(|list| list.next),
            self.idle_deals.as_ref().and_then(|list| list.next),
            self.workload.as_ref().and_then(|list| list.next),
        ];
        lists.into_iter().flatten().next()
    }

    /// Whom and what it calls by name.
    pub fn named(&self) -> BTreeSet<Uuid> {
        let mut named = BTreeSet::new();
        let lists = [
            rows(self.overdue.as_ref()).map(|row| &row.task).collect::<Vec<_>>(),
            rows(self.due_today.as_ref()).collect(),
            rows(self.done_late.as_ref()).map(|row| &row.task).collect(),
            rows(self.slipped.as_ref()).map(|row| &row.task).collect(),
        ];
        for task in lists.into_iter().flatten() {
            named.extend(task.subject.as_ref().map(|_| task.task.0));
            named.extend(task.assignee.named());
        }
        let deals = [
            rows(self.deals_without_task.as_ref()).map(|row| &row.deal).collect::<Vec<_>>(),
            rows(self.over_stage_limit.as_ref()).map(|row| &row.deal).collect(),
            rows(self.idle_deals.as_ref()).map(|row| &row.deal).collect(),
        ];
        for deal in deals.into_iter().flatten() {
            named.extend(deal.name.as_ref().map(|_| deal.id.0));
            named.extend(deal.owner.iter().filter_map(Person::named));
        }
        named.extend(rows(self.workload.as_ref()).filter_map(|row| row.person.named()));
        named
    }
}

impl Person {
    fn named(&self) -> Option<Uuid> {
        self.name.as_ref().map(|_| self.id.0)
    }
}

fn rows<T>(list: Option<&Listed<T>>) -> impl Iterator<Item = &T> {
    list.into_iter().flat_map(|list| &list.rows)
}
