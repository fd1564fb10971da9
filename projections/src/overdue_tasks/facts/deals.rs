//! Deals: where they stand, under which limits, when something last happened to them, and whether anybody has
//! something to do about them.

use super::super::clock::{occurred, stored, stored_day, told};
use super::super::record::{DealRow, LimitRow, Outcome};
use super::{Facts, text};
use chrono::{DateTime, Utc};
use kvali_domain::deal::{self, Event};
use kvali_domain::pipeline::Clock;
use kvali_domain::{DealId, StageId, Version, merge};
use kvali_eventstore::Opened;
use kvali_eventstore::project::TIMER;
use std::collections::BTreeSet;

impl Facts {
    pub(super) fn deal(&mut self, id: DealId, event: &Event, opened: &Opened) {
        let at = occurred(opened);
        if let Event::Opened(event) = event {
            self.deals.put(opened_deal(id, event, at));
            self.limits(id);
        } else if let Some(deal) = self.deals.get_mut(&id) {
            evolve(deal, event, at);
        }
        match event {
            Event::StageChanged(event) => self.enter(id, event.visit, event.to, event.pipeline_version, at),
            Event::Won(event) => self.enter(id, event.visit, event.stage, event.pipeline_version, at),
            Event::Lost(event) => self.enter(id, event.visit, event.stage, event.pipeline_version, at),
            Event::Reopened(event) => {
                self.enter(id, event.visit, event.to, event.pipeline_version, at);
                self.deals.get_mut(&id).into_iter().for_each(|deal| deal.goes_on(told(opened)));
            }
            Event::PipelineChanged(event) => {
                self.deals.get_mut(&id).into_iter().for_each(|deal| deal.pipeline_id = event.to_pipeline);
                self.enter(id, event.visit, event.to, event.pipeline_version, at);
            }
            Event::StageCorrected(event) => self.correct(id, event),
            Event::MergedInto(event) => self.join(id, event.survivor),
            Event::Separated(_) => self.part(id, told(opened)),
            _ => {}
        }
        if counts(event) && opened.recorded.actor != TIMER {
            self.worked_at(&[id], opened.recorded.actor, opened);
        }
    }

    fn enter(&mut self, id: DealId, visit: i32, stage: StageId, version: Version, at: Option<DateTime<Utc>>) {
        if let Some(deal) = self.deals.get_mut(&id) {
            deal.visit = visit;
            deal.stage_id = stage;
            deal.pipeline_version = version;
            // A day begins before an instant within it; a deal never enters a stage before the one it leaves.
            deal.entered_at = deal.entered_at.max(at);
            deal.limit_told = false;
        }
        self.limits(id);
    }

    fn correct(&mut self, id: DealId, event: &deal::StageCorrected) {
        if let Some(deal) = self.deals.get_mut(&id).filter(|deal| deal.visit == event.visit) {
            deal.stage_id = event.to;
            deal.pipeline_version = event.pipeline_version;
        }
        self.limits(id);
    }

    /// Those of the stage in the pipeline version that it was entered under.
    fn limits(&mut self, id: DealId) {
        let Some(deal) = self.deals.get(&id) else { return };
        let version = self.pipelines.get(&(deal.pipeline_id, deal.pipeline_version));
        let limits = version
            .and_then(|version| version.limits.iter().find(|limits| limits.stage == deal.stage_id).copied());
        let LimitRow { max_days, idle_days, clock, .. } = limits.unwrap_or(LimitRow {
            stage: deal.stage_id,
            max_days: None,
            idle_days: None,
            clock: Clock::Calendar,
        });
        if let Some(deal) = self.deals.get_mut(&id) {
            deal.max_days = max_days;
            deal.idle_days = idle_days;
            deal.clock = clock;
        }
    }

    /// What is open about a deal is open about the one that it is merged into.
    fn join(&mut self, id: DealId, survivor: DealId) {
        let Some(deal) = self.deals.get_mut(&id) else { return };
        deal.merged_into = Some(survivor);
        let (tasks, ended) = (deal.open_tasks, deal.tasks_ended_at);
        self.up_from(survivor, |deal| {
            deal.holds(tasks);
            if deal.open_tasks == 0 {
                deal.tasks_ended_at = deal.tasks_ended_at.max(ended);
            }
        });
    }

