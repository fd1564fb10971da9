//! One question asked of the facts: of the live read model, or of the log as it was known, or had happened, then.

use super::facts::{Cut, DealFact, Facts, VisitFact};
use super::model::{ConversionFunnel, money, outcome, sql, stages};
use super::{
    Answer, Basis, Case, Cycle, CycleAnswer, Definition, Funnel, Layout, LayoutId, Layouts, NotADefinition,
    Outcome, StageTime, TimeInStage, Velocity, VelocityAnswer, Visit, WinRate, WinRateAnswer,
};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use kvali_domain::pipeline::{self, Stage};
use kvali_domain::{DealId, PipelineId, StageId, TenantId, UserId, Version};
use kvali_eventstore::Store;
use kvali_eventstore::project::{Generation, Projection};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{Connection, Executor, PgConnection, Row};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Events read at a time when a past state is folded from the log.
const PAGE: i64 = 10_000;

/// What the facts are counted at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AsOf {
    /// The live read model, brought up to the head first.
    Now,
    /// As it was known at a position of the log.
    Position(i64),
    /// As it was known at an instant.
    Known(DateTime<Utc>),
    /// All that is known today of what had happened by an instant.
    Happened(DateTime<Utc>),
}

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

/// Whether a mistaken visit counts as the stage that it was first recorded in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Corrections {
    /// The correction replaces the mistake.
    #[default]
    Effective,
    /// The mistake counts as history: what was ever recorded.
    Ever,
}

#[derive(thiserror::Error, Debug)]
pub enum QueryError {
    #[error("there is no pipeline {name:?}; there are {}", list(.known))]
    NoSuchPipeline { name: String, known: Vec<String> },
    #[error("stage {name:?} is not in pipeline {pipeline:?}; it has {}", list(.known))]
    NoSuchStage { name: String, pipeline: String, known: Vec<String> },
    #[error("position {position} is beyond the head of the log, {head}")]
    BeyondHead { position: i64, head: i64 },
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
    let head = store.head(tenant).await?;
    let (until, at) = match as_of {
        AsOf::Now => {
            let model: Arc<dyn Projection> = Arc::new(ConversionFunnel);
            let (generation, _) = store.catch_up(model, tenant, progress).await?;
            return live(store, tenant, name, generation, corrections, now).await;
        }
        AsOf::Happened(at) => (head, at),
        AsOf::Known(at) => (store.position_at(tenant, at).await?, at),
        AsOf::Position(position) if position > head => {
            return Err(QueryError::BeyondHead { position, head });
        }
        AsOf::Position(position) => (position, store.recorded_at(tenant, position).await?.unwrap_or(now)),
    };
    let happened = if let AsOf::Happened(at) = as_of { Some(at) } else { None };
    let facts = fold(store, tenant, until, happened, progress).await?;
    past(facts, name, until, at, corrections)
}

/// The facts that the log up to `until` gives.
async fn fold(
    store: &Store,
    tenant: TenantId,
    until: i64,
    happened: Option<DateTime<Utc>>,
    progress: &(dyn Fn(i64, i64) + Sync),
) -> Result<Facts, QueryError> {
    let mut facts = Facts::default();
    let mut cut = happened.map(Cut::at);
    let mut at = 0;
    while at < until {
        let page = store.read(tenant, at, PAGE.min(until - at)).await?;
        let Some(last) = page.last() else {
            return Err(kvali_eventstore::Error::Gap { expected: at + 1, found: until }.into());
        };
        at = last.position;
        for opened in store.open(tenant, page).await? {
            if !cut.as_mut().is_some_and(|cut| cut.leaves_out(&opened)) {
                facts.apply(&opened);
            }
        }
        progress(at, until);
    }
    Ok(facts)
}

