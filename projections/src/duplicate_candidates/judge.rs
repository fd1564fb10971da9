//! How well the engine does on records of which somebody knows who is who.

use super::cluster::{agree, clusters};
use super::details::Profile;
use super::fit::{Decision, NotFitted, fit};
use super::keys::keys;
use super::score::Model;
use std::collections::{BTreeSet, HashMap, HashSet};

/// A key that more records share is common to too many to say anything.
pub const BLOCK_LIMIT: usize = 100;

/// Places of two records, the smaller first.
pub type Pair = (u32, u32);

/// Records, and the pairs of them that are one.
#[derive(Debug)]
pub struct Labelled {
    pub profiles: Vec<Profile>,
    pub truth: HashSet<Pair>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Judgement {
    pub records: usize,
    pub true_pairs: usize,
    pub candidates: usize,
    /// Others that one record is compared with.
    pub candidates_per_record: f64,
    /// The share of true pairs that are compared at all.
    pub completeness: f64,
    pub trials: Vec<Trial>,
}

/// One set of weights on one share of the records.
#[derive(Clone, PartialEq, Debug)]
pub struct Trial {
    /// How many decisions moved the weights.
    pub decisions: usize,
    pub of: Share,
    pub pairs: Quality,
    /// Of all pairs within clusters.
    pub clusters: Quality,
    /// Why the decisions did not move the weights.
    pub refused: Option<NotFitted>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    All,
    /// Half of the entities, of none of which a record was decided upon.
    Unseen,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Quality {
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
}

impl Quality {
    #[expect(clippy::cast_precision_loss, reason = "numbers of pairs")]
    fn of<'a>(found: impl Iterator<Item = &'a Pair>, truth: &HashSet<Pair>) -> Self {
        let (mut all, mut right) = (0, 0);
        for pair in found {
            all += 1;
            right += usize::from(truth.contains(pair));
        }
        let share = |of: usize| if of == 0 { 1.0 } else { right as f64 / of as f64 };
        let (precision, recall) = (share(all), share(truth.len()));
        let sum = precision + recall;
        Self { precision, recall, f1: if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum } }
    }
}

/// Judges `model` as it is, and as it becomes by each number of decisions.
#[expect(clippy::cast_precision_loss, reason = "numbers of pairs")]
pub fn judge(labelled: &Labelled, model: &Model, decisions: &[usize]) -> Judgement {
    let Labelled { profiles, truth } = labelled;
    let found = candidates(profiles, model);
    let known = found.iter().filter(|pair| truth.contains(pair)).count();
    let halves = Halves::of(labelled);
    let (seen, unseen) = halves.parted(&found);
    let unseen_truth: HashSet<Pair> = truth.iter().filter(|pair| halves.is_unseen(**pair)).copied().collect();
    let trial = |decisions, of, model: &Model, refused| {
        let (found, truth) = match of {
            Share::All => (&found, truth),
            Share::Unseen => (&unseen, &unseen_truth),
        };
        let (pairs, clusters) = qualities(profiles, found, truth, model);
        Trial { decisions, of, pairs, clusters, refused }
    };
    let mut trials = vec![trial(0, Share::All, model, None), trial(0, Share::Unseen, model, None)];
    for count in decisions {
        let (moved, refused) = match refitted(labelled, &seen, *count, model) {
            Ok(moved) => (moved, None),
            Err(refused) => (model.clone(), Some(refused)),
        };
        trials.push(trial(*count, Share::Unseen, &moved, refused));
    }
    Judgement {
        records: profiles.len(),
        true_pairs: truth.len(),
        candidates: found.len(),
        candidates_per_record: 2.0 * found.len() as f64 / profiles.len().max(1) as f64,
        completeness: if truth.is_empty() { 1.0 } else { known as f64 / truth.len() as f64 },
        trials,
    }
}

