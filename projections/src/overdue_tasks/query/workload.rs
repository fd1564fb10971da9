//! How much everybody has to do, and how much they take on.

use super::super::answer::{Listed, Workload};
use super::super::cause::capacity;
use super::super::clock::{day, due_day, monday};
use super::super::record::{AbsenceRow, CapacityRow, TaskRow};
use super::Question;
use super::tasks::is_due_today;
use crate::rows::Tables;
use crate::sql::sql;
use kvali_domain::UserId;
use kvali_domain::user::Period;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use uuid::Uuid;

const OPEN: &str = "select assignee, count(*), count(*) filter (where overdue_from <= $2) from {schema}.task \
    where tenant_id = $1 and standing = 'open' and ($3 is null or assignee = any($3)) group by 1";

/// Those whose day may lie in this week somewhere.
const THIS_WEEK: &str = "standing = 'open' and ($3 is null or assignee = any($3)) \
    and (overdue_from between $2 - interval '9 days' and $2 + interval '10 days' or deferred_until is not null)";

/// Everybody who has something to do, or could.
pub(super) async fn workload(
    tables: &mut Tables<'_>,
    question: Question<'_>,
) -> Result<Listed<Workload>, sqlx::Error> {
    let (at, who) = (question.at, question.who.ids());
    let open: Vec<(Uuid, i64, i64)> = sqlx::query_as(sql(tables.schema, OPEN))
        .bind(tables.tenant.0)
        .bind(at)
        .bind(&who)
        .fetch_all(&mut *tables.connection)
        .await?;
    let week = tables.which::<TaskRow>(THIS_WEEK, |query| query.bind(at).bind(who)).await?;
    let people: Vec<UserId> = question.who.everybody().into_iter().collect();
    let ids = || people.iter().map(|person| person.0).collect::<Vec<_>>();
    let absences: Vec<AbsenceRow> = tables.by("user_id", ids()).await?;
    let capacities: Vec<CapacityRow> = tables.by("user_id", ids()).await?;
    let mut told: BTreeMap<UserId, Workload> = BTreeMap::new();
    for person in people {
        told.insert(person, nothing(person, &absences, &capacities, question));
    }
    for (person, open, overdue) in open {
        if let Some(workload) = told.get_mut(&UserId(person)) {
            (workload.open, workload.overdue) = (open, overdue);
        }
    }
    for row in &week {
        if let Some(workload) = told.get_mut(&row.assignee) {
            workload.due_today += i64::from(is_due_today(row, question));
            workload.due_this_week += i64::from(is_due_this_week(row, question));
        }
    }
    let mut rows: Vec<Workload> = told.into_values().collect();
    rows.sort_by_key(|row| (Reverse(row.overdue), Reverse(row.open), row.person.name.clone()));
    Ok(question.asked.page(rows, |row| row.person.id.0))
}

fn nothing(
    person: UserId,
    absences: &[AbsenceRow],
    capacities: &[CapacityRow],
    question: Question<'_>,
) -> Workload {
    let away = absences.iter().find(|absence| absence.user_id == person && absence.covers(question.at));
    Workload {
        person: question.who.person(person),
        open: 0,
        overdue: 0,
        due_today: 0,
        due_this_week: 0,
        capacity_per_day: capacity(capacities, person, Period::Day, question.at),
        capacity_per_week: capacity(capacities, person, Period::Week, question.at),
        is_absent: away.is_some(),
        absent_until: away.map(|absence| absence.last_day),
    }
}

fn is_due_this_week(row: &TaskRow, question: Question<'_>) -> bool {
    let zone = question.who.zone(row.due, row.assignee);
    monday(due_day(row.due, zone)) == monday(day(question.at, zone))
}
