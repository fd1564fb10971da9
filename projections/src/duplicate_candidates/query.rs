//! Answers from the read model. Each takes the connection, the tenant and the schema of the generation that is asked.

use super::details::{Details, Profile};
use super::facts::{Record, RecordKind};
use super::fit::Decision;
use super::keys::{Hasher, keys};
use super::model::{kin, profile};
use super::rarity::Rarity;
use super::score::{Addend, Model, Score, Verdict};
use super::tables::{PairRow, Tables};
use crate::AskError;
use async_trait::async_trait;
use kvali_domain::TenantId;
use kvali_domain::access::Reach;
use kvali_eventstore::project::{Look, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Which generation of the read model is asked, of whom.
pub struct Ask<'a> {
    pub connection: &'a mut PgConnection,
    pub tenant: TenantId,
    pub schema: &'a str,
    pub hasher: Hasher,
}

/// Which pairs there are, now or then.
pub struct List {
    pub hasher: Hasher,
    pub filter: Filter,
    /// Go on after this pair.
    pub after: Option<Place>,
    pub limit: i64,
}

/// Where a pair stands in a list: by its score, then by its ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    pub(super) score: i32,
    pub(super) a: Uuid,
    pub(super) b: Uuid,
}

impl Candidate {
    pub fn place(&self) -> Place {
        Place { score: self.score, a: self.a.id, b: self.b.id }
    }
}

#[async_trait]
impl Query for List {
    type Answer = Vec<Candidate>;
    type Error = AskError;

    async fn ask(self, look: &mut Look<'_>) -> Result<Self::Answer, AskError> {
        Ok(Ask::of(look, self.hasher).candidates(&self.filter, self.after, self.limit).await?)
    }
}

/// What two records agree in, now or then.
pub struct Explain {
    pub hasher: Hasher,
    pub a: Uuid,
    pub b: Uuid,
}

#[async_trait]
impl Query for Explain {
    type Answer = Option<Explained>;
    type Error = AskError;

    async fn ask(self, look: &mut Look<'_>) -> Result<Self::Answer, AskError> {
        Ok(Ask::of(look, self.hasher).explain(self.a, self.b).await?)
    }
}

/// Two records that may be one.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Candidate {
    pub a: Named,
    pub b: Named,
    /// Thousandths of a bit.
    pub score: i32,
    pub verdict: Verdict,
    /// `candidate`, `confirmed` or `rejected`.
    pub state: String,
    pub addends: Vec<Addend>,
    /// The cluster that both are in.
    pub cluster: Option<Uuid>,
}

/// A record as people know it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Named {
    pub id: Uuid,
    pub kind: RecordKind,
    /// Empty where nobody can read it any more.
    pub name: String,
    pub owner: Option<Uuid>,
}

/// Which pairs are listed.
#[derive(Clone, Default, Debug)]
pub struct Filter {
    /// One of the two is of this kind.
    pub kind: Option<RecordKind>,
    pub verdict: Option<Verdict>,
    /// One of the two is somebody's.
    pub owner: Option<Uuid>,
    /// Whose records both of the two are.
    pub reach: Reach,
    /// Also pairs that were decided upon.
    pub decided: bool,
}

/// How two records compare.
#[derive(Clone, Debug)]
pub struct Explained {
    pub a: Named,
    pub b: Named,
    pub score: Score,
    /// None: not even possible.
    pub verdict: Option<Verdict>,
    pub model_version: i32,
    /// Whether they share a key that is no crowd's, without which they are never compared.
    pub share_a_key: bool,
}

/// A record that somebody might be.
#[derive(Clone, Debug)]
pub struct Found {
    pub record: Named,
    pub score: Score,
    pub verdict: Verdict,
}

impl<'a> Ask<'a> {
    fn of(look: &'a mut Look<'_>, hasher: Hasher) -> Self {
        let (tenant, schema) = (look.tenant, look.schema);
        Self { connection: &mut *look.connection, tenant, schema, hasher }
    }
}

