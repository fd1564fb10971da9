//! What each level of agreement says for or against two records being one, in thousandths of a bit.
//!
//! One bit doubles the odds. The shipped weights are a prior for any organisation; a fit moves them by its decisions.

use super::compare::{
    BIRTH_DATE, DOMAIN, EMAIL, EMPLOYER, FAMILY, GIVEN, IDENTIFIER, ORGANISATION, PHONE, PLACE, SECOND_LINE,
    STREET,
};
use super::level::Level;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Equal, near, alike, different.
pub(super) type Levels = [i32; 4];

/// Published rules count from 1.
pub(super) const SHIPPED_VERSION: i32 = 0;

/// What is held before anything is compared: of records that share a key few are one.
const SHIPPED_START: i32 = -5_500;
/// More likely one than not by as much as the level "likely" was measured to need.
const SHIPPED_LIKELY: i32 = 500;
const SHIPPED_POSSIBLE: i32 = -3_000;

const SHIPPED: &[(&str, Levels)] = &[
    (GIVEN, [4_000, 3_500, 2_000, -5_000]),
    (FAMILY, [4_000, 3_500, 1_200, -3_500]),
    (BIRTH_DATE, [8_000, 4_500, 2_000, -7_500]),
    (IDENTIFIER, [11_000, 8_000, 4_000, -3_000]),
    (EMAIL, [9_500, 6_000, 2_000, -2_000]),
    (PHONE, [3_000, 2_500, 0, -1_300]),
    (STREET, [4_500, 4_000, 3_000, -2_000]),
    (SECOND_LINE, [4_500, 4_000, 1_000, -1_200]),
    (PLACE, [4_500, 3_700, 1_500, -2_800]),
    (ORGANISATION, [8_000, 6_000, 3_000, -4_000]),
    (EMPLOYER, [2_500, 2_000, 1_000, -500]),
    (DOMAIN, [5_500, 0, 0, -2_500]),
    ("gender", [700, 700, 300, -2_500]),
    ("sex", [700, 700, 300, -2_500]),
];

/// Of a field that has none of its own.
const SHIPPED_OTHER: Levels = [1_500, 1_500, 500, -1_200];

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Weights {
    pub start: i32,
    pub likely: i32,
    pub possible: i32,
    pub(super) fields: BTreeMap<String, Levels>,
    /// Of a field that is not named.
    pub(super) other: Levels,
}

impl Weights {
    pub fn shipped() -> Self {
        Self {
            start: SHIPPED_START,
            likely: SHIPPED_LIKELY,
            possible: SHIPPED_POSSIBLE,
            fields: SHIPPED.iter().map(|(field, levels)| ((*field).to_owned(), *levels)).collect(),
            other: SHIPPED_OTHER,
        }
    }

    pub fn of(&self, field: &str, level: Level) -> i32 {
        self.fields.get(field).unwrap_or(&self.other)[level as usize]
    }
}
