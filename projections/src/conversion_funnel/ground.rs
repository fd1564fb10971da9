//! What the pipelines' layouts say about the funnel's steps: what lies before what, and what an end means.

use std::collections::HashMap;

use super::case::{Class, Layout, Layouts, Visit};
use super::rules::{StepSet, bit};
use super::track::Steps;
use kvali_domain::StageId;

#[derive(Debug)]
pub(super) struct Ground {
    pub(super) steps: Steps,
    layouts: Vec<Plan>,
}

/// One layout, prepared for look-ups.
#[derive(Debug)]
struct Plan {
    stages: HashMap<StageId, Place>,
    /// Where each step first stands in the layout.
    steps: Vec<Option<usize>>,
    /// The steps that a won deal has behind it.
    process: StepSet,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    class: Class,
    at: usize,
    /// The steps that standing here says were passed.
    passed: StepSet,
}

impl Ground {
    pub(super) fn new(steps: Steps, layouts: &Layouts) -> Self {
        let layouts = layouts.iter().map(|layout| Plan::new(layout, &steps)).collect();
        Self { steps, layouts }
    }

    pub(super) fn class(&self, visit: &Visit) -> Class {
        self.place(visit).map_or(Class::Process, |(_, place)| place.class)
    }

    pub(super) fn passed_by(&self, visit: &Visit) -> StepSet {
        self.place(visit).map_or(0, |(_, place)| place.passed)
    }

    pub(super) fn passed_by_winning_from(&self, last: &Visit) -> StepSet {
        self.plan(last).map_or(0, |plan| plan.process)
    }

    /// Whether the visit stands before `step`; `None` where its pipeline does not lead through the step, or
    /// ended there.
    pub(super) fn is_before(&self, visit: &Visit, step: usize) -> Option<bool> {
        if let Some(stands) = self.steps.of(visit.stage?) {
            return Some(stands < step);
        }
        let (plan, place) = self.place(visit)?;
        let on_the_way = place.class == Class::Process;
        plan.steps[step].filter(|_| on_the_way).map(|at| place.at < at)
    }

    fn plan(&self, visit: &Visit) -> Option<&Plan> {
        self.layouts.get(visit.layout?.index())
    }

    fn place(&self, visit: &Visit) -> Option<(&Plan, &Place)> {
        let plan = self.plan(visit)?;
        Some((plan, plan.stages.get(&visit.stage?)?))
    }
}

impl Plan {
    fn new(layout: &Layout, steps: &Steps) -> Self {
        let mut plan = Self { stages: HashMap::new(), steps: vec![None; steps.len], process: 0 };
        for (at, &(stage, class)) in layout.stages.iter().enumerate() {
            let step = steps.of(stage);
            if let Some(step) = step {
                plan.steps[step].get_or_insert(at);
            }
            if class == Class::Process {
                plan.process |= step.map_or(0, bit);
            }
            // Until the whole layout is read, `process` holds the steps up to this stage.
            plan.stages.insert(stage, Place { class, at, passed: plan.process });
        }
        for place in plan.stages.values_mut() {
            match place.class {
                Class::Process => {}
                Class::Success => place.passed = plan.process,
                Class::Failure => place.passed = 0,
            }
        }
        plan
    }
}
