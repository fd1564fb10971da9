//! What a funnel reads: one deal in one pipeline at a time, with its stage visits in order.

use chrono::{DateTime, Utc};

use super::breakdown::Group;
use super::quantile::span;
pub use kvali_domain::pipeline::Class;
use kvali_domain::{DealId, Money, StageId, UserId};

/// One deal in one pipeline, as it was known at T. Nothing later than T belongs in it.
#[derive(Clone, PartialEq, Debug)]
pub struct Case {
    pub deal: DealId,
    pub owner: Option<UserId>,
    /// In order of (business time, position), never of the timestamp alone; a visit without a business date
    /// keeps the place that its position gave it. Rows that repeat the stage before them are one visit.
    pub visits: Vec<Visit>,
    pub outcome: Outcome,
    pub created_at: Option<DateTime<Utc>>,
    pub closed_at: Option<DateTime<Utc>>,
    pub value: Option<Money>,
    /// What it is broken down by, where that is told by neither of these; several where groups overlap.
    pub groups: Vec<Group>,
}

/// One entry into a stage. It lasts until the entry of the next visit, or until the close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Visit {
    /// `None`: it stood in another pipeline. Such a visit counts for nothing; it ends the one before it.
    pub stage: Option<StageId>,
    /// `None`: no business date. Such a visit happened, at no known time.
    pub entered_at: Option<DateTime<Utc>>,
    /// The pipeline version recorded with the entry.
    pub layout: Option<LayoutId>,
    /// The deal's value when it entered.
    pub value: Option<Money>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Outcome {
    #[default]
    Open,
    Won,
    Lost,
    /// It went to another pipeline, and is open or closed there.
    Left,
}

impl Outcome {
    pub(super) fn is_closed(self) -> bool {
        matches!(self, Self::Won | Self::Lost)
    }
}

/// The stages of one version of a pipeline, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    pub stages: Vec<(StageId, Class)>,
}

/// Every layout that the visits refer to.
#[derive(Clone, Debug, Default)]
pub struct Layouts(Vec<Layout>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LayoutId(usize);

impl Layouts {
    pub fn add(&mut self, layout: Layout) -> LayoutId {
        self.0.push(layout);
        LayoutId(self.0.len() - 1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Layout> {
        self.0.iter()
    }

    /// A stage that no layout explains is taken for a process stage.
    pub(super) fn class(&self, visit: &Visit) -> Class {
        let layout = visit.layout.and_then(|id| self.0.get(id.0));
        layout
            .and_then(|layout| layout.stages.iter().find(|(stage, _)| Some(*stage) == visit.stage))
            .map_or(Class::Process, |(_, class)| *class)
    }
}

impl LayoutId {
    pub(super) fn index(self) -> usize {
        self.0
    }
}

impl Visit {
    /// To another pipeline.
    pub fn elsewhere(entered_at: Option<DateTime<Utc>>) -> Self {
        Self { stage: None, entered_at, layout: None, value: None }
    }
}

impl Case {
    /// Its creation, else its first entry.
    pub(super) fn began_at(&self) -> Option<DateTime<Utc>> {
        self.created_at.or_else(|| self.visits.first().and_then(|visit| visit.entered_at))
    }

    /// From the first entry into an open stage to the close, in microseconds; `None` where it is not closed, or where
    /// either end has no date.
    pub(super) fn cycle_micros(&self, layouts: &Layouts) -> Option<i64> {
        if !self.outcome.is_closed() {
            return None;
        }
        let opened = self.visits.iter().find(|visit| layouts.class(visit) == Class::Process)?;
        span(
            opened.entered_at.map(|at| at.timestamp_micros()),
            self.closed_at.map(|at| at.timestamp_micros()),
        )
    }
}
