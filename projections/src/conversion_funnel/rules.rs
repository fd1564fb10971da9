//! How far one case came under each rule.

use super::case::{Case, Class, Outcome};
use super::definition::Definition;
use super::ground::Ground;
use super::track::Mark;
use kvali_domain::funnel::{MAX_STEPS, Rule};
use kvali_domain::funnel::{Start, Window};

/// A set of steps, one bit each.
pub(super) type StepSet = u64;

/// The steps at which a case counts and, under `ordered` and `strict`, when it entered each of them.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) steps: StepSet,
    pub(super) chain: Vec<Option<i64>>,
    attempt: Vec<Option<i64>>,
}

impl Reach {
    /// Measures the case that `track` was drawn from.
    pub(super) fn measure(&mut self, definition: &Definition, ground: &Ground, case: &Case, track: &[Mark]) {
        self.chain.clear();
        let window = definition.window.map(Window::micros);
        let steps = definition.steps.len();
        self.steps = match (definition.rule, window) {
            (Rule::Snapshot, _) => standing(definition, ground, case),
            (Rule::Entered | Rule::Entries, _) => entered(track),
            (Rule::Passed, _) => passed(definition, ground, case, track),
            (Rule::AnyOrder, None) => leading(entered(track)),
            (Rule::AnyOrder, Some(window)) => first(any_order_within(track, steps, window, definition.start)),
            (Rule::Ordered, _) => self.ordered(track, steps, window, definition.start),
            (Rule::Strict, _) => self.strict(track, steps, window, definition.start),
        };
    }

    /// The earliest match from each start is the deepest from there, so without a window the first start will do.
    fn ordered(&mut self, track: &[Mark], steps: usize, window: Option<i64>, start: Start) -> StepSet {
        for (at, end) in starts(track, window) {
            self.attempt.clear();
            for mark in &track[at..] {
                if mark.step == Some(self.attempt.len()) && is_within(mark, end) {
                    self.attempt.push(mark.entered_micros);
                }
            }
            self.keep_the_deeper();
            if self.chain.len() == steps || window.is_none() || start == Start::First {
                break;
            }
        }
        first(self.chain.len())
    }

    /// Every start is tried: a run that breaks may be taken up by a later one.
    fn strict(&mut self, track: &[Mark], steps: usize, window: Option<i64>, start: Start) -> StepSet {
        let mut first_end = None;
        for (at, end) in starts(track, window) {
            let end = match start {
                Start::First => *first_end.get_or_insert(end),
                Start::Best => end,
            };
            let run = track[at..].iter().take(steps).enumerate();
            let run = run.take_while(|(step, mark)| mark.step == Some(*step) && is_within(mark, end));
            self.attempt.clear();
            self.attempt.extend(run.map(|(_, mark)| mark.entered_micros));
            self.keep_the_deeper();
            if self.chain.len() == steps {
                break;
            }
        }
        first(self.chain.len())
    }

    fn keep_the_deeper(&mut self) {
        if self.attempt.len() > self.chain.len() {
            std::mem::swap(&mut self.attempt, &mut self.chain);
        }
    }
}

/// The entries into step 1 and when a window that opens there ends; in a window only what has a date counts.
fn starts(track: &[Mark], window: Option<i64>) -> impl Iterator<Item = (usize, Option<i64>)> {
    let entries = track.iter().enumerate().filter(|(_, mark)| mark.step == Some(0));
    entries.filter_map(move |(at, mark)| match window {
        None => Some((at, None)),
        Some(window) => Some((at, Some(mark.entered_micros?.saturating_add(window)))),
    })
}

fn is_within(mark: &Mark, end: Option<i64>) -> bool {
    end.is_none_or(|end| mark.entered_micros.is_some_and(|at| at <= end))
}

/// The longest 1..=k that some window holds whole. Under `first` only the first entry into step 1 counts for it.
fn any_order_within(track: &[Mark], steps: usize, window: i64, start: Start) -> usize {
    let mut latest = [None; MAX_STEPS];
    let mut deepest = 0;
    for mark in track {
        let (Some(step), Some(at)) = (mark.step, mark.entered_micros) else { continue };
        if step > 0 || start == Start::Best || latest[0].is_none() {
            latest[step] = Some(at);
        }
        let opened = at.saturating_sub(window);
        let held =
            latest[..steps].iter().take_while(|entry| entry.is_some_and(|entry| entry >= opened)).count();
        deepest = deepest.max(held);
    }
    deepest
}

fn entered(track: &[Mark]) -> StepSet {
    track.iter().filter_map(|mark| mark.step).fold(0, |steps, step| steps | bit(step))
}

fn standing(definition: &Definition, ground: &Ground, case: &Case) -> StepSet {
    let Some(last) = case.visits.last().filter(|visit| definition.population.counts(visit)) else { return 0 };
    if case.outcome.is_closed() && ground.class(last) == Class::Process {
        return 0;
    }
    last.stage.and_then(|stage| ground.steps.of(stage)).map_or(0, bit)
}

fn passed(definition: &Definition, ground: &Ground, case: &Case, track: &[Mark]) -> StepSet {
    let entered = entered(track);
    if case.outcome == Outcome::Lost && !definition.impute_lost {
        return entered;
    }
    let population = definition.population;
    let counted = case.visits.iter().filter(|visit| population.counts(visit));
    let on_the_way = counted.fold(entered, |steps, visit| steps | ground.passed_by(visit));
    let won = case.outcome == Outcome::Won && population.counts_at(case.closed_at);
    on_the_way | case.visits.last().filter(|_| won).map_or(0, |last| ground.passed_by_winning_from(last))
}

pub(super) fn bit(step: usize) -> StepSet {
    1 << step
}

/// The first `count` steps.
fn first(count: usize) -> StepSet {
    (0..count).fold(0, |steps, step| steps | bit(step))
}

/// The steps of an unbroken run from the first.
fn leading(steps: StepSet) -> StepSet {
    first(steps.trailing_ones() as usize)
}