impl Ask<'_> {
    fn tables(&mut self) -> Tables<'_> {
        Tables { tenant: self.tenant, schema: self.schema, connection: &mut *self.connection }
    }

    /// The rule in force, or what is shipped.
    pub async fn model(&mut self) -> Result<Model, sqlx::Error> {
        let hasher = self.hasher.clone();
        Ok(Model::of(self.tables().rule().await?.as_ref(), hasher))
    }

    /// The strongest first.
    pub async fn candidates(
        &mut self,
        filter: &Filter,
        after: Option<Place>,
        limit: i64,
    ) -> Result<Vec<Candidate>, sqlx::Error> {
        let model = self.model().await?;
        let mut tables = self.tables();
        let least = match filter.verdict {
            Some(Verdict::Likely) => model.weights.likely,
            _ => model.weights.possible,
        };
        let below = match filter.verdict {
            Some(Verdict::Possible) => model.weights.likely,
            _ => i32::MAX,
        };
        let pairs = tables.listed((least, below), filter, after, limit).await?;
        let ids: BTreeSet<Uuid> = pairs.iter().flat_map(|(pair, _)| *pair).collect();
        let records = tables.records_with_kin(&ids).await?;
        let clusters = tables.fellows(&ids).await?;
        let named = |id: Uuid| records.get(&id).map(|record| named(id, record));
        let told = pairs.into_iter().filter_map(|([a, b], row)| {
            let PairRow { score, addends, state, .. } = row;
            let cluster = clusters.get(&a).filter(|cluster| clusters.get(&b) == Some(cluster)).copied();
            let addends = serde_json::from_str(&addends).ok()?;
            let verdict = model.verdict(score)?;
            Some(Candidate { a: named(a)?, b: named(b)?, score, verdict, state, addends, cluster })
        });
        Ok(told.collect())
    }

    /// `None`: one of them is no lead, contact or company.
    pub async fn explain(&mut self, a: Uuid, b: Uuid) -> Result<Option<Explained>, sqlx::Error> {
        let model = self.model().await?;
        let mut tables = self.tables();
        let ids = BTreeSet::from([a, b]);
        let records = tables.records_with_kin(&ids).await?;
        let (Some(one), Some(other)) = (records.get(&a), records.get(&b)) else { return Ok(None) };
        let known = kin(&records);
        let score = model.score(&profile(&records, &known, a), &profile(&records, &known, b));
        let keys = tables.keys(&ids).await?;
        let none = BTreeSet::new();
        let of = |id: &Uuid| keys.get(id).unwrap_or(&none);
        let shared: BTreeSet<i64> = of(&a).intersection(of(&b)).copied().collect();
        let crowds = tables.crowds(&shared).await?;
        Ok(Some(Explained {
            a: named(a, one),
            b: named(b, other),
            verdict: model.verdict(score.total),
            score,
            model_version: model.version,
            share_a_key: shared.len() > crowds.len(),
        }))
    }

    /// Whom somebody might be who is not recorded yet: the same keys and scores, nothing written. The strongest first. The
    /// connection is in a transaction, whose plans are kept to indexes.
    pub async fn who(&mut self, details: &Details) -> Result<Vec<Found>, sqlx::Error> {
        let model = self.model().await?;
        let asked = Profile::of(details);
        let mut tables = self.tables();
        tables.use_indexes().await?;
        let candidates = tables.found(&keys(&asked, &model.hasher, &model.keys)).await?;
        let scored: BTreeMap<Uuid, (Score, Verdict)> = candidates
            .iter()
            .filter_map(|(id, profile)| Some((*id, model.possible(&asked, profile)?)))
            .collect();
        let records = tables.records(&scored.keys().copied().collect()).await?;
        let found = scored.into_iter().filter_map(|(id, (score, verdict))| {
            Some(Found { record: named(id, records.get(&id)?), score, verdict })
        });
        let mut found: Vec<Found> = found.collect();
        found.sort_by_key(|found| (std::cmp::Reverse(found.score.total), found.record.id));
        Ok(found)
    }

    /// What people said of pairs, in the order in which they did: dismissals, confirmations and merges that stand.
    pub async fn decisions(&mut self) -> Result<Vec<Decision>, sqlx::Error> {
        let model = self.model().await?;
        let mut tables = self.tables();
        let said = tables.said().await?;
        let ids: BTreeSet<Uuid> = said.iter().flat_map(|(pair, _)| *pair).collect();
        let records = tables.records(&ids).await?;
        // Each by what is its own: a survivor's profile holds what it took over.
        let alone = BTreeMap::new();
        let profiles: BTreeMap<Uuid, Profile> =
            records.keys().map(|id| (*id, profile(&records, &alone, *id))).collect();
        let decisions = said.into_iter().filter_map(|([a, b], is_one)| {
            let score = model.score(profiles.get(&a)?, profiles.get(&b)?);
            (!score.addends.is_empty()).then(|| Decision::of(&score, is_one))
        });
        Ok(decisions.collect())
    }

    /// How common values are among the records that stand.
    pub async fn rarity(&mut self) -> Result<Rarity, sqlx::Error> {
        /// Records that are read at once.
        const CHUNK: i64 = 5_000;
        let hasher = self.hasher.clone();
        let mut tables = self.tables();
        let (mut profiles, mut after) = (Vec::new(), Uuid::nil());
        loop {
            let ids = tables.ids_after(after, CHUNK).await?;
            let Some(last) = ids.last() else { return Ok(Rarity::counted(profiles.iter(), &hasher)) };
            after = *last;
            let records = tables.records(&ids).await?;
            let alone = BTreeMap::new();
            let standing = records.iter().filter(|(_, record)| record.stands());
            profiles.extend(standing.map(|(id, _)| profile(&records, &alone, *id)));
        }
    }
}

fn named(id: Uuid, record: &Record) -> Named {
    Named { id, kind: record.kind, name: record.known.name(), owner: record.owner }
}
