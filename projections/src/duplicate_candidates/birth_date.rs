//! Dates of birth, however they are written.

use super::fold::words;
use super::level::Level;
use serde::{Deserialize, Serialize};

/// Year, month and day; a zero where one is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct BirthDate {
    year: u16,
    month: u8,
    day: u8,
}

impl BirthDate {
    /// `1987-03-09`, `19870309`, `9.3.1987`, `03/09/1987` or `1987`. Of two numbers that may each be the month the first
    /// is taken for the day; the comparison forgives that.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let said: Vec<String> = words(text).into_iter().map(|word| word.text).collect();
        let date = |year: &str, month: &str, day: &str| {
            Self::of(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
        };
        match said.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [year, month, day, ..] if year.len() == 4 => date(year, month, day),
            [day, month, year, ..] if year.len() == 4 => date(year, month, day),
            [digits] if digits.len() == 8 && digits.is_ascii() => {
                date(&digits[..4], &digits[4..6], &digits[6..])
                    .or_else(|| date(&digits[4..], &digits[2..4], &digits[..2]))
            }
            [year] if year.len() == 4 => Self::of(year.parse().ok()?, 0, 0),
            _ => None,
        }
    }

    fn of(year: u16, month: u8, day: u8) -> Option<Self> {
        let (month, day) = if month > 12 && day <= 12 { (day, month) } else { (month, day) };
        (1000..=2200).contains(&year).then_some(Self { year, month, day })
    }

    pub(super) fn digits(self) -> String {
        format!("{:04}{:02}{:02}", self.year, self.month, self.day)
    }

    pub(super) fn level(self, other: Self) -> Level {
        let same = [self.year == other.year, self.month == other.month, self.day == other.day];
        let swapped = self.year == other.year && self.month == other.day && self.day == other.month;
        let slips = strsim::osa_distance(&self.digits(), &other.digits());
        match same.iter().filter(|part| **part).count() {
            3 => Level::Equal,
            2 if !(self.is_vague() || other.is_vague()) => Level::Near,
            _ if swapped || slips == 1 => Level::Near,
            _ if slips == 2 || (same[0] && (self.is_vague() || other.is_vague())) => Level::Alike,
            _ => Level::Different,
        }
    }

    /// The first of January stands for a year of which no more is known.
    fn is_vague(self) -> bool {
        self.month <= 1 && self.day <= 1
    }
}
