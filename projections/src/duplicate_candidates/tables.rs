//! The tables of the read model: what a page needs is read record by record, what changed is written in bulk.

use super::facts::{Known, Record, RecordKind, Records};
use super::level::Level;
use kvali_domain::TenantId;
use kvali_domain::match_rule::{Defined, Rule};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row};
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

/// By ids, the smaller first.
pub(super) type Pairs = BTreeMap<[Uuid; 2], PairRow>;

const RECORDS: &str = "select r.* from unnest($2::uuid[]) x (id) cross join lateral (select record_id, kind, born, owner, \
    archived, converted, merged_into, known::text as known from {schema}.record where tenant_id = $1 and record_id = x.id \
    limit 1) r";

/// Those that were merged into these.
const MERGED: &str = "select r.record_id from unnest($2::uuid[]) x (id) cross join lateral (select record_id from \
    {schema}.record where tenant_id = $1 and merged_into = x.id offset 0) r";

const KEYS: &str = "select r.* from unnest($2::uuid[]) x (id) cross join lateral (select record_id, keys from \
    {schema}.record where tenant_id = $1 and record_id = x.id limit 1) r";

/// Key by key, and within by the key alone: of a table without statistics the planner would read all of a tenant's rows.
const MEMBERS: &str = "select k.key, r.record_id from unnest($2::bigint[]) k (key) cross join lateral (select record_id, \
    tenant_id from {schema}.record where keys @> array[k.key] limit $3) r where r.tenant_id = $1";

