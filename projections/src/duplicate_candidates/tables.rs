//! The tables of the read model: what a page needs is read record by record.

mod writing;

use super::details::Profile;
use super::facts::{Known, Record, RecordKind, Records};
use super::level::Level;
use super::query::{Filter, Place};
use kvali_domain::TenantId;
use kvali_domain::match_rule::{Defined, Rule};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row as _};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The generation's tables, in the transaction that the connection is in.
pub(super) struct Tables<'a> {
    pub(super) tenant: TenantId,
    pub(super) schema: &'a str,
    pub(super) connection: &'a mut PgConnection,
}

/// What somebody said of a pair, and in what its records agreed then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Decided {
    pub(super) verdict: String,
    pub(super) agreed: Option<BTreeMap<String, Level>>,
    pub(super) position: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PairRow {
    pub(super) score: i32,
    pub(super) model_version: i32,
    pub(super) addends: String,
    pub(super) state: String,
}

/// What follows from a record and those who were merged into it.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Held {
    pub(super) keys: BTreeSet<i64>,
    /// In bytes.
    pub(super) profile: Vec<u8>,
}

/// A record that is written.
pub(super) struct Row<'a> {
    pub(super) id: Uuid,
    pub(super) record: &'a Record,
    pub(super) held: Held,
}

/// By ids, the smaller first.
pub(super) type Pairs = BTreeMap<[Uuid; 2], PairRow>;

const RECORDS: &str = "select r.* from unnest($2::uuid[]) x (id) cross join lateral (select record_id, kind, born, owner, \
    archived, converted, merged_into, known::text as known from {schema}.record where tenant_id = $1 and record_id = x.id \
    limit 1) r";

/// Those that were merged into these.
const MERGED: &str = "select r.record_id from unnest($2::uuid[]) x (id) cross join lateral (select record_id from \
    {schema}.record where tenant_id = $1 and merged_into = x.id offset 0) r";

const KEYS: &str = "select r.* from unnest($2::uuid[]) x (id) cross join lateral (select record_id, keys from \
    {schema}.compared where tenant_id = $1 and record_id = x.id limit 1) r";

const PROFILES: &str = "select r.* from unnest($2::uuid[]) x (id) cross join lateral (select record_id, profile from \
    {schema}.compared where tenant_id = $1 and record_id = x.id limit 1) r";

/// Key by key, and within by the key alone: of a table without statistics the planner would read all of a tenant's rows.
const MEMBERS: &str = "select k.key, r.record_id from unnest($2::bigint[]) k (key) cross join lateral (select record_id, \
    tenant_id from {schema}.compared where keys @> array[k.key] limit $3) r where r.tenant_id = $1";

/// Whoever has one of the keys that are no crowd's. By the keys alone, for the same reason; and crowds key by key, since the
/// planner would hash all of them.
const FOUND: &str = "select record_id, profile from (select * from {schema}.compared where keys && array(select k.key from \
    unnest($2::bigint[]) k (key) left join lateral (select key from {schema}.crowd where tenant_id = $1 and key = k.key \
    limit 1) c on true where c.key is null) offset 0) r where r.tenant_id = $1";

const COUNTS: &str = "select k.key, r.records from unnest($2::bigint[]) k (key) cross join lateral (select count(*) as \
    records from (select tenant_id from {schema}.compared where keys @> array[k.key] offset 0) r where r.tenant_id = $1) r";

const CROWDS: &str = "select c.* from unnest($2::bigint[]) k (key) cross join lateral (select key, records from \
    {schema}.crowd where tenant_id = $1 and key = k.key limit 1) c";

const PAIRS: &str = "select distinct p.* from unnest($2::uuid[]) x (id) cross join lateral ((select a, b, score, \
    model_version, addends::text as addends, state from {schema}.pair where tenant_id = $1 and a = x.id offset 0) union all \
    (select a, b, score, model_version, addends::text, state from {schema}.pair where tenant_id = $1 and b = x.id offset 0)) p";

