//! Rows of a read model as structs whose fields are named like the columns: loaded by key, folded in memory, and
//! written back where they have changed.

use crate::sql::sql;
use kvali_domain::TenantId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A row without its tenant.
pub(crate) trait Row: Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync {
    const TABLE: &'static str;
    /// The columns of the primary key, beside the tenant.
    const KEY: &'static [&'static str];
}

/// The rows of one table that a batch touches.
#[derive(Debug)]
pub(crate) struct Rows<K, R> {
    rows: BTreeMap<K, Kept<R>>,
}

#[derive(Debug)]
struct Kept<R> {
    row: R,
    stored: Option<R>,
}

impl<K, R> Default for Rows<K, R> {
    fn default() -> Self {
        Self { rows: BTreeMap::new() }
    }
}

impl<K: Ord, R: Row> Rows<K, R> {
    /// A row as it stands in its table.
    pub(crate) fn keep(&mut self, key: K, row: R) {
        self.rows.insert(key, Kept { stored: Some(row.clone()), row });
    }

    /// A new row, or another in its place.
    pub(crate) fn put(&mut self, key: K, row: R) {
        let stored = self.rows.remove(&key).and_then(|kept| kept.stored);
        self.rows.insert(key, Kept { row, stored });
    }

    pub(crate) fn get(&self, key: &K) -> Option<&R> {
        self.rows.get(key).map(|kept| &kept.row)
    }

    pub(crate) fn edit(&mut self, key: &K) -> Option<&mut R> {
        self.rows.get_mut(key).map(|kept| &mut kept.row)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &R> {
        self.rows.values().map(|kept| &kept.row)
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut R> {
        self.rows.values_mut().map(|kept| &mut kept.row)
    }

    /// Those that are not as their table has them.
    pub(crate) fn changed(&self) -> Vec<&R> {
        let changed = self.rows.values().filter(|kept| kept.stored.as_ref() != Some(&kept.row));
        changed.map(|kept| &kept.row).collect()
    }
}

/// The tables of one tenant in one generation.
pub(crate) struct Tables<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) schema: &'a str,
    pub(crate) connection: &'a mut PgConnection,
}

impl Tables<'_> {
    /// The rows whose `column` is one of `ids`. Id by id, so that the key serves it: of a table without statistics the
    /// planner would expect one row, and read all of them.
    pub(crate) async fn of<R: Row>(
        &mut self,
        column: &str,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<Vec<R>, sqlx::Error> {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let statement = format!(
            "select row_to_json(r)::text from unnest($2::uuid[]) x (id) cross join lateral \
             (select * from {{schema}}.{} where tenant_id = $1 and {column} = x.id offset 0) r",
            R::TABLE
        );
        let query = sqlx::query_scalar(sql(self.schema, &statement)).bind(self.tenant.0).bind(ids);
        decoded(query.fetch_all(&mut *self.connection).await?)
    }

    /// The rows for which `condition` holds; its values are `$2` and on, bound by `bind`.
    pub(crate) async fn which<R: Row>(
        &mut self,
        condition: &str,
        bind: impl FnOnce(Bound<'_>) -> Bound<'_>,
    ) -> Result<Vec<R>, sqlx::Error> {
        let statement = format!(
            "select row_to_json(r)::text from (select * from {{schema}}.{} where tenant_id = $1 and {condition}) r",
            R::TABLE
        );
        let query = sqlx::query_scalar(sql(self.schema, &statement)).bind(self.tenant.0);
        decoded(bind(query).fetch_all(&mut *self.connection).await?)
    }

    /// Writes rows, new and changed ones, in one statement.
    pub(crate) async fn write<R: Row>(&mut self, rows: &[&R]) -> Result<(), sqlx::Error> {
        let Some(first) = rows.first() else { return Ok(()) };
        let statement = upsert::<R>(&object(self.tenant, *first));
        let rows: Vec<Value> = rows.iter().map(|row| object(self.tenant, *row)).collect();
        let rows = serde_json::to_string(&rows).expect("rows hold no fallible values");
        sqlx::query(sql(self.schema, &statement)).bind(rows).execute(&mut *self.connection).await?;
        Ok(())
    }
}

pub(crate) type Bound<'q> = sqlx::query::QueryScalar<'q, sqlx::Postgres, String, sqlx::postgres::PgArguments>;

fn decoded<R: Row>(rows: Vec<String>) -> Result<Vec<R>, sqlx::Error> {
    let row = |text: String| serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()));
    rows.into_iter().map(row).collect()
}

fn object(tenant: TenantId, row: &impl Serialize) -> Value {
    let mut object = serde_json::to_value(row).expect("rows hold no fallible values");
    object["tenant_id"] = serde_json::json!(tenant);
    object
}

fn upsert<R: Row>(row: &Value) -> String {
    let columns = row.as_object().into_iter().flat_map(serde_json::Map::keys);
    let is_key = |column: &&String| *column == "tenant_id" || R::KEY.contains(&column.as_str());
    let sets: Vec<String> = columns
        .filter(|column| !is_key(column))
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    let otherwise =
        if sets.is_empty() { "nothing".to_owned() } else { format!("update set {}", sets.join(", ")) };
    format!(
        "insert into {{schema}}.{table} select r.* from json_populate_recordset(null::{{schema}}.{table}, $1::json) r \
         on conflict (tenant_id, {key}) do {otherwise}",
        table = R::TABLE,
        key = R::KEY.join(", "),
    )
}
