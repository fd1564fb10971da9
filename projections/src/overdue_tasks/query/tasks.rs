//! Lists of tasks.

use super::super::answer::{Due, DueTask, LateTask, Listed, OverdueTask, SlippedTask};
use super::super::cause::{self, merged_into, survivor};
use super::super::clock::{day, due_day};
use super::super::record::{BecameOverdueRow, TaskRow, due_key};
use super::{Question, Sorting};
use crate::rows::Tables;
use kvali_domain::task::CauseFacts;
use kvali_domain::{self as domain, DealId, TaskId, UserId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

const OVERDUE: &str = "standing = 'open' and overdue_from <= $2 and ($3 is null or assignee = any($3)) \
    order by overdue_from, task_id";

/// Those whose day may be today somewhere.
const NEAR: &str = "standing = 'open' and ($3 is null or assignee = any($3)) \
    and (overdue_from between $2 - interval '52 hours' and $2 + interval '52 hours' or deferred_until is not null) \
    order by overdue_from, task_id";

const DONE_LATE: &str = "late_by_seconds is not null and ($2 is null or done_at >= $2) \
    and ($3 is null or done_at < $3) and ($4 is null or assignee = any($4)) order by done_at desc, task_id";

const SLIPPED: &str = "standing = 'open' and slips > 0 and ($2 is null or assignee = any($2)) \
    order by slips desc, slip_days desc, task_id";

pub(super) async fn overdue(
    tables: &mut Tables<'_>,
    question: Question<'_>,
) -> Result<Listed<OverdueTask>, sqlx::Error> {
    let (at, who) = (question.at, question.who.ids());
    let rows = tables.which::<TaskRow>(OVERDUE, |query| query.bind(at).bind(who)).await?;
    let rows = sorted(rows, question);
    // Causes are judged of what is shown alone, unless they say what that is.
    let is_paged = question.asked.cause.is_none();
    let Listed { total, rows, next } =
        if is_paged { question.asked.page(rows, |row| row.task_id.0) } else { Listed::all(rows) };
    let merged = merged(tables, &rows).await?;
    let facts = causes(tables, &rows).await?;
    let told = rows.iter().zip(facts).map(|(row, (evidence, is_determined))| OverdueTask {
        task: due_task(row, &merged, question),
        since: row.since_when(),
        overdue_by_seconds: (at - row.since_when()).num_seconds(),
        slips: row.slips,
        cause: evidence.cause(),
        evidence,
        is_determined,
    });
    let of_cause = told.filter(|told| question.asked.cause.is_none_or(|cause| cause == told.cause)).collect();
    Ok(if is_paged {
        Listed { total, rows: of_cause, next }
    } else {
        question.asked.page(of_cause, |row| row.task.task.0)
    })
}

fn sorted(mut rows: Vec<TaskRow>, question: Question<'_>) -> Vec<TaskRow> {
    match question.asked.sorting {
        Sorting::Due => {}
        Sorting::Assignee => rows.sort_by_cached_key(|row| question.who.person(row.assignee).name),
        Sorting::Slips => rows.sort_by_key(|row| Reverse(row.slips)),
    }
    rows
}

/// As the log determined them, else as they are judged now.
async fn causes(tables: &mut Tables<'_>, rows: &[TaskRow]) -> Result<Vec<(CauseFacts, bool)>, sqlx::Error> {
    let told = tables.by::<BecameOverdueRow>("task_id", rows.iter().map(|row| row.task_id.0)).await?;
    let told: BTreeMap<(TaskId, String), CauseFacts> =
        told.into_iter().filter_map(|row| Some(((row.task_id, row.due_key), row.facts?))).collect();
    let known = |row: &TaskRow| told.get(&(row.task_id, due_key(row.due))).copied();
    let open: Vec<_> = rows.iter().filter(|row| known(row).is_none()).map(cause::case_of).collect();
    let mut judged = cause::facts(tables, &open).await?.into_iter();
    let facts = rows.iter().map(|row| match known(row) {
        Some(facts) => (facts, true),
        None => (judged.next().unwrap_or_default(), false),
    });
    Ok(facts.collect())
}

pub(super) async fn due_today(
    tables: &mut Tables<'_>,
    question: Question<'_>,
) -> Result<Listed<DueTask>, sqlx::Error> {
    let rows: Vec<TaskRow> = near(tables, question).await?;
    let rows: Vec<_> = rows.into_iter().filter(|row| is_due_today(row, question)).collect();
    let merged = merged(tables, &rows).await?;
    let told = rows.iter().map(|row| due_task(row, &merged, question)).collect();
    Ok(question.asked.page(told, |row| row.task.0))
}

async fn near(tables: &mut Tables<'_>, question: Question<'_>) -> Result<Vec<TaskRow>, sqlx::Error> {
    let (at, who) = (question.at, question.who.ids());
    tables.which(NEAR, |query| query.bind(at).bind(who)).await
}

pub(super) fn is_due_today(row: &TaskRow, question: Question<'_>) -> bool {
    let due = told(row.due, row.assignee, question);
    due.day == day(question.at, due.zone)
}

pub(super) async fn done_late(
    tables: &mut Tables<'_>,
    question: Question<'_>,
) -> Result<Listed<LateTask>, sqlx::Error> {
    let (from, to, who) = (question.asked.from, question.asked.to, question.who.ids());
    let rows = tables.which::<TaskRow>(DONE_LATE, |query| query.bind(from).bind(to).bind(who)).await?;
    let merged = merged(tables, &rows).await?;
    let told = rows.iter().map(|row| LateTask {
        task: due_task(row, &merged, question),
        original_due: told(row.original_due, row.assignee, question),
        done_at: row.done_at,
        late_by_seconds: row.late_by_seconds.unwrap_or_default(),
        slips: row.slips,
    });
    Ok(question.asked.page(told.collect(), |row| row.task.task.0))
}

pub(super) async fn slipped(
    tables: &mut Tables<'_>,
    question: Question<'_>,
) -> Result<Listed<SlippedTask>, sqlx::Error> {
    let who = question.who.ids();
    let rows = tables.which::<TaskRow>(SLIPPED, |query| query.bind(who)).await?;
    let merged = merged(tables, &rows).await?;
    let told = rows.iter().map(|row| SlippedTask {
        task: due_task(row, &merged, question),
        original_due: told(row.original_due, row.assignee, question),
        slips: row.slips,
        slip_days: row.slip_days,
        snoozes: row.snoozes,
    });
    Ok(question.asked.page(told.collect(), |row| row.task.task.0))
}

async fn merged(tables: &mut Tables<'_>, rows: &[TaskRow]) -> Result<BTreeMap<DealId, DealId>, sqlx::Error> {
    merged_into(tables, rows.iter().flat_map(|row| &row.deals).copied().collect()).await
}

fn due_task(row: &TaskRow, merged: &BTreeMap<DealId, DealId>, question: Question<'_>) -> DueTask {
    let deals: BTreeSet<DealId> = row.deals.iter().map(|deal| survivor(merged, *deal)).collect();
    DueTask {
        task: row.task_id,
        subject: row.subject.clone(),
        assignee: question.who.person(row.assignee),
        deals: deals.into_iter().collect(),
        due: told(row.due, row.assignee, question),
        is_overdue: row.is_overdue(question.at),
    }
}

fn told(due: domain::Due, assignee: UserId, question: Question<'_>) -> Due {
    let zone = question.who.zone(due, assignee);
    let at = match due {
        domain::Due::Day { .. } => None,
        domain::Due::At(at) => Some(at),
    };
    Due { day: due_day(due, zone), zone, at }
}
