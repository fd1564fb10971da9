//! The answer as people read it: counts that name their rule, population, window and clock.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::Serialize;

use super::breakdown::{Breakdown, Group};
use super::definition::Definition;
use super::population::Period;
use super::quantile::{Durations, median_seconds, ratio};
use super::tally::{Cohort, Dropped, Month, Moves, StepTally, Tally};
use kvali_domain::funnel::{Rule, Step};
use kvali_domain::funnel::{Start, Window};

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Answer {
    pub rule: Rule,
    /// For `passed` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impute_lost: Option<bool>,
    /// `all`, `cohort`, `event_dated` or `closed_dated`.
    pub population: &'static str,
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
    pub window: Option<Window>,
    /// Null without a window.
    pub start: Option<Start>,
    #[schemars(with = "String")]
    pub zone: Tz,
    /// T, at which the cases stood as counted.
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub counts: Counts,
    /// The same per group; the counts sum to the whole, unless groups overlap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Vec<GroupCounts>>,
    /// With `by`: whether a case may stand in several groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_overlap: Option<bool>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct GroupCounts {
    #[serde(flatten)]
    pub group: Group,
    #[serde(flatten)]
    pub counts: Counts,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Counts {
    /// Cases in the population, whether or not they count at any step.
    pub cases: u64,
    /// Of them, those open at T: they may yet come further, so the counts are right-censored by as many.
    pub open_cases: u64,
    pub stages: Vec<Stage>,
    /// From the first step to the last, under `ordered` and `strict`.
    pub n_total: Option<usize>,
    pub mean_seconds_total: Option<f64>,
    pub median_seconds_total: Option<f64>,
    pub p75_seconds_total: Option<f64>,
    pub p90_seconds_total: Option<f64>,
    /// Those that occurred, in the order of the steps.
    pub transitions: Vec<Transition>,
    pub cohorts: Vec<CohortCounts>,
    pub last_stage: Vec<LastStage>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Stage {
    pub stage: String,
    /// Cases; under `entries` visits.
    pub count: u64,
    /// Of the step before; null for the first and where that is 0. Above 1 where a rule lets cases skip it.
    pub step_conversion: Option<f64>,
    /// Of the first step.
    pub cumulative_conversion: Option<f64>,
    /// Cases with dates at both ends. Null, with the seconds, for the first step and for rules that follow no chain.
    pub n_from_previous: Option<usize>,
    pub mean_seconds_from_previous: Option<f64>,
    pub median_seconds_from_previous: Option<f64>,
    pub p75_seconds_from_previous: Option<f64>,
    pub p90_seconds_from_previous: Option<f64>,
    pub visits: u64,
    /// Cases with more than one visit.
    pub reentered: u64,
    /// Of the cases that count here and not at the next step: null for the last step, and under `snapshot`, where
    /// standing here is no drop.
    pub dropped: Option<Dropped>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Transition {
    pub from: String,
    /// Null: no step of the funnel was entered after.
    pub to: Option<String>,
    pub n: u64,
    /// From the entry into `from` to the entry into `to`, where both have dates.
    pub median_seconds: Option<f64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct CohortCounts {
    /// `2017-03`: when the case first entered step 1, in the zone. Without a date there it is in no cohort.
    pub month: String,
    /// Those still open at T; a month without any changes only by a reopening or a late entry in the log.
    pub open_cases: u64,
    /// One per step, by the same rule.
    pub counts: Vec<u64>,
}

/// Cases by the last step that they entered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct LastStage {
    pub stage: String,
    pub count: u64,
}

impl Answer {
    pub(super) fn of(definition: &Definition, whole: Tally, groups: BTreeMap<Group, Tally>) -> Self {
        let is_broken_down = definition.by != Breakdown::None;
        let of_group = |(group, tally)| GroupCounts { group, counts: Counts::of(definition, tally) };
        let period = definition.population.period();
        Self {
            rule: definition.rule,
            impute_lost: (definition.rule == Rule::Passed).then_some(definition.impute_lost),
            population: definition.population.word(),
            from: period.map(Period::from),
            to: period.map(Period::to),
            window: definition.window,
            start: definition.window.map(|_| definition.start),
            zone: definition.zone,
            at: definition.at,
            counts: Counts::of(definition, whole),
            by: is_broken_down.then(|| groups.into_iter().map(of_group).collect()),
            groups_overlap: is_broken_down.then(|| definition.by.overlaps()),
        }
    }
}

impl Counts {
    fn of(definition: &Definition, mut tally: Tally) -> Self {
        let last_stage = definition.steps.iter().zip(&tally.steps);
        let last_stage =
            last_stage.map(|(step, sums)| LastStage { stage: step.name.clone(), count: sums.last });
        let last_stage = last_stage.collect();
        let total = durations(definition.rule, true, &mut tally.total_micros);
        Self {
            cases: tally.cases,
            open_cases: tally.open_cases,
            n_total: total.map(|total| total.n),
            mean_seconds_total: total.and_then(|total| total.mean_seconds),
            median_seconds_total: total.and_then(|total| total.median_seconds),
            p75_seconds_total: total.and_then(|total| total.p75_seconds),
            p90_seconds_total: total.and_then(|total| total.p90_seconds),
            stages: stages(definition, tally.steps),
            transitions: transitions(&definition.steps, tally.moves),
            cohorts: tally.cohorts.into_iter().map(CohortCounts::from).collect(),
            last_stage,
        }
    }
}

impl From<(Month, Cohort)> for CohortCounts {
    fn from(((year, month), cohort): (Month, Cohort)) -> Self {
        Self { month: format!("{year:04}-{month:02}"), open_cases: cohort.open_cases, counts: cohort.counts }
    }
}

fn stages(definition: &Definition, sums: Vec<StepTally>) -> Vec<Stage> {
    let last = sums.len() - 1;
    let counts: Vec<u64> = sums.iter().map(|sums| sums.count).collect();
    let named = definition.steps.iter().zip(sums).enumerate();
    let stage = |(at, (step, mut sums)): (usize, (&Step, StepTally))| {
        let time = durations(definition.rule, at > 0, &mut sums.micros_from_previous);
        Stage {
            stage: step.name.clone(),
            count: sums.count,
            step_conversion: at.checked_sub(1).and_then(|before| ratio(sums.count, counts[before])),
            cumulative_conversion: ratio(sums.count, counts[0]),
            n_from_previous: time.map(|time| time.n),
            mean_seconds_from_previous: time.and_then(|time| time.mean_seconds),
            median_seconds_from_previous: time.and_then(|time| time.median_seconds),
            p75_seconds_from_previous: time.and_then(|time| time.p75_seconds),
            p90_seconds_from_previous: time.and_then(|time| time.p90_seconds),
            visits: sums.visits,
            reentered: sums.reentered,
            dropped: (at < last && definition.rule != Rule::Snapshot).then_some(sums.dropped),
        }
    };
    named.map(stage).collect()
}

/// Only a rule that follows a chain knows times between steps.
fn durations(rule: Rule, is_between_steps: bool, micros: &mut [i64]) -> Option<Durations> {
    (is_between_steps && matches!(rule, Rule::Ordered | Rule::Strict)).then(|| Durations::of(micros))
}

fn transitions(steps: &[Step], moves: Vec<Vec<Moves>>) -> Vec<Transition> {
    let name = |at: usize| steps.get(at).map(|step| step.name.clone());
    let rows = moves.into_iter().zip(steps);
    let cells =
        rows.flat_map(|(row, from)| row.into_iter().enumerate().map(move |(to, moves)| (from, to, moves)));
    let made = cells.filter(|(_, _, moves)| moves.n > 0);
    made.map(|(from, to, mut moves)| Transition {
        from: from.name.clone(),
        to: name(to),
        n: moves.n,
        median_seconds: median_seconds(&mut moves.micros),
    })
    .collect()
}
