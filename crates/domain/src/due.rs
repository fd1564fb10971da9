//! When something is due: by the end of a local day, or at an instant, never both.

use chrono::offset::MappedLocalTime;
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Due {
    /// At any time of a local day.
    Day {
        date: NaiveDate,
        /// An IANA name, such as `Asia/Tbilisi`.
        #[schemars(with = "String")]
        zone: Tz,
    },
    /// At that instant or before it.
    At(DateTime<Utc>),
}

impl Due {
    /// What is done by then is in time. For a day that is the first instant after it: where the clocks go back from
    /// midnight to its evening, after that evening too; where no midnight follows, when they jump over it.
    pub fn overdue_after(self) -> DateTime<Utc> {
        match self {
            Self::Day { date, zone } => day_end(date, zone),
            Self::At(at) => at,
        }
    }

    /// Whether what is not done at `now` is overdue. A day is over with its first instant after it; an instant is
    /// itself still in time.
    pub fn is_past(self, now: DateTime<Utc>) -> bool {
        match self {
            Self::Day { .. } => now >= self.overdue_after(),
            Self::At(at) => now > at,
        }
    }

    /// By how many days `later` lies after this: of the calendar between two days, whole days of 24 hours otherwise.
    pub fn days_until(self, later: Self) -> i32 {
        let days = match (self, later) {
            (Self::Day { date, .. }, Self::Day { date: later, .. }) => later.signed_duration_since(date),
            _ => later.overdue_after().signed_duration_since(self.overdue_after()),
        };
        i32::try_from(days.num_days()).expect("all dates lie within 200 million days")
    }
}

impl std::fmt::Display for Due {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Day { date, zone } => write!(f, "{date} in {}", zone.name()),
            Self::At(at) => at.fmt(f),
        }
    }
}

/// The local day that `at` belongs to; beyond the last day that can be written, that day.
pub fn local_day(at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    let offset = zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let edge = if offset.local_minus_utc() < 0 { NaiveDate::MIN } else { NaiveDate::MAX };
    at.naive_utc().checked_add_offset(offset).map_or(edge, |local| local.date())
}

fn day_end(date: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let Some(next) = date.checked_add_days(Days::new(1)) else { return DateTime::<Utc>::MAX_UTC };
    let midnight = next.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&midnight) {
        MappedLocalTime::Single(end) => end.with_timezone(&Utc),
        MappedLocalTime::Ambiguous(first, second) => {
            let comes_back = local_day(second.with_timezone(&Utc) - TimeDelta::nanoseconds(1), zone) == date;
            if comes_back { second } else { first }.with_timezone(&Utc)
        }
        MappedLocalTime::None => jump_over(midnight, zone),
    }
}

/// When the clocks of `zone` jump over that local time.
fn jump_over(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let before = GapInfo::new(&local, &zone).and_then(|gap| gap.begin);
    before
        .and_then(|(start, offset)| start.checked_sub_offset(offset.fix()))
        // Only a zone whose first change is a jump has nothing before it; there is none.
        .unwrap_or(local)
        .and_utc()
}

#[cfg(test)]
mod tests;
