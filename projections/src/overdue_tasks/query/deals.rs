//! Lists of deals that nobody works at.

use super::super::answer::{DealAt, IdleDeal, Listed, OverLimit, WithoutTask};
use super::super::record::{DealRow, PipelineRow};
use super::Question;
use crate::rows::Tables;
use kvali_domain::{PipelineId, Version};
use std::collections::BTreeMap;

const WITHOUT_TASK: &str = "outcome = 'open' and merged_into is null and open_tasks = 0 \
    and ($2 is null or owner = any($2)) order by tasks_ended_at nulls last, deal_id";

const OVER_LIMIT: &str = "outcome = 'open' and merged_into is null and limit_at <= $2 \
    and ($3 is null or owner = any($3)) order by limit_at, deal_id";

const IDLE: &str = "outcome = 'open' and merged_into is null and idle_at <= $2 \
    and ($3 is null or owner = any($3)) order by idle_at, deal_id";

pub(super) async fn without_task(
    tables: &mut Tables<'_>,
    question: Question<'_>,
) -> Result<Listed<WithoutTask>, sqlx::Error> {
    let who = question.who.ids();
    let rows = tables.which::<DealRow>(WITHOUT_TASK, |query| query.bind(who)).await?;
    let stages = Stages::load(tables).await?;
    let told =
        rows.iter().map(|row| WithoutTask { deal: stages.deal(row, question), since: row.tasks_ended_at });
    Ok(question.asked.page(told.collect(), |row| row.deal.id.0))
}

pub(super) async fn over_limit(
    tables: &mut Tables<'_>,
    question: Question<'_>,
) -> Result<Listed<OverLimit>, sqlx::Error> {
    let (at, who) = (question.at, question.who.ids());
    let rows = tables.which::<DealRow>(OVER_LIMIT, |query| query.bind(at).bind(who)).await?;
    let stages = Stages::load(tables).await?;
    let told = rows.iter().filter_map(|row| {
        let (since, max_days) = (row.limit_at?, row.max_days?);
        Some(OverLimit {
            deal: stages.deal(row, question),
            visit: row.visit,
            entered_at: row.entered_at,
            max_days,
            since,
            over_by_seconds: (at - since).num_seconds(),
            on_hold_until: row.on_hold_until.filter(|_| row.hold_ends().is_some_and(|end| at < end)),
        })
    });
    Ok(question.asked.page(told.collect(), |row| row.deal.id.0))
}

pub(super) async fn idle(
    tables: &mut Tables<'_>,
    question: Question<'_>,
) -> Result<Listed<IdleDeal>, sqlx::Error> {
    let (at, who) = (question.at, question.who.ids());
    let rows = tables.which::<DealRow>(IDLE, |query| query.bind(at).bind(who)).await?;
    let stages = Stages::load(tables).await?;
    let told = rows.iter().filter_map(|row| {
        let (since, idle_days) = (row.idle_at?, row.idle_days?);
        Some(IdleDeal {
            deal: stages.deal(row, question),
            last_event_at: row.touched_at,
            idle_days,
            since,
            idle_for_seconds: (at - row.touched_at?).num_seconds(),
            on_hold_until: row.on_hold_until.filter(|_| row.hold_ends().is_some_and(|end| at < end)),
        })
    });
    Ok(question.asked.page(told.collect(), |row| row.deal.id.0))
}

/// What stages were called when they were entered.
struct Stages(BTreeMap<(PipelineId, Version), PipelineRow>);

impl Stages {
    async fn load(tables: &mut Tables<'_>) -> Result<Self, sqlx::Error> {
        let rows = tables.which::<PipelineRow>("true", |query| query).await?;
        Ok(Self(rows.into_iter().map(|row| ((row.pipeline_id, row.version), row)).collect()))
    }

    fn deal(&self, row: &DealRow, question: Question<'_>) -> DealAt {
        let pipeline = self.0.get(&(row.pipeline_id, row.pipeline_version));
        let stage = pipeline.and_then(|known| known.stages.iter().find(|stage| stage.id == row.stage_id));
        DealAt {
            id: row.deal_id,
            external_id: row.external_id.clone(),
            name: row.name.clone(),
            owner: row.owner.map(|owner| question.who.person(owner)),
            pipeline: pipeline.map_or_else(|| row.pipeline_id.to_string(), |known| known.name.clone()),
            stage: stage.map_or_else(|| row.stage_id.to_string(), |stage| stage.name.clone()),
        }
    }
}
