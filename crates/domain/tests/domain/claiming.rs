//! What the append does with claims, so that random commands meet the refusals that come of them.

use kvali_domain::claim::Condition;
use kvali_domain::{Claim, Event, StreamId};
use std::collections::{BTreeSet, HashMap};

type Place = (&'static str, String);

/// Who holds which key, and how many each key counts.
#[derive(Clone, Default)]
pub(crate) struct Claims {
    holders: HashMap<Place, BTreeSet<StreamId>>,
    counts: HashMap<Place, i64>,
}

impl Claims {
    /// Whether the events of one command are admitted; if they are, their claims are in force.
    pub(crate) fn admit(&mut self, events: &[(StreamId, Event)]) -> bool {
        let steps: Vec<(StreamId, Claim)> = events
            .iter()
            .flat_map(|(stream, event)| event.claims().into_iter().map(|claim| (*stream, claim)))
            .collect();
        let admitted = steps.iter().all(|(stream, claim)| self.meets(*stream, claim, &steps));
        if admitted {
            for (stream, claim) in &steps {
                self.apply(*stream, claim);
            }
        }
        admitted
    }

    fn meets(&self, stream: StreamId, claim: &Claim, steps: &[(StreamId, Claim)]) -> bool {
        let same = |other: &Claim| (other.kind, &other.key) == (claim.kind, &claim.key);
        let let_go = |holder: &StreamId| {
            steps
                .iter()
                .any(|(by, other)| by == holder && other.condition == Condition::Release && same(other))
        };
        let held = self.holders.get(&place(claim)).into_iter().flatten();
        let count = |claim: &Claim| self.counts.get(&place(claim)).copied().unwrap_or_default();
        match claim.condition {
            Condition::Take => held.filter(|holder| **holder != stream).all(let_go),
            Condition::Free => held.into_iter().all(let_go),
            Condition::Own => held.into_iter().any(|holder| *holder == stream),
            Condition::Some => steps
                .iter()
                .filter(|(_, other)| other.condition == Condition::Some && other.kind == claim.kind)
                .any(|(_, other)| count(other) > 0),
            Condition::None => {
                let own =
                    steps.iter().filter(|(_, other)| same(other)).map(|(_, other)| match other.condition {
                        Condition::Count => 1,
                        Condition::Uncount => -1,
                        _ => 0,
                    });
                count(claim) + own.sum::<i64>() == 0
            }
            Condition::Join | Condition::Release | Condition::Count | Condition::Uncount => true,
        }
    }

    fn apply(&mut self, stream: StreamId, claim: &Claim) {
        let place = place(claim);
        match claim.condition {
            Condition::Take | Condition::Join => drop(self.holders.entry(place).or_default().insert(stream)),
            Condition::Release => drop(self.holders.entry(place).or_default().remove(&stream)),
            Condition::Count => *self.counts.entry(place).or_default() += 1,
            Condition::Uncount => *self.counts.entry(place).or_default() -= 1,
            Condition::Own | Condition::Free | Condition::Some | Condition::None => {}
        }
    }

    /// What no append may leave behind.
    pub(crate) fn never_below_zero(&self) -> bool {
        self.counts.values().all(|count| *count >= 0)
    }
}

fn place(claim: &Claim) -> Place {
    (claim.kind, claim.key.clone())
}
