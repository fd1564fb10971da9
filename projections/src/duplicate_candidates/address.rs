//! Addresses: a street with its number, and the place that it is in.

use super::fold::words;
use super::level::{Level, of_codes, of_texts};
use super::sound;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) struct Street {
    pub(super) number: Option<String>,
    /// The words without those that streets share, in one.
    pub(super) stem: String,
    /// All words in one: where words run into each other, no street's kind can be told.
    pub(super) line: String,
}

const KINDS_OF_STREET: &[&str] = &[
    "allee",
    "alley",
    "apartment",
    "apt",
    "av",
    "ave",
    "avenue",
    "blvd",
    "boulevard",
    "cct",
    "circle",
    "circuit",
    "cir",
    "close",
    "court",
    "cove",
    "cl",
    "cr",
    "cres",
    "crescent",
    "ct",
    "d",
    "dom",
    "dr",
    "drive",
    "e",
    "east",
    "flat",
    "floor",
    "gasse",
    "gardens",
    "grove",
    "gr",
    "highway",
    "hwy",
    "house",
    "kucha",
    "kv",
    "lane",
    "ln",
    "n",
    "no",
    "north",
    "parade",
    "parkway",
    "pde",
    "pkwy",
    "pl",
    "place",
    "plaza",
    "platz",
    "pr",
    "prospekt",
    "rd",
    "road",
    "rue",
    "s",
    "south",
    "sq",
    "square",
    "st",
    "str",
    "strasse",
    "street",
    "suite",
    "ste",
    "ter",
    "terrace",
    "trail",
    "ul",
    "ulitsa",
    "unit",
    "via",
    "w",
    "walk",
    "way",
    "weg",
    "west",
];

impl Street {
    /// `number` stands apart or is the first number of the line.
    pub(super) fn of(number: Option<&str>, line: &str) -> Option<Self> {
        let mut said: Vec<String> = words(line).into_iter().map(|word| word.text).collect();
        let mut number = number.map(super::fold::squeezed).filter(|number| !number.is_empty());
        if number.is_none() {
            let starts_with_digit = |word: &String| word.as_bytes()[0].is_ascii_digit();
            let is_ordinal = |word: &String| {
                ["st", "nd", "rd", "th"].iter().any(|end| word.ends_with(end)) && word.len() >= 3
            };
            let at = said.iter().position(|word| starts_with_digit(word) && !is_ordinal(word));
            number = at.map(|at| said.remove(at));
        }
        let stem: Vec<&str> =
            said.iter().map(String::as_str).filter(|word| !KINDS_OF_STREET.contains(word)).collect();
        let line = said.concat();
        let stem = if stem.is_empty() { line.clone() } else { stem.concat() };
        (number.is_some() || !stem.is_empty()).then_some(Self { number, stem, line })
    }

    /// How the line begins to sound; the end is the street's kind, in full or not.
    pub(super) fn code(&self) -> String {
        const BEGINNING: usize = 4;
        sound::code(&self.line).chars().take(BEGINNING).collect()
    }

    pub(super) fn level(&self, other: &Self) -> Level {
        let stem = both(&self.stem, &other.stem, of_texts).min(both(&self.line, &other.line, of_texts));
        let number = match (&self.number, &other.number) {
            (Some(one), Some(other)) => Some(of_codes(one, other)),
            _ => None,
        };
        match (stem, number) {
            (Some(Level::Equal | Level::Near), Some(Level::Equal)) => Level::Equal,
            (Some(Level::Equal), None) | (Some(Level::Alike), Some(Level::Equal)) => Level::Near,
            (Some(Level::Equal | Level::Near), Some(Level::Near)) if self.is_long_number(other) => {
                Level::Near
            }
            (Some(Level::Equal | Level::Near), _)
            | (Some(Level::Alike), Some(Level::Near) | None)
            | (None, Some(Level::Equal)) => Level::Alike,
            _ => Level::Different,
        }
    }

    /// A slip in a number of one digit gives any other number of one digit.
    fn is_long_number(&self, other: &Self) -> bool {
        [self, other].iter().all(|street| street.number.as_ref().is_some_and(|number| number.len() >= 2))
    }
}

/// Postal code and town, folded; either may be empty.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) postcode: String,
    pub(super) town: String,
}

impl Place {
    pub(super) fn of(postcode: &str, town: &str) -> Option<Self> {
        let place = Self { postcode: super::fold::squeezed(postcode), town: super::fold::squeezed(town) };
        (place != Self::default()).then_some(place)
    }

    pub(super) fn level(&self, other: &Self) -> Level {
        let town = both(&self.town, &other.town, of_texts);
        let postcode = both(&self.postcode, &other.postcode, of_codes);
        match (postcode, town) {
            (Some(Level::Equal), None | Some(Level::Equal | Level::Near)) | (None, Some(Level::Equal)) => {
                Level::Equal
            }
            (Some(Level::Equal), _) | (Some(_) | None, Some(Level::Equal | Level::Near)) => Level::Near,
            (Some(Level::Near), _) | (_, Some(Level::Alike)) => Level::Alike,
            _ => Level::Different,
        }
    }
}

fn both(one: &str, other: &str, level: impl Fn(&str, &str) -> Level) -> Option<Level> {
    (!one.is_empty() && !other.is_empty()).then(|| level(one, other))
}
