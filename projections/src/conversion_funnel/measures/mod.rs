//! What is asked beside the funnel: time in stage, win rate, sales cycle, velocity.

mod cycle;
mod time_in_stage;
mod velocity;
mod win_rate;

pub use cycle::{Cycle, CycleAnswer};
pub use time_in_stage::{StageTime, TimeInStage};
pub use velocity::{CurrencyVelocity, Velocity, VelocityAnswer};
pub use win_rate::{Basis, CurrencyRate, WinRate, WinRateAnswer};

use super::case::Case;
use super::population::Period;

/// Whether the case was closed in the period; without one, whether it is closed at all, dated or not.
fn is_closed_in(case: &Case, period: Option<Period>) -> bool {
    case.outcome.is_closed() && period.is_none_or(|period| period.holds(case.closed_at))
}
