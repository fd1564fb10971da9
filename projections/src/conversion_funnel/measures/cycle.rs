//! The sales cycle: from the first entry into an open stage to the close.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::is_closed_in;
use crate::conversion_funnel::case::{Case, Layouts, Outcome};
use crate::conversion_funnel::population::Period;
use crate::conversion_funnel::quantile::Durations;

/// Folds the cases closed in a period, or ever, into a [`CycleAnswer`].
#[derive(Debug)]
pub struct Cycle<'a> {
    period: Option<Period>,
    layouts: &'a Layouts,
    won: Vec<i64>,
    lost: Vec<i64>,
}

/// Deals with a date at both ends.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CycleAnswer {
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
    pub won: Durations,
    pub lost: Durations,
}

impl<'a> Cycle<'a> {
    pub fn new(period: Option<Period>, layouts: &'a Layouts) -> Self {
        Self { period, layouts, won: Vec::new(), lost: Vec::new() }
    }

    pub fn add(&mut self, case: &Case) {
        if !is_closed_in(case, self.period) {
            return;
        }
        let of = if case.outcome == Outcome::Won { &mut self.won } else { &mut self.lost };
        of.extend(case.cycle_micros(self.layouts));
    }

    #[must_use]
    pub fn finish(mut self) -> CycleAnswer {
        CycleAnswer {
            from: self.period.map(Period::from),
            to: self.period.map(Period::to),
            won: Durations::of(&mut self.won),
            lost: Durations::of(&mut self.lost),
        }
    }
}
