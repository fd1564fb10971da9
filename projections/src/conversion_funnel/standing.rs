//! Standing counters: what the newest definition of each named funnel counts, per owner, kept up with every batch.
//!
//! A deal that a batch touches is counted before and after it by the fold that answers questions; the difference is added.
//! A new definition is counted over all deals. Times are kept as sums, so there are means and no medians.

use super::cases::Cases;
use super::ground::Ground;
use super::model::ConversionFunnel;
use super::model::{Tables, stages};
use super::named::{Named, Namings, find, newest, versions};
use super::population::Population;
use super::quantile::{mean_seconds, ratio};
use super::query::{CASES, QueryError, of_deal, stay};
use super::rules::Reach;
use super::tally::{Dropped, StepTally, Tally};
use super::track::{Mark, Steps};
use super::{Definition, Layout, Layouts};
use crate::sql::sql;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use kvali_domain::funnel::{PopulationKind, Rule};
use kvali_domain::{DealId, TenantId, UserId, access};
use kvali_eventstore::Store;
use kvali_eventstore::project::{AsOf, Look, Query};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// Numbers of one owner's deals: cases and open cases, then [`A_STEP`] numbers for each step.
type Counts = Vec<i64>;
const HEAD: usize = 2;
const A_STEP: usize = 10;
const MICROS: i64 = 1_000_000;

/// Of deals that nobody owns.
const NOBODY: Uuid = Uuid::nil();

/// Numbers by owner.
type Counters = BTreeMap<Uuid, Counts>;

/// What is known before a batch is written of the counters that it changes.
pub(super) struct Standing {
    touched: Vec<Uuid>,
    /// The numbers that the touched deals add to the funnels that stay as they are.
    before: Vec<(Named, Counters)>,
}

impl Standing {
    pub(super) async fn before(
        tables: &mut Tables<'_>,
        touched: BTreeSet<DealId>,
        namings: &Namings,
    ) -> Result<Self, sqlx::Error> {
        let touched: Vec<Uuid> = touched.into_iter().map(|deal| deal.0).collect();
        let mut before = Vec::new();
        for named in kept(tables).await? {
            if !namings.touched().contains(&named.funnel) {
                let counters = count(tables, &named, Some(&touched)).await?;
                before.push((named, counters));
            }
        }
        Ok(Self { touched, before })
    }

    /// Counts again what the batch has changed.
    pub(super) async fn after(self, tables: &mut Tables<'_>, namings: &Namings) -> Result<(), sqlx::Error> {
        for (named, before) in self.before {
            let mut change = count(tables, &named, Some(&self.touched)).await?;
            for (owner, counts) in before {
                let entry = change.entry(owner).or_insert_with(|| vec![0; counts.len()]);
                entry.iter_mut().zip(counts).for_each(|(after, before)| *after -= before);
            }
            change.retain(|_, counts| counts.iter().any(|count| *count != 0));
            add(tables, &named, &change).await?;
        }
        let touched = namings.touched();
        if touched.is_empty() {
            return Ok(());
        }
        let query = tables.query(CLEAR).bind(touched.iter().map(|funnel| funnel.0).collect::<Vec<_>>());
        tables.execute(query).await?;
        for named in kept(tables).await?.iter().filter(|named| touched.contains(&named.funnel)) {
            let counters = count(tables, named, None).await?;
            add(tables, named, &counters).await?;
        }
        Ok(())
    }
}

/// The funnels that have counters: those of all deals. Of a period only a question can say which one.
async fn kept(tables: &mut Tables<'_>) -> Result<Vec<Named>, sqlx::Error> {
    let (schema, tenant) = (tables.schema, tables.tenant);
    let all = newest(versions(&mut *tables.connection, schema, tenant).await?);
    Ok(all.into_iter().filter(|named| named.definition.population == PopulationKind::All).collect())
}

const CLEAR: &str = "delete from {schema}.funnel_count where tenant_id = $1 and funnel_id = any($2)";

