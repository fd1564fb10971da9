//! The facts as tables: a batch loads the rows that it touches, folds, and writes each changed row once.

mod writing;

use super::facts::{DealFact, Facts, Tracked, VisitFact, Wanted, stored_config};
use super::standing::Standing;
use crate::sql::sql;
use async_trait::async_trait;
use kvali_domain::deal::Outcome;
use kvali_domain::money::Currency;
use kvali_domain::pipeline::ForecastCategory;
use kvali_domain::{ActorId, DealId, LossReasonId, Money, PipelineId, StageId, TenantId, UserId};
use kvali_eventstore::project::{Batch, Projection};
use rust_decimal::Decimal;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Executor, PgConnection, Postgres, Row};
use uuid::Uuid;

/// Stage visits and deals: what every funnel, win rate and duration is counted from.
#[derive(Clone, Copy, Debug)]
pub struct ConversionFunnel;

#[async_trait]
impl Projection for ConversionFunnel {
    fn name(&self) -> &'static str {
        "conversion_funnel"
    }

    fn version(&self) -> i32 {
        4
    }

    fn schema(&self) -> &'static str {
        include_str!("schema.sql")
    }

    fn views(&self) -> &'static str {
        include_str!("views.sql")
    }

    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut tables = Tables { tenant: batch.tenant, schema: batch.schema, connection: into };
        let wanted = Wanted::of(batch.events);
        let mut facts = tables.load(&wanted).await?;
        for event in batch.events {
            facts.apply(event);
        }
        let standing = Standing::before(&mut tables, wanted.touched, &facts.funnels).await?;
        tables.write(&facts).await?;
        standing.after(&mut tables, &facts.funnels).await
    }
}

pub(super) struct Tables<'a> {
    pub(super) tenant: TenantId,
    pub(super) schema: &'a str,
    pub(super) connection: &'a mut PgConnection,
}

/// Deal by deal, so that the key serves it: of a table without statistics the planner would expect one row, and read
/// all of them.
const DEALS: &str = "select d.* from unnest($2::uuid[]) x (id) cross join lateral (select deal_id, pipeline_id, owner, \
    source, external_id, opened_position, created_at, outcome, closed_at, loss_reason, amount, currency, visits, \
    merged_into, expected_close, probability, category \
    from {schema}.deal where tenant_id = $1 and deal_id = x.id limit 1) d";

const LAST_VISITS: &str = "select v.* from unnest($2::uuid[]) x (id) cross join lateral (select visits \
    from {schema}.deal where tenant_id = $1 and deal_id = x.id limit 1) d cross join lateral (select * \
    from {schema}.visit where tenant_id = $1 and deal_id = x.id and visit = d.visits limit 1) v";

const NAMED_VISITS: &str = "select v.* from unnest($2::uuid[], $3::int[]) w (deal_id, visit) \
    join {schema}.visit v on v.tenant_id = $1 and v.deal_id = w.deal_id and v.visit = w.visit";

const LAST_VERSIONS: &str = "select distinct on (pipeline_id) pipeline_id, version, name, stages::text \
    from {schema}.pipeline where tenant_id = $1 and pipeline_id = any($2) order by pipeline_id, version desc";