const DECISIONS: &str = "select distinct d.* from unnest($2::uuid[]) x (id) cross join lateral ((select a, b, verdict, \
    agreed::text as agreed, position from {schema}.decision where tenant_id = $1 and a = x.id offset 0) union all \
    (select a, b, verdict, agreed::text, position from {schema}.decision where tenant_id = $1 and b = x.id offset 0)) d";

const FELLOWS: &str = "select distinct m.record_id, m.cluster_id from unnest($2::uuid[]) x (id) cross join lateral (select \
    cluster_id from {schema}.cluster where tenant_id = $1 and record_id = x.id limit 1) c cross join lateral (select \
    record_id, cluster_id from {schema}.cluster where tenant_id = $1 and cluster_id = c.cluster_id offset 0) m";

const LISTED: &str = "select p.a, p.b, p.score, p.model_version, p.addends::text as addends, p.state \
    from {schema}.pair p \
    join {schema}.record a on a.tenant_id = p.tenant_id and a.record_id = p.a \
    join {schema}.record b on b.tenant_id = p.tenant_id and b.record_id = p.b \
    where p.tenant_id = $1 and p.score >= $2 and p.score < $3 and ($4::text is null or $4 in (a.kind, b.kind)) \
      and ($5::uuid is null or a.owner = $5 or b.owner = $5) and ($6 or p.state = 'candidate') \
      and ($8::uuid[] is null or ((a.owner is null or a.owner = any ($8)) and (b.owner is null or b.owner = any ($8)))) \
      and ($9::int is null or (p.score <= $9 and (p.score < $9 or (p.a, p.b) > ($10::uuid, $11::uuid)))) \
    order by p.score desc, p.a, p.b limit $7";

/// A merge says that two are one, at the position where the one merged away was born or later: after what was said of it.
const SAID: &str = "select a, b, verdict = 'confirmed' as is_one, position from {schema}.decision where tenant_id = $1 \
    union all select least(record_id, merged_into), greatest(record_id, merged_into), true, born from {schema}.record \
    where tenant_id = $1 and merged_into is not null order by position, a, b";

