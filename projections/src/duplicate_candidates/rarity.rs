//! What a shared value says beyond the weight of its field: a rare one more, a common one less.
//!
//! Shares are counted once and then frozen with the weights, so that a score does not change under anybody's hands.

use super::compare::{EMPLOYER, FAMILY, GIVEN, ORGANISATION};
use super::details::Profile;
use super::keys::Hasher;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// The share of a value that says just what its field's weight says.
const TYPICAL: &[(&str, f64)] =
    &[(GIVEN, 1.0 / 200.0), (FAMILY, 1.0 / 1_000.0), (ORGANISATION, 1.0 / 2_000.0), (EMPLOYER, 1.0 / 300.0)];
const TYPICAL_OTHER: f64 = 1.0 / 8.0;

/// How much of a bit of rarity counts: values of one record are not independent of each other.
const COUNTS: f64 = 0.7;
const MOST: i32 = 3_000;
const LEAST: i32 = -3_000;

/// Values of one field that are told apart; the others share what is left.
const LISTED: usize = 2_000;
/// A value that fewer records hold might tell who they are.
const FEWEST: usize = 3;

/// In thousandths of a bit, as they are added to a weight.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Rarity {
    pub fields: BTreeMap<String, OfField>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OfField {
    /// Of common values, by keyed hash.
    pub listed: BTreeMap<i64, i32>,
    /// Of any other value.
    pub rest: i32,
}

impl Rarity {
    pub fn of(&self, field: &str, value: &str, hasher: &Hasher) -> i32 {
        let Some(known) = self.fields.get(field) else { return 0 };
        known.listed.get(&hash(field, value, hasher)).copied().unwrap_or(known.rest)
    }

    pub fn counted<'a>(profiles: impl Iterator<Item = &'a Profile>, hasher: &Hasher) -> Self {
        let mut counts: BTreeMap<String, HashMap<String, usize>> = BTreeMap::new();
        for profile in profiles {
            for (field, value) in values(profile) {
                let of_field = match counts.get_mut(field) {
                    Some(of_field) => of_field,
                    None => counts.entry(field.to_owned()).or_default(),
                };
                *of_field.entry(value.to_owned()).or_default() += 1;
            }
        }
        let fields = counts.into_iter().map(|(field, counts)| {
            let known = of_field(&field, &counts, hasher);
            (field, known)
        });
        Self { fields: fields.collect() }
    }
}

fn values(profile: &Profile) -> impl Iterator<Item = (&str, &str)> {
    let parts = [(GIVEN, &profile.given), (FAMILY, &profile.family)];
    let names = parts.into_iter().filter_map(|(field, name)| Some((field, name.as_ref()?.plain.as_str())));
    let field = if profile.is_person() { EMPLOYER } else { ORGANISATION };
    let organisation = profile.organisation.iter().map(move |name| (field, name.plain.as_str()));
    let others = profile.others.iter().map(|(field, value)| (field.as_str(), value.as_str()));
    names.chain(organisation).chain(others)
}

fn of_field(field: &str, counts: &HashMap<String, usize>, hasher: &Hasher) -> OfField {
    let total: usize = counts.values().sum();
    let mut common: Vec<(usize, i64)> = counts
        .iter()
        .filter(|(_, count)| **count >= FEWEST)
        .map(|(value, count)| (*count, hash(field, value, hasher)))
        .collect();
    common.sort_unstable_by(|one, other| other.cmp(one));
    common.truncate(LISTED);
    let listed = common.iter().map(|(count, hash)| (*hash, milli_bits(field, *count, total)));
    OfField { listed: listed.collect(), rest: milli_bits(field, 1, total) }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts of records, and a few bits"
)]
fn milli_bits(field: &str, count: usize, total: usize) -> i32 {
    let typical =
        TYPICAL.iter().find(|(known, _)| *known == field).map_or(TYPICAL_OTHER, |(_, share)| *share);
    let bits = (typical * total as f64 / count as f64).log2() * COUNTS;
    ((bits * 1_000.0).round() as i32).clamp(LEAST, MOST)
}

fn hash(field: &str, value: &str, hasher: &Hasher) -> i64 {
    hasher.hash("value", &[field, value])
}
