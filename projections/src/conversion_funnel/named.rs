//! Named funnels: every version of their definitions.

use super::definition::Definition;
use super::model::Tables;
use super::population::Population;
use super::query::QueryError;
use crate::sql::{column, sql};
use chrono::{DateTime, Utc};
use kvali_domain::pipeline::folded;
use kvali_domain::{Event, FunnelId, PipelineId, TenantId, funnel};
use kvali_eventstore::project::{Look, Query};
use kvali_eventstore::{Opened, Store};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use std::collections::BTreeSet;

/// One version of a named funnel.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Named {
    pub funnel: FunnelId,
    pub name: String,
    pub version: i32,
    pub definition: funnel::Definition,
}

impl Named {
    pub fn pipeline(&self) -> PipelineId {
        self.definition.pipeline
    }

    /// The question that it asks of a population at T.
    pub fn asked(&self, population: Population, at: DateTime<Utc>) -> Definition {
        let funnel::Definition { steps, rule, window, start, impute_lost, .. } = self.definition.clone();
        Definition { window, start, population, impute_lost, ..Definition::new(steps, rule, at) }
    }
}

/// What a batch says of named funnels.
#[derive(Default, Debug)]
pub struct Namings {
    defined: Vec<Named>,
    retired: BTreeSet<FunnelId>,
}

impl Namings {
    pub(super) fn apply(&mut self, opened: &Opened) {
        let Event::Funnel(event) = &opened.event else { return };
        let funnel = FunnelId(opened.recorded.stream.0);
        let (name, version, definition) = match event {
            funnel::Event::Defined(event) => (&event.name, event.version, &event.definition),
            funnel::Event::Redefined(event) => (&event.name, event.version, &event.definition),
            funnel::Event::Retired(_) => {
                self.retired.insert(funnel);
                return;
            }
        };
        self.defined.push(Named { funnel, name: name.clone(), version, definition: definition.clone() });
    }

    /// The funnels that are defined anew, or gone.
    pub(super) fn touched(&self) -> BTreeSet<FunnelId> {
        self.defined.iter().map(|named| named.funnel).chain(self.retired.iter().copied()).collect()
    }

    pub(super) async fn write(&self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        if !self.defined.is_empty() {
            let json = |named: &Named| {
                serde_json::to_string(&named.definition).expect("a definition holds no fallible values")
            };
            let query = tables
                .query(DEFINE)
                .bind(column(&self.defined, |named| named.funnel.0))
                .bind(column(&self.defined, |named| named.version))
                .bind(column(&self.defined, |named| named.name.clone()))
                .bind(column(&self.defined, json));
            tables.execute(query).await?;
        }
        if !self.retired.is_empty() {
            let retired: Vec<_> = self.retired.iter().map(|funnel| funnel.0).collect();
            let query = tables.query(RETIRE).bind(retired);
            tables.execute(query).await?;
        }
        Ok(())
    }
}

const DEFINE: &str = "insert into {schema}.funnel (tenant_id, funnel_id, version, name, definition, retired) \
    select $1, id, version, name, definition::json, false \
    from unnest($2::uuid[], $3::int[], $4::text[], $5::text[]) x (id, version, name, definition)";

const RETIRE: &str = "update {schema}.funnel set retired = true where tenant_id = $1 and funnel_id = any($2)";

const VERSIONS: &str = "select funnel_id, version, name, definition::text from {schema}.funnel \
    where tenant_id = $1 and not retired order by name, funnel_id, version desc";

/// All versions of the funnels in force, by name, the newest of each first.
pub(super) async fn versions(
    connection: &mut PgConnection,
    schema: &str,
    tenant: TenantId,
) -> Result<Vec<Named>, sqlx::Error> {
    let rows = sqlx::query(sql(schema, VERSIONS)).bind(tenant.0).fetch_all(connection).await?;
    rows.iter().map(named).collect()
}

/// The newest version of each funnel.
pub(super) fn newest(versions: Vec<Named>) -> Vec<Named> {
    let mut seen = BTreeSet::new();
    versions.into_iter().filter(|named| seen.insert(named.funnel)).collect()
}

/// The funnel of that name, whatever its case; the newest version unless one is named.
pub(super) fn find(versions: &[Named], name: &str, version: Option<i32>) -> Result<Named, QueryError> {
    let of_name: Vec<&Named> = versions.iter().filter(|named| folded(&named.name) == folded(name)).collect();
    let Some(newest) = of_name.first() else {
        let known: BTreeSet<String> = versions.iter().map(|named| named.name.clone()).collect();
        return Err(QueryError::NoSuchFunnel { name: name.to_owned(), known: known.into_iter().collect() });
    };
    let version = version.unwrap_or(newest.version);
    let found = of_name.iter().find(|named| named.version == version);
    found.map(|named| (*named).clone()).ok_or_else(|| QueryError::NoSuchVersion {
        name: newest.name.clone(),
        version,
        newest: newest.version,
    })
}

fn named(row: &PgRow) -> Result<Named, sqlx::Error> {
    let json: &str = row.try_get("definition")?;
    Ok(Named {
        funnel: FunnelId(row.try_get("funnel_id")?),
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        definition: serde_json::from_str(json).map_err(|error| sqlx::Error::Decode(error.into()))?,
    })
}

/// The newest version of every funnel in force.
pub struct Funnels;

#[async_trait::async_trait]
impl Query for Funnels {
    type Answer = Vec<Named>;
    type Error = QueryError;

    async fn ask(self, look: &mut Look<'_>) -> Result<Vec<Named>, QueryError> {
        Ok(newest(All.ask(look).await?))
    }
}

/// All versions of them.
struct All;

#[async_trait::async_trait]
impl Query for All {
    type Answer = Vec<Named>;
    type Error = QueryError;

    async fn ask(self, look: &mut Look<'_>) -> Result<Vec<Named>, QueryError> {
        Ok(versions(&mut *look.connection, look.schema, look.tenant).await?)
    }
}

/// The newest version of every funnel in force, by name.
pub async fn funnels(
    store: &Store,
    tenant: TenantId,
    now: DateTime<Utc>,
    progress: &(dyn Fn(i64, i64) + Sync),
) -> Result<Vec<Named>, QueryError> {
    ask(store, tenant, now, progress, Funnels).await
}

/// The funnel of that name as it is defined today, or was in an older version.
pub async fn funnel_named(
    store: &Store,
    tenant: TenantId,
    name: &str,
    version: Option<i32>,
    now: DateTime<Utc>,
    progress: &(dyn Fn(i64, i64) + Sync),
) -> Result<Named, QueryError> {
    find(&ask(store, tenant, now, progress, All).await?, name, version)
}

async fn ask<Q>(
    store: &Store,
    tenant: TenantId,
    now: DateTime<Utc>,
    progress: &(dyn Fn(i64, i64) + Sync),
    question: Q,
) -> Result<Q::Answer, QueryError>
where
    Q: Query<Error = QueryError>,
{
    let model = std::sync::Arc::new(super::model::ConversionFunnel);
    let as_of = kvali_eventstore::project::AsOf::NOW;
    Ok(store.ask(model, tenant, as_of, now, progress, question).await?.answer)
}
