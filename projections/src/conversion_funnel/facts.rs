//! The facts that events make: deals, their stage visits, pipeline versions, owners' names.

use super::features::Features;
use super::named::Namings;
use chrono::{DateTime, NaiveDate, Utc};
use kvali_domain::deal::{self, Origin, Outcome};
use kvali_domain::pipeline::{self, Config, Forecast, ForecastCategory, Pipeline};
use kvali_domain::{
    ActorId, DealId, Decider, Event, LossReasonId, Money, PipelineId, StageId, UserId, Version, merge,
    subject, user,
};
use kvali_eventstore::Opened;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Rows of one tenant, as far as the events folded so far concern them.
#[derive(Default, Debug)]
pub struct Facts {
    pub deals: HashMap<DealId, Tracked<DealFact>>,
    pub visits: HashMap<(DealId, i32), Tracked<VisitFact>>,
    /// By pipeline and version.
    pub pipelines: BTreeMap<(PipelineId, Version), Tracked<Config>>,
    /// `None`: erased, or the name could not be opened.
    pub owners: BTreeMap<UserId, Option<String>>,
    pub forecasts: BTreeMap<(PipelineId, StageId), Forecast>,
    pub features: Features,
    pub funnels: Namings,
}

/// A row and what must be written of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Tracked<T> {
    pub row: T,
    pub change: Change,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    None,
    Inserted,
    Updated,
}

impl<T> Tracked<T> {
    pub fn stored(row: T) -> Self {
        Self { row, change: Change::None }
    }

    pub fn inserted(row: T) -> Self {
        Self { row, change: Change::Inserted }
    }

