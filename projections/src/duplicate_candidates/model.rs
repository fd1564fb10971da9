//! The read model: a page of events is folded into records, then keys, pairs and clusters of whatever changed are made
//! anew from the records that stand, so that neither the size of a page nor an erasure shows in them.

use super::facts::{self, Record, Records};
use super::pairing::Pairing;
use super::score::Model;
use super::tables::{Decided, Tables};
use super::{Hasher, Profile, compare};
use async_trait::async_trait;
use kvali_domain::match_rule::{self, Defined};
use kvali_domain::{Event, duplicate, subject};
use kvali_eventstore::Opened;
use kvali_eventstore::project::{Batch, Projection};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Pairs of records that may be one.
#[derive(Clone, Copy, Debug)]
pub struct DuplicateCandidates;

#[async_trait]
impl Projection for DuplicateCandidates {
    fn name(&self) -> &'static str {
        "duplicate_candidates"
    }

    /// Raised also when shipped weights or what is compared change.
    fn version(&self) -> i32 {
        4
    }

    fn schema(&self) -> &'static str {
        include_str!("schema.sql")
    }

    async fn apply(&self, batch: &Batch<'_>, into: &mut PgConnection) -> Result<(), sqlx::Error> {
        let keyed = batch.keyed.clone();
        let hasher = Hasher::new(move |bytes| keyed.number(bytes));
        let mut tables = Tables { tenant: batch.tenant, schema: batch.schema, connection: into };
        tables.use_indexes().await?;
        let page = Page::load(&mut tables, batch.events).await?.folded(batch.events);
        tables.write_decisions(&page.decided, &page.erased).await?;
        if let Some(defined) = &page.defined {
            tables.write_rule(defined).await?;
        }
        let model = Model::of(tables.rule().await?.as_ref(), hasher);
        let touched = page.touched();
        let mut pairing = Pairing { tables: &mut tables, model: &model };
        pairing.settle(&page.before, &page.after, &touched).await?;
        if page.defined.is_some() {
            pairing.settle_all().await?;
        }
        Ok(())
    }
}

/// What a page of events finds, and what it leaves.
struct Page {
    before: Records,
    after: Records,
    /// By pair, the smaller id first.
    decided: BTreeMap<[Uuid; 2], Decided>,
    /// Whose decisions forget in what they agreed, before those of this page that are not among them.
    erased: BTreeSet<Uuid>,
    defined: Option<Defined>,
}

impl Page {
    async fn load(tables: &mut Tables<'_>, events: &[Opened]) -> Result<Self, sqlx::Error> {
        let concerned = events.iter().flat_map(facts::concerned).collect();
        let before = tables.records_with_kin(&concerned).await?;
        let (decided, erased) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self { after: before.clone(), before, decided, erased, defined: None })
    }

    fn folded(mut self, events: &[Opened]) -> Self {
        for opened in events {
            facts::apply(&mut self.after, opened);
            match &opened.event {
                Event::Duplicate(event) => self.decide(event, opened.recorded.position),
                Event::Subject(subject::Event::Erased(event)) => self.forget(event.subject.0),
                Event::MatchRule(match_rule::Event::Defined(defined)) => self.defined = Some(defined.clone()),
                _ => {}
            }
        }
        self
    }

    /// In what two records agree when somebody decides is kept: only new evidence opens a pair again.
    fn decide(&mut self, event: &duplicate::Event, position: i64) {
        let [a, b] = facts::pair(event);
        let verdict = match event {
            duplicate::Event::Rejected(_) => "rejected",
            duplicate::Event::Confirmed(_) => "confirmed",
        };
        let kin = kin(&self.after);
        let (one, other) = (profile(&self.after, &kin, a), profile(&self.after, &kin, b));
        let found = compare::compare(&one, &other);
        let agreed = found.into_iter().map(|found| (found.field.to_owned(), found.level)).collect();
        self.decided.insert([a, b], Decided { verdict: verdict.to_owned(), agreed: Some(agreed), position });
    }

    fn forget(&mut self, id: Uuid) {
        self.erased.insert(id);
        for (pair, decided) in &mut self.decided {
            if pair.contains(&id) {
                decided.agreed = None;
            }
        }
    }

    /// Records that changed or were decided upon, and those that they were or are merged into.
    fn touched(&self) -> BTreeSet<Uuid> {
        let changed = self.after.iter().filter(|(id, record)| self.before.get(id) != Some(record));
        let mut touched: BTreeSet<Uuid> = changed.map(|(id, _)| *id).collect();
        touched.extend(self.decided.keys().flatten());
        let roots: Vec<Uuid> =
            touched.iter().flat_map(|id| [root(&self.before, *id), root(&self.after, *id)]).collect();
        touched.extend(roots);
        touched
    }
}

/// The record that this one has become part of.
pub(super) fn root(records: &Records, mut id: Uuid) -> Uuid {
    // No way is longer than what is known.
    for _ in 0..records.len() {
        match records.get(&id).and_then(|record| record.merged_into) {
            Some(into) => id = into,
            None => break,
        }
    }
    id
}

/// The records that became part of each, eldest first.
pub(super) fn kin(records: &Records) -> BTreeMap<Uuid, Vec<&Record>> {
    let mut kin: BTreeMap<Uuid, Vec<&Record>> = BTreeMap::new();
    for (id, record) in records.iter().filter(|(_, record)| record.merged_into.is_some()) {
        kin.entry(root(records, *id)).or_default().push(record);
    }
    for kin in kin.values_mut() {
        kin.sort_unstable_by_key(|record| record.born);
    }
    kin
}

/// What is compared of a record: with it, those that were merged into it.
pub(super) fn profile(records: &Records, kin: &BTreeMap<Uuid, Vec<&Record>>, id: Uuid) -> Profile {
    let Some(record) = records.get(&id) else { return Profile::default() };
    let named = record.known.name_of.and_then(|of| records.get(&of)).map(|record| &record.known);
    let kin = kin.get(&id).into_iter().flatten().map(|held| &held.known);
    Profile::of(&record.known.details(named, kin))
}