const COUNTS: &str = "select k.key, r.records from unnest($2::bigint[]) k (key) cross join lateral (select count(*) as \
    records from (select tenant_id from {schema}.record where keys @> array[k.key] offset 0) r where r.tenant_id = $1) r";

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
        kind: Option<&str>,
        owner: Option<Uuid>,
        decided: bool,
        limit: i64,
    ) -> Result<Vec<([Uuid; 2], PairRow)>, sqlx::Error> {
        let rows = self
            .query(LISTED)
            .bind(from)
            .bind(to)
            .bind(kind)
            .bind(owner)
            .bind(decided)
            .bind(limit)
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

impl Tables<'_> {
    pub(super) async fn write_records(
        &mut self,
        rows: &[(Uuid, &Record, &BTreeSet<i64>)],
    ) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        // Arrays of arrays must be of one length in Postgres, so that lists of keys travel as texts.
        let keys = |keys: &BTreeSet<i64>| {
            format!("{{{}}}", keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        };
        self.query(
            "insert into {schema}.record (tenant_id, record_id, kind, born, owner, archived, converted, merged_into, known, keys) \
             select $1, id, kind, born, owner, archived, converted, merged_into, known::json, keys::bigint[] \
             from unnest($2::uuid[], $3::text[], $4::bigint[], $5::uuid[], $6::bool[], $7::bool[], $8::uuid[], \
               $9::text[], $10::text[]) x (id, kind, born, owner, archived, converted, merged_into, known, keys) \
             on conflict (tenant_id, record_id) do update set owner = excluded.owner, archived = excluded.archived, \
               converted = excluded.converted, merged_into = excluded.merged_into, known = excluded.known, \
               keys = excluded.keys",
        )
        .bind(column(rows, |(id, ..)| *id))
        .bind(column(rows, |(_, record, _)| record.kind.as_str()))
        .bind(column(rows, |(_, record, _)| record.born))
        .bind(column(rows, |(_, record, _)| record.owner))
        .bind(column(rows, |(_, record, _)| record.archived))
        .bind(column(rows, |(_, record, _)| record.converted))
        .bind(column(rows, |(_, record, _)| record.merged_into))
        .bind(column(rows, |(_, record, _)| to_json(&record.known)))
        .bind(column(rows, |(_, _, held)| keys(held)))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    /// Crowds with how many they are; those of 0 are none any more.
    pub(super) async fn write_crowds(&mut self, crowds: &BTreeMap<i64, i64>) -> Result<(), sqlx::Error> {
        if crowds.is_empty() {
            return Ok(());
        }
        let (gone, stay): (Vec<(i64, i64)>, Vec<(i64, i64)>) =
            crowds.iter().map(|(key, records)| (*key, *records)).partition(|(_, records)| *records == 0);
        self.query("delete from {schema}.crowd where tenant_id = $1 and key = any($2)")
            .bind(column(&gone, |(key, _)| *key))
            .execute(&mut *self.connection)
            .await?;
        self.query(
            "insert into {schema}.crowd (tenant_id, key, records) \
             select $1, x.* from unnest($2::bigint[], $3::bigint[]) x \
             on conflict (tenant_id, key) do update set records = excluded.records",
        )
        .bind(column(&stay, |(key, _)| *key))
        .bind(column(&stay, |(_, records)| *records))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    pub(super) async fn write_pairs(&mut self, gone: &[[Uuid; 2]], rows: &Pairs) -> Result<(), sqlx::Error> {
        if !gone.is_empty() {
            self.query(
                "delete from {schema}.pair p using unnest($2::uuid[], $3::uuid[]) x (a, b) \
                 where p.tenant_id = $1 and p.a = x.a and p.b = x.b",
            )
            .bind(column(gone, |pair| pair[0]))
            .bind(column(gone, |pair| pair[1]))
            .execute(&mut *self.connection)
            .await?;
        }
        if rows.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = rows.iter().collect();
        self.query(
            "insert into {schema}.pair (tenant_id, a, b, score, model_version, addends, state) \
             select $1, a, b, score, model_version, addends::json, state \
             from unnest($2::uuid[], $3::uuid[], $4::int[], $5::int[], $6::text[], $7::text[]) \
               x (a, b, score, model_version, addends, state) \
             on conflict (tenant_id, a, b) do update set score = excluded.score, \
               model_version = excluded.model_version, addends = excluded.addends, state = excluded.state",
        )
        .bind(column(&rows, |(pair, _)| pair[0]))
        .bind(column(&rows, |(pair, _)| pair[1]))
        .bind(column(&rows, |(_, row)| row.score))
        .bind(column(&rows, |(_, row)| row.model_version))
        .bind(column(&rows, |(_, row)| row.addends.clone()))
        .bind(column(&rows, |(_, row)| row.state.clone()))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    /// First what the erased ones agreed in is forgotten, then what was decided is written, forgotten or not.
    pub(super) async fn write_decisions(
        &mut self,
        decided: &BTreeMap<[Uuid; 2], Decided>,
        erased: &BTreeSet<Uuid>,
    ) -> Result<(), sqlx::Error> {
        for side in ["a", "b"] {
            if !erased.is_empty() {
                self.query(&format!(
                    "update {{schema}}.decision set agreed = null where tenant_id = $1 and {side} = any($2)"
                ))
                .bind(erased.iter().copied().collect::<Vec<_>>())
                .execute(&mut *self.connection)
                .await?;
            }
        }
        if decided.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = decided.iter().collect();
        self.query(
            "insert into {schema}.decision (tenant_id, a, b, verdict, agreed, position) \
             select $1, a, b, verdict, agreed::json, position \
             from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[]) x (a, b, verdict, agreed, position) \
             on conflict (tenant_id, a, b) do update set verdict = excluded.verdict, agreed = excluded.agreed, \
               position = excluded.position",
        )
        .bind(column(&rows, |(pair, _)| pair[0]))
        .bind(column(&rows, |(pair, _)| pair[1]))
        .bind(column(&rows, |(_, row)| row.verdict.clone()))
        .bind(column(&rows, |(_, row)| row.agreed.as_ref().map(to_json)))
        .bind(column(&rows, |(_, row)| row.position))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    pub(super) async fn write_clusters(
        &mut self,
        gone: &[Uuid],
        rows: &[(Uuid, Uuid)],
    ) -> Result<(), sqlx::Error> {
        if !gone.is_empty() {
            self.query("delete from {schema}.cluster where tenant_id = $1 and record_id = any($2)")
                .bind(gone.to_vec())
                .execute(&mut *self.connection)
                .await?;
        }
        if !rows.is_empty() {
            self.query(
                "insert into {schema}.cluster (tenant_id, record_id, cluster_id) \
                 select $1, x.* from unnest($2::uuid[], $3::uuid[]) x \
                 on conflict (tenant_id, record_id) do update set cluster_id = excluded.cluster_id",
            )
            .bind(column(rows, |(id, _)| *id))
            .bind(column(rows, |(_, cluster)| *cluster))
            .execute(&mut *self.connection)
            .await?;
        }
        Ok(())
    }

    pub(super) async fn write_rule(&mut self, defined: &Defined) -> Result<(), sqlx::Error> {
        self.query(
            "insert into {schema}.rule (tenant_id, version, rule) values ($1, $2, $3::text::json) \
             on conflict (tenant_id) do update set version = excluded.version, rule = excluded.rule",
        )
        .bind(defined.version)
        .bind(to_json(&defined.rule))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }
}

fn column<R, T>(rows: &[R], value: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("texts, numbers and maps with text keys are JSON")
}

fn from_json<T: serde::de::DeserializeOwned>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
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