    fn edit(&mut self) -> &mut T {
        if self.change == Change::None {
            self.change = Change::Updated;
        }
        &mut self.row
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct DealFact {
    /// Where it stands or was closed; its visits say where it has been.
    pub pipeline: PipelineId,
    pub owner: Option<UserId>,
    pub source: Option<String>,
    pub external_id: Option<String>,
    pub opened_position: i64,
    pub created_at: Option<DateTime<Utc>>,
    pub outcome: Option<Outcome>,
    pub closed_at: Option<DateTime<Utc>>,
    pub loss_reason: Option<LossReasonId>,
    pub value: Option<Money>,
    /// How many visits it has had; the number of the last one.
    pub visits: i32,
    /// The deal that it was merged into.
    pub merged_into: Option<DealId>,
    /// The deal that it comes of.
    pub origin: Option<Origin>,
    pub expected_close: Option<NaiveDate>,
    /// In per cent, where the stage's own is overridden.
    pub probability: Option<i32>,
    pub category: Option<ForecastCategory>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct VisitFact {
    pub pipeline: PipelineId,
    pub pipeline_version: Version,
    pub stage: StageId,
    pub mistaken_stage: Option<StageId>,
    pub entered_position: i64,
    pub entered_at: Option<DateTime<Utc>>,
    pub recorded_at: DateTime<Utc>,
    pub left_position: Option<i64>,
    pub left_at: Option<DateTime<Utc>>,
    pub next_stage: Option<StageId>,
    /// The pipeline that the deal was transferred to from here.
    pub next_pipeline: Option<PipelineId>,
    pub actor: ActorId,
    pub value: Option<Money>,
}

/// What a batch refers to and must find in the facts before it is folded.
#[derive(Default, Debug)]
pub struct Wanted {
    pub deals: BTreeSet<DealId>,
    /// Deals that the batch says anything of.
    pub touched: BTreeSet<DealId>,
    /// Visits named by corrections, and those before them.
    pub visits: BTreeSet<(DealId, i32)>,
    pub pipelines: BTreeSet<PipelineId>,
}

impl Wanted {
    pub fn of(events: &[Opened]) -> Self {
        let mut wanted = Self::default();
        for Opened { recorded, event } in events {
            match event {
                Event::Deal(deal::Event::Opened(_)) => {
                    wanted.touched.insert(DealId(recorded.stream.0));
                }
                Event::Deal(event) => {
                    let deal = DealId(recorded.stream.0);
                    wanted.touched.insert(deal);
                    wanted.deals.insert(deal);
                    if let deal::Event::StageCorrected(event) = event {
                        wanted.visits.extend([(deal, event.visit), (deal, event.visit - 1)]);
                    }
                }
                Event::Pipeline(_) => {
                    wanted.pipelines.insert(PipelineId(recorded.stream.0));
                }
                _ => {}
            }
        }
        wanted
    }
}

impl Facts {
    pub fn apply(&mut self, opened: &Opened) {
        let stream = opened.recorded.stream.0;
        self.features.apply(opened);
        self.funnels.apply(opened);
        match &opened.event {
            Event::Pipeline(event) => self.configure(PipelineId(stream), event, opened),
            Event::Deal(event) => self.deal(DealId(stream), event, opened),
            Event::User(
                user::Event::Registered(user::Registered { user, name })
                | user::Event::Invited(user::Invited { user, name, .. }),
            ) => {
                // Postgres has no NUL in its texts. An erased person stays erased, whatever comes later.
                let name = name.as_deref().map(|name| name.replace('\0', ""));
                self.owners.entry(*user).or_insert(name);
            }
            Event::Subject(subject::Event::Erased(event)) => {
                // Whoever is no user has no row to clear.
                self.owners.insert(UserId(event.subject.0), None);
            }
            _ => {}
        }
    }

    fn configure(&mut self, id: PipelineId, event: &pipeline::Event, opened: &Opened) {
        if let pipeline::Event::StageForecastSet(event) = event {
            let forecast = Forecast { probability: event.probability, category: event.category };
            self.forecasts.insert((id, event.stage), forecast);
        }
        let version = opened.recorded.version;
        let before = self.pipelines.get(&(id, version - 1)).map(|known| known.row.clone());
        let mut pipeline = before.map_or(Pipeline::Absent, Pipeline::Defined);
        pipeline.evolve(event, version, &opened.recorded.occurred);
        if let Pipeline::Defined(config) = pipeline {
            self.pipelines.insert((id, version), Tracked::inserted(config));
        }
    }

    fn deal(&mut self, id: DealId, event: &deal::Event, opened: &Opened) {
        let at = Entry::of(opened);
        match event {
            deal::Event::Opened(event) => {
                let deal = opened_deal(event, &at);
                self.deals.insert(id, Tracked::inserted(deal));
                self.enter(id, 1, event.stage, event.pipeline_version, &at);
            }
            deal::Event::StageChanged(event) => {
                self.enter(id, event.visit, event.to, event.pipeline_version, &at);
            }
            deal::Event::PipelineChanged(event) => {
                self.edit(id, |deal| deal.pipeline = event.to_pipeline);
                self.enter(id, event.visit, event.to, event.pipeline_version, &at);
            }
            deal::Event::StageCorrected(event) => self.correct(id, event),
            deal::Event::Assigned(event) => self.edit(id, |deal| deal.owner = Some(event.to)),
            deal::Event::ValueChanged(event) => self.edit(id, |deal| deal.value = Some(event.to)),
            deal::Event::ExpectedCloseChanged(event) => {
                self.edit(id, |deal| deal.expected_close = Some(event.to));
            }
            deal::Event::ProbabilityOverridden(event) => {
                self.edit(id, |deal| deal.probability = Some(event.probability));
            }
            deal::Event::ProbabilityOverrideCleared(_) => self.edit(id, |deal| deal.probability = None),
            deal::Event::ForecastCategorySet(event) => self.edit(id, |deal| deal.category = Some(event.to)),
            deal::Event::Won(event) => {
                let closed_at = self.enter(id, event.visit, event.stage, event.pipeline_version, &at);
                self.close(id, Outcome::Won, None, closed_at);
            }
            deal::Event::Lost(event) => {
                let closed_at = self.enter(id, event.visit, event.stage, event.pipeline_version, &at);
                self.close(id, Outcome::Lost, Some(event.reason), closed_at);
            }
            deal::Event::Reopened(event) => {
                self.enter(id, event.visit, event.to, event.pipeline_version, &at);
                self.edit(id, |deal| {
                    deal.outcome = None;
                    deal.closed_at = None;
                    deal.loss_reason = None;
                });
            }
            deal::Event::Merged(event) => self.change(id, &event.changes),
            deal::Event::Unmerged(event) => self.change(id, &event.changes),
            deal::Event::MergedInto(event) => self.edit(id, |deal| deal.merged_into = Some(event.survivor)),
            deal::Event::Separated(_) => self.edit(id, |deal| deal.merged_into = None),
            // What says nothing of stages, owner, value, outcome or forecast.
            _ => {}
        }
    }

    fn edit(&mut self, id: DealId, change: impl FnOnce(&mut DealFact)) {
        if let Some(deal) = self.deals.get_mut(&id) {
            change(deal.edit());
        }
    }

    fn change(&mut self, id: DealId, changes: &[merge::Change]) {
        let deal::Changed { owner, value, expected_close, .. } = deal::Changed::by(changes);
        self.edit(id, |deal| {
            deal.owner = owner.unwrap_or(deal.owner);
            deal.value = value.unwrap_or(deal.value);
            deal.expected_close = expected_close.unwrap_or(deal.expected_close);
        });
    }

    fn close(
        &mut self,
        id: DealId,
        outcome: Outcome,
        reason: Option<LossReasonId>,
        closed_at: Option<DateTime<Utc>>,
    ) {
        self.edit(id, |deal| {
            deal.outcome = Some(outcome);
            deal.closed_at = closed_at;
            deal.loss_reason = reason;
        });
    }

    /// Begins a visit and ends the one before it; answers with when.
    fn enter(
        &mut self,
        id: DealId,
        number: i32,
        stage: StageId,
        version: Version,
        at: &Entry,
    ) -> Option<DateTime<Utc>> {
        let deal = self.deals.get_mut(&id)?;
        // Behind an as-of cut a deal may lack visits; those that are left follow each other.
        let last = deal.row.visits;
        if last < number {
            deal.edit().visits = number;
        }
        let (pipeline, value) = (deal.row.pipeline, deal.row.value);
        let before = self.visits.get_mut(&(id, last)).filter(|_| last != number);
        // A day begins before the instants within it; a visit never begins before the one it ends.
        let floor = before.as_ref().and_then(|visit| visit.row.entered_at);
        let entered_at = at.occurred.map(|at| floor.map_or(at, |floor| at.max(floor)));
        if let Some(before) = before {
            let before = before.edit();
            before.left_position = Some(at.position);
            before.left_at = entered_at;
            before.next_stage = Some(stage);
            before.next_pipeline = Some(pipeline).filter(|next| *next != before.pipeline);
        }
        let visit = VisitFact {
            pipeline,
            pipeline_version: version,
            stage,
            mistaken_stage: None,
            entered_position: at.position,
            entered_at,
            recorded_at: at.recorded_at,
            left_position: None,
            left_at: None,
            next_stage: None,
            next_pipeline: None,
            actor: at.actor,
            value,
        };
        self.visits.insert((id, number), Tracked::inserted(visit));
        entered_at
    }

    fn correct(&mut self, id: DealId, event: &deal::StageCorrected) {
        if let Some(visit) = self.visits.get_mut(&(id, event.visit)) {
            let visit = visit.edit();
            // The first mistake is kept; a correction of a correction replaces no second one.
            visit.mistaken_stage.get_or_insert(event.from);
            visit.stage = event.to;
            visit.pipeline_version = event.pipeline_version;
        }
        if let Some(before) = self.visits.get_mut(&(id, event.visit - 1)) {
            before.edit().next_stage = Some(event.to);
        }
    }
}

/// The circumstances of a stage entry.
struct Entry {
    position: i64,
    occurred: Option<DateTime<Utc>>,
    recorded_at: DateTime<Utc>,
    actor: ActorId,
}

impl Entry {
    fn of(opened: &Opened) -> Self {
        let recorded = &opened.recorded;
        Self {
            position: recorded.position,
            occurred: recorded.occurred.at(),
            recorded_at: recorded.recorded_at,
            actor: recorded.actor,
        }
    }
}

fn opened_deal(event: &deal::Opened, at: &Entry) -> DealFact {
    DealFact {
        pipeline: event.pipeline,
        owner: event.owner,
        source: event.external.as_ref().map(|external| external.source.clone()),
        external_id: event.external.as_ref().map(|external| external.id.clone()),
        opened_position: at.position,
        created_at: at.occurred,
        outcome: None,
        closed_at: None,
        loss_reason: None,
        value: event.value,
        visits: 0,
        merged_into: None,
        origin: event.origin,
        expected_close: event.expected_close,
        probability: None,
        category: None,
    }
}

/// A stored version of a pipeline, as far as facts need it: what deals may do there is not among them.
pub fn stored_config(name: String, version: Version, stages: Vec<pipeline::Stage>) -> Config {
    Config { name, version, rules_version: version, stages, ..Config::default() }
}
