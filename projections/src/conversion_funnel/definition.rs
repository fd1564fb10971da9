//! What is asked: the steps, the counting rule, the conversion window and the population.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::breakdown::Breakdown;
use super::population::Population;
use kvali_domain::funnel::{NotADefinition, Rule, Start, Step, Window, check_rule, check_steps};

#[derive(Clone, PartialEq, Debug)]
pub struct Definition {
    pub steps: Vec<Step>,
    pub rule: Rule,
    pub window: Option<Window>,
    pub start: Start,
    pub population: Population,
    /// The zone of the months in `cohorts`.
    pub zone: Tz,
    /// For `passed`: whether a lost deal, too, counts in the stages that it jumped over.
    pub impute_lost: bool,
    pub by: Breakdown,
    /// T, the instant at which the cases stand as given.
    pub at: DateTime<Utc>,
}

impl Definition {
    /// Every case, no window, no breakdown, months in UTC.
    pub fn new(steps: Vec<Step>, rule: Rule, at: DateTime<Utc>) -> Self {
        Self {
            steps,
            rule,
            window: None,
            start: Start::First,
            population: Population::All,
            zone: Tz::UTC,
            impute_lost: false,
            by: Breakdown::None,
            at,
        }
    }

    pub(super) fn check(&self) -> Result<(), NotADefinition> {
        check_steps(&self.steps)?;
        check_rule(self.rule, self.window, self.impute_lost)
    }
}
