//! How arguments are read that several commands have, and what is said of one that cannot be.

use chrono_tz::Tz;
use clap::builder::RangedI64ValueParser;
use std::error::Error;
use uuid::Uuid;

pub(crate) fn zone(text: &str) -> Result<Tz, &'static str> {
    text.parse().map_err(|_| "the IANA database has no such time zone; give one such as Asia/Tbilisi, or UTC")
}

pub(crate) fn id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "this is no UUID; one looks like 0190d9c6-4a00-7000-8000-000000000001")
}

/// How many rows are shown, at most.
pub(crate) fn rows<T: TryFrom<i64, Error: Error + Send + Sync> + Clone + Send + Sync>()
-> RangedI64ValueParser<T> {
    RangedI64ValueParser::new().range(1..=100_000)
}
