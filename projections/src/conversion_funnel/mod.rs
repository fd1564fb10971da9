//! How many deals came how far: stage visits as facts, and a fold over them under every counting rule.
//!
//! `facts` says what events make of the facts, `model` keeps them in tables, `query` loads them, `cases` makes a case of
//! each deal and pipeline. All the rest is pure: the caller says which cases there are and what T is.

mod answer;
mod breakdown;
mod case;
mod cases;
mod definition;
pub mod facts;
mod features;
mod forecast;
mod ground;
mod grouping;
mod measures;
mod model;
mod named;
mod population;
mod quantile;
mod query;
mod revival;
mod rules;
mod standing;
mod tally;
#[cfg(test)]
mod tests;
mod track;

use std::collections::BTreeMap;

pub use answer::{Answer, CohortCounts, Counts, GroupCounts, LastStage, Stage, Transition};
pub use breakdown::{Band, Breakdown, Group, NotABreakdown};
pub use case::{Case, Class, Layout, LayoutId, Layouts, Outcome, Visit};
pub use definition::Definition;
pub use forecast::{
    Accuracy, Forecast, ForecastAnswer, ForecastCurrency, ForecastOwner, Rollup, accuracy, forecast,
};
pub use kvali_domain::funnel::{
    Corrections, MAX_STEPS, NotADefinition, NotARule, NotAStart, NotAWindow, PopulationKind, Rule, Start,
    Step, Window,
};
pub use kvali_domain::money::Currency;
pub use kvali_domain::{DealId, Money, StageId, UserId};
pub use measures::{
    Basis, CurrencyRate, CurrencyVelocity, Cycle, CycleAnswer, StageTime, TimeInStage, Velocity,
    VelocityAnswer, WinRate, WinRateAnswer,
};
pub use model::ConversionFunnel;
pub use named::{Funnels, Named, funnel_named, funnels};
pub use population::{NotAPeriod, Period, Population};
pub use quantile::Durations;
pub use query::{Ground as Facts, QueryError, Question, ground};
pub use revival::{NotOnly, Only, RevivalAnswer, RevivalValue};
pub use standing::{StandingAnswer, StandingAsk, StandingCounts, StandingOwner, StandingStage, standing};
pub use tally::Dropped;

use ground::Ground;
use rules::Reach;
use tally::Tally;
use track::{Mark, Steps};

/// One pass over the cases, one case at a time, in any order.
#[derive(Debug)]
pub struct Funnel {
    definition: Definition,
    ground: Ground,
    whole: Tally,
    /// None unless the answer is broken down.
    groups: BTreeMap<Group, Tally>,
    track: Vec<Mark>,
    reach: Reach,
}

impl Funnel {
    /// `layouts` must hold every layout that a visit will refer to; a stage without one is a process stage that
    /// no other lies before or after.
    pub fn new(definition: Definition, layouts: &Layouts) -> Result<Self, NotADefinition> {
        definition.check()?;
        Ok(Self {
            ground: Ground::new(Steps::new(&definition.steps), layouts),
            whole: Tally::new(definition.steps.len()),
            definition,
            groups: BTreeMap::new(),
            track: Vec::new(),
            reach: Reach::default(),
        })
    }

    pub fn add(&mut self, case: &Case) {
        let Self { definition, ground, whole, groups, track, reach } = self;
        if !definition.population.admits(case) {
            return;
        }
        ground.steps.track(case, definition.population, track);
        reach.measure(definition, ground, case, track);
        whole.add(definition, ground, case, track, reach);
        for group in definition.by.groups(case, track) {
            let tally = groups.entry(group).or_insert_with(|| Tally::new(definition.steps.len()));
            tally.add(definition, ground, case, track, reach);
        }
    }

    #[must_use]
    pub fn finish(self) -> Answer {
        Answer::of(&self.definition, self.whole, self.groups)
    }
}
