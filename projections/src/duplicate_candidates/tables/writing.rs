//! What changed is written in bulk.

use super::{Decided, Pairs, Row, Tables, to_json};
use kvali_domain::match_rule::Defined;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

impl Tables<'_> {
    pub(in super::super) async fn write_records(&mut self, rows: &[Row<'_>]) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        // Arrays of arrays must be of one length in Postgres, so that lists of keys travel as texts.
        let keys = |keys: &BTreeSet<i64>| {
            format!("{{{}}}", keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        };
        self.query(
            "insert into {schema}.record (tenant_id, record_id, kind, born, owner, archived, converted, merged_into, known) \
             select $1, id, kind, born, owner, archived, converted, merged_into, known::json \
             from unnest($2::uuid[], $3::text[], $4::bigint[], $5::uuid[], $6::bool[], $7::bool[], $8::uuid[], \
               $9::text[]) x (id, kind, born, owner, archived, converted, merged_into, known) \
             on conflict (tenant_id, record_id) do update set owner = excluded.owner, archived = excluded.archived, \
               converted = excluded.converted, merged_into = excluded.merged_into, known = excluded.known",
        )
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.record.kind.as_str()))
        .bind(column(rows, |row| row.record.born))
        .bind(column(rows, |row| row.record.owner))
        .bind(column(rows, |row| row.record.archived))
        .bind(column(rows, |row| row.record.converted))
        .bind(column(rows, |row| row.record.merged_into))
        .bind(column(rows, |row| to_json(&row.record.known)))
        .execute(&mut *self.connection)
        .await?;
        self.query(
            "insert into {schema}.compared (tenant_id, record_id, keys, profile) \
             select $1, id, keys::bigint[], profile from unnest($2::uuid[], $3::text[], $4::bytea[]) x (id, keys, profile) \
             on conflict (tenant_id, record_id) do update set keys = excluded.keys, profile = excluded.profile",
        )
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| keys(&row.held.keys)))
        .bind(column(rows, |row| row.held.profile.clone()))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    /// Crowds with how many they are; those of 0 are none any more.
    pub(in super::super) async fn write_crowds(
        &mut self,
        crowds: &BTreeMap<i64, i64>,
    ) -> Result<(), sqlx::Error> {
        if crowds.is_empty() {
            return Ok(());
        }
        let (gone, stay): (Vec<_>, Vec<_>) =
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

    pub(in super::super) async fn write_pairs(
        &mut self,
        gone: &[[Uuid; 2]],
        rows: &Pairs,
    ) -> Result<(), sqlx::Error> {
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
    pub(in super::super) async fn write_decisions(
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

    pub(in super::super) async fn write_clusters(
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

    pub(in super::super) async fn write_rule(&mut self, defined: &Defined) -> Result<(), sqlx::Error> {
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
