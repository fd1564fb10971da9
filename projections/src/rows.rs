//! Rows that a batch touches: loaded by their keys, changed in memory, and each changed one written once, in bulk.
//!
//! A row travels as JSON, whose keys are the table's columns.

use crate::sql::sql;
use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound, Utc};
use kvali_domain::TenantId;
use kvali_eventstore::Opened;
use kvali_eventstore::project::Batch;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sqlx::postgres::PgArguments;
use sqlx::query::QueryScalar;
use sqlx::{PgConnection, Postgres};
use std::collections::BTreeMap;
use uuid::Uuid;

/// One tenant's part of the tables of one generation.
pub(crate) struct Tables<'a> {
    pub tenant: TenantId,
    pub schema: &'a str,
    pub connection: &'a mut PgConnection,
}

impl<'a> Tables<'a> {
    pub(crate) fn of(batch: &Batch<'a>, connection: &'a mut PgConnection) -> Self {
        Self { tenant: batch.tenant, schema: batch.schema, connection }
    }

    /// The rows whose `column` is one of `ids`. Id by id, so that an index serves it: of a tenant unknown to its statistics
    /// the planner would expect one row, and read all of them.
    pub(crate) async fn by<R: Row>(
        &mut self,
        column: &'static str,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<Vec<R>, sqlx::Error> {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let statement = format!(
            "select row_to_json(r)::text from unnest($2::uuid[]) x (id) cross join lateral \
             (select * from {{schema}}.{table} where tenant_id = $1 and {column} = x.id offset 0) r",
            table = R::TABLE,
        );
        let query = sqlx::query_scalar(sql(self.schema, &statement)).bind(self.tenant.0).bind(ids);
        read(&query.fetch_all(&mut *self.connection).await?)
    }

    /// The rows for which `condition` holds; its values are `$2` and on, bound by `bind`.
    pub(crate) async fn which<R: Row>(
        &mut self,
        condition: &'static str,
        bind: impl FnOnce(Bound<'_>) -> Bound<'_>,
    ) -> Result<Vec<R>, sqlx::Error> {
        let statement = format!(
            "select row_to_json(r)::text from (select * from {{schema}}.{table} where tenant_id = $1 and {condition}) r",
            table = R::TABLE,
        );
        let query = sqlx::query_scalar(sql(self.schema, &statement)).bind(self.tenant.0);
        read(&bind(query).fetch_all(&mut *self.connection).await?)
    }
}

pub(crate) type Bound<'q> = QueryScalar<'q, Postgres, String, PgArguments>;

fn read<R: Row>(rows: &[String]) -> Result<Vec<R>, sqlx::Error> {
    rows.iter().map(|json| parsed(json)).collect()
}

/// A row of a table; every column but `tenant_id` is a field of it.
pub(crate) trait Row: Serialize + DeserializeOwned + Clone + PartialEq {
    /// One value, or a tuple of them in the order of `KEY`.
    type Key: Serialize + Ord + Clone;
    const TABLE: &'static str;
    /// The columns of the primary key after `tenant_id`.
    const KEY: &'static [&'static str];

    fn key(&self) -> Self::Key;

    /// Writes rows without looking for them first.
    async fn upsert(
        tables: &mut Tables<'_>,
        rows: impl IntoIterator<Item = Self>,
    ) -> Result<(), sqlx::Error> {
        upsert::<Self>(tables, rows.into_iter().map(|row| object(&row)).collect()).await
    }

    async fn delete(
        tables: &mut Tables<'_>,
        keys: impl IntoIterator<Item = Self::Key>,
    ) -> Result<(), sqlx::Error> {
        delete::<Self>(tables, keys.into_iter().map(|key| key_object::<Self>(&key)).collect()).await
    }
}

/// The rows of one table that a batch concerns.
pub(crate) struct Rows<R: Row>(BTreeMap<R::Key, Held<R>>);

struct Held<R> {
    stored: Option<R>,
    now: Option<R>,
}

