//! Why a task became overdue, judged from what stood at the due instant: absent > overloaded > too short > neglected.

use super::clock::{day, due_day, due_zone, stored};
use super::record::{AbsenceRow, ActivityTypeRow, CapacityRow, DealRow, PersonRow, TaskRow, overdue_from};
use crate::rows::Tables;
use crate::sql::sql;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use kvali_domain::task::{CauseFacts, LeadTime, Load};
use kvali_domain::user::Period;
use kvali_domain::{ActivityTypeId, DealId, Due, TaskId, UserId};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A task that became overdue.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub task: TaskId,
    pub due: Due,
    pub since: DateTime<Utc>,
    assignee: UserId,
    activity_type: Option<ActivityTypeId>,
    deals: Vec<DealId>,
    created_at: Option<DateTime<Utc>>,
}

impl Case {
    pub(super) fn new(task: &TaskRow, due: Due, since: DateTime<Utc>, assignee: UserId) -> Self {
        Self {
            task: task.task_id,
            due,
            since,
            assignee,
            activity_type: task.activity_type,
            deals: task.deals.clone(),
            created_at: task.created_at,
        }
    }

    /// The last instant at which the task could be done in time.
    fn last_chance(&self) -> DateTime<Utc> {
        match self.due {
            Due::Day { .. } => self.since - TimeDelta::microseconds(1),
            Due::At(_) => self.since,
        }
    }

    /// From when it was made to its due.
    fn lead_minutes(&self) -> Option<i32> {
        let minutes = (stored(self.due.overdue_after()) - self.created_at?).num_minutes();
        Some(i32::try_from(minutes).unwrap_or(if minutes < 0 { i32::MIN } else { i32::MAX }))
    }
}

/// What is known of each case, in their order.
pub(super) async fn facts(tables: &mut Tables<'_>, cases: &[Case]) -> Result<Vec<CauseFacts>, sqlx::Error> {
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    let evidence = Evidence::of(tables, cases).await?;
    Ok((0..).zip(cases).map(|(nth, case)| evidence.facts(nth, case)).collect())
}

/// What was open then, as far as its day is near: when it was due, and how many such tasks there were.
type Open = (Due, Option<DateTime<Utc>>, i64);

struct Evidence {
    absences: Vec<AbsenceRow>,
    capacities: Vec<CapacityRow>,
    zones: BTreeMap<UserId, Tz>,
    lead_minutes: BTreeMap<ActivityTypeId, i32>,
    open: BTreeMap<(UserId, DateTime<Utc>), Vec<Open>>,
    /// By the place of the case.
    activities: BTreeMap<i32, i64>,
}

impl Evidence {
    async fn of(tables: &mut Tables<'_>, cases: &[Case]) -> Result<Self, sqlx::Error> {
        let users: BTreeSet<Uuid> = cases.iter().map(|case| case.assignee.0).collect();
        let people = tables.by::<PersonRow>("user_id", users.iter().copied()).await?;
        let types = tables.which::<ActivityTypeRow>("true", |query| query).await?;
        Ok(Self {
            absences: tables.by("user_id", users.iter().copied()).await?,
            capacities: tables.by("user_id", users).await?,
            zones: people.into_iter().filter_map(|person| Some((person.user_id, person.zone?))).collect(),
            lead_minutes: types
                .into_iter()
                .map(|row| (row.activity_type, row.minimum_lead_minutes))
                .collect(),
            open: open(tables, cases).await?,
            activities: activities(tables, cases).await?,
        })
    }

    fn facts(&self, nth: i32, case: &Case) -> CauseFacts {
        CauseFacts {
            absent: Some(self.is_absent(case)),
            load: self.load(case),
            lead_time: self.lead_time(case),
            activities: case.is_about_deals().then(|| {
                self.activities.get(&nth).map_or(0, |count| i32::try_from(*count).unwrap_or(i32::MAX))
            }),
        }
    }

