//! One question asked of the facts, as they stand or stood.

use super::cases::{Cases, Corrections, OfDeal, Stay};
use super::model::{ConversionFunnel, money, outcome, stages};
use super::{
    Answer, Basis, Case, Cycle, CycleAnswer, Definition, Funnel, Layout, Layouts, NotADefinition, StageTime,
    TimeInStage, Velocity, VelocityAnswer, Visit, WinRate, WinRateAnswer,
};
use crate::sql::sql;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use kvali_domain::pipeline::{self, Stage};
use kvali_domain::{DealId, PipelineId, StageId, TenantId, UserId, Version};
use kvali_eventstore::Store;
use kvali_eventstore::project::{AsOf, Look, Query};
use sqlx::postgres::PgRow;
use sqlx::{Executor, Row};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// The facts of one pipeline, ready to be counted.
#[derive(Debug)]
pub struct Ground {
    pub pipeline: PipelineId,
    pub name: String,
    /// Stages of all versions; those of the newest first, then those that older ones had.
    pub stages: Vec<Stage>,
    /// The position that the facts stand at.
    pub position: i64,
    /// T: the instant that they stand at.
    pub at: DateTime<Utc>,
    pub owners: BTreeMap<UserId, Option<String>>,
    layouts: Layouts,
    cases: Vec<Case>,
}

