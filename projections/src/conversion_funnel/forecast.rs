//! What will be won in a period: open deals by forecast category and weighted by probability, beside what was won.

use super::model::{ConversionFunnel, category, money};
use super::population::Period;
use super::query::QueryError;
use crate::sql::sql;
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use kvali_domain::access::Reach;
use kvali_domain::money::Currency;
use kvali_domain::pipeline::{ForecastCategory, folded};
use kvali_domain::{Money, PipelineId, TenantId, UserId};
use kvali_eventstore::Store;
use kvali_eventstore::project::{AsOf, Look, Query};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// What is asked: a pipeline, and the local days `[from, to)` in which deals are expected to close, or were won.
#[derive(Clone, PartialEq, Debug)]
pub struct Forecast {
    /// By name or by id.
    pub pipeline: String,
    pub from: NaiveDate,
    pub to: NaiveDate,
    pub zone: Tz,
    /// Whose deals count.
    pub reach: Reach,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct ForecastAnswer {
    pub pipeline: String,
    pub from: NaiveDate,
    pub to: NaiveDate,
    #[schemars(with = "String")]
    pub zone: Tz,
    /// T, at which the deals stood as counted.
    pub at: DateTime<Utc>,
    pub position: i64,
    pub currencies: Vec<ForecastCurrency>,
    /// Deals that would count and have no value.
    pub without_value: u64,
    /// Open deals without a probability of their own or of their stage; weighted they count as nothing.
    pub without_probability: u64,
    pub by_owner: Vec<ForecastOwner>,
    /// Streams that are missing in it, since an event of theirs could not be folded.
    #[serde(skip)]
    pub parked: i64,
    #[serde(skip)]
    pipeline_id: PipelineId,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct ForecastOwner {
    /// Null: the deals that nobody owns.
    pub owner: Option<UserId>,
    pub owner_name: Option<String>,
    pub currencies: Vec<ForecastCurrency>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct ForecastCurrency {
    pub currency: Currency,
    /// Open deals and won ones; omitted and lost ones are not among them.
    pub deals: u64,
    #[serde(flatten)]
    pub rollup: Rollup,
}

/// Amounts, each category with those above it: `pipeline` holds all of them, `closed` what was won.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, JsonSchema)]
pub struct Rollup {
    pub pipeline: Decimal,
    pub best_case: Decimal,
    pub most_likely: Decimal,
    pub commit: Decimal,
    pub closed: Decimal,
    /// Amounts by their probability; what was won, whole.
    pub weighted: Decimal,
}

/// How near an earlier forecast came to what was won: `1 - |forecast - actual| / actual`, null where nothing was won.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Accuracy {
    pub currency: Currency,
    pub horizon_days: i64,
    /// The instant of the earlier forecast, by what was known then.
    pub as_of: DateTime<Utc>,
    pub actual: Decimal,
    pub forecast: Rollup,
    pub accuracy: Option<Rollup>,
    /// `(forecast - actual) / actual`: above zero where too much was expected.
    pub bias: Option<Rollup>,
}

/// One deal that counts.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Expected {
    pub(super) owner: Option<UserId>,
    pub(super) value: Option<Money>,
    /// Won ones are `closed`.
    pub(super) category: ForecastCategory,
    pub(super) probability: Option<i32>,
}

/// A stage that says nothing of forecasts counts as pipeline.
const EXPECTED: &str = "select d.owner, o.name, d.amount, d.currency, \
    case when d.outcome = 'won' then 'closed' else coalesce(d.category, f.category, 'pipeline') end as category, \
    case when d.outcome = 'won' then 100 else coalesce(d.probability, f.probability) end as probability \
    from {schema}.deal d \
    join {schema}.visit v on v.tenant_id = $1 and v.deal_id = d.deal_id and v.visit = d.visits \
    left join {schema}.stage_forecast f on f.tenant_id = $1 and f.pipeline_id = d.pipeline_id and f.stage_id = v.stage_id \
    left join {schema}.owner o on o.tenant_id = $1 and o.user_id = d.owner \
    where d.tenant_id = $1 and d.pipeline_id = $2 and d.merged_into is null \
      and ((d.outcome = 'open' and d.expected_close >= $3 and d.expected_close < $4) \
        or (d.outcome = 'won' and d.closed_at >= $5 and d.closed_at < $6))";

const PIPELINES: &str = "select distinct on (pipeline_id) pipeline_id, name from {schema}.pipeline \
    where tenant_id = $1 order by pipeline_id, version desc";

struct Ask {
    question: Forecast,
    period: Period,
    /// Where it is known already, so that a past without it is no error.
    pipeline: Option<(PipelineId, String)>,
}

#[async_trait]
impl Query for Ask {
    type Answer = ForecastAnswer;
    type Error = QueryError;

