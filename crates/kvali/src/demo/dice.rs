//! Chance that falls the same on every machine: the output of a hash, drawn piece by piece.

use chrono::TimeDelta;

pub(crate) struct Dice(blake3::OutputReader);

impl Dice {
    pub(crate) fn new(of: &str, nth: u32) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("kvali demo 1");
        hasher.update(of.as_bytes());
        hasher.update(&nth.to_be_bytes());
        Self(hasher.finalize_xof())
    }

    fn draw(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_be_bytes(bytes)
    }

    /// A whole number below `bound`, which is small enough for the bias not to show.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.draw() % bound
    }

    /// True in so many cases of a hundred.
    pub(crate) fn percent(&mut self, of_hundred: u32) -> bool {
        self.below(100) < of_hundred
    }

    pub(crate) fn one_of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        let bound = u32::try_from(things.len()).expect("a list of the demo is short");
        &things[self.below(bound) as usize]
    }

    /// One of the things, each as likely as its weight says.
    pub(crate) fn weighted<'a, T>(&mut self, things: &'a [(u32, T)]) -> &'a T {
        let mut left = self.below(things.iter().map(|(weight, _)| weight).sum());
        for (weight, thing) in things {
            if left < *weight {
                return thing;
            }
            left -= weight;
        }
        unreachable!("what is left is below the sum of the weights")
    }

    /// Mostly short, sometimes three times the usual, and never less than an hour.
    pub(crate) fn wait(&mut self, usual_days: u32) -> TimeDelta {
        let minutes = usual_days * 24 * 60;
        let (short, long) = (self.below(minutes), self.below(minutes * 3));
        let drawn = if self.percent(75) { short } else { long };
        TimeDelta::minutes(i64::from(drawn.max(60)))
    }
}
