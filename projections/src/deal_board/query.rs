//! One look at the board of a pipeline.

use super::facts::PipelineRow;
use crate::ask::{AskError, find};
use crate::rows::{exact, parsed};
use crate::sql::sql;
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use kvali_domain::access::Reach;
use kvali_domain::money::Currency;
use kvali_domain::pipeline::{Class, Stage};
use kvali_domain::{CompanyId, ContactId, DealId, Due, Money, StageId, TaskId, UserId};
use kvali_eventstore::project::{Look, Query};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Which cards are asked for. Columns count all that pass the filters, cards come page by page.
#[derive(Clone, Debug)]
pub struct Ask {
    /// By name or id, as stage and owner are.
    pub pipeline: String,
    pub stage: Option<String>,
    pub owner: Option<String>,
    /// Whose cards there are at all.
    pub reach: Reach,
    pub sort: Sort,
    pub limit: i64,
    /// Go on after this card.
    pub after: Option<Place>,
}

/// Where a card stands among the others; that it moves on meanwhile does not matter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    #[serde(with = "rust_decimal::serde::str")]
    key: Decimal,
    deal: DealId,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.key, self.deal)
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("{0:?} is no place on a board; give one as it was given out")]
pub struct NotAPlace(String);

impl std::str::FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let place = text
            .split_once('/')
            .and_then(|(key, deal)| Some(Self { key: key.parse().ok()?, deal: DealId(deal.parse().ok()?) }));
        place.ok_or_else(|| NotAPlace(text.to_owned()))
    }
}

/// What comes first.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// The longest in its stage; those that entered at no known time last.
    #[default]
    Age,
    /// The largest amount, whatever its currency; those without a value last.
    Value,
    /// The earliest expected close; those without one last.
    Close,
    /// The longest without activity.
    Activity,
    /// The next task that is due first; those without an open task last.
    Task,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("sort {0:?} is none of age, value, close, activity, task")]
pub struct NotASort(String);

impl std::str::FromStr for Sort {
    type Err = NotASort;

    fn from_str(text: &str) -> Result<Self, NotASort> {
        let known = SORTS.iter().find(|(_, word, _)| *word == text);
        known.map(|(sort, ..)| *sort).ok_or_else(|| NotASort(text.to_owned()))
    }
}

/// The number that cards are in ascending order of; what has none stands at the end, or at the beginning.
const SORTS: [(Sort, &str, &str); 5] = [
    (Sort::Age, "age", "coalesce(extract(epoch from {card}.entered_at), 7e28)"),
    (Sort::Value, "value", "coalesce(-{card}.amount, 7e28)"),
    (Sort::Close, "close", "coalesce(extract(epoch from {card}.expected_close), 7e28)"),
    (Sort::Activity, "activity", "coalesce(extract(epoch from {card}.last_activity_at), -7e28)"),
    (
        Sort::Task,
        "task",
        "coalesce((select extract(epoch from min(t.due_at)) from unnest({card}.deal_id || {card}.merged) of (id) cross join lateral \
         (select due_at from {schema}.open_task where tenant_id = $1 and deal_id = of.id order by due_at limit 1) t), \
         7e28)",
    ),
];