impl<R: Row> Default for Rows<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R: Row> Rows<R> {
    pub(crate) fn get(&self, key: &R::Key) -> Option<&R> {
        self.0.get(key)?.now.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: &R::Key) -> Option<&mut R> {
        self.0.get_mut(key)?.now.as_mut()
    }

    /// Whether the row was looked for, be it there or not.
    pub(crate) fn knows(&self, key: &R::Key) -> bool {
        self.0.contains_key(key)
    }

    /// Rows as they stand in their table.
    pub(crate) fn keep(&mut self, rows: impl IntoIterator<Item = R>) {
        let held = |row: R| (row.key(), Held { stored: Some(row.clone()), now: Some(row) });
        self.0.extend(rows.into_iter().map(held));
    }

    /// A new row, or another in its place.
    pub(crate) fn put(&mut self, row: R) {
        let key = row.key();
        self.0.entry(key).or_insert(Held { stored: None, now: None }).now = Some(row);
    }

    /// The row, made first if there is none.
    pub(crate) fn get_or_put(&mut self, row: R) -> &mut R {
        let held = self.0.entry(row.key()).or_insert(Held { stored: None, now: None });
        held.now.get_or_insert(row)
    }

    pub(crate) fn remove(&mut self, key: &R::Key) -> Option<R> {
        self.0.get_mut(key)?.now.take()
    }

    /// All that stand now.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &R> {
        self.0.values().filter_map(|held| held.now.as_ref())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut R> {
        self.0.values_mut().filter_map(|held| held.now.as_mut())
    }

    /// Those that differ from what is stored: as they were, and as they are.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (Option<&R>, Option<&R>)> {
        let pairs = self.0.values().map(|held| (held.stored.as_ref(), held.now.as_ref()));
        pairs.filter(|(stored, now)| stored != now)
    }

    /// Loads the rows of these keys that were not looked for before.
    pub(crate) async fn load(
        &mut self,
        tables: &mut Tables<'_>,
        keys: impl IntoIterator<Item = R::Key>,
    ) -> Result<(), sqlx::Error> {
        let mut wanted = Vec::new();
        for key in keys {
            if let std::collections::btree_map::Entry::Vacant(vacant) = self.0.entry(key) {
                wanted.push(key_object::<R>(vacant.key()));
                vacant.insert(Held { stored: None, now: None });
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        // Key by key: of a tenant unknown to its statistics the planner would expect one row, and read all of them.
        let statement = format!(
            "select row_to_json(r)::text from json_populate_recordset(null::{{schema}}.{table}, $2::json) k \
             cross join lateral (select * from {{schema}}.{table} t where t.tenant_id = $1 and {same} limit 1) r",
            table = R::TABLE,
            same = same::<R>(),
        );
        let found: Vec<String> = sqlx::query_scalar(sql(tables.schema, &statement))
            .bind(tables.tenant.0)
            .bind(Value::Array(wanted).to_string())
            .fetch_all(&mut *tables.connection)
            .await?;
        self.keep(read(&found)?);
        Ok(())
    }

    /// Loads the rows that have one of `values` in `column`, which has an index, beside those that are loaded.
    pub(crate) async fn load_by(
        &mut self,
        column: &'static str,
        tables: &mut Tables<'_>,
        values: impl IntoIterator<Item = Uuid>,
    ) -> Result<(), sqlx::Error> {
        let mut found = tables.by::<R>(column, values).await?;
        found.retain(|row| !self.knows(&row.key()));
        self.keep(found);
        Ok(())
    }

    /// Writes what has changed.
    pub(crate) async fn write(&self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let changed = self.0.iter().filter(|(_, held)| held.stored != held.now);
        let (mut gone, mut stand) = (Vec::new(), Vec::new());
        for (key, held) in changed {
            match &held.now {
                None => gone.push(key_object::<R>(key)),
                Some(row) => stand.push(object(row)),
            }
        }
        delete::<R>(tables, gone).await?;
        upsert::<R>(tables, stand).await
    }
}

async fn upsert<R: Row>(tables: &mut Tables<'_>, rows: Vec<Map<String, Value>>) -> Result<(), sqlx::Error> {
    let Some(first) = rows.first() else { return Ok(()) };
    let columns: Vec<&str> = first.keys().map(String::as_str).collect();
    let set: Vec<String> = columns
        .iter()
        .filter(|column| !R::KEY.contains(column))
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    let otherwise =
        if set.is_empty() { "nothing".to_owned() } else { format!("update set {}", set.join(", ")) };
    let statement = format!(
        "insert into {{schema}}.{table} (tenant_id, {columns}) \
         select $1, {columns} from json_populate_recordset(null::{{schema}}.{table}, $2::json) \
         on conflict (tenant_id, {key}) do {otherwise}",
        table = R::TABLE,
        columns = columns.join(", "),
        key = R::KEY.join(", "),
    );
    execute(tables, &statement, rows.into_iter().map(Value::Object).collect()).await
}

async fn delete<R: Row>(tables: &mut Tables<'_>, keys: Vec<Value>) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let statement = format!(
        "delete from {{schema}}.{table} where ctid = any (array (\
         select r.place from json_populate_recordset(null::{{schema}}.{table}, $2::json) k \
         cross join lateral (select t.ctid as place from {{schema}}.{table} t \
         where t.tenant_id = $1 and {same} limit 1) r))",
        table = R::TABLE,
        same = same::<R>(),
    );
    execute(tables, &statement, keys).await
}

