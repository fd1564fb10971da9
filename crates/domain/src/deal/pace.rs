//! How a deal is doing: next step, hold, forecast.

use super::{Event, OpenDeal, Refusal};
use crate::decider::changed;
use crate::pipeline::ForecastCategory;
use crate::{Given, Personal, SubjectId, TaskId};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["text"]))]
pub struct NextStepSet {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task: Option<TaskId>,
    /// Whose key seals the text: the deal's own.
    pub subject: SubjectId,
    #[serde(skip)]
    pub text: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct PutOnHold {
    pub until: NaiveDate,
    pub subject: SubjectId,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Resumed {}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct ProbabilityOverridden {
    /// In per cent, 0 to 100.
    pub probability: i32,
    pub subject: SubjectId,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProbabilityOverrideCleared {
    pub from: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ForecastCategorySet {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<ForecastCategory>,
    pub to: ForecastCategory,
}

/// What is said of the near future.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pace {
    pub next_step: bool,
    pub on_hold_until: Option<NaiveDate>,
    pub probability: Option<i32>,
    pub category: Option<ForecastCategory>,
}

impl Pace {
    pub(super) fn evolve(&mut self, event: &Event) {
        match event {
            Event::NextStepSet(_) => self.next_step = true,
            Event::PutOnHold(event) => self.on_hold_until = Some(event.until),
            Event::ProbabilityOverridden(event) => self.probability = Some(event.probability),
            Event::ProbabilityOverrideCleared(_) => self.probability = None,
            Event::ForecastCategorySet(event) => self.category = Some(event.to),
            // The step that was next is done by moving on.
            Event::StageChanged(_) | Event::PipelineChanged(_) | Event::Reopened(_) => self.next_step = false,
            Event::Resumed(_) | Event::Won(_) | Event::Lost(_) => self.on_hold_until = None,
            _ => {}
        }
    }
}

pub(super) fn set_next_step(
    text: &Personal,
    task: Option<TaskId>,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    if text.is_blank() && task.is_none() {
        return Err(Refusal::NoNextStep);
    }
    let subject = SubjectId(given.stream.0);
    Ok(vec![Event::NextStepSet(NextStepSet { task, subject, text: text.unless_blank() })])
}

pub(super) fn hold(
    deal: &OpenDeal,
    until: NaiveDate,
    reason: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    if deal.pace.on_hold_until == Some(until) {
        return Ok(Vec::new());
    }
    let today = given.now.date_naive();
    if until <= today {
        return Err(Refusal::HoldNotInFuture { until, today });
    }
    let subject = SubjectId(given.stream.0);
    Ok(vec![Event::PutOnHold(PutOnHold { until, subject, reason: reason.unless_blank() })])
}

pub(super) fn resume(deal: &OpenDeal) -> Vec<Event> {
    deal.pace.on_hold_until.map(|_| Event::Resumed(Resumed {})).into_iter().collect()
}

pub(super) fn override_probability(
    deal: &OpenDeal,
    probability: i32,
    reason: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    if !(0..=100).contains(&probability) {
        return Err(Refusal::ProbabilityOutOfRange { probability });
    }
    if deal.pace.probability == Some(probability) {
        return Ok(Vec::new());
    }
    super::needs_reason(reason, given)?;
    let subject = SubjectId(given.stream.0);
    let reason = reason.unless_blank();
    Ok(vec![Event::ProbabilityOverridden(ProbabilityOverridden { probability, subject, reason })])
}

pub(super) fn clear_override(deal: &OpenDeal) -> Vec<Event> {
    let cleared = |from| Event::ProbabilityOverrideCleared(ProbabilityOverrideCleared { from });
    deal.pace.probability.map(cleared).into_iter().collect()
}

pub(super) fn set_category(deal: &OpenDeal, to: ForecastCategory) -> Result<Vec<Event>, Refusal> {
    if to == ForecastCategory::Closed {
        return Err(Refusal::ClosedCategory);
    }
    let set = Event::ForecastCategorySet(ForecastCategorySet { from: deal.pace.category, to });
    Ok(changed(deal.pace.category != Some(to), set))
}
