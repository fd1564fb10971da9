//! What the passing of time calls for: reminders, tasks that become overdue and why, deals that stand for too long, are
//! forgotten, or have lost their last task.

use super::cause::{self, Case};
use super::record::{BecameOverdueRow, DealRow, TaskRow};
use crate::rows::Tables;
use chrono::{DateTime, Utc};
use kvali_domain::deal::{self, IdleSpell, VisitLimit};
use kvali_domain::{Command, Order, StreamId, task};
use kvali_eventstore::project::{Look, Timed, Timers};
use std::collections::BTreeMap;

/// What is due of each kind at one look; the next look meets the rest.
const AT_ONCE: i64 = 500;

pub(super) async fn timers(look: &mut Look<'_>) -> Result<Timers, sqlx::Error> {
    let (tenant, schema, at) = (look.tenant, look.schema, look.at);
    let mut tables = Tables { tenant, schema, connection: &mut *look.connection };
    let mut agenda = Agenda { at, timers: Timers::default() };
    reminders(&mut tables, &mut agenda).await?;
    overdue(&mut tables, &mut agenda).await?;
    causes(&mut tables, &mut agenda).await?;
    limits(&mut tables, &mut agenda).await?;
    idle(&mut tables, &mut agenda).await?;
    without_task(&mut tables, &mut agenda).await?;
    Ok(agenda.timers)
}

struct Agenda {
    at: DateTime<Utc>,
    timers: Timers,
}

impl Agenda {
    /// Something that is due from `from` on and happens at `due`.
    fn add(
        &mut self,
        from: DateTime<Utc>,
        due: DateTime<Utc>,
        stream: StreamId,
        command: impl Into<Command>,
        key: String,
    ) {
        if from > self.at {
            self.timers.next = Some(self.timers.next.map_or(from, |next| next.min(from)));
            return;
        }
        self.timers.due.push(Timed { order: Order { stream, command: command.into() }, due, key });
    }
}

async fn reminders(tables: &mut Tables<'_>, agenda: &mut Agenda) -> Result<(), sqlx::Error> {
    let first = "remind_at is not null order by remind_at limit $2";
    for row in tables.which::<TaskRow>(first, |query| query.bind(AT_ONCE)).await? {
        for at in row.reminders {
            let fire = task::Command::FireReminder { at };
            agenda.add(at, at, row.task_id.stream(), fire, "reminder".to_owned());
        }
    }
    Ok(())
}

async fn overdue(tables: &mut Tables<'_>, agenda: &mut Agenda) -> Result<(), sqlx::Error> {
    let first = "standing = 'open' and not overdue_told order by overdue_from limit $2";
    for row in tables.which::<TaskRow>(first, |query| query.bind(AT_ONCE)).await? {
        let mark = task::Command::MarkOverdue { due: row.due };
        let key = format!("overdue {}", row.due);
        agenda.add(row.overdue_from, row.since_when(), row.task_id.stream(), mark, key);
    }
    Ok(())
}

async fn causes(tables: &mut Tables<'_>, agenda: &mut Agenda) -> Result<(), sqlx::Error> {
    let first = "facts is null order by since limit $2";
    let told = tables.which::<BecameOverdueRow>(first, |query| query.bind(AT_ONCE)).await?;
    let tasks = tables.by::<TaskRow>("task_id", told.iter().map(|row| row.task_id.0)).await?;
    let tasks: BTreeMap<_, _> = tasks.into_iter().map(|row| (row.task_id, row)).collect();
    let cases: Vec<Case> = told
        .iter()
        .filter_map(|told| Some(Case::new(tasks.get(&told.task_id)?, told.due, told.since, told.assignee)))
        .collect();
    for (case, facts) in cases.iter().zip(cause::facts(tables, &cases).await?) {
        let determine = task::Command::DetermineCause { due: case.due, facts };
        let key = format!("overdue cause {}", case.due);
        agenda.add(case.since, case.since, case.task.stream(), determine, key);
    }
    Ok(())
}

async fn limits(tables: &mut Tables<'_>, agenda: &mut Agenda) -> Result<(), sqlx::Error> {
    let first = "tell_limit_at is not null order by tell_limit_at limit $2";
    for row in tables.which::<DealRow>(first, |query| query.bind(AT_ONCE)).await? {
        let (Some(at), Some(max_days)) = (row.tell_limit_at, row.max_days) else { continue };
        let limit = Some(VisitLimit { visit: row.visit, max_days });
        let key = format!("stage limit {}", row.visit);
        agenda.add(at, at, row.deal_id.stream(), deal::Command::ReportStageLimit { limit }, key);
    }
    Ok(())
}

async fn idle(tables: &mut Tables<'_>, agenda: &mut Agenda) -> Result<(), sqlx::Error> {
    let first = "tell_idle_at is not null order by tell_idle_at limit $2";
    for row in tables.which::<DealRow>(first, |query| query.bind(AT_ONCE)).await? {
        let (Some(at), Some(since), Some(idle_days)) = (row.tell_idle_at, row.touched_at, row.idle_days)
        else {
            continue;
        };
        let spell = Some(IdleSpell { since, idle_days });
        agenda.add(at, at, row.deal_id.stream(), deal::Command::ReportIdle { spell }, "idle".to_owned());
    }
    Ok(())
}

/// Of deals that never had a task nobody can say when they lost the last one.
async fn without_task(tables: &mut Tables<'_>, agenda: &mut Agenda) -> Result<(), sqlx::Error> {
    let first = "outcome = 'open' and merged_into is null and open_tasks = 0 and tasks_ended_at is not null \
        and (tasks_ended_told is null or tasks_ended_told < tasks_ended_at) order by tasks_ended_at limit $2";
    for row in tables.which::<DealRow>(first, |query| query.bind(AT_ONCE)).await? {
        let Some(since) = row.tasks_ended_at else { continue };
        let report = deal::Command::ReportWithoutTask { since: Some(since) };
        agenda.add(since, since, row.deal_id.stream(), report, "without task".to_owned());
    }
    Ok(())
}