    async fn ask(self, look: &mut Look<'_>) -> Result<ForecastAnswer, QueryError> {
        let (pipeline, name) = match self.pipeline {
            Some(known) => known,
            None => find(look, &self.question.pipeline).await?,
        };
        let rows = sqlx::query(sql(look.schema, EXPECTED))
            .bind(look.tenant.0)
            .bind(pipeline.0)
            .bind(self.question.from)
            .bind(self.question.to)
            .bind(self.period.from())
            .bind(self.period.to())
            .fetch_all(&mut *look.connection)
            .await?;
        let mut names = BTreeMap::new();
        let mut deals = Vec::with_capacity(rows.len());
        for row in &rows {
            let deal = expected(row)?;
            if self.question.reach.covers(deal.owner) {
                names.insert(deal.owner, row.try_get("name")?);
                deals.push(deal);
            }
        }
        let Forecast { from, to, zone, .. } = self.question;
        let counts = |deal: &&Expected| deal.category != ForecastCategory::Omitted;
        let without = |missing: fn(&Expected) -> bool| {
            deals.iter().filter(counts).filter(|deal| missing(deal)).count() as u64
        };
        Ok(ForecastAnswer {
            pipeline: name,
            from,
            to,
            zone,
            at: look.at,
            position: look.position,
            currencies: rolled_up(deals.iter()),
            without_value: without(|deal| deal.value.is_none()),
            without_probability: without(|deal| deal.probability.is_none()),
            by_owner: names
                .into_iter()
                .map(|(owner, owner_name)| ForecastOwner {
                    owner,
                    owner_name,
                    currencies: rolled_up(deals.iter().filter(|deal| deal.owner == owner)),
                })
                .collect(),
            parked: 0,
            pipeline_id: pipeline,
        })
    }
}

async fn find(look: &mut Look<'_>, name: &str) -> Result<(PipelineId, String), QueryError> {
    let known: Vec<(Uuid, String)> = sqlx::query_as(sql(look.schema, PIPELINES))
        .bind(look.tenant.0)
        .fetch_all(&mut *look.connection)
        .await?;
    let is_it =
        |(id, known): &&(Uuid, String)| folded(known) == folded(name) || id.to_string() == folded(name);
    match known.iter().find(is_it) {
        Some((id, name)) => Ok((PipelineId(*id), name.clone())),
        None => Err(QueryError::NoSuchPipeline {
            name: name.to_owned(),
            known: known.into_iter().map(|(_, name)| name).collect(),
        }),
    }
}

fn expected(row: &PgRow) -> Result<Expected, sqlx::Error> {
    Ok(Expected {
        owner: row.try_get::<Option<_>, _>("owner")?.map(UserId),
        value: money(row, "amount", "currency")?,
        category: category(row.try_get("category")?).unwrap_or(ForecastCategory::Pipeline),
        probability: row.try_get("probability")?,
    })
}

/// The deals' amounts by currency.
pub(super) fn rolled_up<'a>(deals: impl Iterator<Item = &'a Expected>) -> Vec<ForecastCurrency> {
    let mut sums: BTreeMap<Currency, (u64, Rollup)> = BTreeMap::new();
    for deal in deals.filter(|deal| deal.category != ForecastCategory::Omitted) {
        let Some(Money { amount, currency }) = deal.value else { continue };
        let (deals, rollup) = sums.entry(currency).or_default();
        *deals += 1;
        rollup.add(amount, deal.category, deal.probability.unwrap_or_default());
    }
    let of = |(currency, (deals, rollup))| ForecastCurrency { currency, deals, rollup };
    sums.into_iter().map(of).collect()
}