/// Pairs that share a key which is not common to too many.
pub fn candidates(profiles: &[Profile], model: &Model) -> Vec<Pair> {
    let mut blocks: HashMap<i64, Vec<u32>> = HashMap::new();
    for (at, profile) in (0..).zip(profiles) {
        for key in keys(profile, &model.hasher, &model.keys) {
            blocks.entry(key).or_default().push(at);
        }
    }
    let mut pairs: Vec<Pair> = Vec::new();
    for block in blocks.values().filter(|block| block.len() <= BLOCK_LIMIT) {
        for (at, one) in block.iter().enumerate() {
            pairs.extend(block[at + 1..].iter().map(|other| (*one, *other)));
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Every pair within a cluster, of records by their place.
pub fn pairs_within<C: std::hash::Hash + Eq>(clusters: impl Iterator<Item = (u32, C)>) -> HashSet<Pair> {
    let mut members: HashMap<C, Vec<u32>> = HashMap::new();
    for (at, cluster) in clusters {
        members.entry(cluster).or_default().push(at);
    }
    let mut pairs = HashSet::new();
    for of in members.values() {
        for (at, one) in of.iter().enumerate() {
            pairs.extend(of[at + 1..].iter().map(|other| (*one.min(other), *one.max(other))));
        }
    }
    pairs
}

fn qualities(
    profiles: &[Profile],
    found: &[Pair],
    truth: &HashSet<Pair>,
    model: &Model,
) -> (Quality, Quality) {
    let score = |(a, b): Pair| model.total(&profiles[a as usize], &profiles[b as usize]);
    let likely: Vec<(u32, u32, i32)> = found
        .iter()
        .map(|pair| (pair.0, pair.1, score(*pair)))
        .filter(|(_, _, total)| *total >= model.weights.likely)
        .collect();
    let pairs: Vec<Pair> = likely.iter().map(|(a, b, _)| (*a, *b)).collect();
    let mut known: HashMap<Pair, i32> = likely.iter().map(|(a, b, total)| ((*a, *b), *total)).collect();
    let mut across = |a: u32, b: u32| {
        let pair = (a.min(b), a.max(b));
        *known.entry(pair).or_insert_with(|| score(pair))
    };
    let joined = clusters(&likely, |one, other| agree(one, other, &mut across));
    let clustered = pairs_within(joined.into_iter());
    (Quality::of(pairs.iter(), truth), Quality::of(clustered.iter(), truth))
}

/// Every entity lies in one half, so that no decision is about a record that is judged.
struct Halves {
    is_unseen: Vec<bool>,
}

impl Halves {
    fn of(labelled: &Labelled) -> Self {
        let edges: Vec<(u32, u32, i32)> = labelled.truth.iter().map(|(a, b)| (*a, *b, 0)).collect();
        let entities = clusters(&edges, |_, _| true);
        let all = (0..).take(labelled.profiles.len());
        let entity = all.map(|record: u32| entities.get(&record).copied().unwrap_or(record));
        Self { is_unseen: entity.map(|entity| mixed(u64::from(entity)).is_multiple_of(2)).collect() }
    }

    fn is_unseen(&self, (a, b): Pair) -> bool {
        self.is_unseen[a as usize] && self.is_unseen[b as usize]
    }

    fn is_seen(&self, (a, b): Pair) -> bool {
        !self.is_unseen[a as usize] && !self.is_unseen[b as usize]
    }

    fn parted(&self, pairs: &[Pair]) -> (Vec<Pair>, Vec<Pair>) {
        let seen = pairs.iter().filter(|pair| self.is_seen(**pair)).copied().collect();
        (seen, pairs.iter().filter(|pair| self.is_unseen(**pair)).copied().collect())
    }
}

fn refitted(labelled: &Labelled, seen: &[Pair], count: usize, model: &Model) -> Result<Model, NotFitted> {
    let score = |(a, b): Pair| model.score(&labelled.profiles[a as usize], &labelled.profiles[b as usize]);
    let total = |(a, b): Pair| model.total(&labelled.profiles[a as usize], &labelled.profiles[b as usize]);
    let scored: Vec<(i32, Pair)> = seen.iter().map(|pair| (total(*pair), *pair)).collect();
    let decided = decided(scored, count, model.weights.likely);
    let decisions: Vec<Decision> =
        decided.iter().map(|pair| Decision::of(&score(*pair), labelled.truth.contains(pair))).collect();
    fit(&model.weights, &decisions).map(|(weights, _)| Model { weights, ..model.clone() })
}

/// Pairs that somebody is shown: half of them near the edge of "likely", half at even distances over all scores.
fn decided(mut scored: Vec<(i32, Pair)>, count: usize, likely: i32) -> Vec<Pair> {
    /// So many times as many as are shown count as near the edge.
    const NEAR: usize = 4;
    let mut unsure: Vec<(i32, Pair)> =
        scored.iter().map(|(total, pair)| ((total - likely).abs(), *pair)).collect();
    unsure.sort_unstable();
    unsure.truncate(count * NEAR);
    let mut chosen: BTreeSet<Pair> = spread(&unsure, count / 2).collect();
    scored.sort_unstable();
    chosen.extend(spread(&scored, count - chosen.len()));
    let mut chosen: Vec<Pair> = chosen.into_iter().collect();
    // In no order that has to do with the score, so that the latest are a fair hold-out.
    chosen.sort_unstable_by_key(|(a, b)| mixed(u64::from(*a) << 32 | u64::from(*b)));
    chosen
}

fn spread(ranked: &[(i32, Pair)], count: usize) -> impl Iterator<Item = Pair> {
    let count = count.min(ranked.len());
    (0..count).map(move |nth| ranked[nth * ranked.len() / count].1)
}

/// The finaliser of `SplitMix64`: the same numbers in another order on every machine.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
