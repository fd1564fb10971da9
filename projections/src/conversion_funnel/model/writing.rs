//! What changed is written in bulk.

use super::super::facts::{Change, DealFact, Facts, VisitFact};
use super::{Tables, category_word};
use crate::sql::column;
use kvali_domain::deal::{Origin, Outcome};
use kvali_domain::{DealId, Money};
use rust_decimal::Decimal;
use uuid::Uuid;

impl Tables<'_> {
    pub(super) async fn write(&mut self, facts: &Facts) -> Result<(), sqlx::Error> {
        let deals = |change| {
            let rows = facts.deals.iter().filter(move |(_, deal)| deal.change == change);
            rows.map(|(id, deal)| (*id, &deal.row)).collect::<Vec<_>>()
        };
        let visits = |change| {
            let rows = facts.visits.iter().filter(move |(_, visit)| visit.change == change);
            rows.map(|(id, visit)| (*id, &visit.row)).collect::<Vec<_>>()
        };
        self.insert_deals(&deals(Change::Inserted)).await?;
        self.update_deals(&deals(Change::Updated)).await?;
        self.insert_visits(&visits(Change::Inserted)).await?;
        self.update_visits(&visits(Change::Updated)).await?;
        self.write_pipelines(facts).await?;
        self.write_forecasts(facts).await?;
        self.write_owners(facts).await?;
        facts.features.write(self).await?;
        facts.funnels.write(self).await
    }

    async fn insert_deals(&mut self, rows: &[(DealId, &DealFact)]) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        self.query(
            "insert into {schema}.deal (tenant_id, deal_id, pipeline_id, owner, source, external_id, \
               opened_position, created_at, outcome, closed_at, loss_reason, amount, currency, visits, \
               merged_into, expected_close, probability, category, origin, comes_of) \
             select $1, x.* from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bigint[], \
               $8::timestamptz[], $9::text[], $10::timestamptz[], $11::uuid[], $12::numeric[], $13::text[], \
               $14::int[], $15::uuid[], $16::date[], $17::int[], $18::text[], $19::text[], $20::uuid[]) x",
        )
        .bind(column(rows, |(id, _)| id.0))
        .bind(column(rows, |(_, deal)| deal.pipeline.0))
        .bind(column(rows, |(_, deal)| deal.owner.map(|owner| owner.0)))
        .bind(column(rows, |(_, deal)| deal.source.clone()))
        .bind(column(rows, |(_, deal)| deal.external_id.clone()))
        .bind(column(rows, |(_, deal)| deal.opened_position))
        .bind(column(rows, |(_, deal)| deal.created_at))
        .bind(column(rows, |(_, deal)| outcome_word(deal.outcome)))
        .bind(column(rows, |(_, deal)| deal.closed_at))
        .bind(column(rows, |(_, deal)| deal.loss_reason.map(|reason| reason.0)))
        .bind(column(rows, |(_, deal)| amount(deal.value)))
        .bind(column(rows, |(_, deal)| currency(deal.value)))
        .bind(column(rows, |(_, deal)| deal.visits))
        .bind(column(rows, |(_, deal)| deal.merged_into.map(|into| into.0)))
        .bind(column(rows, |(_, deal)| deal.expected_close))
        .bind(column(rows, |(_, deal)| deal.probability))
        .bind(column(rows, |(_, deal)| deal.category.map(category_word)))
        .bind(column(rows, |(_, deal)| deal.origin.map(|origin| origin_words(origin).0)))
        .bind(column(rows, |(_, deal)| deal.origin.map(|origin| origin_words(origin).1.0)))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn update_deals(&mut self, rows: &[(DealId, &DealFact)]) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        self.query(
            "update {schema}.deal d set pipeline_id = x.pipeline_id, owner = x.owner, outcome = x.outcome, closed_at = x.closed_at, \
               loss_reason = x.loss_reason, amount = x.amount, currency = x.currency, visits = x.visits, \
               merged_into = x.merged_into, expected_close = x.expected_close, \
               probability = x.probability, category = x.category \
             from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::uuid[], \
               $8::numeric[], $9::text[], $10::int[], $11::uuid[], $12::date[], $13::int[], $14::text[]) \
               x (deal_id, pipeline_id, owner, outcome, closed_at, loss_reason, amount, currency, visits, \
                 merged_into, expected_close, probability, category) \
             where d.tenant_id = $1 and d.deal_id = x.deal_id",
        )
        .bind(column(rows, |(id, _)| id.0))
        .bind(column(rows, |(_, deal)| deal.pipeline.0))
        .bind(column(rows, |(_, deal)| deal.owner.map(|owner| owner.0)))
        .bind(column(rows, |(_, deal)| outcome_word(deal.outcome)))
        .bind(column(rows, |(_, deal)| deal.closed_at))
        .bind(column(rows, |(_, deal)| deal.loss_reason.map(|reason| reason.0)))
        .bind(column(rows, |(_, deal)| amount(deal.value)))
        .bind(column(rows, |(_, deal)| currency(deal.value)))
        .bind(column(rows, |(_, deal)| deal.visits))
        .bind(column(rows, |(_, deal)| deal.merged_into.map(|into| into.0)))
        .bind(column(rows, |(_, deal)| deal.expected_close))
        .bind(column(rows, |(_, deal)| deal.probability))
        .bind(column(rows, |(_, deal)| deal.category.map(category_word)))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn insert_visits(&mut self, rows: &[((DealId, i32), &VisitFact)]) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        self.query(
            "insert into {schema}.visit (tenant_id, deal_id, visit, pipeline_id, pipeline_version, stage_id, \
               mistaken_stage, entered_position, entered_at, recorded_at, left_position, left_at, next_stage, \
               next_pipeline, actor, amount, currency) \
             select $1, x.* from unnest($2::uuid[], $3::int[], $4::uuid[], $5::int[], $6::uuid[], $7::uuid[], \
               $8::bigint[], $9::timestamptz[], $10::timestamptz[], $11::bigint[], $12::timestamptz[], \
               $13::uuid[], $14::uuid[], $15::uuid[], $16::numeric[], $17::text[]) x",
        )
        .bind(column(rows, |((id, _), _)| id.0))
        .bind(column(rows, |((_, number), _)| *number))
        .bind(column(rows, |(_, visit)| visit.pipeline.0))
        .bind(column(rows, |(_, visit)| visit.pipeline_version))
        .bind(column(rows, |(_, visit)| visit.stage.0))
        .bind(column(rows, |(_, visit)| visit.mistaken_stage.map(|stage| stage.0)))
        .bind(column(rows, |(_, visit)| visit.entered_position))
        .bind(column(rows, |(_, visit)| visit.entered_at))
        .bind(column(rows, |(_, visit)| visit.recorded_at))
        .bind(column(rows, |(_, visit)| visit.left_position))
        .bind(column(rows, |(_, visit)| visit.left_at))
        .bind(column(rows, |(_, visit)| visit.next_stage.map(|stage| stage.0)))
        .bind(column(rows, |(_, visit)| visit.next_pipeline.map(|pipeline| pipeline.0)))
        .bind(column(rows, |(_, visit)| visit.actor.0))
        .bind(column(rows, |(_, visit)| amount(visit.value)))
        .bind(column(rows, |(_, visit)| currency(visit.value)))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn update_visits(&mut self, rows: &[((DealId, i32), &VisitFact)]) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        self.query(
            "update {schema}.visit v set pipeline_version = x.pipeline_version, stage_id = x.stage_id, \
               mistaken_stage = x.mistaken_stage, left_position = x.left_position, left_at = x.left_at, \
               next_stage = x.next_stage, next_pipeline = x.next_pipeline \
             from unnest($2::uuid[], $3::int[], $4::int[], $5::uuid[], $6::uuid[], $7::bigint[], \
               $8::timestamptz[], $9::uuid[], $10::uuid[]) \
               x (deal_id, visit, pipeline_version, stage_id, mistaken_stage, left_position, left_at, next_stage, \
                 next_pipeline) \
             where v.tenant_id = $1 and v.deal_id = x.deal_id and v.visit = x.visit",
        )
        .bind(column(rows, |((id, _), _)| id.0))
        .bind(column(rows, |((_, number), _)| *number))
        .bind(column(rows, |(_, visit)| visit.pipeline_version))
        .bind(column(rows, |(_, visit)| visit.stage.0))
        .bind(column(rows, |(_, visit)| visit.mistaken_stage.map(|stage| stage.0)))
        .bind(column(rows, |(_, visit)| visit.left_position))
        .bind(column(rows, |(_, visit)| visit.left_at))
        .bind(column(rows, |(_, visit)| visit.next_stage.map(|stage| stage.0)))
        .bind(column(rows, |(_, visit)| visit.next_pipeline.map(|pipeline| pipeline.0)))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn write_pipelines(&mut self, facts: &Facts) -> Result<(), sqlx::Error> {
        for ((id, version), config) in &facts.pipelines {
            if config.change == Change::None {
                continue;
            }
            let stages = serde_json::to_string(&config.row.stages).expect("stages hold no fallible values");
            self.query("insert into {schema}.pipeline values ($1, $2, $3, $4, $5::json)")
                .bind(id.0)
                .bind(version)
                .bind(&config.row.name)
                .bind(stages)
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(())
    }

    async fn write_forecasts(&mut self, facts: &Facts) -> Result<(), sqlx::Error> {
        let rows: Vec<_> = facts.forecasts.iter().collect();
        if rows.is_empty() {
            return Ok(());
        }
        let query = self
            .query(
                "insert into {schema}.stage_forecast (tenant_id, pipeline_id, stage_id, probability, category) \
                 select $1, x.* from unnest($2::uuid[], $3::uuid[], $4::int[], $5::text[]) x \
                 on conflict (tenant_id, pipeline_id, stage_id) \
                   do update set probability = excluded.probability, category = excluded.category",
            )
            .bind(column(&rows, |((pipeline, _), _)| pipeline.0))
            .bind(column(&rows, |((_, stage), _)| stage.0))
            .bind(column(&rows, |(_, forecast)| forecast.probability))
            .bind(column(&rows, |(_, forecast)| category_word(forecast.category)));
        self.execute(query).await
    }

    async fn write_owners(&mut self, facts: &Facts) -> Result<(), sqlx::Error> {
        let (ids, names): (Vec<Uuid>, Vec<Option<String>>) =
            facts.owners.iter().map(|(id, name)| (id.0, name.clone())).unzip();
        if ids.is_empty() {
            return Ok(());
        }
        self.query(
            "insert into {schema}.owner (tenant_id, user_id, name) \
             select $1, x.* from unnest($2::uuid[], $3::text[]) x \
             on conflict (tenant_id, user_id) do update set name = null where excluded.name is null",
        )
        .bind(ids)
        .bind(names)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }
}

fn amount(value: Option<Money>) -> Option<Decimal> {
    value.map(|value| value.amount)
}

fn currency(value: Option<Money>) -> Option<String> {
    value.map(|value| value.currency.to_string())
}

fn origin_words(origin: Origin) -> (&'static str, DealId) {
    match origin {
        Origin::Repeat { previous } => ("repeat", previous),
        Origin::Recycle { lost } => ("recycle", lost),
        Origin::Revived { recycled, .. } => ("revived", recycled),
    }
}

fn outcome_word(outcome: Option<Outcome>) -> &'static str {
    outcome.map_or("open", Outcome::as_str)
}