fn past(
    facts: Facts,
    name: &str,
    position: i64,
    at: DateTime<Utc>,
    corrections: Corrections,
) -> Result<Ground, QueryError> {
    let versions = facts.pipelines.into_iter().map(|((pipeline, version), config)| PipelineVersion {
        pipeline,
        version,
        name: config.row.name,
        stages: config.row.stages,
    });
    let mut ground = Ground::of(name, &versions.collect::<Vec<_>>(), facts.owners, position, at)?;
    let layouts = ground.layout_ids.clone();
    let mut visits: BTreeMap<(DealId, i32), VisitFact> = BTreeMap::new();
    for (id, visit) in facts.visits {
        if visit.row.pipeline == ground.ground.pipeline {
            visits.insert(id, visit.row);
        }
    }
    for (id, deal) in facts.deals {
        if deal.row.pipeline == ground.ground.pipeline && deal.row.merged_into.is_none() {
            let own = visits.range((id, 0)..=(id, i32::MAX)).map(|(_, visit)| {
                let stage = counted(visit.stage, visit.mistaken_stage, corrections);
                Visit {
                    stage,
                    entered_at: visit.entered_at,
                    layout: layouts.get(&visit.pipeline_version).copied(),
                }
            });
            ground.ground.cases.push(case(id, &deal.row, own.collect()));
        }
    }
    Ok(ground.ground)
}

fn counted(stage: StageId, mistaken: Option<StageId>, corrections: Corrections) -> StageId {
    match corrections {
        Corrections::Effective => stage,
        Corrections::Ever => mistaken.unwrap_or(stage),
    }
}

fn case(deal: DealId, fact: &DealFact, visits: Vec<Visit>) -> Case {
    Case {
        deal,
        owner: fact.owner,
        visits,
        outcome: counted_outcome(fact.outcome),
        created_at: fact.created_at,
        closed_at: fact.closed_at,
        value: fact.value,
    }
}

fn counted_outcome(outcome: Option<kvali_domain::deal::Outcome>) -> Outcome {
    match outcome {
        None => Outcome::Open,
        Some(kvali_domain::deal::Outcome::Won) => Outcome::Won,
        Some(kvali_domain::deal::Outcome::Lost) => Outcome::Lost,
    }
}

const POSITION: &str = "select position from kvali.projection_checkpoint \
    where tenant_id = $1 and projection = $2 and version = $3 and generation = $4";

const PIPELINES: &str = "select pipeline_id, version, name, stages::text from {schema}.pipeline where tenant_id = $1 order by 1, 2";

const OWNERS: &str = "select user_id, name from {schema}.owner where tenant_id = $1";

/// One row per visit, a deal's visits together and in order.
const CASES: &str = "select d.deal_id, d.owner, d.outcome, d.created_at, d.closed_at, d.amount, d.currency, \
    v.stage_id, v.mistaken_stage, v.entered_at, v.pipeline_version \
    from {schema}.deal d join {schema}.visit v on v.tenant_id = d.tenant_id and v.deal_id = d.deal_id \
    where d.tenant_id = $1 and d.pipeline_id = $2 and d.merged_into is null \
    order by d.deal_id, v.visit";

/// All of one state of the read model, and the position that it stands at. Runs to its end even if the caller stops
/// waiting: a transaction is never left half-way.
async fn live(
    store: &Store,
    tenant: TenantId,
    name: &str,
    generation: Generation,
    corrections: Corrections,
    now: DateTime<Utc>,
) -> Result<Ground, QueryError> {
    let (pool, name) = (store.pool().clone(), name.to_owned());
    let read = tokio::spawn(async move {
        let mut connection = pool.acquire().await?;
        let mut tx = connection.begin().await?;
        tx.execute("set transaction isolation level repeatable read, read only").await?;
        // All deals of a pipeline meet all their visits. Of a tenant unknown to its statistics the planner expects one
        // deal and looks through every visit for each: eleven seconds of three thousand deals, instead of none.
        tx.execute("set local enable_nestloop = off").await?;
        let ground = read_live(&mut tx, tenant, &name, &generation, corrections, now).await;
        tx.commit().await?;
        ground
    });
    read.await.map_err(kvali_eventstore::Error::Task)?
}

