//! Keys, pairs and clusters as they follow from the records that stand: nothing of how it came to be shows in them.

use super::cluster::{agree, clusters, keeps_apart};
use super::compare::compare;
use super::details::Profile;
use super::facts::{Record, Records};
use super::judge::BLOCK_LIMIT;
use super::keys::keys;
use super::model::{kin, profile};
use super::score::Model;
use super::tables::{Decided, Held, PairRow, Pairs, Row, Tables, to_json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What a dismissed pair must gain, in thousandths of a bit, to be shown again: a field agrees that did not.
const NEW_EVIDENCE: i32 = 3_000;

/// Records that are paired at once.
const CHUNK: i64 = 2_000;

pub(super) struct Pairing<'a, 't> {
    pub(super) tables: &'a mut Tables<'t>,
    pub(super) model: &'a Model,
}

type Profiles = BTreeMap<Uuid, Profile>;

impl Pairing<'_, '_> {
    /// Makes keys, pairs and clusters of these records anew. `before` and `after` hold them and their kin.
    pub(super) async fn settle(
        &mut self,
        before: &Records,
        after: &Records,
        touched: &BTreeSet<Uuid>,
    ) -> Result<(), sqlx::Error> {
        if touched.is_empty() {
            return Ok(());
        }
        let held = self.tables.held(touched).await?;
        let known = kin(after);
        let mut moved: BTreeMap<i64, i64> = BTreeMap::new();
        let mut rows: Vec<Row<'_>> = Vec::new();
        let none = Held::default();
        for id in touched {
            let Some(record) = after.get(id) else { continue };
            let profile = profile(after, &known, *id);
            let now = Held { keys: self.keys_of(record, &profile), profile: profile.to_bytes() };
            let was = held.get(id).unwrap_or(&none);
            now.keys.difference(&was.keys).for_each(|key| *moved.entry(*key).or_default() += 1);
            was.keys.difference(&now.keys).for_each(|key| *moved.entry(*key).or_default() -= 1);
            if now != *was || before.get(id) != Some(record) {
                rows.push(Row { id: *id, record, held: now });
            }
        }
        self.tables.write_records(&rows).await?;
        let mut repaired = touched.clone();
        repaired.extend(self.crossed(&moved).await?);
        let chunks: Vec<Uuid> = repaired.into_iter().collect();
        for chunk in chunks.chunks(usize::try_from(CHUNK).expect("a small number")) {
            self.pair(&chunk.iter().copied().collect()).await?;
        }
        Ok(())
    }

    /// The same of every record: another rule is in force.
    pub(super) async fn settle_all(&mut self) -> Result<(), sqlx::Error> {
        let mut after = Uuid::nil();
        loop {
            let ids = self.tables.ids_after(after, CHUNK).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = *last;
            let records = self.tables.records_with_kin(&ids).await?;
            self.settle(&records, &records, &ids).await?;
        }
    }

    fn keys_of(&self, record: &Record, profile: &Profile) -> BTreeSet<i64> {
        if record.stands() { keys(profile, &self.model.hasher, &self.model.keys) } else { BTreeSet::new() }
    }

    /// Keeps count of crowds where so many records came to a key, or left it; answers with the records of keys that became
    /// a crowd or are none any more.
    async fn crossed(&mut self, moved: &BTreeMap<i64, i64>) -> Result<BTreeSet<Uuid>, sqlx::Error> {
        let limit = i64::try_from(BLOCK_LIMIT).expect("a small number");
        let moved_keys: BTreeSet<i64> =
            moved.iter().filter(|(_, by)| **by != 0).map(|(key, _)| *key).collect();
        let crowds = self.tables.crowds(&moved_keys).await?;
        let (mut now, mut crossed): (BTreeMap<i64, i64>, BTreeSet<i64>) = (BTreeMap::new(), BTreeSet::new());
        for (key, records) in &crowds {
            let records = records + moved[key];
            if records <= limit {
                crossed.insert(*key);
            }
            now.insert(*key, if records > limit { records } else { 0 });
        }
        let grown =
            moved.iter().filter(|(key, by)| **by > 0 && !crowds.contains_key(key)).map(|(key, _)| *key);
        let grown = self.tables.members(&grown.collect(), limit + 1).await?;
        let full: BTreeSet<i64> = grown
            .into_iter()
            .filter(|(_, members)| members.len() > BLOCK_LIMIT)
            .map(|(key, _)| key)
            .collect();
        now.extend(self.tables.counts(&full).await?);
        self.tables.write_crowds(&now).await?;
        crossed.extend(full);
        let members = self.tables.members(&crossed, i64::MAX).await?;
        Ok(members.into_values().flatten().collect())
    }

    /// The pairs of these records, and the clusters that they are in.
    async fn pair(&mut self, ids: &BTreeSet<Uuid>) -> Result<(), sqlx::Error> {
        let held = self.tables.keys(ids).await?;
        let candidates = self.candidates(&held).await?;
        let mut needed: BTreeSet<Uuid> = candidates.iter().flatten().copied().collect();
        needed.extend(ids);
        let profiles = self.tables.profiles(&needed).await?;
        let decisions = self.tables.decisions(ids).await?;
        let mut now = Pairs::new();
        for pair in candidates {
            let (one, other) = (&profiles[&pair[0]], &profiles[&pair[1]]);
            let Some((score, _)) = self.model.possible(one, other) else { continue };
            let state = self.state(decisions.get(&pair), one, other);
            let row = PairRow {
                score: score.total,
                model_version: self.model.version,
                addends: to_json(&score.addends),
                state: state.to_owned(),
            };
            now.insert(pair, row);
        }
        let was = self.tables.pairs(ids).await?;
        let gone: Vec<[Uuid; 2]> = was.keys().filter(|pair| !now.contains_key(*pair)).copied().collect();
        now.retain(|pair, row| was.get(pair) != Some(row));
        self.tables.write_pairs(&gone, &now).await?;
        let mut seeds = ids.clone();
        seeds.extend(gone.iter().flatten().chain(now.keys().flatten()));
        self.cluster(seeds).await
    }

    /// Each record with each other that has a key of it which is no crowd's.
    async fn candidates(
        &mut self,
        held: &BTreeMap<Uuid, BTreeSet<i64>>,
    ) -> Result<BTreeSet<[Uuid; 2]>, sqlx::Error> {
        let mut keys: BTreeSet<i64> = held.values().flatten().copied().collect();
        let crowds = self.tables.crowds(&keys).await?;
        keys.retain(|key| !crowds.contains_key(key));
        let limit = i64::try_from(BLOCK_LIMIT).expect("a small number");
        let members = self.tables.members(&keys, limit).await?;
        let mut pairs = BTreeSet::new();
        for (id, keys) in held {
            let others =
                keys.iter().filter_map(|key| members.get(key)).flatten().filter(|other| *other != id);
            pairs.extend(others.map(|other| [*id.min(other), *id.max(other)]));
        }
        Ok(pairs)
    }

    /// A dismissal holds until more agrees than did when it was made.
    fn state(&self, decided: Option<&Decided>, one: &Profile, other: &Profile) -> &'static str {
        let Some(Decided { verdict, agreed, .. }) = decided else { return "candidate" };
        if verdict == "confirmed" {
            return "confirmed";
        }
        let Some(agreed) = agreed else { return "rejected" };
        let weights = &self.model.weights;
        let then: i32 = agreed.iter().map(|(field, level)| weights.of(field, *level)).sum();
        let now: i32 = compare(one, other).iter().map(|found| weights.of(found.field, found.level)).sum();
        if now - then >= NEW_EVIDENCE { "candidate" } else { "rejected" }
    }

    /// The clusters of whoever hangs together with these by likely pairs, now or before.
    async fn cluster(&mut self, mut seeds: BTreeSet<Uuid>) -> Result<(), sqlx::Error> {
        let was = self.tables.fellows(&seeds).await?;
        seeds.extend(was.keys());
        let edges = self.edges(&seeds).await?;
        let members: BTreeSet<Uuid> = edges.iter().flat_map(|(a, b, _)| [*a, *b]).collect();
        let mut was = was;
        was.extend(self.tables.fellows(&members).await?);
        let records = self.tables.records(&members).await?;
        let profiles = self.tables.profiles(&members).await?;
        let apart = self.apart(&members, &profiles).await?;
        let mut score = |a: Uuid, b: Uuid| self.model.total(&profiles[&a], &profiles[&b]);
        let joined =
            clusters(&edges, |one, other| keeps_apart(&apart, one, other) && agree(one, other, &mut score));
        let mut together: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        for (id, root) in joined {
            together.entry(root).or_default().push(id);
        }
        let mut now: BTreeMap<Uuid, Uuid> = BTreeMap::new();
        for of in together.into_values().filter(|of| of.len() > 1) {
            let eldest = of.iter().min_by_key(|id| records.get(id).map(|record| record.born));
            let eldest = *eldest.expect("a cluster has members");
            now.extend(of.into_iter().map(|id| (id, eldest)));
        }
        let gone: Vec<Uuid> = was.keys().filter(|id| !now.contains_key(id)).copied().collect();
        let rows: Vec<(Uuid, Uuid)> =
            now.into_iter().filter(|(id, cluster)| was.get(id) != Some(cluster)).collect();
        self.tables.write_clusters(&gone, &rows).await
    }

    /// Likely and confirmed pairs of everyone whom such pairs lead to.
    async fn edges(&mut self, seeds: &BTreeSet<Uuid>) -> Result<Vec<(Uuid, Uuid, i32)>, sqlx::Error> {
        let (mut edges, mut known, mut next) = (BTreeSet::new(), BTreeSet::new(), seeds.clone());
        while !next.is_empty() {
            let pairs = self.tables.pairs(&next).await?;
            known.extend(next);
            let joins = |row: &PairRow| match row.state.as_str() {
                "rejected" => None,
                "confirmed" => Some(i32::MAX),
                _ => (row.score >= self.model.weights.likely).then_some(row.score),
            };
            let found: Vec<_> =
                pairs.iter().filter_map(|(pair, row)| Some((pair[0], pair[1], joins(row)?))).collect();
            next = found.iter().flat_map(|(a, b, _)| [*a, *b]).filter(|id| !known.contains(id)).collect();
            edges.extend(found);
        }
        Ok(edges.into_iter().collect())
    }

    /// Pairs that were told apart and still are.
    async fn apart(
        &mut self,
        members: &BTreeSet<Uuid>,
        profiles: &Profiles,
    ) -> Result<BTreeSet<(Uuid, Uuid)>, sqlx::Error> {
        let decisions = self.tables.decisions(members).await?;
        let among = decisions.iter().filter(|(pair, _)| pair.iter().all(|id| members.contains(id)));
        let apart = among.filter(|(pair, decided)| {
            self.state(Some(decided), &profiles[&pair[0]], &profiles[&pair[1]]) == "rejected"
        });
        Ok(apart.map(|(pair, _)| (pair[0], pair[1])).collect())
    }
}
