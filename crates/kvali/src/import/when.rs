//! Turns the dates and stamps of a file into business time with its precision.
//!
//! A bare date stands for a whole local day of the map's zone, a stamp without offset is a local time there.

use std::fmt;

use chrono::format::{Fixed, Item, Parsed, StrftimeItems, parse as parse_items};
use chrono::{
    DateTime, Datelike, Duration, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime,
    TimeZone, Utc,
};
use chrono_tz::Tz;

/// When something happened, as exactly as the file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A moment, cut (not rounded) to the microsecond.
    Instant(DateTime<Utc>),
    /// A local day of `zone`, held as its first instant.
    Day { starts: DateTime<Utc>, zone: Tz },
    /// The file gives no date.
    Unknown,
}

impl When {
    /// The instant that places it in time: the moment itself, or the first instant of the day.
    pub fn at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Instant(at) => Some(*at),
            Self::Day { starts, .. } => Some(*starts),
            Self::Unknown => None,
        }
    }

    pub fn is_known(&self) -> bool {
        *self != Self::Unknown
    }

    /// Whether the whole of it lies before `other`; false where the precision cannot tell, as with a stamp
    /// within the same day.
    pub fn is_surely_before(&self, other: &Self) -> bool {
        match (self.ends(), other.at()) {
            (Some(ends), Some(starts)) => ends <= starts && self.at() < other.at(),
            _ => false,
        }
    }

    /// The first instant after it (a moment ends where it is).
    fn ends(&self) -> Option<DateTime<Utc>> {
        let Self::Day { starts, zone } = self else { return self.at() };
        let mut day = starts.with_timezone(zone).date_naive();
        // A zone that jumped the date line has no such day, so the day after it ends this one.
        for _ in 0..2 {
            day = day.succ_opt()?;
            if let Ok(ends) = first_instant(day, *zone) {
                return Some(ends);
            }
        }
        None
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant(at) => write!(f, "{}", at.format("%Y-%m-%dT%H:%M:%S%.fZ")),
            Self::Day { starts, zone } => write!(f, "{}", starts.with_timezone(zone).format("%Y-%m-%d")),
            Self::Unknown => f.write_str("an unknown time"),
        }
    }
}

/// Why a cell is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotATime {
    #[error(
        "is neither a date such as 2017-03-01 nor a stamp such as 2017-03-01T09:30:00Z; name its format under [dates] formats"
    )]
    NotIso,
    #[error("is written in none of the formats {0}; add its own under [dates] formats")]
    NoFormatFits(String),
    #[error("lies outside the years 1 to 9999")]
    YearOutOfRange,
    #[error("does not exist in {0}: the clocks were put forward over it; write the stamp with its offset")]
    SkippedTime(Tz),
    #[error("does not exist in {0}: the zone left out that day")]
    SkippedDay(Tz),
}

/// How the dates of a file are written, and the zone of those that do not say it.
#[derive(Debug, Clone)]
pub struct Dates {
    zone: Tz,
    formats: Vec<Format>,
}

impl Default for Dates {
    /// ISO dates and RFC 3339 stamps; what names no offset is UTC.
    fn default() -> Self {
        Self { zone: Tz::UTC, formats: Vec::new() }
    }
}

impl Dates {
    /// `formats` are tried in order; with none, ISO dates and RFC 3339 stamps are read.
    pub fn new(zone: Tz, formats: Vec<Format>) -> Self {
        Self { zone, formats }
    }

    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Reads one cell; an empty one is `Unknown`.
    pub fn read(&self, cell: &str) -> Result<When, NotATime> {
        if cell.is_empty() {
            return Ok(When::Unknown);
        }
        let written = if self.formats.is_empty() { iso(cell) } else { self.formatted(cell) };
        place(written.ok_or_else(|| self.no_format_fits())?, self.zone)
    }

    fn formatted(&self, cell: &str) -> Option<Written> {
        self.formats.iter().find_map(|format| format.read(cell))
    }

    fn no_format_fits(&self) -> NotATime {
        match self.formats.as_slice() {
            [] => NotATime::NotIso,
            formats => {
                let quoted: Vec<_> = formats.iter().map(|format| format!("{:?}", format.text)).collect();
                NotATime::NoFormatFits(quoted.join(", "))
            }
        }
    }
}

/// One strftime pattern that names at least a whole day.
#[derive(Debug, Clone)]
pub struct Format {
    text: String,
    items: Vec<Item<'static>>,
}

/// Why a pattern cannot date anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UselessFormat {
    #[error("is not a strftime pattern; write for example \"%d.%m.%Y\" or \"%Y-%m-%d %H:%M:%S\"")]
    NotStrftime,
    #[error("holds %Z, but a zone's short name is ambiguous; use an offset (%z) or [dates] zone")]
    ZoneName,
    #[error(
        "does not tell a whole day or moment; name year, month and day, and with an hour its minutes too"
    )]
    Incomplete,
}

