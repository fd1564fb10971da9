//! Where a reader of the trail stands, newest first; opaque to it.

use super::entry::{Entry, Particulars};
use super::filter::Kind;
use chrono::{DateTime, Utc};
use std::str::FromStr;
use uuid::Uuid;

/// After an entry: all events of positions below are left, and of the others all that come later in the order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The lowest position told so far; before any, one past the head.
    pub(super) position: i64,
    pub(super) last: Key,
}

/// One order for all kinds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    pub recorded_at: DateTime<Utc>,
    pub kind: Kind,
    /// 0 for what is no event.
    pub position: i64,
    pub id: Uuid,
}

impl Place {
    /// Of an entry that is an event, where only events pass.
    pub(super) fn after_event(entry: &Entry) -> Option<Self> {
        let Particulars::Event(happened) = &entry.particulars else { return None };
        let position = happened.recorded.position;
        let last = Key { recorded_at: entry.recorded_at, kind: Kind::Event, position, id: entry.id };
        Some(Self { position, last })
    }
}

const KINDS: [Kind; 4] = [Kind::Read, Kind::Denied, Kind::Refused, Kind::Event];
/// Each number as hexadecimal digits: position, time in microseconds, kind, position of the last entry, its id.
const DIGITS: [usize; 5] = [16, 16, 1, 16, 32];

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Key { recorded_at, kind, position, id } = self.last;
        let micros = recorded_at.timestamp_micros();
        let kind = KINDS.iter().position(|known| *known == kind).expect("every kind is in the list");
        write!(f, "{:016x}{micros:016x}{kind:x}{position:016x}{:032x}", self.position, id.as_u128())
    }
}

#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error(
    "this is no cursor of the audit trail; give one back as it was given out, or none to begin with the newest"
)]
pub struct NotAPlace;

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        if text.len() != DIGITS.iter().sum::<usize>() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAPlace);
        }
        let mut rest = text;
        let mut numbers = [0; DIGITS.len()];
        for (number, digits) in numbers.iter_mut().zip(DIGITS) {
            let (said, left) = rest.split_at(digits);
            *number = u128::from_str_radix(said, 16).map_err(|_| NotAPlace)?;
            rest = left;
        }
        let [below, micros, kind, position, id] = numbers;
        let number = |number: u128| i64::try_from(number).map_err(|_| NotAPlace);
        let kind = usize::try_from(kind).ok().and_then(|kind| KINDS.get(kind).copied()).ok_or(NotAPlace)?;
        let recorded_at = DateTime::from_timestamp_micros(number(micros)?).ok_or(NotAPlace)?;
        let last = Key { recorded_at, kind, position: number(position)?, id: Uuid::from_u128(id) };
        Ok(Self { position: number(below)?, last })
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Kind, NotAPlace, Place};
    use uuid::Uuid;

    #[test]
    fn a_place_reads_as_it_was_given_out_and_nothing_else_does() {
        let recorded_at = "2026-11-28T07:00:00.123456Z".parse().unwrap();
        for (kind, position) in [(Kind::Event, i64::MAX), (Kind::Read, 0)] {
            let last = Key { recorded_at, kind, position, id: Uuid::from_u128(7) };
            let place = Place { position: 12, last };
            let text = place.to_string();
            assert_eq!(text.parse(), Ok(place));
            for wrong in [&text[1..], &text.replace('0', "z"), "", "0", &"f".repeat(text.len())] {
                assert_eq!(wrong.parse::<Place>(), Err(NotAPlace), "{wrong}");
            }
        }
    }
}