/// Where no case is left every number is zero, and a rebuild would have no row.
const NONE_LEFT: &str =
    "delete from {schema}.funnel_count where tenant_id = $1 and funnel_id = $2 and counts[1] = 0";

const ADD: &str = "insert into {schema}.funnel_count as c (tenant_id, funnel_id, owner, version, counts) \
    values ($1, $2, $3, $4, $5) on conflict (tenant_id, funnel_id, owner) do update set counts = array( \
      select was + more from unnest(c.counts, excluded.counts) with ordinality u (was, more, at) order by at)";

async fn add(tables: &mut Tables<'_>, named: &Named, counters: &Counters) -> Result<(), sqlx::Error> {
    for (owner, counts) in counters {
        let query = tables.query(ADD).bind(named.funnel.0).bind(*owner);
        let query = query.bind(named.version).bind(counts.clone());
        tables.execute(query).await?;
    }
    let query = tables.query(NONE_LEFT).bind(named.funnel.0);
    tables.execute(query).await
}

const LAYOUTS: &str = "select version, stages::text from {schema}.pipeline where tenant_id = $1 and pipeline_id = $2 order by version";

/// The same as of all cases, of the deals named alone.
const CASES_OF: &str = "select d.deal_id, d.pipeline_id, d.owner, d.outcome, d.created_at, d.closed_at, d.amount, d.currency, \
    v.visit, v.stage_id, v.mistaken_stage, v.entered_at, v.pipeline_version, v.next_pipeline, v.left_at, \
    v.amount as entry_amount, v.currency as entry_currency \
    from unnest($3::uuid[]) x (id) \
    cross join lateral (select * from {schema}.deal where tenant_id = $1 and deal_id = x.id limit 1) d \
    cross join lateral (select * from {schema}.visit where tenant_id = $1 and deal_id = x.id and pipeline_id = $2 \
      order by visit offset 0) v \
    where d.merged_into is null order by v.deal_id, v.visit";

/// What the deals add to the funnel's counters: those named, or all.
async fn count(
    tables: &mut Tables<'_>,
    named: &Named,
    deals: Option<&[Uuid]>,
) -> Result<Counters, sqlx::Error> {
    if deals.is_some_and(<[Uuid]>::is_empty) {
        return Ok(Counters::new());
    }
    let pipeline = named.pipeline();
    let layouts = tables.query(LAYOUTS).bind(pipeline.0).fetch_all(&mut *tables.connection).await?;
    let mut counting = Counting::new(named, &layouts)?;
    let query = match deals {
        Some(deals) => tables.query(CASES_OF).bind(pipeline.0).bind(deals.to_vec()),
        None => tables.query(CASES).bind(pipeline.0),
    };
    // All deals meet all visits, as where a question reads them.
    tables.plan_nested_loops(deals.is_some()).await?;
    let mut rows = query.fetch(&mut *tables.connection);
    while let Some(row) = rows.try_next().await? {
        counting.add(&row)?;
    }
    drop(rows);
    tables.plan_nested_loops(true).await?;
    Ok(counting.done())
}

/// Cases are counted one by one as their visits come.
struct Counting {
    definition: Definition,
    ground: Ground,
    cases: Cases,
    track: Vec<Mark>,
    reach: Reach,
    counters: Counters,
}

impl Counting {
    fn new(named: &Named, versions: &[PgRow]) -> Result<Self, sqlx::Error> {
        let mut layouts = Layouts::default();
        let mut of_version = std::collections::HashMap::new();
        for row in versions {
            let stages = stages(row)?.iter().map(|stage| (stage.id, stage.class)).collect();
            of_version.insert(row.try_get("version")?, layouts.add(Layout { stages }));
        }
        // No counter depends on T.
        let definition = named.asked(Population::All, DateTime::UNIX_EPOCH);
        let (pipeline, corrections) = (named.pipeline(), named.definition.corrections);
        Ok(Self {
            ground: Ground::new(Steps::new(&definition.steps), &layouts),
            definition,
            cases: Cases { pipeline, layouts: of_version, corrections, made: Vec::new() },
            track: Vec::new(),
            reach: Reach::default(),
            counters: Counters::new(),
        })
    }

