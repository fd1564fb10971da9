//! `--as-of`: which state of the read models a question is asked of.

use crate::failure::Failure;
use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use kvali_eventstore::project::AsOf;
use serde_json::{Value, json};

/// The past that is asked about, if it is not the present.
#[derive(clap::Args)]
pub(crate) struct When {
    /// Answer as of a past position of the log, day (its end) or instant
    #[arg(long, value_name = "POSITION|DATE")]
    as_of: Option<String>,
    /// Which clock --as-of means: what was known then, or what had happened by then as known today
    #[arg(long, value_enum, default_value_t = Clock::Known, requires = "as_of")]
    clock: Clock,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Clock {
    Known,
    Happened,
}

impl Clock {
    fn word(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Happened => "happened",
        }
    }
}

impl When {
    /// Days are those of `zone`.
    pub(crate) fn as_of(&self, zone: Tz) -> Result<AsOf, Failure> {
        let Some(text) = &self.as_of else { return Ok(AsOf::NOW) };
        if let (Ok(position), Clock::Known) = (text.parse(), self.clock) {
            return Ok(AsOf::position(position));
        }
        let instant = instant("--as-of", text, zone, Edge::End)?;
        Ok(match self.clock {
            Clock::Known => AsOf::known(instant),
            Clock::Happened => AsOf::happened(instant),
        })
    }

    /// As it is told in answers.
    pub(crate) fn json(&self) -> Value {
        json!({ "as_of": self.as_of, "clock": self.as_of.is_some().then(|| self.clock.word()) })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    Start,
    End,
}

/// An RFC 3339 instant, or the start or end of a day in `zone`.
pub(crate) fn instant(flag: &str, text: &str, zone: Tz, edge: Edge) -> Result<DateTime<Utc>, Failure> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.with_timezone(&Utc));
    }
    let wrong = || {
        Failure::Impossible(format!(
            "{flag} {text:?} is neither a day (2024-03-31) nor an instant (2024-03-31T18:00:00Z){}",
            if flag == "--as-of" { " nor a position (12345; only with --clock known)" } else { "" }
        ))
    };
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| wrong())?;
    let day = if edge == Edge::End { day.succ_opt().ok_or_else(wrong)? } else { day };
    let midnight = day.and_hms_opt(0, 0, 0).ok_or_else(wrong)?;
    let start = zone
        .from_local_datetime(&midnight)
        .earliest()
        .map_or(midnight.and_utc(), |at| at.with_timezone(&Utc));
    Ok(if edge == Edge::End { start - chrono::TimeDelta::microseconds(1) } else { start })
}
