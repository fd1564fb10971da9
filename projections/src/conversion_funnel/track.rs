//! A case's visits as the steps see them: which step each belongs to, and when it was entered.

use std::collections::HashMap;

use super::case::Case;
use super::population::Population;
use kvali_domain::StageId;
use kvali_domain::funnel::Step;

/// One visit to a step, or to a stage outside the funnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    /// `None`: outside the funnel, or not asked about by the population.
    pub(super) step: Option<usize>,
    pub(super) entered_micros: Option<i64>,
    /// Which of the case's visits opened it.
    pub(super) visit: usize,
}

/// Which step a stage belongs to.
#[derive(Debug)]
pub(super) struct Steps {
    of: HashMap<StageId, usize>,
    pub(super) len: usize,
}

impl Steps {
    pub(super) fn new(steps: &[Step]) -> Self {
        let stages = steps.iter().enumerate();
        let of = stages.flat_map(|(at, step)| step.stages.iter().map(move |stage| (*stage, at))).collect();
        Self { of, len: steps.len() }
    }

    pub(super) fn of(&self, stage: StageId) -> Option<usize> {
        self.of.get(&stage).copied()
    }

    /// Writes the case's marks over `track`; neighbours in the same step are one visit, entered at the first.
    pub(super) fn track(&self, case: &Case, population: Population, track: &mut Vec<Mark>) {
        track.clear();
        let mut before = None;
        for (at, visit) in case.visits.iter().enumerate() {
            let step = visit.stage.and_then(|stage| self.of(stage));
            if step.is_none() || step != before {
                track.push(Mark {
                    step: step.filter(|_| population.counts(visit)),
                    entered_micros: visit.entered_at.map(|at| at.timestamp_micros()),
                    visit: at,
                });
            }
            before = step;
        }
    }
}
