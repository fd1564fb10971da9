//! Facts and counts as tables: a batch loads what it touches, folds, and writes each changed row once.

use super::facts::{Facts, Filled, Tally, wanted};
use crate::rows::{Rows, Tables};
use async_trait::async_trait;
use kvali_domain::{Event, FieldId};
use kvali_eventstore::project::{Batch, Projection};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Which fields are filled, and how often.
#[derive(Clone, Copy, Debug)]
pub struct FieldCompleteness;

#[async_trait]
impl Projection for FieldCompleteness {
    fn name(&self) -> &'static str {
        "field_completeness"
    }

    fn version(&self) -> i32 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("schema.sql")
    }

    fn views(&self) -> &'static str {
        include_str!("views.sql")
    }

    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut tables = Tables::of(batch, into);
        let mut facts = load(&mut tables, batch).await?;
        for event in batch.events {
            facts.apply(event);
        }
        // Only now is known who was merged into whom.
        related(&mut tables, &mut facts).await?;
        facts.write(&mut tables).await
    }
}

async fn load(tables: &mut Tables<'_>, batch: &Batch<'_>) -> Result<Facts, sqlx::Error> {
    let mut facts = Facts::default();
    let fields = batch.events.iter().filter_map(|opened| match &opened.event {
        Event::Fields(event) => serde_json::from_str::<Named>(&event.data()).ok(),
        _ => None,
    });
    facts.fields.load(tables, fields.map(|named| named.field).collect::<BTreeSet<_>>()).await?;
    facts.records.load(tables, wanted(batch.events)).await?;
    related(tables, &mut facts).await?;
    Ok(facts)
}

/// What every event about a field says.
#[derive(serde::Deserialize)]
struct Named {
    field: FieldId,
}

/// Loads those that the records were merged into, and those that were merged into them.
async fn related(tables: &mut Tables<'_>, facts: &mut Facts) -> Result<(), sqlx::Error> {
    loop {
        let related = facts.records.iter().flat_map(|record| record.merged.iter().chain(&record.merged_into));
        let further: BTreeSet<Uuid> = related.copied().filter(|id| !facts.records.knows(id)).collect();
        if further.is_empty() {
            return Ok(());
        }
        facts.records.load(tables, further).await?;
    }
}

impl Facts {
    async fn write(mut self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let deltas = self.settle();
        let mut tallies = Rows::<Tally>::default();
        let keys = deltas.keys().map(|(entity, owner, field)| (entity.as_str(), *owner, field.clone()));
        tallies.load(tables, keys.collect::<Vec<_>>()).await?;
        for ((entity, owner, field), delta) in deltas {
            let tally = tallies.get_or_put(Tally { entity, owner, field, count: 0 });
            tally.count += delta;
            if tally.count == 0 {
                let key = (tally.entity.as_str(), tally.owner, tally.field.clone());
                tallies.remove(&key);
            }
        }
        let mut filled = Rows::<Filled>::default();
        let keys = self.filled.keys().map(|(entity, field)| (entity.as_str(), field.clone()));
        filled.load(tables, keys.collect::<Vec<_>>()).await?;
        for ((entity, field), at) in std::mem::take(&mut self.filled) {
            let last = filled.get_or_put(Filled { entity, field, last_at: None });
            last.last_at = last.last_at.max(at);
        }
        self.records.write(tables).await?;
        self.fields.write(tables).await?;
        tallies.write(tables).await?;
        filled.write(tables).await
    }
}
