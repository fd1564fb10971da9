//! The cards as tables: a batch loads the rows that it touches, folds, and writes each changed row once.

use super::facts::{Facts, OpenTask, TaskRow, Wanted};
use crate::rows::Tables;
use async_trait::async_trait;
use kvali_domain::DealId;
use kvali_eventstore::project::{Batch, Projection};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Open deals with owner, age and next task.
#[derive(Clone, Copy, Debug)]
pub struct DealBoard;

#[async_trait]
impl Projection for DealBoard {
    fn name(&self) -> &'static str {
        "deal_board"
    }

    fn version(&self) -> i32 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("schema.sql")
    }

    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut tables = Tables::of(batch, into);
        let mut facts = load(&mut tables, Wanted::of(batch.events)).await?;
        for event in batch.events {
            facts.apply(event);
        }
        facts.write(&mut tables).await
    }
}

async fn load(tables: &mut Tables<'_>, wanted: Wanted) -> Result<Facts, sqlx::Error> {
    let mut facts = Facts::default();
    facts.tasks.load(tables, wanted.tasks).await?;
    facts.threads.load(tables, wanted.threads).await?;
    facts.names.load(tables, wanted.names).await?;
    facts.pipelines.load(tables, wanted.pipelines).await?;
    let about: Vec<DealId> = facts.threads.iter().flat_map(|thread| thread.deals.clone()).collect();
    facts.cards.load(tables, wanted.deals.into_iter().chain(about)).await?;
    // What is done about a merged deal is done about the one that it was merged into, and so on.
    loop {
        let into: BTreeSet<DealId> = facts.cards.iter().filter_map(|card| card.merged_into).collect();
        let further: Vec<DealId> = into.into_iter().filter(|deal| !facts.cards.knows(deal)).collect();
        if further.is_empty() {
            return Ok(facts);
        }
        facts.cards.load(tables, further).await?;
    }
}

impl Facts {
    async fn write(mut self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let changed = || self.tasks.changed();
        let before: Vec<OpenTask> = changed().filter_map(|(before, _)| before).flat_map(open).collect();
        let after: Vec<OpenTask> = changed().filter_map(|(_, after)| after).flat_map(open).collect();
        let keys = before.iter().chain(&after).map(|row| (row.deal_id, row.due_at, row.task_id));
        self.open_tasks.load(tables, keys.collect::<Vec<_>>()).await?;
        for OpenTask { deal_id, due_at, task_id } in before {
            self.open_tasks.remove(&(deal_id, due_at, task_id));
        }
        for row in after {
            self.open_tasks.put(row);
        }
        self.cards.write(tables).await?;
        self.tasks.write(tables).await?;
        self.open_tasks.write(tables).await?;
        self.threads.write(tables).await?;
        self.names.write(tables).await?;
        self.pipelines.write(tables).await
    }
}

fn open(task: &TaskRow) -> Vec<OpenTask> {
    let row = |deal: &DealId| OpenTask { deal_id: *deal, due_at: task.due_at, task_id: task.task_id };
    if task.is_open { task.deals.iter().map(row).collect() } else { Vec::new() }
}
