//! Which cases are asked about, chosen apart from the rule that counts them.

use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::case::{Case, Visit};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Population {
    /// Every case, dated or not. An undated visit counts for every rule without a window: it happened, and its
    /// place among the others is known.
    #[default]
    All,
    /// Cases created (else first entered) in the period, with their whole history. Those still open have not
    /// had their time: the counts are right-censored.
    Cohort(Period),
    /// Visits entered in the period, and the cases that have one. Whatever the rule, a visit outside the period
    /// is as one outside the funnel: passed over by `ordered` and `any_order`, and breaking `strict`. A case that
    /// entered step 1 before the period therefore does not count in its later steps under those rules.
    EventDated(Period),
    /// Cases closed in the period, with their whole history.
    ClosedDated(Period),
}

/// Half-open, `[from, to)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Period {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("to {to} is not after from {from}; the period runs from `from` up to, not including, `to`")]
pub struct NotAPeriod {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Population {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Cohort(_) => "cohort",
            Self::EventDated(_) => "event_dated",
            Self::ClosedDated(_) => "closed_dated",
        }
    }

    pub fn period(self) -> Option<Period> {
        match self {
            Self::All => None,
            Self::Cohort(period) | Self::EventDated(period) | Self::ClosedDated(period) => Some(period),
        }
    }

    /// Whether the case is asked about at all.
    pub(super) fn admits(self, case: &Case) -> bool {
        match self {
            Self::All => true,
            Self::Cohort(period) => period.holds(case.began_at()),
            Self::EventDated(_) => case.visits.iter().any(|visit| self.counts(visit)),
            Self::ClosedDated(period) => case.outcome.is_closed() && period.holds(case.closed_at),
        }
    }

    /// Whether a visit of an admitted case is asked about.
    pub(super) fn counts(self, visit: &Visit) -> bool {
        visit.stage.is_some() && self.counts_at(visit.entered_at)
    }

    /// The same for what happened at `at`.
    pub(super) fn counts_at(self, at: Option<DateTime<Utc>>) -> bool {
        match self {
            Self::EventDated(period) => period.holds(at),
            _ => true,
        }
    }
}

impl Period {
    pub fn new(from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Self, NotAPeriod> {
        if from < to { Ok(Self { from, to }) } else { Err(NotAPeriod { from, to }) }
    }

    /// The local days of `zone` from `from` up to, not including, `to`.
    pub fn of_days(from: NaiveDate, to: NaiveDate, zone: Tz) -> Result<Self, NotAPeriod> {
        Self::new(first_instant(from, zone), first_instant(to, zone))
    }

    pub fn from(self) -> DateTime<Utc> {
        self.from
    }

    pub fn to(self) -> DateTime<Utc> {
        self.to
    }

    /// What has no date lies in no period.
    pub(super) fn holds(self, at: Option<DateTime<Utc>>) -> bool {
        at.is_some_and(|at| self.from <= at && at < self.to)
    }
}

/// Where clocks go forward at midnight, or a day is skipped whole, the first minute that exists.
fn first_instant(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(chrono::NaiveTime::MIN);
    let minutes = (0..=24 * 60).map(|minute| midnight.checked_add_signed(TimeDelta::minutes(minute)));
    let local = minutes.flatten().find_map(|time| zone.from_local_datetime(&time).earliest());
    // Reached by no zone: at most one day was ever skipped, and its end is looked at too.
    local.map_or_else(|| midnight.and_utc(), |local| local.with_timezone(&Utc))
}
