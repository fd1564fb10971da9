//! The facts as tables: a batch loads the rows that it touches, folds, and writes each changed row once.

use super::facts::{Facts, Wanted};
use super::record::{
    AbsenceRow, BecameOverdueRow, CalendarRow, DealRow, PersonRow, PipelineRow, TalkRow, TaskRow, TeamRow,
};
use super::timers;
use crate::overdue_tasks::rows::Tables;
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
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("schema.sql")
    }

    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut tables = Tables { tenant: batch.tenant, schema: batch.schema, connection: into };
        let mut facts = load(&mut tables, Wanted::of(batch.events)).await?;
        for event in batch.events {
            facts.apply(event);
        }
        facts.settle();
        write(&mut tables, &facts).await
    }

    async fn timers(&self, look: &mut Look<'_>) -> Result<Timers, sqlx::Error> {
        timers::timers(look).await
    }
}

async fn load(tables: &mut Tables<'_>, mut wanted: Wanted) -> Result<Facts, sqlx::Error> {
    let mut facts = Facts::default();
    load_tasks(tables, &mut facts, &mut wanted).await?;
    load_deals(tables, &mut facts, std::mem::take(&mut wanted.deals)).await?;
    load_setup(tables, &mut facts, &wanted).await?;
    load_people(tables, &mut facts, &wanted).await?;
    Ok(facts)
}

async fn load_tasks(
    tables: &mut Tables<'_>,
    facts: &mut Facts,
    wanted: &mut Wanted,
) -> Result<(), sqlx::Error> {
    let tasks = || wanted.tasks.iter().map(|task| task.0).collect::<Vec<_>>();
    for row in tables.of::<BecameOverdueRow>("task_id", tasks()).await? {
        facts.became_overdue.keep((row.task_id, row.due_key.clone()), row);
    }
    for row in tables.of::<TaskRow>("task_id", tasks()).await? {
        wanted.deals.extend(&row.deals);
        wanted.people.insert(row.assignee);
        facts.tasks.keep(row.task_id, row);
    }
    for row in tables.of::<TalkRow>("talk_id", wanted.talks.iter().copied()).await? {
        wanted.deals.extend(&row.deals);
        facts.talks.keep(row.talk_id, row);
    }
    Ok(())
}

async fn load_setup(tables: &mut Tables<'_>, facts: &mut Facts, wanted: &Wanted) -> Result<(), sqlx::Error> {
    if wanted.calendars {
        // Whatever goes by working days ends on others.
        for row in tables.which::<DealRow>("outcome = 'open' and clock = 'business'", |query| query).await? {
            facts.deals.keep(row.deal_id, row);
        }
    }
    for row in tables.which::<CalendarRow>("true", |query| query).await? {
        facts.calendars.keep(row.calendar_id, row);
    }
    let entered: Vec<_> = wanted.versions.iter().copied().collect();
    for row in tables.which::<PipelineRow>("version = any($2)", |query| query.bind(entered)).await? {
        facts.pipelines.keep((row.pipeline_id, row.version), row);
    }
    let configured = wanted.pipelines.iter().map(|pipeline| pipeline.0);
    for row in tables.of::<PipelineRow>("pipeline_id", configured).await? {
        facts.pipelines.keep((row.pipeline_id, row.version), row);
    }
    Ok(())
}

async fn load_people(tables: &mut Tables<'_>, facts: &mut Facts, wanted: &Wanted) -> Result<(), sqlx::Error> {
    for row in tables.of::<PersonRow>("user_id", wanted.people.iter().map(|user| user.0)).await? {
        facts.people.keep(row.user_id, row);
    }
    for row in tables.of::<AbsenceRow>("user_id", wanted.absent.iter().map(|user| user.0)).await? {
        facts.absences.keep((row.user_id, row.number), row);
    }
    for row in tables.of::<TeamRow>("team_id", wanted.teams.iter().map(|team| team.0)).await? {
        facts.teams.keep(row.team_id, row);
    }
    Ok(())
}

/// The deals, what they were merged into, and so on.
async fn load_deals(
    tables: &mut Tables<'_>,
    facts: &mut Facts,
    mut wanted: BTreeSet<DealId>,
) -> Result<(), sqlx::Error> {
    while !wanted.is_empty() {
        let rows = tables.of::<DealRow>("deal_id", wanted.iter().map(|deal| deal.0)).await?;
        wanted = rows.iter().filter_map(|row| row.merged_into).collect();
        for row in rows {
            facts.deals.keep(row.deal_id, row);
        }
        wanted.retain(|deal| facts.deals.get(deal).is_none());
    }
    Ok(())
}

async fn write(tables: &mut Tables<'_>, facts: &Facts) -> Result<(), sqlx::Error> {
    tables.write(&facts.tasks.changed()).await?;
    tables.write(&facts.past.iter().collect::<Vec<_>>()).await?;
    tables.write(&facts.became_overdue.changed()).await?;
    tables.write(&facts.deals.changed()).await?;
    tables.write(&facts.activities.iter().collect::<Vec<_>>()).await?;
    tables.write(&facts.talks.changed()).await?;
    tables.write(&facts.people.changed()).await?;
    tables.write(&facts.absences.changed()).await?;
    tables.write(&facts.capacities.iter().collect::<Vec<_>>()).await?;
    tables.write(&facts.teams.changed()).await?;
    tables.write(&facts.pipelines.changed()).await?;
    tables.write(&facts.calendars.changed()).await?;
    tables.write(&facts.types.changed()).await
}
