//! How many deals came how far: stage visits as facts, and a fold over them under every counting rule.
//!
//! `facts` says what events make of the facts, `model` keeps them in tables, `query` loads them, `cases` makes a case of
//! each deal and pipeline. All the rest is pure: the caller says which cases there are and what T is.

mod answer;
mod case;
mod cases;
mod definition;
pub mod facts;
mod ground;
mod measures;
mod model;
mod population;
mod quantile;
mod query;
mod rules;
mod tally;
#[cfg(test)]
mod tests;
mod track;
mod window;

use std::collections::BTreeMap;

pub use answer::{Answer, CohortCounts, Counts, LastStage, OwnerCounts, Stage, Transition};
pub use case::{Case, Class, Layout, LayoutId, Layouts, Outcome, Visit};
pub use cases::Corrections;
pub use definition::{Breakdown, Definition, MAX_STEPS, NotADefinition, NotARule, Rule, Step};
pub use kvali_domain::money::Currency;
pub use kvali_domain::{DealId, Money, StageId, UserId};
pub use measures::{
    Basis, CurrencyRate, CurrencyVelocity, Cycle, CycleAnswer, StageTime, TimeInStage, Velocity,
    VelocityAnswer, WinRate, WinRateAnswer,
};
pub use model::ConversionFunnel;
pub use population::{NotAPeriod, Period, Population};
pub use quantile::Durations;
pub use query::{Ground as Facts, QueryError, ground};
pub use tally::Dropped;
pub use window::{NotAStart, NotAWindow, Start, Window};

use ground::Ground;
use rules::Reach;
use tally::Tally;
use track::{Mark, Steps};

/// One pass over the cases, one case at a time, in any order.
#[derive(Debug)]
pub struct Funnel {
    definition: Definition,
    ground: Ground,
    /// One entry under `None` unless the answer is broken down.
    tallies: BTreeMap<Option<UserId>, Tally>,
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
            definition,
            tallies: BTreeMap::new(),
            track: Vec::new(),
            reach: Reach::default(),
        })
    }

    pub fn add(&mut self, case: &Case) {
        let Self { definition, ground, tallies, track, reach } = self;
        if !definition.population.admits(case) {
            return;
        }
        ground.steps.track(case, definition.population, track);
        reach.measure(definition, ground, case, track);
        let owner = case.owner.filter(|_| definition.by == Breakdown::Owner);
        let tally = tallies.entry(owner).or_insert_with(|| Tally::new(definition.steps.len()));
        tally.add(definition, ground, case, track, reach);
    }

    #[must_use]
    pub fn finish(self) -> Answer {
        Answer::of(&self.definition, self.tallies)
    }
}