impl Sort {
    fn key(self) -> String {
        let known = SORTS.iter().find(|(sort, ..)| *sort == self);
        known.expect("every order is in the table").2.replace("{card}", "c")
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Board {
    pub pipeline: String,
    /// The open stages in order.
    pub columns: Vec<Column>,
    pub cards: Vec<Card>,
    /// Whether there are cards after these.
    pub more: bool,
    /// Where they begin.
    #[serde(skip)]
    pub next: Option<Place>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Column {
    pub stage: String,
    pub stage_id: StageId,
    pub deals: i64,
    /// One per currency; deals without a value are in none.
    pub sums: Vec<Money>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Card {
    pub deal: DealId,
    /// Names are absent where there is none, or nobody can read it any more.
    pub title: Option<String>,
    pub stage: String,
    pub stage_id: StageId,
    pub owner: Option<UserId>,
    pub owner_name: Option<String>,
    pub contact: Option<ContactId>,
    pub contact_name: Option<String>,
    pub company: Option<CompanyId>,
    pub company_name: Option<String>,
    pub value: Option<Money>,
    pub entered_at: Option<DateTime<Utc>>,
    /// From the entry into its stage to T.
    pub age_seconds: Option<i64>,
    pub last_activity_at: Option<DateTime<Utc>>,
    pub expected_close: Option<NaiveDate>,
    /// The last day of a hold that is not over at T, by the calendar in UTC.
    pub on_hold_until: Option<NaiveDate>,
    pub next_task: Option<NextTask>,
}

impl Card {
    /// Whom and what it calls by name.
    pub fn named(&self) -> impl Iterator<Item = Uuid> {
        let deal = self.title.as_ref().map(|_| self.deal.0);
        let owner = self.owner_name.as_ref().and(self.owner).map(|id| id.0);
        let contact = self.contact_name.as_ref().and(self.contact).map(|id| id.0);
        let company = self.company_name.as_ref().and(self.company).map(|id| id.0);
        [deal, owner, contact, company].into_iter().flatten()
    }
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, JsonSchema)]
pub struct NextTask {
    pub task: TaskId,
    pub due: Due,
    /// At T.
    pub is_overdue: bool,
}

/// A card as the statement gives it.
#[derive(Deserialize)]
struct Found {
    deal_id: DealId,
    title: Option<String>,
    stage_id: StageId,
    owner: Option<UserId>,
    owner_name: Option<String>,
    contact: Option<ContactId>,
    contact_name: Option<String>,
    company: Option<CompanyId>,
    company_name: Option<String>,
    #[serde(with = "exact")]
    amount: Option<Decimal>,
    currency: Option<String>,
    entered_at: Option<DateTime<Utc>>,
    last_activity_at: Option<DateTime<Utc>>,
    expected_close: Option<NaiveDate>,
    on_hold_until: Option<NaiveDate>,
    task_id: Option<TaskId>,
    due: Option<Due>,
    #[serde(with = "exact")]
    sort_key: Option<Decimal>,
}

impl Found {
    fn place(&self) -> Option<Place> {
        Some(Place { key: self.sort_key?, deal: self.deal_id })
    }
}

const PIPELINES: &str = "select row_to_json(p)::text from {schema}.pipeline p where tenant_id = $1";

const USERS: &str =
    "select id, coalesce(name, id::text) from {schema}.called where tenant_id = $1 and is_user";

const COLUMNS: &str = "select stage_id, currency, count(*), sum(amount) from {schema}.card \
    where tenant_id = $1 and pipeline_id = $2 and is_on_board and ($3::uuid is null or owner = $3) \
    and ($4::uuid is null or stage_id = $4) and ($5::uuid[] is null or owner is null or owner = any ($5)) group by stage_id, currency order by stage_id, currency";

const CARDS: &str = include_str!("cards.sql");

#[async_trait]
impl Query for Ask {
    type Answer = Board;
    type Error = AskError;

    async fn ask(self, look: &mut Look<'_>) -> Result<Board, AskError> {
        let pipeline = self.pipeline(look).await?;
        let stages: Vec<(Uuid, String)> =
            pipeline.stages.iter().map(|stage| (stage.id.0, stage.name.clone())).collect();
        let stage = self.stage.as_deref().map(|name| find("stage", name, &stages)).transpose()?;
        let owner = self.owner(look).await?;
        let ground = Ground { pipeline: &pipeline, stage, owner, reach: self.reach.owners() };
        let columns = ground.columns(look).await?;
        let (cards, next) = ground.cards(&self, look).await?;
        Ok(Board { pipeline: pipeline.name.clone(), columns, cards, more: next.is_some(), next })
    }
}

impl Ask {
    async fn pipeline(&self, look: &mut Look<'_>) -> Result<PipelineRow, AskError> {
        let rows: Vec<String> = sqlx::query_scalar(sql(look.schema, PIPELINES))
            .bind(look.tenant.0)
            .fetch_all(&mut *look.connection)
            .await?;
        let rows = rows.iter().map(|json| parsed(json)).collect::<Result<Vec<PipelineRow>, _>>()?;
        let known: Vec<_> = rows.iter().map(|row| (row.pipeline_id.0, row.name.clone())).collect();
        let id = find("pipeline", &self.pipeline, &known)?;
        Ok(rows.into_iter().find(|row| row.pipeline_id.0 == id).expect("it is one of those"))
    }

    async fn owner(&self, look: &mut Look<'_>) -> Result<Option<Uuid>, AskError> {
        let Some(name) = &self.owner else { return Ok(None) };
        let known: Vec<(Uuid, String)> = sqlx::query_as(sql(look.schema, USERS))
            .bind(look.tenant.0)
            .fetch_all(&mut *look.connection)
            .await?;
        find("owner", name, &known).map(Some)
    }
}

/// What the names of the question mean.
struct Ground<'a> {
    pipeline: &'a PipelineRow,
    stage: Option<Uuid>,
    owner: Option<Uuid>,
    reach: Option<Vec<Uuid>>,
}

impl Ground<'_> {
    async fn columns(&self, look: &mut Look<'_>) -> Result<Vec<Column>, AskError> {
        type Sum = (Uuid, Option<String>, i64, Option<Decimal>);
        let rows: Vec<Sum> = sqlx::query_as(sql(look.schema, COLUMNS))
            .bind(look.tenant.0)
            .bind(self.pipeline.pipeline_id.0)
            .bind(self.owner)
            .bind(self.stage)
            .bind(&self.reach)
            .fetch_all(&mut *look.connection)
            .await?;
        let mut sums: BTreeMap<StageId, (i64, Vec<Money>)> = BTreeMap::new();
        for (stage, currency, deals, amount) in rows {
            let (count, worth) = sums.entry(StageId(stage)).or_default();
            *count += deals;
            worth.extend(money(amount, currency.as_deref()));
        }
        let column = |stage: &Stage| {
            let (deals, sums) = sums.get(&stage.id).cloned().unwrap_or_default();
            Column { stage: stage.name.clone(), stage_id: stage.id, deals, sums }
        };
        Ok(self.pipeline.stages.iter().filter(|stage| self.shows(stage, &sums)).map(column).collect())
    }

    fn shows(&self, stage: &Stage, sums: &BTreeMap<StageId, (i64, Vec<Money>)>) -> bool {
        let in_force = stage.class == Class::Process && !self.pipeline.retired.contains(&stage.id);
        let asked = self.stage.is_none_or(|asked| asked == stage.id.0);
        asked && (in_force || sums.contains_key(&stage.id))
    }

    async fn cards(&self, ask: &Ask, look: &mut Look<'_>) -> Result<(Vec<Card>, Option<Place>), AskError> {
        let limit = ask.limit.clamp(1, MOST);
        let statement = CARDS.replace("{key}", &ask.sort.key());
        let rows: Vec<String> = sqlx::query_scalar(sql(look.schema, &statement))
            .bind(look.tenant.0)
            .bind(self.pipeline.pipeline_id.0)
            .bind(self.owner)
            .bind(self.stage)
            .bind(ask.after.map(|after| after.key))
            .bind(limit + 1)
            .bind(&self.reach)
            .bind(ask.after.map(|after| after.deal.0))
            .fetch_all(&mut *look.connection)
            .await?;
        let page = usize::try_from(limit).expect("a page is small");
        let found = rows.iter().take(page).map(|json| parsed(json));
        let found = found.collect::<Result<Vec<Found>, _>>()?;
        let next = found.last().filter(|_| rows.len() > page).and_then(Found::place);
        Ok((found.into_iter().map(|found| self.card(found, look.at)).collect(), next))
    }

    fn card(&self, found: Found, at: DateTime<Utc>) -> Card {
        let stage = self.pipeline.stages.iter().find(|stage| stage.id == found.stage_id);
        let task = found.task_id.zip(found.due);
        Card {
            deal: found.deal_id,
            title: found.title,
            stage: stage.map_or_else(|| found.stage_id.to_string(), |stage| stage.name.clone()),
            stage_id: found.stage_id,
            owner: found.owner,
            owner_name: found.owner_name,
            contact: found.contact,
            contact_name: found.contact_name,
            company: found.company,
            company_name: found.company_name,
            value: money(found.amount, found.currency.as_deref()),
            entered_at: found.entered_at,
            age_seconds: found.entered_at.map(|entered| (at - entered).num_seconds()),
            last_activity_at: found.last_activity_at,
            expected_close: found.expected_close,
            on_hold_until: found.on_hold_until.filter(|until| *until >= at.date_naive()),
            next_task: task.map(|(task, due)| NextTask { task, due, is_overdue: due.is_past(at) }),
        }
    }
}

/// Cards that one answer holds, at most.
const MOST: i64 = 1_000;

fn money(amount: Option<Decimal>, currency: Option<&str>) -> Option<Money> {
    let currency = Currency::parse(currency?)?;
    Some(Money { amount: amount?, currency })
}