#[derive(thiserror::Error, Debug)]
pub enum QueryError {
    #[error("there is no pipeline {name:?}; there are {}", list(.known))]
    NoSuchPipeline { name: String, known: Vec<String> },
    #[error("stage {name:?} is not in pipeline {pipeline:?}; it has {}", list(.known))]
    NoSuchStage { name: String, pipeline: String, known: Vec<String> },
    #[error(transparent)]
    NotADefinition(#[from] NotADefinition),
    #[error(transparent)]
    Store(#[from] kvali_eventstore::Error),
    #[error("reading the conversion funnel's facts failed")]
    Read(#[from] sqlx::Error),
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// Loads the facts of the pipeline named `name` as of `as_of`; `now` is T when nothing else sets it.
pub async fn ground(
    store: &Store,
    tenant: TenantId,
    name: &str,
    as_of: AsOf,
    corrections: Corrections,
    now: DateTime<Utc>,
    progress: &(dyn Fn(i64, i64) + Sync),
) -> Result<Ground, QueryError> {
    let load = Load { name: name.to_owned(), corrections };
    Ok(store.ask(Arc::new(ConversionFunnel), tenant, as_of, now, progress, load).await?.answer)
}

/// The facts of one pipeline.
struct Load {
    name: String,
    corrections: Corrections,
}

const PIPELINES: &str = "select pipeline_id, version, name, stages::text from {schema}.pipeline where tenant_id = $1 order by 1, 2";

const OWNERS: &str = "select user_id, name from {schema}.owner where tenant_id = $1";

/// One row per visit to the pipeline, a deal's visits together and in order.
const CASES: &str = "select d.deal_id, d.pipeline_id, d.owner, d.outcome, d.created_at, d.closed_at, d.amount, d.currency, \
    v.visit, v.stage_id, v.mistaken_stage, v.entered_at, v.pipeline_version, v.next_pipeline, v.left_at \
    from {schema}.visit v join {schema}.deal d on d.tenant_id = v.tenant_id and d.deal_id = v.deal_id \
    where v.tenant_id = $1 and v.pipeline_id = $2 and d.merged_into is null \
    order by v.deal_id, v.visit";

#[async_trait]
impl Query for Load {
    type Answer = Ground;
    type Error = QueryError;

    async fn ask(self, look: &mut Look<'_>) -> Result<Ground, QueryError> {
        // All deals of a pipeline meet all their visits. Of a tenant unknown to its statistics the planner expects one
        // deal and looks through every visit for each: eleven seconds of three thousand deals, instead of none.
        look.connection.execute("set local enable_nestloop = off").await?;
        let tenant = look.tenant.0;
        let rows =
            sqlx::query(sql(look.schema, PIPELINES)).bind(tenant).fetch_all(&mut *look.connection).await?;
        let versions = rows.iter().map(|row| {
            Ok(PipelineVersion {
                pipeline: PipelineId(row.try_get("pipeline_id")?),
                version: row.try_get("version")?,
                name: row.try_get("name")?,
                stages: stages(row)?,
            })
        });
        let versions = versions.collect::<Result<Vec<_>, sqlx::Error>>()?;
        let owners =
            sqlx::query_as(sql(look.schema, OWNERS)).bind(tenant).fetch_all(&mut *look.connection).await?;
        let owners = owners.into_iter().map(|(id, name)| (UserId(id), name)).collect();
        let mut draft = Ground::of(&self.name, &versions, owners, look.position, look.at, self.corrections)?;
        let statement = sqlx::query(sql(look.schema, CASES)).bind(tenant).bind(draft.cases.pipeline.0);
        let mut rows = statement.fetch(&mut *look.connection);
        while let Some(row) = rows.try_next().await? {
            draft.add(&row)?;
        }
        drop(rows);
        Ok(draft.done())
    }
}

impl Draft {
    /// One visit, and its case with the first.
    fn add(&mut self, row: &PgRow) -> Result<(), sqlx::Error> {
        let deal = DealId(row.try_get("deal_id")?);
        if !self.cases.has_begun(deal) {
            self.cases.begin(deal, row.try_get("visit")?, &of_deal(row)?);
        }
        self.cases.add(&stay(row)?);
        Ok(())
    }

    fn done(self) -> Ground {
        Ground { cases: self.cases.made, ..self.ground }
    }
}

fn of_deal(row: &PgRow) -> Result<OfDeal, sqlx::Error> {
    Ok(OfDeal {
        pipeline: PipelineId(row.try_get("pipeline_id")?),
        owner: row.try_get::<Option<_>, _>("owner")?.map(UserId),
        outcome: outcome(row.try_get("outcome")?),
        created_at: row.try_get("created_at")?,
        closed_at: row.try_get("closed_at")?,
        value: money(row)?,
    })
}

fn stay(row: &PgRow) -> Result<Stay, sqlx::Error> {
    let left_at = row.try_get("left_at")?;
    Ok(Stay {
        stage: StageId(row.try_get("stage_id")?),
        mistaken_stage: row.try_get::<Option<_>, _>("mistaken_stage")?.map(StageId),
        entered_at: row.try_get("entered_at")?,
        pipeline_version: row.try_get("pipeline_version")?,
        elsewhere: row.try_get::<Option<Uuid>, _>("next_pipeline")?.map(|_| Visit::elsewhere(left_at)),
    })
}

struct PipelineVersion {
    pipeline: PipelineId,
    version: Version,
    name: String,
    stages: Vec<Stage>,
}

struct Draft {
    ground: Ground,
    cases: Cases,
}

impl Ground {
    /// Finds the pipeline by its present name, or by its id.
    fn of(
        name: &str,
        versions: &[PipelineVersion],
        owners: BTreeMap<UserId, Option<String>>,
        position: i64,
        at: DateTime<Utc>,
        corrections: Corrections,
    ) -> Result<Draft, QueryError> {
        let mut newest: BTreeMap<PipelineId, &PipelineVersion> = BTreeMap::new();
        for version in versions {
            newest.insert(version.pipeline, version);
        }
        let folded = pipeline::folded(name);
        let found = newest.values().find(|version| {
            pipeline::folded(&version.name) == folded || version.pipeline.to_string() == folded
        });
        let Some(current) = found else {
            let known = newest.values().map(|version| version.name.clone()).collect();
            return Err(QueryError::NoSuchPipeline { name: name.to_owned(), known });
        };
        let mut layouts = Layouts::default();
        let mut of_version = HashMap::new();
        let mut stages = current.stages.clone();
        for version in versions.iter().filter(|version| version.pipeline == current.pipeline) {
            let layout = version.stages.iter().map(|stage| (stage.id, stage.class)).collect();
            of_version.insert(version.version, layouts.add(Layout { stages: layout }));
            for stage in &version.stages {
                if stages.iter().all(|known| known.id != stage.id) {
                    stages.push(stage.clone());
                }
            }
        }
        let (pipeline, name) = (current.pipeline, current.name.clone());
        let ground = Self { pipeline, name, stages, position, at, owners, layouts, cases: Vec::new() };
        Ok(Draft { ground, cases: Cases { pipeline, layouts: of_version, corrections, made: Vec::new() } })
    }

    /// Finds a stage by its name, without case.
    pub fn stage(&self, name: &str) -> Result<&Stage, QueryError> {
        let folded = pipeline::folded(name);
        self.stages.iter().find(|stage| pipeline::folded(&stage.name) == folded).ok_or_else(|| {
            let known = self.stages.iter().map(|stage| stage.name.clone()).collect();
            QueryError::NoSuchStage { name: name.to_owned(), pipeline: self.name.clone(), known }
        })
    }

    pub fn funnel(&self, definition: Definition) -> Result<Answer, QueryError> {
        let mut funnel = Funnel::new(definition, &self.layouts)?;
        self.cases.iter().for_each(|case| funnel.add(case));
        Ok(funnel.finish())
    }

    pub fn time_in_stage(&self, definition: &Definition) -> Result<Vec<StageTime>, QueryError> {
        let mut time =
            TimeInStage::new(&definition.steps, definition.population, definition.at, &self.layouts)?;
        self.cases.iter().for_each(|case| time.add(case));
        Ok(time.finish())
    }

    pub fn win_rate(&self, basis: Basis, definition: &Definition) -> WinRateAnswer {
        let mut rate = WinRate::new(basis, definition.population.period(), definition.zone);
        self.cases.iter().for_each(|case| rate.add(case));
        rate.finish()
    }

    pub fn cycle(&self, definition: &Definition) -> CycleAnswer {
        let mut cycle = Cycle::new(definition.population.period(), &self.layouts);
        self.cases.iter().for_each(|case| cycle.add(case));
        cycle.finish()
    }

    pub fn velocity(&self, definition: &Definition) -> VelocityAnswer {
        let mut velocity = Velocity::new(definition.at, definition.population.period(), &self.layouts);
        self.cases.iter().for_each(|case| velocity.add(case));
        velocity.finish()
    }
}