    fn add(&mut self, row: &PgRow) -> Result<(), sqlx::Error> {
        let deal = DealId(row.try_get("deal_id")?);
        if !self.cases.has_begun(deal) {
            self.count();
            self.cases.begin(deal, row.try_get("visit")?, &of_deal(row)?, Vec::new());
        }
        self.cases.add(&stay(row)?);
        Ok(())
    }

    /// Counts the case whose visits have all come.
    fn count(&mut self) {
        let Some(case) = self.cases.made.pop() else { return };
        let Self { definition, ground, track, reach, counters, .. } = self;
        ground.steps.track(&case, definition.population, track);
        reach.measure(definition, ground, &case, track);
        let mut tally = Tally::new(definition.steps.len());
        tally.add(definition, ground, &case, track, reach);
        let counts = numbers(&tally);
        let owner = case.owner.map_or(NOBODY, |owner| owner.0);
        let sums = counters.entry(owner).or_insert_with(|| vec![0; counts.len()]);
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }

    fn done(mut self) -> Counters {
        self.count();
        self.counters
    }
}

fn numbers(tally: &Tally) -> Counts {
    let number = |count: u64| i64::try_from(count).expect("a case is counted a few times");
    let step = |step: &StepTally| {
        let Dropped { lost, open, moved_back, left } = step.dropped;
        let micros: i64 = step.micros_from_previous.iter().sum();
        let seen = step.micros_from_previous.len() as u64;
        let counts = [step.count, step.visits, step.reentered, lost, open, moved_back, left, seen];
        // Whole seconds apart: a sum of microseconds over many deals would outgrow its number.
        let time = [micros.div_euclid(MICROS), micros.rem_euclid(MICROS)];
        counts.map(number).into_iter().chain(time).collect::<Vec<_>>()
    };
    let head = [tally.cases, tally.open_cases].map(number);
    head.into_iter().chain(tally.steps.iter().flat_map(step)).collect()
}

/// What the counters say.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct StandingAnswer {
    pub name: String,
    pub version: i32,
    pub definition: kvali_domain::funnel::Definition,
    /// The position that the counters stand at.
    pub position: i64,
    #[serde(flatten)]
    pub counts: StandingCounts,
    pub by: Vec<StandingOwner>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct StandingOwner {
    /// Null: the deals that nobody owns.
    pub owner: Option<UserId>,
    /// Null where nobody can read it any more.
    pub owner_name: Option<String>,
    #[serde(flatten)]
    pub counts: StandingCounts,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct StandingCounts {
    pub cases: i64,
    pub open_cases: i64,
    pub stages: Vec<StandingStage>,
}

/// As in the answer to a question, without medians.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct StandingStage {
    pub stage: String,
    pub count: i64,
    pub step_conversion: Option<f64>,
    pub cumulative_conversion: Option<f64>,
    pub visits: i64,
    pub reentered: i64,
    pub dropped: Option<Dropped>,
    pub n_from_previous: Option<i64>,
    pub mean_seconds_from_previous: Option<f64>,
}

