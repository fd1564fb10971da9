//! What the cases add up to, before any ratio is taken.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike};
use chrono_tz::Tz;

use super::case::{Case, Outcome};
use super::definition::Definition;
use super::ground::Ground;
use super::quantile::span;
use super::rules::{Reach, StepSet, bit};
use super::track::Mark;
use kvali_domain::funnel::{MAX_STEPS, Rule};

/// Sums over the cases of one group, or of all.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) cases: u64,
    /// Of them, those that may yet come further.
    pub(super) open_cases: u64,
    pub(super) steps: Vec<StepTally>,
    /// First to last step, of cases that made the whole chain.
    pub(super) total_micros: Vec<i64>,
    /// By step left and step entered; the last column holds those that entered none after.
    pub(super) moves: Vec<Vec<Moves>>,
    /// By month of the first entry into step 1.
    pub(super) cohorts: BTreeMap<Month, Cohort>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct StepTally {
    pub(super) count: u64,
    pub(super) visits: u64,
    pub(super) reentered: u64,
    pub(super) last: u64,
    pub(super) dropped: Dropped,
    pub(super) micros_from_previous: Vec<i64>,
}

/// Counts per step, and the cases still open.
#[derive(Clone, Debug, Default)]
pub(super) struct Cohort {
    pub(super) counts: Vec<u64>,
    pub(super) open_cases: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Moves {
    pub(super) n: u64,
    pub(super) micros: Vec<i64>,
}

/// What became of the cases that count at a step and not at the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, schemars::JsonSchema)]
pub struct Dropped {
    /// Closed as lost.
    pub lost: u64,
    /// Open, and at the step or beyond it in its pipeline.
    pub open: u64,
    /// Open, and before the step.
    pub moved_back: u64,
    /// Gone to another pipeline; also anything else: won on another way, or open where nothing leads through the step.
    pub left: u64,
}

/// Year and month, in the definition's zone.
pub(super) type Month = (i32, u32);

impl Tally {
    pub(super) fn new(steps: usize) -> Self {
        Self {
            cases: 0,
            open_cases: 0,
            steps: vec![StepTally::default(); steps],
            total_micros: Vec::new(),
            moves: vec![vec![Moves::default(); steps + 1]; steps],
            cohorts: BTreeMap::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        definition: &Definition,
        ground: &Ground,
        case: &Case,
        track: &[Mark],
        reach: &Reach,
    ) {
        let is_open = u64::from(case.outcome == Outcome::Open);
        self.cases += 1;
        self.open_cases += is_open;
        let visits = self.add_visits(track);
        let count_at = |step: usize| match definition.rule {
            Rule::Entries => visits[step],
            _ => u64::from(reach.steps & bit(step) != 0),
        };
        for (at, step) in self.steps.iter_mut().enumerate() {
            step.count += count_at(at);
        }
        self.add_dropped(ground, case, reach.steps);
        self.add_chain(&reach.chain);
        self.add_moves(track);
        if let Some(month) = month_of_start(track, definition.zone) {
            let counts = (0..definition.steps.len()).map(count_at).collect();
            self.cohorts.entry(month).or_default().merge(Cohort { counts, open_cases: is_open });
        }
    }

    fn add_visits(&mut self, track: &[Mark]) -> [u64; MAX_STEPS] {
        let mut visits = [0; MAX_STEPS];
        for step in track.iter().filter_map(|mark| mark.step) {
            visits[step] += 1;
        }
        for (step, &visits) in self.steps.iter_mut().zip(&visits) {
            step.visits += visits;
            step.reentered += u64::from(visits > 1);
        }
        visits
    }

    fn add_dropped(&mut self, ground: &Ground, case: &Case, reached: StepSet) {
        let all_but_the_last = self.steps.len() - 1;
        for (at, step) in self.steps.iter_mut().take(all_but_the_last).enumerate() {
            if reached & bit(at) != 0 && reached & bit(at + 1) == 0 {
                *step.dropped.fate_of(ground, case, at) += 1;
            }
        }
    }

    fn add_chain(&mut self, chain: &[Option<i64>]) {
        for (at, pair) in chain.windows(2).enumerate() {
            self.steps[at + 1].micros_from_previous.extend(span(pair[0], pair[1]));
        }
        if chain.len() == self.steps.len()
            && let (Some(first), Some(last)) = (chain.first(), chain.last())
        {
            self.total_micros.extend(span(*first, *last));
        }
    }

    /// Between consecutive steps of the case: what lies outside the funnel is passed over, and equal neighbours
    /// count as one, entered at the first.
    fn add_moves(&mut self, track: &[Mark]) {
        let none_after = self.steps.len();
        let mut stands: Option<(usize, Option<i64>)> = None;
        for mark in track {
            let Some(step) = mark.step else { continue };
            match stands {
                Some((from, _)) if from == step => continue,
                Some((from, since)) => self.moves[from][step].add(span(since, mark.entered_micros)),
                None => {}
            }
            stands = Some((step, mark.entered_micros));
        }
        if let Some((last, _)) = stands {
            self.moves[last][none_after].add(None);
            self.steps[last].last += 1;
        }
    }
}

impl Cohort {
    fn merge(&mut self, other: Self) {
        self.open_cases += other.open_cases;
        self.counts.resize(other.counts.len(), 0);
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
    }
}

impl Moves {
    fn add(&mut self, micros: Option<i64>) {
        self.n += 1;
        self.micros.extend(micros);
    }
}

impl Dropped {
    fn fate_of(&mut self, ground: &Ground, case: &Case, step: usize) -> &mut u64 {
        let before = case.visits.last().and_then(|last| ground.is_before(last, step));
        match (case.outcome, before) {
            (Outcome::Lost, _) => &mut self.lost,
            (Outcome::Open, Some(false)) => &mut self.open,
            (Outcome::Open, Some(true)) => &mut self.moved_back,
            (Outcome::Won | Outcome::Left, _) | (Outcome::Open, None) => &mut self.left,
        }
    }
}

fn month_of_start(track: &[Mark], zone: Tz) -> Option<Month> {
    let start = track.iter().find(|mark| mark.step == Some(0))?;
    let day = DateTime::from_timestamp_micros(start.entered_micros?)?.with_timezone(&zone);
    Some((day.year(), day.month()))
}
