//! How long deals stay in each stage.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::conversion_funnel::case::{Case, Class, Layouts, Outcome};
use crate::conversion_funnel::population::Population;
use crate::conversion_funnel::quantile::{Durations, median_seconds, span};
use crate::conversion_funnel::track::{Mark, Steps};
use kvali_domain::funnel::{NotADefinition, Step, check_steps};

/// Folds cases into one [`StageTime`] per step. A success or failure stage is an end: no time passes in it.
#[derive(Debug)]
pub struct TimeInStage<'a> {
    names: Vec<String>,
    steps: Steps,
    layouts: &'a Layouts,
    population: Population,
    at: DateTime<Utc>,
    times: Vec<Times>,
    track: Vec<Mark>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StageTime {
    pub stage: String,
    /// Visits left again, by another entry or by the close, with a date at both ends.
    pub per_visit: Durations,
    /// The same visits summed per deal; what a deal that is back in the stage adds since its return is not in it.
    pub per_deal: Durations,
    /// Visits not yet left at T, with or without a date: censored, and in none of the durations.
    pub open: u64,
    /// From the entry to T, of open visits with a date.
    pub open_median_age_seconds: Option<f64>,
}

#[derive(Clone, Debug, Default)]
struct Times {
    visits: Vec<i64>,
    deals: Vec<i64>,
    open: u64,
    ages: Vec<i64>,
    /// What the case at hand spent here so far.
    spent: Option<i64>,
}

impl<'a> TimeInStage<'a> {
    /// Open visits age until `at`. Under `EventDated` the visits entered in the period are timed, to their end.
    pub fn new(
        steps: &[Step],
        population: Population,
        at: DateTime<Utc>,
        layouts: &'a Layouts,
    ) -> Result<Self, NotADefinition> {
        check_steps(steps)?;
        Ok(Self {
            names: steps.iter().map(|step| step.name.clone()).collect(),
            steps: Steps::new(steps),
            layouts,
            population,
            at,
            times: vec![Times::default(); steps.len()],
            track: Vec::new(),
        })
    }

    pub fn add(&mut self, case: &Case) {
        if !self.population.admits(case) {
            return;
        }
        self.steps.track(case, self.population, &mut self.track);
        for (at, mark) in self.track.iter().enumerate() {
            let Some(step) = mark.step else { continue };
            if self.layouts.class(&case.visits[mark.visit]) != Class::Process {
                continue;
            }
            let times = &mut self.times[step];
            match (self.track.get(at + 1), case.outcome) {
                (Some(next), _) => times.complete(mark, next.entered_micros),
                (None, Outcome::Open) => times.leave_open(mark, self.at),
                (None, _) => times.complete(mark, case.closed_at.map(|at| at.timestamp_micros())),
            }
        }
        for times in &mut self.times {
            times.deals.extend(times.spent.take());
        }
    }

    #[must_use]
    pub fn finish(self) -> Vec<StageTime> {
        let named = self.names.into_iter().zip(self.times);
        named
            .map(|(stage, mut times)| StageTime {
                stage,
                per_visit: Durations::of(&mut times.visits),
                per_deal: Durations::of(&mut times.deals),
                open: times.open,
                open_median_age_seconds: median_seconds(&mut times.ages),
            })
            .collect()
    }
}

impl Times {
    fn complete(&mut self, mark: &Mark, left_micros: Option<i64>) {
        if let Some(micros) = span(mark.entered_micros, left_micros) {
            self.visits.push(micros);
            self.spent = Some(self.spent.unwrap_or(0).saturating_add(micros));
        }
    }

    fn leave_open(&mut self, mark: &Mark, at: DateTime<Utc>) {
        self.open += 1;
        self.ages.extend(span(mark.entered_micros, Some(at.timestamp_micros())));
    }
}
