//! Facts become cases: a deal is one case in each pipeline that it has been in.

use super::{Case, Group, LayoutId, Outcome, Visit};
use chrono::{DateTime, Utc};
use kvali_domain::funnel::Corrections;
use kvali_domain::{DealId, Money, PipelineId, StageId, UserId, Version, deal};
use std::collections::HashMap;

/// The cases of one pipeline. Visits of a deal come together and in order.
pub(super) struct Cases {
    pub(super) pipeline: PipelineId,
    pub(super) layouts: HashMap<Version, LayoutId>,
    pub(super) corrections: Corrections,
    pub(super) made: Vec<Case>,
}

/// What a case needs to know of its deal.
pub(super) struct OfDeal {
    pub(super) pipeline: PipelineId,
    pub(super) owner: Option<UserId>,
    pub(super) outcome: Option<deal::Outcome>,
    pub(super) created_at: Option<DateTime<Utc>>,
    pub(super) closed_at: Option<DateTime<Utc>>,
    pub(super) value: Option<Money>,
}

/// What a case needs to know of a visit.
pub(super) struct Stay {
    pub(super) stage: StageId,
    pub(super) mistaken_stage: Option<StageId>,
    pub(super) entered_at: Option<DateTime<Utc>>,
    pub(super) pipeline_version: Version,
    pub(super) value: Option<Money>,
    /// The visit to another pipeline that ended it.
    pub(super) elsewhere: Option<Visit>,
}

impl Cases {
    pub(super) fn has_begun(&self, deal: DealId) -> bool {
        self.made.last().is_some_and(|case| case.deal == deal)
    }

    /// Begins the case of `deal` with the visit of that number, its first one in this pipeline.
    ///
    /// A deal is open or closed where it stands, and created where it was opened: elsewhere it begins with that visit.
    pub(super) fn begin(&mut self, deal: DealId, first_visit: i32, of: &OfDeal, groups: Vec<Group>) {
        let stands_here = of.pipeline == self.pipeline;
        self.made.push(Case {
            deal,
            owner: of.owner,
            visits: Vec::new(),
            outcome: if stands_here { outcome(of.outcome) } else { Outcome::Left },
            created_at: of.created_at.filter(|_| first_visit == 1),
            closed_at: of.closed_at.filter(|_| stands_here),
            value: of.value,
            groups,
        });
    }

    /// A further visit of the case that was begun last.
    pub(super) fn add(&mut self, stay: &Stay) {
        let visit = Visit {
            stage: Some(self.counted(stay)),
            entered_at: stay.entered_at,
            layout: self.layouts.get(&stay.pipeline_version).copied(),
            value: stay.value,
        };
        if let Some(case) = self.made.last_mut() {
            case.visits.extend([visit].into_iter().chain(stay.elsewhere));
        }
    }

    fn counted(&self, stay: &Stay) -> StageId {
        match self.corrections {
            Corrections::Effective => stay.stage,
            Corrections::Ever => stay.mistaken_stage.unwrap_or(stay.stage),
        }
    }
}

fn outcome(outcome: Option<deal::Outcome>) -> Outcome {
    match outcome {
        None => Outcome::Open,
        Some(deal::Outcome::Won) => Outcome::Won,
        Some(deal::Outcome::Lost) => Outcome::Lost,
    }
}
