//! How much two values of one field agree.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A field that one of the two records lacks has no level: what is missing says nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Equal,
    /// A slip of the pen apart, or one holds the other.
    Near,
    /// They sound alike, are forms of one name or the same in another script, or are much like each other.
    Alike,
    Different,
}

impl Level {
    pub const ALL: [Self; 4] = [Self::Equal, Self::Near, Self::Alike, Self::Different];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Near => "near",
            Self::Alike => "alike",
            Self::Different => "different",
        }
    }
}

/// The best level among all pairs of values; none if a side has none.
pub(super) fn best<T>(left: &[T], right: &[T], level: impl Fn(&T, &T) -> Level) -> Option<Level> {
    left.iter().flat_map(|one| right.iter().map(move |other| (one, other))).map(|(a, b)| level(a, b)).min()
}

/// Of two codes, such as numbers of a register: every sign counts.
pub(super) fn of_codes(left: &str, right: &str) -> Level {
    match strsim::osa_distance(left, right) {
        0 => Level::Equal,
        1 => Level::Near,
        2 if left.len().min(right.len()) >= 6 => Level::Alike,
        _ => Level::Different,
    }
}

/// Of two folded texts.
pub(super) fn of_texts(left: &str, right: &str) -> Level {
    if left == right {
        return Level::Equal;
    }
    let shorter = left.len().min(right.len());
    if shorter >= 4 && is_a_slip_apart(left, right) {
        return Level::Near;
    }
    match strsim::jaro_winkler(left, right) {
        like if like >= 0.93 => Level::Near,
        like if like >= 0.85 => Level::Alike,
        _ => Level::Different,
    }
}

/// Whether one sign more, one other sign or two neighbours swapped make one of the other: an optimal string alignment of 1,
/// found in one pass. Signs are bytes, since folded texts are ASCII.
pub(super) fn is_a_slip_apart(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let start = left.iter().zip(right).take_while(|(one, other)| one == other).count();
    let (left, right) = (&left[start..], &right[start..]);
    let end = left.iter().rev().zip(right.iter().rev()).take_while(|(one, other)| one == other).count();
    match (&left[..left.len() - end], &right[..right.len() - end]) {
        ([_], [] | [_]) | ([], [_]) => true,
        ([a, b], [c, d]) => (a, b) == (d, c),
        _ => false,
    }
}