impl Tables<'_> {
    pub(super) fn query(&self, statement: &str) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(sql(self.schema, statement)).bind(self.tenant.0)
    }

    /// Whether the planner may, for the statements that follow in this transaction.
    pub(super) async fn plan_nested_loops(&mut self, may: bool) -> Result<(), sqlx::Error> {
        let set = if may { "set local enable_nestloop = on" } else { "set local enable_nestloop = off" };
        self.connection.execute(set).await?;
        Ok(())
    }

    pub(super) async fn execute(
        &mut self,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Result<(), sqlx::Error> {
        query.execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn load(&mut self, wanted: &Wanted) -> Result<Facts, sqlx::Error> {
        let mut facts = Facts::default();
        let deals: Vec<Uuid> = wanted.deals.iter().map(|deal| deal.0).collect();
        if !deals.is_empty() {
            for row in self.query(DEALS).bind(&deals).fetch_all(&mut *self.connection).await? {
                facts.deals.insert(DealId(row.try_get("deal_id")?), Tracked::stored(deal(&row)?));
            }
            let mut visits = self.query(LAST_VISITS).bind(&deals).fetch_all(&mut *self.connection).await?;
            if !wanted.visits.is_empty() {
                let (ids, numbers): (Vec<Uuid>, Vec<i32>) =
                    wanted.visits.iter().map(|(deal, number)| (deal.0, *number)).unzip();
                let named = self.query(NAMED_VISITS).bind(ids).bind(numbers);
                visits.extend(named.fetch_all(&mut *self.connection).await?);
            }
            for row in visits {
                let id = (DealId(row.try_get("deal_id")?), row.try_get("visit")?);
                facts.visits.insert(id, Tracked::stored(visit(&row)?));
            }
        }
        let pipelines: Vec<Uuid> = wanted.pipelines.iter().map(|pipeline| pipeline.0).collect();
        if !pipelines.is_empty() {
            for row in self.query(LAST_VERSIONS).bind(&pipelines).fetch_all(&mut *self.connection).await? {
                let (id, version) = (PipelineId(row.try_get("pipeline_id")?), row.try_get("version")?);
                let config = stored_config(row.try_get("name")?, version, stages(&row)?);
                facts.pipelines.insert((id, version), Tracked::stored(config));
            }
        }
        Ok(facts)
    }
}

/// The money in two columns.
pub(super) fn money(row: &PgRow, amount: &str, currency: &str) -> Result<Option<Money>, sqlx::Error> {
    let amount: Option<Decimal> = row.try_get(amount)?;
    let currency: Option<&str> = row.try_get(currency)?;
    let currency = currency.and_then(Currency::parse);
    Ok(amount.zip(currency).map(|(amount, currency)| Money { amount, currency }))
}

const CATEGORIES: [(ForecastCategory, &str); 6] = [
    (ForecastCategory::Pipeline, "pipeline"),
    (ForecastCategory::BestCase, "best_case"),
    (ForecastCategory::MostLikely, "most_likely"),
    (ForecastCategory::Commit, "commit"),
    (ForecastCategory::Closed, "closed"),
    (ForecastCategory::Omitted, "omitted"),
];

fn category_word(category: ForecastCategory) -> &'static str {
    CATEGORIES.iter().find(|(known, _)| *known == category).map_or("omitted", |(_, word)| word)
}

pub(super) fn category(word: &str) -> Option<ForecastCategory> {
    CATEGORIES.iter().find(|(_, known)| *known == word).map(|(category, _)| *category)
}

pub(super) fn outcome(word: &str) -> Option<Outcome> {
    [Outcome::Won, Outcome::Lost].into_iter().find(|outcome| outcome.as_str() == word)
}

pub(super) fn stages(row: &PgRow) -> Result<Vec<kvali_domain::pipeline::Stage>, sqlx::Error> {
    let json: &str = row.try_get("stages")?;
    serde_json::from_str(json).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn deal(row: &PgRow) -> Result<DealFact, sqlx::Error> {
    Ok(DealFact {
        pipeline: PipelineId(row.try_get("pipeline_id")?),
        owner: row.try_get::<Option<_>, _>("owner")?.map(UserId),
        source: row.try_get("source")?,
        external_id: row.try_get("external_id")?,
        opened_position: row.try_get("opened_position")?,
        created_at: row.try_get("created_at")?,
        outcome: outcome(row.try_get("outcome")?),
        closed_at: row.try_get("closed_at")?,
        loss_reason: row.try_get::<Option<_>, _>("loss_reason")?.map(LossReasonId),
        value: money(row, "amount", "currency")?,
        visits: row.try_get("visits")?,
        merged_into: row.try_get::<Option<_>, _>("merged_into")?.map(DealId),
        // Written once, when the deal is opened.
        origin: None,
        expected_close: row.try_get("expected_close")?,
        probability: row.try_get("probability")?,
        category: row.try_get::<Option<&str>, _>("category")?.and_then(category),
    })
}

fn visit(row: &PgRow) -> Result<VisitFact, sqlx::Error> {
    Ok(VisitFact {
        pipeline: PipelineId(row.try_get("pipeline_id")?),
        pipeline_version: row.try_get("pipeline_version")?,
        stage: StageId(row.try_get("stage_id")?),
        mistaken_stage: row.try_get::<Option<_>, _>("mistaken_stage")?.map(StageId),
        entered_position: row.try_get("entered_position")?,
        entered_at: row.try_get("entered_at")?,
        recorded_at: row.try_get("recorded_at")?,
        left_position: row.try_get("left_position")?,
        left_at: row.try_get("left_at")?,
        next_stage: row.try_get::<Option<_>, _>("next_stage")?.map(StageId),
        next_pipeline: row.try_get::<Option<_>, _>("next_pipeline")?.map(PipelineId),
        actor: ActorId(row.try_get("actor")?),
        value: money(row, "amount", "currency")?,
    })
}
