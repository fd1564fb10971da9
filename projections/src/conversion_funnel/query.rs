//! One question asked of the facts, as they stand or stood.

use super::breakdown::{Breakdown, Group};
use super::cases::{Cases, OfDeal, Stay};
use super::grouping::{Groups, groups};
use super::model::{ConversionFunnel, money, outcome, stages};
use super::population::NotAPeriod;
use super::revival::{Only, Revival, RevivalAnswer, revivals, summed};
use super::{
    Answer, Basis, Case, Cycle, CycleAnswer, Definition, Funnel, Layout, Layouts, NotADefinition, StageTime,
    TimeInStage, Velocity, VelocityAnswer, Visit, WinRate, WinRateAnswer,
};
use crate::sql::sql;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use kvali_domain::access::Reach;
use kvali_domain::funnel::{Corrections, Step};
use kvali_domain::pipeline::{self, Class, Stage};
use kvali_domain::{DealId, PipelineId, StageId, TenantId, UserId, Version};
use kvali_eventstore::Store;
use kvali_eventstore::project::{Answered, AsOf, Look, Query};
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
    /// Streams that are missing in them, since an event of theirs could not be folded.
    pub parked: i64,
    pub owners: BTreeMap<UserId, Option<String>>,
    /// Which deals the cases are of.
    pub only: Only,
    by: Breakdown,
    /// Of teams, sources and loss reasons.
    names: HashMap<Uuid, String>,
    revivals: Vec<Revival>,
    layouts: Layouts,
    cases: Vec<Case>,
}

#[derive(thiserror::Error, Debug)]
pub enum QueryError {
    #[error("there is no pipeline {name:?}; there are {}", list(.known))]
    NoSuchPipeline { name: String, known: Vec<String> },
    #[error("stage {name:?} is not in pipeline {pipeline:?}; it has {}", list(.known))]
    NoSuchStage { name: String, pipeline: String, known: Vec<String> },
    #[error("deals have no custom field {key:?}; they have {}", list(.known))]
    NoSuchField { key: String, known: Vec<String> },
    #[error("the values of field {key:?} are sealed, for they are personal; break down by another field")]
    SealedField { key: String },
    #[error("the facts were read by {read} and are asked by {asked}; read them by what is asked")]
    ReadOtherwise { read: Breakdown, asked: Breakdown },
    #[error("a horizon of {horizon_days} days reaches beyond all time; name a shorter one")]
    HorizonTooFar { horizon_days: i64 },
    #[error(transparent)]
    NotAPeriod(#[from] NotAPeriod),
    #[error("there is no funnel {name:?}; there are {}", list(.known))]
    NoSuchFunnel { name: String, known: Vec<String> },
    #[error("funnel {name:?} has no version {version}; it has 1 to {newest}")]
    NoSuchVersion { name: String, version: i32, newest: i32 },
    #[error(
        "funnel {name:?} is of the population {population:?}, which has no standing counters; ask it with a period"
    )]
    NotStanding { name: String, population: kvali_domain::funnel::PopulationKind },
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

/// Whose facts are read, and what of.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Question {
    /// By name or by id.
    pub pipeline: String,
    pub by: Breakdown,
    pub only: Only,
    /// Whose deals are counted.
    pub reach: Reach,
}

impl From<&str> for Question {
    fn from(pipeline: &str) -> Self {
        Self { pipeline: pipeline.to_owned(), ..Self::default() }
    }
}

/// Loads the facts of one pipeline as of `as_of`; `now` is T when nothing else sets it.
pub async fn ground(
    store: &Store,
    tenant: TenantId,
    question: impl Into<Question>,
    as_of: AsOf,
    corrections: Corrections,
    now: DateTime<Utc>,
    progress: &(dyn Fn(i64, i64) + Sync),
) -> Result<Ground, QueryError> {
    let load = Load { question: question.into(), corrections };
    let Answered { answer, parked, .. } =
        store.ask(Arc::new(ConversionFunnel), tenant, as_of, now, progress, load).await?;
    Ok(Ground { parked, ..answer })
}

/// The facts of one pipeline.
struct Load {
    question: Question,
    corrections: Corrections,
}

const PIPELINES: &str = "select pipeline_id, version, name, stages::text from {schema}.pipeline where tenant_id = $1 order by 1, 2";

const OWNERS: &str = "select user_id, name from {schema}.owner where tenant_id = $1";

const NAMES: &str = "select id, name from {schema}.name where tenant_id = $1";

