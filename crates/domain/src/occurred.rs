//! Business time with its precision.

use chrono::{DateTime, Days, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// When something happened in the business, as exactly as its source knew it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "precision", rename_all = "snake_case")]
pub enum Occurred {
    Instant {
        at: DateTime<Utc>,
    },
    /// A local day of `zone`; `at` is its first instant.
    Day {
        at: DateTime<Utc>,
        zone: Tz,
    },
    /// No business date: counted in stock at every instant, absent from cohorts and durations.
    Unknown,
}

impl Occurred {
    /// The (first possible) instant; `None` where no date is known.
    pub fn at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Instant { at } | Self::Day { at, .. } => Some(*at),
            Self::Unknown => None,
        }
    }

    /// The wire word for the precision.
    pub fn precision(&self) -> &'static str {
        match self {
            Self::Instant { .. } => "instant",
            Self::Day { .. } => "day",
            Self::Unknown => "unknown",
        }
    }

    pub fn zone(&self) -> Option<&'static str> {
        match self {
            Self::Day { zone, .. } => Some(zone.name()),
            _ => None,
        }
    }

    /// Whether this certainly lies before `last`. A day is not before an instant within it.
    pub fn is_before(&self, last: DateTime<Utc>) -> bool {
        match self {
            Self::Instant { at } => *at < last,
            Self::Day { at, zone } => day_end(*at, *zone) <= last,
            Self::Unknown => false,
        }
    }
}

/// The first instant of the local day after the one that starts at `start`.
fn day_end(start: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let offset = zone.offset_from_utc_datetime(&start.naive_utc()).fix();
    let today = start.naive_utc().checked_add_offset(offset).map(|local| local.date());
    today
        .and_then(|day| day.checked_add_days(Days::new(1)))
        .and_then(|day| zone.from_local_datetime(&day.and_hms_opt(0, 0, 0)?).earliest())
        .map(|end| end.with_timezone(&Utc))
        // No midnight: clocks jump over it, or the day lies at the end of representable time.
        .or_else(|| start.checked_add_signed(TimeDelta::days(1)))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
