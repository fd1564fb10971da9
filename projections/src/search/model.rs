//! Values and the index of their words: a batch loads what it touches, folds, and writes each changed row once.

use super::facts::{Facts, Near, Posting, Value, WordRow, entity, erased, said};
use super::terms::{near, of_value};
use crate::rows::{Row, Rows, Tables};
use async_trait::async_trait;
use kvali_eventstore::project::{Batch, Projection};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Names, e-mails and phones, found in spite of scripts and typos.
#[derive(Clone, Copy, Debug)]
pub struct Search;

#[async_trait]
impl Projection for Search {
    fn name(&self) -> &'static str {
        "search"
    }

    fn version(&self) -> i32 {
        2
    }

    fn schema(&self) -> &'static str {
        include_str!("schema.sql")
    }

    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut tables = Tables::of(batch, into);
        let mut facts = load(&mut tables, batch).await?;
        for event in batch.events {
            facts.apply(event);
        }
        facts.write(&mut tables).await
    }
}

async fn load(tables: &mut Tables<'_>, batch: &Batch<'_>) -> Result<Facts, sqlx::Error> {
    let mut facts = Facts::default();
    let own = batch.events.iter().filter(|opened| entity(&opened.event).is_some());
    let records: BTreeSet<Uuid> = own.clone().map(|opened| opened.recorded.stream.0).collect();
    facts.records.load(tables, records).await?;
    let slots = own
        .flat_map(|opened| said(&opened.event).into_iter().map(|said| (opened.recorded.stream.0, said.slot)));
    facts.values.load(tables, slots.collect::<BTreeSet<_>>()).await?;
    let erased: BTreeSet<Uuid> = batch.events.iter().filter_map(|opened| erased(&opened.event)).collect();
    facts.values.load_by("subject_id", tables, erased).await?;
    Ok(facts)
}

impl Facts {
    async fn write(self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let (mut gone, mut come) = (BTreeSet::new(), BTreeSet::new());
        for (before, after) in self.values.changed() {
            gone.extend(before.into_iter().flat_map(postings));
            come.extend(after.into_iter().flat_map(postings));
        }
        let (gone, come): (Vec<_>, Vec<_>) =
            (gone.difference(&come).cloned().collect(), come.difference(&gone).cloned().collect());
        let mut deltas: BTreeMap<String, i64> = BTreeMap::new();
        for ((word, ..), by) in gone.iter().map(|key| (key, -1)).chain(come.iter().map(|key| (key, 1))) {
            *deltas.entry(word.clone()).or_default() += by;
        }
        self.records.write(tables).await?;
        self.values.write(tables).await?;
        Posting::delete(tables, gone).await?;
        let posting = |(word, record_id, slot)| Posting { word, record_id, slot };
        Posting::upsert(tables, come.into_iter().map(posting)).await?;
        count(tables, deltas).await
    }
}

fn postings(value: &Value) -> Vec<<Posting as Row>::Key> {
    let words = of_value(value.kind, &value.text).into_iter();
    words.map(|word| (word, value.record_id, value.slot.clone())).collect()
}

/// A word stands with all that it is near by as long as anything is found by it.
async fn count(tables: &mut Tables<'_>, deltas: BTreeMap<String, i64>) -> Result<(), sqlx::Error> {
    let mut words = Rows::<WordRow>::default();
    words.load(tables, deltas.keys().cloned()).await?;
    for (word, delta) in deltas {
        let row = words.get_or_put(WordRow { word: word.clone(), count: 0 });
        row.count += delta;
        if row.count == 0 {
            words.remove(&word);
        }
    }
    let keys = |word: &str| near(word).into_iter().map(|key| (key, word.to_owned())).collect::<Vec<_>>();
    let gone = words.changed().filter_map(|pair| if let (Some(was), None) = pair { Some(was) } else { None });
    let gone: Vec<_> = gone.flat_map(|was| keys(&was.word)).collect();
    let new = words.changed().filter_map(|pair| if let (None, Some(is)) = pair { Some(is) } else { None });
    let new: Vec<_> = new.flat_map(|is| keys(&is.word)).map(|(key, word)| Near { key, word }).collect();
    Near::delete(tables, gone).await?;
    Near::upsert(tables, new).await?;
    words.write(tables).await
}