impl Tables<'_> {
    fn query(&self, statement: &str) -> Query<'static, Postgres, PgArguments> {
        // A schema's name cannot be bound; the store made it from a constant and two numbers.
        sqlx::query(AssertSqlSafe(statement.replace("{schema}", self.schema))).bind(self.tenant.0)
    }

    async fn rows<T>(&mut self, statement: &str, ids: &[T]) -> Result<Vec<PgRow>, sqlx::Error>
    where
        T: Clone + Send,
        Vec<T>: for<'q> sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres>,
    {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.query(statement).bind(ids.to_vec()).fetch_all(&mut *self.connection).await
    }

    /// A plan made while the tables were empty would read them whole for ever.
    pub(super) async fn use_indexes(&mut self) -> Result<(), sqlx::Error> {
        sqlx::query("set local enable_seqscan = off").execute(&mut *self.connection).await?;
        Ok(())
    }

    pub(super) async fn records(&mut self, ids: &BTreeSet<Uuid>) -> Result<Records, sqlx::Error> {
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        let rows = self.rows(RECORDS, &ids).await?;
        rows.iter().map(|row| Ok((row.try_get("record_id")?, record(row)?))).collect()
    }

    /// Records that have one of these keys, unless it is a crowd's.
    pub(super) async fn found(
        &mut self,
        keys: &BTreeSet<i64>,
    ) -> Result<BTreeMap<Uuid, Profile>, sqlx::Error> {
        let keys: Vec<i64> = keys.iter().copied().collect();
        let rows = self.rows(FOUND, &keys).await?;
        rows.iter().map(|row| Ok((row.try_get("record_id")?, profile(row)?))).collect()
    }

    pub(super) async fn profiles(
        &mut self,
        ids: &BTreeSet<Uuid>,
    ) -> Result<BTreeMap<Uuid, Profile>, sqlx::Error> {
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        let rows = self.rows(PROFILES, &ids).await?;
        rows.iter().map(|row| Ok((row.try_get("record_id")?, profile(row)?))).collect()
    }

    /// Keys and profiles as they are written.
    pub(super) async fn held(&mut self, ids: &BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, Held>, sqlx::Error> {
        let mut keys = self.keys(ids).await?;
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        let rows = self.rows(PROFILES, &ids).await?;
        let held = |row: &PgRow| {
            let id: Uuid = row.try_get("record_id")?;
            let keys = keys.remove(&id).unwrap_or_default();
            Ok((id, Held { keys, profile: row.try_get("profile")? }))
        };
        rows.iter().map(held).collect()
    }

    /// These records, those that they became part of, and all that became part of either.
    pub(super) async fn records_with_kin(&mut self, ids: &BTreeSet<Uuid>) -> Result<Records, sqlx::Error> {
        let mut known = Records::new();
        let mut wanted = ids.clone();
        while !wanted.is_empty() {
            let found = self.records(&wanted).await?;
            let found_ids: Vec<Uuid> = found.keys().copied().collect();
            let merged = self.rows(MERGED, &found_ids).await?;
            wanted = found.values().filter_map(|record| record.merged_into).collect();
            for row in &merged {
                wanted.insert(row.try_get("record_id")?);
            }
            known.extend(found);
            wanted.retain(|id| !known.contains_key(id));
        }
        Ok(known)
    }

    pub(super) async fn keys(
        &mut self,
        ids: &BTreeSet<Uuid>,
    ) -> Result<BTreeMap<Uuid, BTreeSet<i64>>, sqlx::Error> {
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        let rows = self.rows(KEYS, &ids).await?;
        rows.iter()
            .map(|row| {
                Ok((row.try_get("record_id")?, row.try_get::<Vec<i64>, _>("keys")?.into_iter().collect()))
            })
            .collect()
    }

    /// The records that have each key, no more than `limit` of one.
    pub(super) async fn members(
        &mut self,
        keys: &BTreeSet<i64>,
        limit: i64,
    ) -> Result<BTreeMap<i64, Vec<Uuid>>, sqlx::Error> {
        let mut members: BTreeMap<i64, Vec<Uuid>> = BTreeMap::new();
        if keys.is_empty() {
            return Ok(members);
        }
        let keys: Vec<i64> = keys.iter().copied().collect();
        let query = self.query(MEMBERS).bind(keys).bind(limit);
        for row in query.fetch_all(&mut *self.connection).await? {
            members.entry(row.try_get("key")?).or_default().push(row.try_get("record_id")?);
        }
        Ok(members)
    }

    pub(super) async fn counts(&mut self, keys: &BTreeSet<i64>) -> Result<BTreeMap<i64, i64>, sqlx::Error> {
        let keys: Vec<i64> = keys.iter().copied().collect();
        let rows = self.rows(COUNTS, &keys).await?;
        rows.iter().map(|row| Ok((row.try_get("key")?, row.try_get("records")?))).collect()
    }

    pub(super) async fn crowds(&mut self, keys: &BTreeSet<i64>) -> Result<BTreeMap<i64, i64>, sqlx::Error> {
        let keys: Vec<i64> = keys.iter().copied().collect();
        let rows = self.rows(CROWDS, &keys).await?;
        rows.iter().map(|row| Ok((row.try_get("key")?, row.try_get("records")?))).collect()
    }

    pub(super) async fn pairs(&mut self, ids: &BTreeSet<Uuid>) -> Result<Pairs, sqlx::Error> {
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        let rows = self.rows(PAIRS, &ids).await?;
        rows.iter().map(|row| Ok(([row.try_get("a")?, row.try_get("b")?], pair(row)?))).collect()
    }

    pub(super) async fn decisions(
        &mut self,
        ids: &BTreeSet<Uuid>,
    ) -> Result<BTreeMap<[Uuid; 2], Decided>, sqlx::Error> {
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        let rows = self.rows(DECISIONS, &ids).await?;
        rows.iter().map(|row| Ok(([row.try_get("a")?, row.try_get("b")?], decided(row)?))).collect()
    }

    /// Records with their cluster: these, and all others of theirs.
    pub(super) async fn fellows(
        &mut self,
        ids: &BTreeSet<Uuid>,
    ) -> Result<BTreeMap<Uuid, Uuid>, sqlx::Error> {
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        let rows = self.rows(FELLOWS, &ids).await?;
        rows.iter().map(|row| Ok((row.try_get("record_id")?, row.try_get("cluster_id")?))).collect()
    }

    pub(super) async fn rule(&mut self) -> Result<Option<Defined>, sqlx::Error> {
        let row = self
            .query("select version, rule::text as rule from {schema}.rule where tenant_id = $1")
            .fetch_optional(&mut *self.connection)
            .await?;
        row.map(|row| {
            Ok(Defined { version: row.try_get("version")?, rule: from_json::<Rule>(&row, "rule")? })
        })
        .transpose()
    }

    /// Ids of records in order, after one; at most `limit`.
    pub(super) async fn ids_after(&mut self, after: Uuid, limit: i64) -> Result<BTreeSet<Uuid>, sqlx::Error> {
        let rows = self
            .query(
                "select record_id from {schema}.record where tenant_id = $1 and record_id > $2 order by record_id limit $3",
            )
            .bind(after)
            .bind(limit)
            .fetch_all(&mut *self.connection)
            .await?;
        rows.iter().map(|row| row.try_get("record_id")).collect()
    }
}