impl Format {
    pub fn parse(text: &str) -> Result<Self, UselessFormat> {
        let items = StrftimeItems::new(text).parse_to_owned().map_err(|_| UselessFormat::NotStrftime)?;
        if items.contains(&Item::Fixed(Fixed::TimezoneName)) {
            return Err(UselessFormat::ZoneName);
        }
        let format = Self { text: text.to_owned(), items };
        let sample = DateTime::UNIX_EPOCH.format_with_items(format.items.iter()).to_string();
        match format.read(&sample) {
            Some(_) => Ok(format),
            None => Err(UselessFormat::Incomplete),
        }
    }

    fn read(&self, cell: &str) -> Option<Written> {
        let mut parsed = Parsed::new();
        parse_items(&mut parsed, cell, self.items.iter()).ok()?;
        if parsed.offset().is_some() || parsed.timestamp().is_some() {
            return parsed.to_datetime().ok().map(Written::Stamp);
        }
        if parsed.hour_mod_12().is_some() || parsed.hour_div_12().is_some() {
            return parsed.to_naive_datetime_with_offset(0).ok().map(Written::Local);
        }
        parsed.to_naive_date().ok().map(Written::Day)
    }
}

/// What a cell says, before a zone places it in time.
#[derive(Clone, Copy)]
enum Written {
    Stamp(DateTime<FixedOffset>),
    Local(NaiveDateTime),
    Day(NaiveDate),
}

/// ISO 8601 as exports write it: RFC 3339 with `T` or a space, with or without seconds' fraction; and the same
/// without an offset, without seconds, or with an offset of hours only.
fn iso(cell: &str) -> Option<Written> {
    let bytes = cell.as_bytes();
    if bytes.get(4) != Some(&b'-')
        || bytes.get(7) != Some(&b'-')
        || !bytes[..4].iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    if bytes.len() == 10 {
        return NaiveDate::parse_from_str(cell, "%Y-%m-%d").ok().map(Written::Day);
    }
    if let Ok(stamp) = DateTime::parse_from_rfc3339(cell) {
        return Some(Written::Stamp(stamp));
    }
    let time = cell.get(11..).filter(|_| matches!(bytes[10], b'T' | b't' | b' '))?;
    let day = NaiveDate::parse_from_str(&cell[..10], "%Y-%m-%d").ok()?;
    local_time(time).map(|time| Written::Local(day.and_time(time))).or_else(|| {
        let stamp = format!("{day} {time}");
        DateTime::parse_from_str(&stamp, "%Y-%m-%d %H:%M:%S%.f%#z").ok().map(Written::Stamp)
    })
}

fn local_time(text: &str) -> Option<NaiveTime> {
    ["%H:%M:%S%.f", "%H:%M"].iter().find_map(|format| NaiveTime::parse_from_str(text, format).ok())
}

fn place(written: Written, zone: Tz) -> Result<When, NotATime> {
    let year = match written {
        Written::Stamp(stamp) => stamp.year(),
        Written::Local(local) => local.year(),
        Written::Day(day) => day.year(),
    };
    if !(1..=9999).contains(&year) {
        return Err(NotATime::YearOutOfRange);
    }
    match written {
        Written::Stamp(stamp) => Ok(When::Instant(cut(stamp.to_utc()))),
        Written::Local(local) => match zone.from_local_datetime(&local) {
            // A time the clocks passed twice is the earlier of the two, so that a rerun always agrees.
            MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => {
                Ok(When::Instant(cut(at.to_utc())))
            }
            MappedLocalTime::None => Err(NotATime::SkippedTime(zone)),
        },
        Written::Day(day) => first_instant(day, zone).map(|starts| When::Day { starts, zone }),
    }
}

/// Cut to the microsecond, the precision the log keeps; a leap second becomes the one after it.
fn cut(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

/// The first instant of a local day: midnight, or where the clocks skipped midnight, the moment they jumped.
fn first_instant(day: NaiveDate, zone: Tz) -> Result<DateTime<Utc>, NotATime> {
    let midnight = day.and_time(NaiveTime::MIN);
    if let Some(at) = zone.from_local_datetime(&midnight).earliest() {
        return Ok(at.to_utc());
    }
    // No offset exceeds a day, so the jump lies between these two; the local date only grows across it.
    let (mut before, mut after) =
        (midnight.and_utc() - Duration::days(2), midnight.and_utc() + Duration::days(2));
    while after - before > Duration::seconds(1) {
        let between = before + Duration::seconds((after - before).num_seconds() / 2);
        let reached = between.with_timezone(&zone).date_naive() >= day;
        *(if reached { &mut after } else { &mut before }) = between;
    }
    if after.with_timezone(&zone).date_naive() == day { Ok(after) } else { Err(NotATime::SkippedDay(zone)) }
}

#[cfg(test)]
mod tests;