/// One row per visit to the pipeline, a deal's visits together and in order.
pub(super) const CASES: &str = "select d.deal_id, d.pipeline_id, d.owner, d.outcome, d.created_at, d.closed_at, d.amount, d.currency, \
    coalesce(d.origin in ('recycle', 'revived'), false) as is_revived, v.visit, v.stage_id, v.mistaken_stage, \
    v.entered_at, v.pipeline_version, v.next_pipeline, v.left_at, v.amount as entry_amount, v.currency as entry_currency \
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
        let names =
            sqlx::query_as(sql(look.schema, NAMES)).bind(tenant).fetch_all(&mut *look.connection).await?;
        let mut draft = Draft::of(self.question, &versions, self.corrections)?;
        let pipeline = draft.cases.pipeline;
        draft.ground.position = look.position;
        draft.ground.at = look.at;
        draft.ground.owners = owners;
        draft.ground.names = names.into_iter().collect();
        draft.ground.revivals = revivals(look, pipeline).await?;
        draft.groups = groups(look, &draft.ground.by, pipeline).await?;
        let statement = sqlx::query(sql(look.schema, CASES)).bind(tenant).bind(pipeline.0);
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
        let owner = row.try_get::<Option<_>, _>("owner")?.map(UserId);
        if !self.ground.only.admits(row.try_get("is_revived")?) || !self.reach.covers(owner) {
            return Ok(());
        }
        if !self.cases.has_begun(deal) {
            let groups = self.groups.remove(&deal).unwrap_or_default();
            self.cases.begin(deal, row.try_get("visit")?, &of_deal(row)?, groups);
        }
        self.cases.add(&stay(row)?);
        Ok(())
    }

    fn done(self) -> Ground {
        Ground { cases: self.cases.made, ..self.ground }
    }
}

pub(super) fn of_deal(row: &PgRow) -> Result<OfDeal, sqlx::Error> {
    Ok(OfDeal {
        pipeline: PipelineId(row.try_get("pipeline_id")?),
        owner: row.try_get::<Option<_>, _>("owner")?.map(UserId),
        outcome: outcome(row.try_get("outcome")?),
        created_at: row.try_get("created_at")?,
        closed_at: row.try_get("closed_at")?,
        value: money(row, "amount", "currency")?,
    })
}

pub(super) fn stay(row: &PgRow) -> Result<Stay, sqlx::Error> {
    let left_at = row.try_get("left_at")?;
    Ok(Stay {
        stage: StageId(row.try_get("stage_id")?),
        mistaken_stage: row.try_get::<Option<_>, _>("mistaken_stage")?.map(StageId),
        entered_at: row.try_get("entered_at")?,
        pipeline_version: row.try_get("pipeline_version")?,
        value: money(row, "entry_amount", "entry_currency")?,
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
    reach: Reach,
    cases: Cases,
    groups: Groups,
}

impl Draft {
    /// Finds the pipeline by its present name, or by its id.
    fn of(
        question: Question,
        versions: &[PipelineVersion],
        corrections: Corrections,
    ) -> Result<Self, QueryError> {
        let mut newest: BTreeMap<PipelineId, &PipelineVersion> = BTreeMap::new();
        for version in versions {
            newest.insert(version.pipeline, version);
        }
        let folded = pipeline::folded(&question.pipeline);
        let found = newest.values().find(|version| {
            pipeline::folded(&version.name) == folded || version.pipeline.to_string() == folded
        });
        let Some(current) = found else {
            let known = newest.values().map(|version| version.name.clone()).collect();
            return Err(QueryError::NoSuchPipeline { name: question.pipeline, known });
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
        let pipeline = current.pipeline;
        let ground = Ground {
            pipeline,
            name: current.name.clone(),
            stages,
            position: 0,
            parked: 0,
            at: DateTime::UNIX_EPOCH,
            owners: BTreeMap::new(),
            only: question.only,
            by: question.by,
            names: HashMap::new(),
            revivals: Vec::new(),
            layouts,
            cases: Vec::new(),
        };
        let cases = Cases { pipeline, layouts: of_version, corrections, made: Vec::new() };
        Ok(Self { ground, reach: question.reach, cases, groups: Groups::new() })
    }
}

impl Ground {
    /// Finds a stage by its name, without case.
    pub fn stage(&self, name: &str) -> Result<&Stage, QueryError> {
        let folded = pipeline::folded(name);
        self.stages.iter().find(|stage| pipeline::folded(&stage.name) == folded).ok_or_else(|| {
            let known = self.stages.iter().map(|stage| stage.name.clone()).collect();
            QueryError::NoSuchStage { name: name.to_owned(), pipeline: self.name.clone(), known }
        })
    }

    /// Process stages in order, then the success stage.
    pub fn default_steps(&self) -> Vec<Step> {
        let of = |class| self.stages.iter().filter(move |stage| stage.class == class);
        let stages = of(Class::Process).chain(of(Class::Success));
        stages.map(|stage| Step { name: stage.name.clone(), stages: vec![stage.id] }).collect()
    }

    /// What people call the group; `None`: what has none, or no name.
    pub fn group_name(&self, group: &Group) -> Option<String> {
        let id = match group {
            Group::Owner(owner) => return self.owners.get(owner.as_ref()?).cloned().flatten(),
            Group::Source(word) | Group::Field(word) => return word.clone(),
            Group::Value(band) | Group::ValueAtEntry(band) => return band.map(|band| band.to_string()),
            Group::Product(_) => return None,
            Group::Team(team) => team.map(Uuid::from),
            Group::LossReason(reason) => reason.map(Uuid::from),
        };
        self.names.get(&id?).cloned()
    }

    /// Of the deals that were lost here; revivals within the period, where the population has one.
    pub fn revival(&self, definition: &Definition) -> RevivalAnswer {
        summed(&self.revivals, definition.population.period())
    }

    pub fn funnel(&self, definition: Definition) -> Result<Answer, QueryError> {
        if definition.by.is_read() && definition.by != self.by {
            return Err(QueryError::ReadOtherwise { read: self.by.clone(), asked: definition.by });
        }
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