    fn is_absent(&self, case: &Case) -> bool {
        let own = self.absences.iter().filter(|absence| absence.user_id == case.assignee);
        own.into_iter().any(|absence| absence.covers(case.last_chance()))
    }

    /// `None` where nobody has said how many tasks the assignee takes a day.
    fn load(&self, case: &Case) -> Option<Load> {
        let at = case.last_chance();
        let capacity = capacity(&self.capacities, case.assignee, Period::Day, at)?;
        let zone = due_zone(case.due).or_else(|| self.zones.get(&case.assignee).copied()).unwrap_or(Tz::UTC);
        let today = open_day(case.due, Some(case.since), zone);
        let open = self.open.get(&(case.assignee, at)).into_iter().flatten();
        let of_today = open.filter(|(due, deferred, _)| open_day(*due, *deferred, zone) == today);
        let open_tasks = of_today.map(|(.., count)| *count).sum::<i64>();
        Some(Load { open_tasks: i32::try_from(open_tasks).unwrap_or(i32::MAX), capacity })
    }

    fn lead_time(&self, case: &Case) -> Option<LeadTime> {
        let least_minutes = *self.lead_minutes.get(&case.activity_type?)?;
        Some(LeadTime { minutes: case.lead_minutes()?, least_minutes })
    }
}

impl Case {
    fn is_about_deals(&self) -> bool {
        !self.deals.is_empty() && self.created_at.is_some()
    }
}

/// How many tasks somebody took at that instant.
pub(super) fn capacity(
    known: &[CapacityRow],
    user: UserId,
    period: Period,
    at: DateTime<Utc>,
) -> Option<i32> {
    let same = known.iter().filter(|row| row.user_id == user && row.period == period && row.since <= at);
    same.max_by_key(|row| row.position).map(|row| row.count)
}

/// The local day that an open task counts on: that of its due, or of the end of its deferral if that is later.
fn open_day(due: Due, deferred_until: Option<DateTime<Utc>>, zone: Tz) -> NaiveDate {
    let later = deferred_until.filter(|until| *until > stored(due.overdue_after()));
    later.map_or_else(|| due_day(due, zone), |until| day(until, zone))
}

/// Two local days are never further apart than this, whatever their zones.
const NEAR: TimeDelta = TimeDelta::hours(52);

const OPEN: &str = "select x.assignee, x.at, t.due::text, t.deferred_until, count(*) \
    from unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[]) x (assignee, at, low, high) \
    cross join lateral ( \
      select due::text, deferred_until from {schema}.task \
       where tenant_id = $1 and assignee = x.assignee and standing = 'open' \
         and overdue_from between x.low and x.high and since <= x.at \
      union all \
      select due::text, deferred_until from {schema}.task_past \
       where tenant_id = $1 and assignee = x.assignee \
         and overdue_from between x.low and x.high and since <= x.at and until > x.at) t \
    group by 1, 2, 3, 4";

/// User, when, the due, until when it is deferred, how many.
type OpenRow = (Uuid, DateTime<Utc>, String, Option<DateTime<Utc>>, i64);

async fn open(
    tables: &mut Tables<'_>,
    cases: &[Case],
) -> Result<BTreeMap<(UserId, DateTime<Utc>), Vec<Open>>, sqlx::Error> {
    let asked: BTreeSet<_> = cases.iter().map(|case| (case.assignee, case.last_chance())).collect();
    let asked: Vec<_> = asked.into_iter().collect();
    let at = |shift: TimeDelta| asked.iter().map(|(_, at)| *at + shift).collect::<Vec<_>>();
    let rows: Vec<OpenRow> = sqlx::query_as(sql(tables.schema, OPEN))
        .bind(tables.tenant.0)
        .bind(asked.iter().map(|(user, _)| user.0).collect::<Vec<_>>())
        .bind(at(TimeDelta::zero()))
        .bind(at(-NEAR))
        .bind(at(NEAR))
        .fetch_all(&mut *tables.connection)
        .await?;
    let mut open: BTreeMap<_, Vec<Open>> = BTreeMap::new();
    for (user, at, due, deferred_until, count) in rows {
        let due: Due = serde_json::from_str(&due).map_err(|error| sqlx::Error::Decode(error.into()))?;
        open.entry((UserId(user), at)).or_default().push((due, deferred_until, count));
    }
    Ok(open)
}