    fn part(&mut self, id: DealId, at: DateTime<Utc>) {
        let Some(deal) = self.deals.get_mut(&id) else { return };
        let (survivor, tasks) = (deal.merged_into.take(), deal.open_tasks);
        if let Some(survivor) = survivor {
            self.up_from(survivor, |deal| deal.lets_go(tasks, at));
        }
    }

    /// The deal, what it was merged into, what that was, and so on; each once, whatever parts of their history are left
    /// out.
    pub(super) fn up_from(&mut self, deal: DealId, mut change: impl FnMut(&mut DealRow)) {
        let (mut seen, mut next) = (BTreeSet::new(), Some(deal));
        while let Some(id) = next.filter(|id| seen.insert(*id)) {
            next = self.deals.get_mut(&id).and_then(|deal| {
                change(deal);
                deal.merged_into
            });
        }
    }
}

impl DealRow {
    /// A deal that is open again with nothing to do about it has lost its last task now, not when it was closed.
    fn goes_on(&mut self, at: DateTime<Utc>) {
        self.tasks_ended_at = self.tasks_ended_at.map(|ended| ended.max(at));
    }
}

/// Whether something happened to the deal, as opposed to what is told about it or filed differently.
fn counts(event: &Event) -> bool {
    !matches!(
        event,
        Event::StageLimitExceeded(_)
            | Event::WentIdle(_)
            | Event::LeftWithoutTask(_)
            | Event::Merged(_)
            | Event::Unmerged(_)
            | Event::MergedInto(_)
            | Event::Separated(_)
    )
}

fn opened_deal(id: DealId, event: &deal::Opened, at: Option<DateTime<Utc>>) -> DealRow {
    DealRow {
        deal_id: id,
        pipeline_id: event.pipeline,
        owner: event.owner,
        external_id: event.external.as_ref().and_then(|external| text(Some(&external.id))),
        name: None,
        outcome: Outcome::Open,
        merged_into: None,
        stage_id: event.stage,
        visit: 1,
        pipeline_version: event.pipeline_version,
        entered_at: at,
        touched_at: at,
        on_hold_until: None,
        max_days: None,
        idle_days: None,
        clock: Clock::Calendar,
        limit_at: None,
        idle_at: None,
        tell_limit_at: None,
        tell_idle_at: None,
        limit_told: false,
        idle_told: None,
        open_tasks: 0,
        tasks_ended_at: None,
        tasks_ended_told: None,
    }
}

fn evolve(deal: &mut DealRow, event: &Event, at: Option<DateTime<Utc>>) {
    if counts(event) {
        deal.touched_at = deal.touched_at.max(at);
    }
    match event {
        Event::Assigned(event) => deal.owner = Some(event.to),
        Event::Renamed(event) => deal.name = text(event.name.as_deref()),
        Event::PutOnHold(event) => deal.on_hold_until = Some(stored_day(event.until)),
        Event::Resumed(_) => deal.on_hold_until = None,
        Event::Won(_) => close(deal, Outcome::Won),
        Event::Lost(_) => close(deal, Outcome::Lost),
        Event::Reopened(_) => deal.outcome = Outcome::Open,
        Event::Merged(event) => change(deal, &event.changes),
        Event::Unmerged(event) => change(deal, &event.changes),
        Event::StageLimitExceeded(event) => deal.limit_told |= event.visit >= deal.visit,
        Event::WentIdle(event) => deal.idle_told = deal.idle_told.max(Some(stored(event.since))),
        Event::LeftWithoutTask(event) => {
            deal.tasks_ended_told = deal.tasks_ended_told.max(event.since.map(stored));
        }
        _ => {}
    }
}

fn close(deal: &mut DealRow, outcome: Outcome) {
    deal.outcome = outcome;
    deal.on_hold_until = None;
}

fn change(deal: &mut DealRow, changes: &[merge::Change]) {
    deal.owner = deal::Changed::by(changes).owner.unwrap_or(deal.owner);
}
