//! The rows of the tables, as `schema.sql` describes them.

use super::clock::{self, day, stored};
use crate::rows::Row;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use kvali_domain::calendar::{Hours, Interval};
use kvali_domain::pipeline::{Clock, Stage};
use kvali_domain::task::CauseFacts;
use kvali_domain::user::Period;
use kvali_domain::{
    ActivityTypeId, ActorId, CalendarId, DealId, Due, PipelineId, StageId, TaskId, TeamId, UserId, Version,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct TaskRow {
    pub task_id: TaskId,
    pub subject: Option<String>,
    pub activity_type: Option<ActivityTypeId>,
    pub assignee: UserId,
    pub deals: Vec<DealId>,
    pub created_at: Option<DateTime<Utc>>,
    pub due: Due,
    pub original_due: Due,
    pub deferred_until: Option<DateTime<Utc>>,
    pub overdue_from: DateTime<Utc>,
    pub overdue_told: bool,
    pub slips: i32,
    pub slip_days: i32,
    pub snoozes: i32,
    pub reminders: Vec<DateTime<Utc>>,
    pub remind_at: Option<DateTime<Utc>>,
    pub standing: Standing,
    pub done_at: Option<DateTime<Utc>>,
    pub late_by_seconds: Option<i64>,
    pub since: DateTime<Utc>,
    pub past: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Standing {
    Open,
    Done,
    Cancelled,
}

impl TaskRow {
    pub(super) fn is_open(&self) -> bool {
        self.standing == Standing::Open
    }

    /// Open, past its due, and not deferred beyond `at`.
    pub(super) fn is_overdue(&self, at: DateTime<Utc>) -> bool {
        self.is_open() && self.overdue_from <= at
    }

    /// When `task.became_overdue` says that it did: the end of the due, or of the deferral if that was later.
    pub(super) fn since_when(&self) -> DateTime<Utc> {
        since_when(self.due, self.deferred_until)
    }
}

pub(super) fn since_when(due: Due, deferred_until: Option<DateTime<Utc>>) -> DateTime<Utc> {
    let end = stored(due.overdue_after());
    deferred_until.map_or(end, |until| end.max(until))
}

/// In words, which are one to one with it.
pub(super) fn due_key(due: Due) -> String {
    due.to_string()
}

/// The first instant at which a task with that due is overdue. An instant is itself still in time.
pub(super) fn overdue_from(due: Due, deferred_until: Option<DateTime<Utc>>) -> DateTime<Utc> {
    let end = match due {
        Due::Day { .. } => stored(due.overdue_after()),
        Due::At(at) => stored(at) + TimeDelta::microseconds(1),
    };
    deferred_until.map_or(end, |until| end.max(until))
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct TaskPastRow {
    pub task_id: TaskId,
    pub number: i32,
    pub assignee: UserId,
    pub due: Due,
    pub deferred_until: Option<DateTime<Utc>>,
    pub overdue_from: DateTime<Utc>,
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct BecameOverdueRow {
    pub task_id: TaskId,
    pub due_key: String,
    pub due: Due,
    pub since: DateTime<Utc>,
    pub assignee: UserId,
    pub facts: Option<CauseFacts>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct DealRow {
    pub deal_id: DealId,
    pub pipeline_id: PipelineId,
    pub owner: Option<UserId>,
    pub external_id: Option<String>,
    pub name: Option<String>,
    pub outcome: Outcome,
    pub merged_into: Option<DealId>,
    pub stage_id: StageId,
    pub visit: i32,
    pub pipeline_version: Version,
    pub entered_at: Option<DateTime<Utc>>,
    pub touched_at: Option<DateTime<Utc>>,
    pub on_hold_until: Option<NaiveDate>,
    pub max_days: Option<i32>,
    pub idle_days: Option<i32>,
    pub clock: Clock,
    pub limit_at: Option<DateTime<Utc>>,
    pub idle_at: Option<DateTime<Utc>>,
    pub tell_limit_at: Option<DateTime<Utc>>,
    pub tell_idle_at: Option<DateTime<Utc>>,
    pub limit_told: bool,
    pub idle_told: Option<DateTime<Utc>>,
    pub open_tasks: i32,
    pub tasks_ended_at: Option<DateTime<Utc>>,
    pub tasks_ended_told: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Open,
    Won,
    Lost,
}

impl DealRow {
    /// Open, and a deal of its own.
    pub(super) fn is_worked_at(&self) -> bool {
        self.outcome == Outcome::Open && self.merged_into.is_none()
    }

    /// Works out the instants that follow from the rest.
    pub(super) fn settle(&mut self, hours: Option<&Hours>) {
        let is_open = self.outcome == Outcome::Open;
        let hours = hours.filter(|_| self.clock == Clock::Business);
        let over = |since: Option<DateTime<Utc>>, days: Option<i32>| {
            clock::days_after(since?, days?, hours).filter(|_| is_open)
        };
        self.limit_at = over(self.entered_at, self.max_days);
        self.idle_at = over(self.touched_at, self.idle_days);
        let (limit_told, idle_told) = (self.limit_told, self.idle_told >= self.touched_at);
        self.tell_limit_at = self.after_hold(self.limit_at.filter(|_| !limit_told));
        self.tell_idle_at = self.after_hold(self.idle_at.filter(|_| !idle_told));
    }

    /// When to tell of what is so from `at` on; nobody is told of a deal that is closed or merged.
    fn after_hold(&self, at: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let at = at.filter(|_| self.is_worked_at())?;
        Some(self.hold_ends().map_or(at, |ends| at.max(ends)))
    }

    /// A hold stops what is told of age until its day begins in UTC.
    pub(super) fn hold_ends(&self) -> Option<DateTime<Utc>> {
        self.on_hold_until.map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc())
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct ActivityRow {
    pub deal_id: DealId,
    pub actor: ActorId,
    pub at: DateTime<Utc>,
    pub position: i64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct TalkRow {
    pub talk_id: Uuid,
    pub deals: Vec<DealId>,
    pub answered_by: Option<UserId>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct PersonRow {
    pub user_id: UserId,
    pub name: Option<String>,
    pub zone: Option<Tz>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct AbsenceRow {
    pub user_id: UserId,
    pub number: i32,
    pub kind: kvali_domain::absence::Kind,
    pub first_day: NaiveDate,
    pub last_day: NaiveDate,
    pub zone: Tz,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub cancelled_at: Option<DateTime<Utc>>,
}

impl AbsenceRow {
    /// Whether the user was away at that instant: from the start to the end where these were told, else on the planned
    /// local days.
    pub(super) fn covers(&self, at: DateTime<Utc>) -> bool {
        let by = |told: Option<DateTime<Utc>>| told.is_some_and(|told| told <= at);
        if by(self.ended_at) || by(self.cancelled_at) {
            return false;
        }
        by(self.started_at) || (self.first_day..=self.last_day).contains(&day(at, self.zone))
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct CapacityRow {
    pub user_id: UserId,
    pub position: i64,
    pub period: Period,
    pub count: i32,
    pub since: DateTime<Utc>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct TeamRow {
    pub team_id: TeamId,
    pub name: String,
    pub parent: Option<TeamId>,
    pub members: Vec<UserId>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct PipelineRow {
    pub pipeline_id: PipelineId,
    pub version: Version,
    pub name: String,
    pub stages: Vec<Stage>,
    pub limits: Vec<LimitRow>,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct LimitRow {
    pub stage: StageId,
    pub max_days: Option<i32>,
    pub idle_days: Option<i32>,
    pub clock: Clock,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct CalendarRow {
    pub calendar_id: CalendarId,
    pub position: i64,
    pub name: String,
    pub zone: Tz,
    pub week: Vec<Interval>,
    pub holidays: BTreeMap<NaiveDate, String>,
}

impl CalendarRow {
    pub(super) fn hours(&self) -> Hours {
        let Self { name, zone, week, holidays, .. } = self.clone();
        Hours { name, zone, week, holidays }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct ActivityTypeRow {
    pub activity_type: ActivityTypeId,
    pub label: String,
    pub minimum_lead_minutes: i32,
}

macro_rules! tables {
    ($($row:ident = $table:literal of $key:ty, by $first:ident $(and $more:ident)*;)+) => {$(
        impl Row for $row {
            type Key = $key;
            const TABLE: &'static str = $table;
            const KEY: &'static [&'static str] = &[stringify!($first) $(, stringify!($more))*];

            fn key(&self) -> Self::Key {
                (self.$first.clone() $(, self.$more.clone())*)
            }
        }
    )+};
}

tables! {
    TaskRow = "task" of TaskId, by task_id;
    TaskPastRow = "task_past" of (TaskId, i32), by task_id and number;
    BecameOverdueRow = "became_overdue" of (TaskId, String), by task_id and due_key;
    DealRow = "deal" of DealId, by deal_id;
    ActivityRow = "activity" of (DealId, ActorId, DateTime<Utc>, i64), by deal_id and actor and at and position;
    TalkRow = "talk" of Uuid, by talk_id;
    PersonRow = "person" of UserId, by user_id;
    AbsenceRow = "absence" of (UserId, i32), by user_id and number;
    CapacityRow = "capacity" of (UserId, i64), by user_id and position;
    TeamRow = "team" of TeamId, by team_id;
    PipelineRow = "pipeline" of (PipelineId, Version), by pipeline_id and version;
    CalendarRow = "calendar" of CalendarId, by calendar_id;
    ActivityTypeRow = "activity_type" of ActivityTypeId, by activity_type;
}