const ACTIVITIES: &str = "select x.nth, count(distinct a.position) \
    from unnest($2::int[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::timestamptz[]) \
      x (nth, deal_id, actor, since, until) \
    cross join lateral ( \
      select position from {schema}.activity \
       where tenant_id = $1 and deal_id = x.deal_id and actor = x.actor \
         and at > x.since and at <= x.until offset 0) a \
    group by 1";

/// What each case's assignee did about its deals since the task was made.
async fn activities(tables: &mut Tables<'_>, cases: &[Case]) -> Result<BTreeMap<i32, i64>, sqlx::Error> {
    let merged = merged_into(tables, cases.iter().flat_map(|case| &case.deals).copied().collect()).await?;
    let mut asked = Vec::new();
    for (nth, case) in (0_i32..).zip(cases) {
        let Some(since) = case.created_at else { continue };
        let deals: BTreeSet<DealId> = case.deals.iter().flat_map(|deal| up(&merged, *deal)).collect();
        asked.extend(deals.into_iter().map(|deal| (nth, deal.0, case.assignee.0, since, case.last_chance())));
    }
    let counts: Vec<(i32, i64)> = sqlx::query_as(sql(tables.schema, ACTIVITIES))
        .bind(tables.tenant.0)
        .bind(asked.iter().map(|(nth, ..)| *nth).collect::<Vec<_>>())
        .bind(asked.iter().map(|(_, deal, ..)| *deal).collect::<Vec<_>>())
        .bind(asked.iter().map(|(_, _, actor, ..)| *actor).collect::<Vec<_>>())
        .bind(asked.iter().map(|(.., since, _)| *since).collect::<Vec<_>>())
        .bind(asked.iter().map(|(.., until)| *until).collect::<Vec<_>>())
        .fetch_all(&mut *tables.connection)
        .await?;
    Ok(counts.into_iter().collect())
}

/// What each of these deals was merged into, and what that was.
pub(super) async fn merged_into(
    tables: &mut Tables<'_>,
    mut wanted: BTreeSet<DealId>,
) -> Result<BTreeMap<DealId, DealId>, sqlx::Error> {
    let mut merged = BTreeMap::new();
    while !wanted.is_empty() {
        let rows = tables.by::<DealRow>("deal_id", wanted.iter().map(|deal| deal.0)).await?;
        let pairs: Vec<_> =
            rows.into_iter().filter_map(|row| Some((row.deal_id, row.merged_into?))).collect();
        wanted = pairs.iter().map(|(_, into)| *into).filter(|into| !merged.contains_key(into)).collect();
        merged.extend(pairs);
    }
    Ok(merged)
}

/// The deal, and what it is now.
pub(super) fn up(merged: &BTreeMap<DealId, DealId>, deal: DealId) -> BTreeSet<DealId> {
    let mut all = BTreeSet::new();
    let mut next = Some(deal);
    while let Some(deal) = next.filter(|deal| all.insert(*deal)) {
        next = merged.get(&deal).copied();
    }
    all
}

/// The deal that `deal` is now.
pub(super) fn survivor(merged: &BTreeMap<DealId, DealId>, deal: DealId) -> DealId {
    let mut all = BTreeSet::from([deal]);
    let mut last = deal;
    while let Some(next) = merged.get(&last).copied().filter(|next| all.insert(*next)) {
        last = next;
    }
    last
}

/// The case that a task is at an instant, if it is overdue then.
pub(super) fn case_of(task: &TaskRow) -> Case {
    debug_assert!(overdue_from(task.due, task.deferred_until) == task.overdue_from, "rows are settled");
    Case::new(task, task.due, task.since_when(), task.assignee)
}