impl StandingCounts {
    fn of(named: &Named, counts: &[i64]) -> Self {
        let steps: Vec<&[i64]> = counts[HEAD..].chunks_exact(A_STEP).collect();
        let end = steps.len() - 1;
        let stage = |at: usize| {
            let [count, visits, reentered, lost, open, moved_back, left, n, seconds, micros] = *steps[at]
            else {
                unreachable!("chunks have the length asked for")
            };
            let is_chain = matches!(named.definition.rule, Rule::Ordered | Rule::Strict) && at > 0;
            let dropped = Dropped {
                lost: whole(lost),
                open: whole(open),
                moved_back: whole(moved_back),
                left: whole(left),
            };
            let is_drop = at < end && named.definition.rule != Rule::Snapshot;
            let sum = i128::from(seconds) * i128::from(MICROS) + i128::from(micros);
            StandingStage {
                stage: named.definition.steps[at].name.clone(),
                count,
                step_conversion: at
                    .checked_sub(1)
                    .and_then(|before| ratio(whole(count), whole(steps[before][0]))),
                cumulative_conversion: ratio(whole(count), whole(steps[0][0])),
                visits,
                reentered,
                dropped: is_drop.then_some(dropped),
                n_from_previous: is_chain.then_some(n),
                mean_seconds_from_previous: is_chain.then(|| mean_seconds(sum, n)).flatten(),
            }
        };
        Self { cases: counts[0], open_cases: counts[1], stages: (0..steps.len()).map(stage).collect() }
    }
}

/// Counters are never below zero: what is taken away was added before.
fn whole(count: i64) -> u64 {
    count.unsigned_abs()
}

/// The counters of the funnel of that name.
#[derive(Clone, Debug)]
pub struct StandingAsk {
    pub name: String,
    /// Whose deals are counted.
    pub reach: access::Reach,
}

const COUNTERS: &str = "select c.owner, c.counts, o.name from {schema}.funnel_count c \
    left join {schema}.owner o on o.tenant_id = c.tenant_id and o.user_id = c.owner \
    where c.tenant_id = $1 and c.funnel_id = $2 order by c.owner";

#[async_trait]
impl Query for StandingAsk {
    type Answer = StandingAnswer;
    type Error = QueryError;

    async fn ask(self, look: &mut Look<'_>) -> Result<StandingAnswer, QueryError> {
        let known = versions(&mut *look.connection, look.schema, look.tenant).await?;
        let named = find(&known, &self.name, None)?;
        if named.definition.population != PopulationKind::All {
            return Err(QueryError::NotStanding {
                name: named.name,
                population: named.definition.population,
            });
        }
        let rows: Vec<(Uuid, Counts, Option<String>)> = sqlx::query_as(sql(look.schema, COUNTERS))
            .bind(look.tenant.0)
            .bind(named.funnel.0)
            .fetch_all(&mut *look.connection)
            .await?;
        let owner = |owner: Uuid| (owner != NOBODY).then_some(UserId(owner));
        let rows = rows.into_iter().filter(|(of, ..)| self.reach.covers(owner(*of))).collect();
        Ok(answer(named, rows, look.position))
    }
}

fn answer(named: Named, rows: Vec<(Uuid, Counts, Option<String>)>, position: i64) -> StandingAnswer {
    let mut whole = vec![0; HEAD + A_STEP * named.definition.steps.len()];
    for (_, counts, _) in &rows {
        whole.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let of_owner = |(owner, counts, owner_name): (Uuid, Counts, _)| StandingOwner {
        owner: (owner != NOBODY).then_some(UserId(owner)),
        owner_name,
        counts: StandingCounts::of(&named, &counts),
    };
    StandingAnswer {
        counts: StandingCounts::of(&named, &whole),
        by: rows.into_iter().map(of_owner).collect(),
        name: named.name,
        version: named.version,
        definition: named.definition,
        position,
    }
}

/// What the funnel of that name counts as of `as_of`, by its definition of then; only counters are read.
pub async fn standing(
    store: &Store,
    tenant: TenantId,
    name: &str,
    as_of: AsOf,
    now: DateTime<Utc>,
    progress: &(dyn Fn(i64, i64) + Sync),
) -> Result<StandingAnswer, QueryError> {
    let ask = StandingAsk { name: name.to_owned(), reach: access::Reach::All };
    Ok(store.ask(Arc::new(ConversionFunnel), tenant, as_of, now, progress, ask).await?.answer)
}