impl Rollup {
    /// Each category counts in those below it, too.
    fn add(&mut self, amount: Decimal, category: ForecastCategory, percent: i32) {
        let steps = [
            (ForecastCategory::Closed, &mut self.closed),
            (ForecastCategory::Commit, &mut self.commit),
            (ForecastCategory::MostLikely, &mut self.most_likely),
            (ForecastCategory::BestCase, &mut self.best_case),
            (ForecastCategory::Pipeline, &mut self.pipeline),
        ];
        for (_, sum) in steps.into_iter().skip_while(|(known, _)| *known != category) {
            *sum = sum.saturating_add(amount);
        }
        let weighted = amount.saturating_mul(percent.into()) / Decimal::ONE_HUNDRED;
        self.weighted = self.weighted.saturating_add(weighted);
    }

    fn map(self, of: impl Fn(Decimal) -> Decimal) -> Self {
        Self {
            pipeline: of(self.pipeline),
            best_case: of(self.best_case),
            most_likely: of(self.most_likely),
            commit: of(self.commit),
            closed: of(self.closed),
            weighted: of(self.weighted),
        }
    }
}

/// The forecast as of `as_of`; `now` is T when nothing else sets it.
pub async fn forecast(
    store: &Store,
    tenant: TenantId,
    question: &Forecast,
    as_of: AsOf,
    now: DateTime<Utc>,
    progress: &(dyn Fn(i64, i64) + Sync),
) -> Result<ForecastAnswer, QueryError> {
    ask(store, tenant, question, None, as_of, (now, progress)).await
}

/// How near the forecast of `horizon_days` before the period's start came to what was won by `now`.
pub async fn accuracy(
    store: &Store,
    tenant: TenantId,
    question: &Forecast,
    horizon_days: i64,
    now: DateTime<Utc>,
    progress: &(dyn Fn(i64, i64) + Sync),
) -> Result<Vec<Accuracy>, QueryError> {
    let actual = ask(store, tenant, question, None, AsOf::NOW, (now, progress)).await?;
    let start = Period::of_days(question.from, question.to, question.zone)?.from();
    let back = TimeDelta::try_days(horizon_days).and_then(|days| start.checked_sub_signed(days));
    let as_of = back.ok_or(QueryError::HorizonTooFar { horizon_days })?;
    let pipeline = Some((actual.pipeline_id, actual.pipeline.clone()));
    let earlier = ask(store, tenant, question, pipeline, AsOf::known(as_of), (now, progress)).await?;
    Ok(compared(&earlier.currencies, &actual.currencies, horizon_days, as_of))
}

async fn ask(
    store: &Store,
    tenant: TenantId,
    question: &Forecast,
    pipeline: Option<(PipelineId, String)>,
    as_of: AsOf,
    (now, progress): (DateTime<Utc>, &(dyn Fn(i64, i64) + Sync)),
) -> Result<ForecastAnswer, QueryError> {
    let period = Period::of_days(question.from, question.to, question.zone)?;
    let ask = Ask { question: question.clone(), period, pipeline };
    let answered = store.ask(Arc::new(ConversionFunnel), tenant, as_of, now, progress, ask).await?;
    Ok(ForecastAnswer { parked: answered.parked, ..answered.answer })
}

/// Every currency that either knows.
pub(super) fn compared(
    earlier: &[ForecastCurrency],
    actual: &[ForecastCurrency],
    horizon_days: i64,
    as_of: DateTime<Utc>,
) -> Vec<Accuracy> {
    let of = |known: &[ForecastCurrency], currency: Currency| {
        let found = known.iter().find(|known| known.currency == currency);
        found.map(|found| found.rollup).unwrap_or_default()
    };
    let mut currencies: Vec<Currency> = earlier.iter().chain(actual).map(|known| known.currency).collect();
    currencies.sort_unstable();
    currencies.dedup();
    let one = |currency| {
        let (forecast, won) = (of(earlier, currency), of(actual, currency).closed);
        let ratio = |difference: Decimal| difference.checked_div(won).unwrap_or_default().round_dp(6);
        let is_known = won > Decimal::ZERO;
        Accuracy {
            currency,
            horizon_days,
            as_of,
            actual: won,
            forecast,
            accuracy: is_known.then(|| forecast.map(|sum| Decimal::ONE - ratio((sum - won).abs()))),
            bias: is_known.then(|| forecast.map(|sum| ratio(sum - won))),
        }
    };
    currencies.into_iter().map(one).collect()
}