impl Tables<'_> {
    /// The strongest pairs whose score is `from` and more, and below `to`.
    pub(super) async fn listed(
        &mut self,
        (from, to): (i32, i32),
        filter: &Filter,
        after: Option<Place>,
        limit: i64,
    ) -> Result<Vec<([Uuid; 2], PairRow)>, sqlx::Error> {
        let rows = self
            .query(LISTED)
            .bind(from)
            .bind(to)
            .bind(filter.kind.map(RecordKind::as_str))
            .bind(filter.owner)
            .bind(filter.decided)
            .bind(limit)
            .bind(filter.reach.owners())
            .bind(after.map(|place| place.score))
            .bind(after.map(|place| place.a))
            .bind(after.map(|place| place.b))
            .fetch_all(&mut *self.connection)
            .await?;
        rows.iter().map(|row| Ok(([row.try_get("a")?, row.try_get("b")?], pair(row)?))).collect()
    }

    /// Pairs that somebody decided upon, and whether they are one, in the order of the log.
    pub(super) async fn said(&mut self) -> Result<Vec<([Uuid; 2], bool)>, sqlx::Error> {
        let rows = self.query(SAID).fetch_all(&mut *self.connection).await?;
        rows.iter().map(|row| Ok(([row.try_get("a")?, row.try_get("b")?], row.try_get("is_one")?))).collect()
    }
}

pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("texts, numbers and maps with text keys are JSON")
}

fn from_json<T: serde::de::DeserializeOwned>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn profile(row: &PgRow) -> Result<Profile, sqlx::Error> {
    Profile::from_bytes(row.try_get("profile")?).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn record(row: &PgRow) -> Result<Record, sqlx::Error> {
    let kind: &str = row.try_get("kind")?;
    let unknown = || sqlx::Error::Decode(format!("{kind:?} is no kind of record").into());
    Ok(Record {
        kind: RecordKind::parse(kind).ok_or_else(unknown)?,
        born: row.try_get("born")?,
        owner: row.try_get("owner")?,
        archived: row.try_get("archived")?,
        converted: row.try_get("converted")?,
        merged_into: row.try_get("merged_into")?,
        known: from_json::<Known>(row, "known")?,
    })
}

fn pair(row: &PgRow) -> Result<PairRow, sqlx::Error> {
    Ok(PairRow {
        score: row.try_get("score")?,
        model_version: row.try_get("model_version")?,
        addends: row.try_get("addends")?,
        state: row.try_get("state")?,
    })
}

fn decided(row: &PgRow) -> Result<Decided, sqlx::Error> {
    let agreed: Option<&str> = row.try_get("agreed")?;
    let agreed = agreed.map(serde_json::from_str).transpose();
    Ok(Decided {
        verdict: row.try_get("verdict")?,
        agreed: agreed.map_err(|error| sqlx::Error::Decode(error.into()))?,
        position: row.try_get("position")?,
    })
}
