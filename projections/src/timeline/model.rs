//! Entries as tables: a batch loads the links that it touches, folds, and writes its entries in bulk.

use super::facts::{Facts, Retold};
use super::links::Linking;
use super::query::Kind;
use crate::rows::Tables;
use crate::sql::{column, sql};
use async_trait::async_trait;
use kvali_eventstore::Opened;
use kvali_eventstore::project::{Batch, Projection};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What happened to each customer, newest first.
#[derive(Clone, Copy, Debug)]
pub struct Timeline;

#[async_trait]
impl Projection for Timeline {
    fn name(&self) -> &'static str {
        "timeline"
    }

    fn version(&self) -> i32 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("schema.sql")
    }

    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut tables = Tables::of(batch, into);
        let mut facts = load(&mut tables, batch.events).await?;
        for event in batch.events {
            facts.apply(event);
        }
        facts.links.write(&mut tables).await?;
        facts.customers.write(&mut tables).await?;
        facts.entries.write(&mut tables).await?;
        for retold in together(&facts.retold) {
            tell_again(&mut tables, retold).await?;
        }
        Ok(())
    }
}

async fn load(tables: &mut Tables<'_>, events: &[Opened]) -> Result<Facts, sqlx::Error> {
    let mut facts = Facts::default();
    let told = events.iter().filter(|opened| Kind::of(&opened.event).is_some());
    let streams: BTreeSet<Uuid> = told.map(|opened| opened.recorded.stream.0).collect();
    facts.customers.load(tables, streams.clone()).await?;
    let begun = events.iter().flat_map(|opened| Linking::by(&opened.event).begins);
    let mut wanted: BTreeSet<Uuid> = streams.into_iter().chain(begun).collect();
    while !wanted.is_empty() {
        facts.links.load(tables, wanted).await?;
        let further = facts.links.iter().flat_map(|link| link.told.iter().copied());
        wanted = further.filter(|told| !facts.links.knows(told)).collect();
    }
    Ok(facts)
}

/// The same in groups, each of which can be told at once: nobody passes on what he is told in it.
fn together(retold: &[Retold]) -> Vec<&[Retold]> {
    let (mut groups, mut start, mut told) = (Vec::new(), 0, BTreeSet::new());
    for (at, Retold { from, to, .. }) in retold.iter().enumerate() {
        if told.contains(from) {
            groups.push(&retold[start..at]);
            (start, told) = (at, BTreeSet::new());
        }
        told.insert(*to);
    }
    groups.push(&retold[start..]);
    groups
}

async fn tell_again(tables: &mut Tables<'_>, retold: &[Retold]) -> Result<(), sqlx::Error> {
    if retold.is_empty() {
        return Ok(());
    }
    let statement = "insert into {schema}.entry \
         (tenant_id, told_of, position, occurred_at, kind, stream_id, actor, event_type) \
         select $1, r.told, e.position, e.occurred_at, e.kind, e.stream_id, e.actor, e.event_type \
           from unnest($2::uuid[], $3::uuid[], $4::bigint[]) r (of, told, until) \
          cross join lateral (select * from {schema}.entry \
                               where tenant_id = $1 and told_of = r.of and position <= r.until offset 0) e \
         on conflict (tenant_id, told_of, position) do nothing";
    sqlx::query(sql(tables.schema, statement))
        .bind(tables.tenant.0)
        .bind(column(retold, |retold| retold.from))
        .bind(column(retold, |retold| retold.to))
        .bind(column(retold, |retold| retold.until))
        .execute(&mut *tables.connection)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::{Retold, together};
    use uuid::Uuid;

    #[test]
    fn what_is_passed_on_is_told_before() {
        let id = Uuid::from_u128;
        let retold = |from, to, until| Retold { from: id(from), to: id(to), until };
        let all = [retold(1, 2, 1), retold(3, 4, 2), retold(2, 5, 3), retold(6, 7, 4)];
        let sizes: Vec<usize> = together(&all).iter().map(|group| group.len()).collect();
        assert_eq!(sizes, [2, 2]);
        assert_eq!(together(&[]).iter().map(|group| group.len()).sum::<usize>(), 0);
    }
}
