//! The facts as tables: a batch loads the rows that it touches, folds, and writes each changed row once.

use super::facts::{Facts, Wanted};
use super::record::{ActivityRow, CalendarRow, CapacityRow, DealRow, PipelineRow, TaskPastRow};
use super::timers;
use crate::rows::{Row, Tables};
use async_trait::async_trait;
use kvali_domain::DealId;
use kvali_eventstore::project::{Batch, Look, Projection, Timers};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Tasks, when they are due and whose they are; deals, when something last happened to them.
#[derive(Clone, Copy, Debug)]
pub struct OverdueTasks;

#[async_trait]
impl Projection for OverdueTasks {
    fn name(&self) -> &'static str {
        "overdue_tasks"
    }

    fn version(&self) -> i32 {
        2
    }

    fn schema(&self) -> &'static str {
        include_str!("schema.sql")
    }

    fn views(&self) -> &'static str {
        include_str!("views.sql")
    }

    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut tables = Tables::of(batch, into);
        let mut facts = load(&mut tables, Wanted::of(batch.events)).await?;
        for event in batch.events {
            facts.apply(event);
        }
        facts.settle();
        write(&mut tables, facts).await
    }

    async fn timers(&self, look: &mut Look<'_>) -> Result<Timers, sqlx::Error> {
        timers::timers(look).await
    }
}

async fn load(tables: &mut Tables<'_>, mut wanted: Wanted) -> Result<Facts, sqlx::Error> {
    let mut facts = Facts::default();
    facts.became_overdue.load_by("task_id", tables, wanted.tasks.iter().map(|task| task.0)).await?;
    facts.tasks.load(tables, std::mem::take(&mut wanted.tasks)).await?;
    facts.talks.load(tables, std::mem::take(&mut wanted.talks)).await?;
    for task in facts.tasks.iter() {
        wanted.deals.extend(&task.deals);
        wanted.people.insert(task.assignee);
    }
    wanted.deals.extend(facts.talks.iter().flat_map(|talk| &talk.deals));
    load_deals(tables, &mut facts, std::mem::take(&mut wanted.deals)).await?;
    load_setup(tables, &mut facts, &wanted).await?;
    facts.people.load(tables, wanted.people).await?;
    facts.absences.load_by("user_id", tables, wanted.absent.into_iter().map(|user| user.0)).await?;
    facts.teams.load(tables, wanted.teams).await?;
    Ok(facts)
}

/// The deals, what they were merged into, and so on.
async fn load_deals(
    tables: &mut Tables<'_>,
    facts: &mut Facts,
    mut wanted: BTreeSet<DealId>,
) -> Result<(), sqlx::Error> {
    while !wanted.is_empty() {
        facts.deals.load(tables, wanted).await?;
        wanted = facts.deals.iter().filter_map(|deal| deal.merged_into).collect();
        wanted.retain(|deal| !facts.deals.knows(deal));
    }
    Ok(())
}

async fn load_setup(tables: &mut Tables<'_>, facts: &mut Facts, wanted: &Wanted) -> Result<(), sqlx::Error> {
    if wanted.calendars {
        // Whatever goes by working days ends on others.
        let rows = tables.which::<DealRow>("outcome = 'open' and clock = 'business'", |query| query).await?;
        facts.deals.keep(rows);
    }
    facts.calendars.keep(tables.which::<CalendarRow>("true", |query| query).await?);
    let entered: Vec<_> = wanted.versions.iter().copied().collect();
    let versions = tables.which::<PipelineRow>("version = any($2)", |query| query.bind(entered)).await?;
    facts.pipelines.keep(versions);
    facts.pipelines.load_by("pipeline_id", tables, wanted.pipelines.iter().map(|pipeline| pipeline.0)).await
}

async fn write(tables: &mut Tables<'_>, facts: Facts) -> Result<(), sqlx::Error> {
    facts.tasks.write(tables).await?;
    TaskPastRow::upsert(tables, facts.past).await?;
    facts.became_overdue.write(tables).await?;
    facts.deals.write(tables).await?;
    ActivityRow::upsert(tables, facts.activities).await?;
    facts.talks.write(tables).await?;
    facts.people.write(tables).await?;
    facts.absences.write(tables).await?;
    CapacityRow::upsert(tables, facts.capacities).await?;
    facts.teams.write(tables).await?;
    facts.pipelines.write(tables).await?;
    facts.calendars.write(tables).await?;
    facts.types.write(tables).await
}
