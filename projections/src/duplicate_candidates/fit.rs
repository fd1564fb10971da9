//! Weights from decisions: a logistic fit that is pulled towards the weights it starts from.
//!
//! Few decisions move them little. A fit is refused where it is worse than what it would replace on decisions that it has
//! not seen.

use super::level::Level;
use super::score::Score;
use super::weights::{Levels, Weights};
use std::collections::BTreeMap;

/// Two records, and whether somebody said that they are one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Field and level of each addend.
    pub found: Vec<(String, Level)>,
    /// What the rarity of shared values adds, which is not fitted.
    pub rarity: i32,
    pub is_one: bool,
}

impl Decision {
    pub fn of(score: &Score, is_one: bool) -> Self {
        let found = score.addends.iter().map(|addend| (addend.field.clone(), addend.level)).collect();
        Self { found, rarity: score.addends.iter().map(|addend| addend.rarity).sum(), is_one }
    }

    fn total(&self, weights: &Weights) -> i32 {
        let adds = self.found.iter().map(|(field, level)| weights.of(field, *level));
        weights.start + self.rarity + adds.sum::<i32>()
    }
}

/// What held-out decisions say of the weights before and after.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HoldOut {
    pub decisions: usize,
    /// Mean surprise per decision, in bits.
    pub before: f64,
    pub after: f64,
}

#[derive(thiserror::Error, Clone, PartialEq, Debug)]
pub enum NotFitted {
    #[error("{given} decisions are too few to fit weights; confirm, merge or reject {} more pairs", FEWEST - given)]
    TooFew { given: usize },
    #[error("all {given} decisions say the same; it takes pairs that are one and pairs that are two")]
    OneSided { given: usize },
    #[error(
        "on {} held-out decisions the fit is worse, {after:.3} bits against {before:.3}; the weights stay as they are",
        .decisions
    )]
    Worse { decisions: usize, before: f64, after: f64 },
}

const FEWEST: usize = 10;
/// Parts that decisions are held out in.
const FOLDS: usize = 5;
/// How far a weight is moved lightly, in bits: the standard deviation of the prior.
const SPREAD: f64 = 1.5;
const SWEEPS: usize = 60;
/// A sum of fields that lean on each other claims too much; this share of its bits is believed.
const BELIEVED: f64 = 0.8;

/// Decisions in the order in which they were made.
pub fn fit(from: &Weights, decisions: &[Decision]) -> Result<(Weights, HoldOut), NotFitted> {
    let given = decisions.len();
    if given < FEWEST {
        return Err(NotFitted::TooFew { given });
    }
    if decisions.iter().all(|decision| decision.is_one == decisions[0].is_one) {
        return Err(NotFitted::OneSided { given });
    }
    let hold_out = held_out(from, decisions);
    if hold_out.after > hold_out.before {
        let HoldOut { decisions, before, after } = hold_out;
        return Err(NotFitted::Worse { decisions, before, after });
    }
    Ok((fitted(from, decisions), hold_out))
}

/// Each fold is held out once, and foretold by a fit to the others: a single one would be too few to tell.
#[expect(clippy::cast_precision_loss, reason = "a number of decisions")]
fn held_out(from: &Weights, decisions: &[Decision]) -> HoldOut {
    let after = (0..FOLDS).map(|fold| {
        let held = |at: usize| at % FOLDS == fold;
        let (held, seen): (Vec<_>, Vec<_>) = (0..).zip(decisions).partition(|(at, _)| held(*at));
        let part = |of: Vec<(usize, &Decision)>| {
            of.into_iter().map(|(_, decision)| decision.clone()).collect::<Vec<_>>()
        };
        surprise(&fitted(from, &part(seen)), &part(held))
    });
    let (count, after) = (decisions.len(), after.sum::<f64>());
    HoldOut {
        decisions: count,
        before: surprise(from, decisions) / count as f64,
        after: after / count as f64,
    }
}

/// The sum over decisions, in bits.
fn surprise(weights: &Weights, decisions: &[Decision]) -> f64 {
    let bits = |decision: &Decision| {
        let chance = chance(f64::from(decision.total(weights)));
        -(if decision.is_one { chance } else { 1.0 - chance }).max(1e-9).log2()
    };
    decisions.iter().map(bits).sum()
}

/// That two records are one, by the score in thousandths of a bit.
fn chance(total: f64) -> f64 {
    1.0 / (1.0 + (-total / 1_000.0 * BELIEVED).exp2())
}

/// Newton's steps along one weight after the other; the pull towards the prior makes the optimum unique.
fn fitted(from: &Weights, decisions: &[Decision]) -> Weights {
    let mut names: BTreeMap<(&str, Level), usize> = BTreeMap::new();
    for (field, level) in decisions.iter().flat_map(|decision| &decision.found) {
        let next = names.len() + 1;
        names.entry((field, *level)).or_insert(next);
    }
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); names.len() + 1];
    users[0] = (0..decisions.len()).collect();
    for (at, decision) in decisions.iter().enumerate() {
        for (field, level) in &decision.found {
            users[names[&(field.as_str(), *level)]].push(at);
        }
    }
    let mut totals: Vec<f64> = decisions.iter().map(|decision| f64::from(decision.total(from))).collect();
    let mut moved = vec![0.0; users.len()];
    for _ in 0..SWEEPS {
        for (weight, users) in users.iter().enumerate() {
            let step = step(&totals, decisions, users, moved[weight]);
            moved[weight] += step;
            for at in users {
                totals[*at] += step;
            }
        }
    }
    with(from, &names, &moved)
}

fn step(totals: &[f64], decisions: &[Decision], users: &[usize], moved: f64) -> f64 {
    /// Natural logarithm of the odds per thousandth of a bit.
    const SCALE: f64 = BELIEVED * std::f64::consts::LN_2 / 1_000.0;
    let prior = 1.0 / (SPREAD * 1_000.0 * SPREAD * 1_000.0);
    let (mut slope, mut curve) = (-moved * prior, prior);
    for at in users {
        let chance = chance(totals[*at]);
        let is_one = f64::from(u8::from(decisions[*at].is_one));
        slope += (is_one - chance) * SCALE;
        curve += chance * (1.0 - chance) * SCALE * SCALE;
    }
    // Far from the optimum the curve flattens and the step would overshoot.
    (slope / curve).clamp(-1_000.0, 1_000.0)
}

#[expect(clippy::cast_possible_truncation, reason = "a few bits")]
fn with(from: &Weights, names: &BTreeMap<(&str, Level), usize>, moved: &[f64]) -> Weights {
    let mut weights = from.clone();
    weights.start += moved[0].round() as i32;
    for ((field, level), at) in names {
        let levels: &mut Levels = weights.fields.entry((*field).to_owned()).or_insert(from.other);
        levels[*level as usize] += moved[*at].round() as i32;
    }
    weights
}