async fn execute(tables: &mut Tables<'_>, statement: &str, rows: Vec<Value>) -> Result<(), sqlx::Error> {
    sqlx::query(sql(tables.schema, statement))
        .bind(tables.tenant.0)
        .bind(Value::Array(rows).to_string())
        .execute(&mut *tables.connection)
        .await
        .map(drop)
}

fn same<R: Row>() -> String {
    R::KEY.iter().map(|column| format!("t.{column} = k.{column}")).collect::<Vec<_>>().join(" and ")
}

fn key_object<R: Row>(key: &R::Key) -> Value {
    let values = match serde_json::to_value(key).expect("a key is made of ids, numbers and texts") {
        Value::Array(values) => values,
        one => vec![one],
    };
    R::KEY.iter().map(|column| (*column).to_owned()).zip(values).collect::<Map<_, _>>().into()
}

fn object(row: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(row) {
        Ok(Value::Object(object)) => object,
        _ => unreachable!("a row is a struct of fields that JSON knows"),
    }
}

/// What Postgres has written as JSON.
pub(crate) fn parsed<T: DeserializeOwned>(json: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(json).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Within the years that JSON and Postgres write alike, in microseconds: whoever plans beyond them has mistyped.
pub(crate) fn instant(at: DateTime<Utc>) -> DateTime<Utc> {
    at.clamp(start(FIRST_DAY), start(LAST_DAY)).trunc_subsecs(6)
}

pub(crate) fn day(date: NaiveDate) -> NaiveDate {
    date.clamp(FIRST_DAY, LAST_DAY)
}

/// When it happened, where that is known.
pub(crate) fn moment(opened: &Opened) -> Option<DateTime<Utc>> {
    opened.recorded.occurred.at().map(instant)
}

const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1, 1, 1).expect("a day of the calendar");
const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a day of the calendar");

fn start(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// An amount with all its digits: Postgres writes a number, and a float would lose some.
pub(crate) mod exact {
    use rust_decimal::Decimal;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::value::RawValue;

    #[expect(clippy::ref_option, reason = "serde calls it with the field as it is")]
    pub(crate) fn serialize<S: Serializer>(amount: &Option<Decimal>, to: S) -> Result<S::Ok, S::Error> {
        amount.map(|amount| amount.to_string()).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Decimal>, D::Error> {
        let raw = Option::<Box<RawValue>>::deserialize(from)?;
        let parse = |raw: Box<RawValue>| raw.get().trim_matches('"').parse().map_err(D::Error::custom);
        raw.filter(|raw| raw.get() != "null").map(parse).transpose()
    }
}