async fn read_live(
    connection: &mut PgConnection,
    tenant: TenantId,
    name: &str,
    Generation { generation, schema_name }: &Generation,
    corrections: Corrections,
    now: DateTime<Utc>,
) -> Result<Ground, QueryError> {
    let position: i64 = sqlx::query_scalar(POSITION)
        .bind(tenant.0)
        .bind(ConversionFunnel.name())
        .bind(ConversionFunnel.version())
        .bind(generation)
        .fetch_one(&mut *connection)
        .await?;
    let rows = sqlx::query(sql(schema_name, PIPELINES)).bind(tenant.0).fetch_all(&mut *connection).await?;
    let versions = rows.iter().map(|row| {
        Ok(PipelineVersion {
            pipeline: PipelineId(row.try_get("pipeline_id")?),
            version: row.try_get("version")?,
            name: row.try_get("name")?,
            stages: stages(row)?,
        })
    });
    let versions = versions.collect::<Result<Vec<_>, sqlx::Error>>()?;
    let owners = sqlx::query_as(sql(schema_name, OWNERS)).bind(tenant.0).fetch_all(&mut *connection).await?;
    let owners = owners.into_iter().map(|(id, name)| (UserId(id), name)).collect();
    let mut draft = Ground::of(name, &versions, owners, position, now)?;
    let statement = sqlx::query(sql(schema_name, CASES)).bind(tenant.0).bind(draft.ground.pipeline.0);
    let mut rows = statement.fetch(connection);
    while let Some(row) = rows.try_next().await? {
        draft.add(&row, corrections)?;
    }
    drop(rows);
    Ok(draft.ground)
}

impl Draft {
    /// One visit, and its case with the first.
    fn add(&mut self, row: &PgRow, corrections: Corrections) -> Result<(), sqlx::Error> {
        let deal = DealId(row.try_get("deal_id")?);
        let cases = &mut self.ground.cases;
        if cases.last().is_none_or(|case| case.deal != deal) {
            cases.push(Case {
                deal,
                owner: row.try_get::<Option<_>, _>("owner")?.map(UserId),
                visits: Vec::new(),
                outcome: counted_outcome(outcome(row.try_get("outcome")?)),
                created_at: row.try_get("created_at")?,
                closed_at: row.try_get("closed_at")?,
                value: money(row)?,
            });
        }
        let mistaken = row.try_get::<Option<_>, _>("mistaken_stage")?.map(StageId);
        let visit = Visit {
            stage: counted(StageId(row.try_get("stage_id")?), mistaken, corrections),
            entered_at: row.try_get("entered_at")?,
            layout: self.layout_ids.get(&row.try_get("pipeline_version")?).copied(),
        };
        cases.last_mut().expect("the row's case was pushed above").visits.push(visit);
        Ok(())
    }
}

struct PipelineVersion {
    pipeline: PipelineId,
    version: Version,
    name: String,
    stages: Vec<Stage>,
}

struct Draft {
    ground: Ground,
    layout_ids: HashMap<Version, LayoutId>,
}

impl Ground {
    /// Finds the pipeline by its present name, or by its id.
    fn of(
        name: &str,
        versions: &[PipelineVersion],
        owners: BTreeMap<UserId, Option<String>>,
        position: i64,
        at: DateTime<Utc>,
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
        let mut layout_ids = HashMap::new();
        let mut stages = current.stages.clone();
        for version in versions.iter().filter(|version| version.pipeline == current.pipeline) {
            let layout = version.stages.iter().map(|stage| (stage.id, stage.class)).collect();
            layout_ids.insert(version.version, layouts.add(Layout { stages: layout }));
            for stage in &version.stages {
                if stages.iter().all(|known| known.id != stage.id) {
                    stages.push(stage.clone());
                }
            }
        }
        let (pipeline, name) = (current.pipeline, current.name.clone());
        let ground = Self { pipeline, name, stages, position, at, owners, layouts, cases: Vec::new() };
        Ok(Draft { ground, layout_ids })
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
