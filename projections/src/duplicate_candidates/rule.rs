//! Between what is published and what is reckoned with.

use super::keys::Hasher;
use super::rarity::{OfField, Rarity};
use super::score::Model;
use super::weights::{Levels, Weights};
use kvali_domain::match_rule::{self, Agreement, CUSTOM, Defined, FIELDS, HoldOut, Key, Rule};
use rust_decimal::Decimal;
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};

impl Model {
    /// The rule in force, or what is shipped.
    pub fn of(defined: Option<&Defined>, hasher: Hasher) -> Self {
        let Some(Defined { version, rule }) = defined else {
            return Self::shipped(Rarity::default(), hasher);
        };
        let fields = rule.fields.iter().map(|(field, agreement)| (field.clone(), levels(*agreement)));
        let rarity = rule.rarity.iter().map(|(field, rarity)| {
            (field.clone(), OfField { listed: rarity.listed.clone(), rest: rarity.rest })
        });
        Self {
            version: *version,
            weights: Weights {
                start: rule.start,
                likely: bits(rule.likely),
                possible: bits(rule.possible),
                fields: fields.collect(),
                other: levels(rule.other),
            },
            rarity: Rarity { fields: rarity.collect() },
            keys: rule.keys.clone(),
            hasher,
        }
    }
}

/// The rule that says what these weights and rarities say. Fields that no record has are left out.
pub fn rule(weights: &Weights, rarity: &Rarity, hold_out: Option<super::HoldOut>) -> Rule {
    let is_compared = |field: &String| FIELDS.contains(&field.as_str()) || field.starts_with(CUSTOM);
    let fields = weights.fields.iter().filter(|(field, _)| is_compared(field));
    let rarities =
        rarity.fields.iter().filter(|(field, _)| is_compared(field)).map(|(field, of)| {
            (field.clone(), match_rule::Rarity { listed: of.listed.clone(), rest: of.rest })
        });
    Rule {
        start: weights.start,
        likely: chance(weights.likely),
        possible: chance(weights.possible),
        fields: fields.map(|(field, levels)| (field.clone(), agreement(*levels))).collect(),
        other: agreement(weights.other),
        keys: Key::ALL.into_iter().collect(),
        rarity: rarities.collect(),
        hold_out: hold_out.map(told),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few bits of surprise, none below zero"
)]
fn told(hold_out: super::HoldOut) -> HoldOut {
    let milli = |bits: f64| (bits * 1_000.0).round() as u32;
    HoldOut {
        decisions: u32::try_from(hold_out.decisions).unwrap_or(u32::MAX),
        before: milli(hold_out.before),
        after: milli(hold_out.after),
    }
}

fn levels(agreement: Agreement) -> Levels {
    [agreement.equal, agreement.near, agreement.alike, agreement.different]
}

fn agreement([equal, near, alike, different]: Levels) -> Agreement {
    Agreement { equal, near, alike, different }
}

/// The score, in thousandths of a bit, from which a chance is reached.
#[expect(
    clippy::cast_possible_truncation,
    reason = "chances above 0 and below 1 are a few dozen bits at most"
)]
fn bits(chance: Decimal) -> i32 {
    let chance = chance.to_f64().unwrap_or(0.5);
    ((chance / (1.0 - chance)).log2() * 1_000.0).round() as i32
}

/// To six digits, which a score of thousandths does not need to come back exactly.
fn chance(bits: i32) -> Decimal {
    let chance = 1.0 / (1.0 + (-f64::from(bits) / 1_000.0).exp2());
    Decimal::from_f64(chance).unwrap_or(Decimal::new(5, 1)).round_dp(6)
}
