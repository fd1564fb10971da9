//! What time brings to light: a visit over its limit, a deal to which nothing happens, one that nobody works at.
//!
//! The limits that held when a visit began, and what happened about the deal elsewhere, are known to whoever reports.

use super::{Event, OpenDeal, Refusal};
use crate::{DealId, Given};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The limit of a visit by the pipeline version that it began under.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VisitLimit {
    pub visit: i32,
    pub max_days: i32,
}

/// A time in which nothing happens to a deal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdleSpell {
    /// When something last happened.
    pub since: DateTime<Utc>,
    /// From how many days on it is idle.
    pub idle_days: i32,
}

/// Once per visit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageLimitExceeded {
    pub visit: i32,
    pub max_days: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WentIdle {
    pub since: DateTime<Utc>,
    pub idle_days: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LeftWithoutTask {
    pub deal: DealId,
    /// The deals that were merged into it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub merged: Vec<DealId>,
    /// When the last open task ended, where that was said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<DateTime<Utc>>,
}

/// What was reported already.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Reported {
    /// The last visit whose limit was.
    visit: i32,
    idle_since: Option<DateTime<Utc>>,
    without_task_since: Option<DateTime<Utc>>,
}

impl Reported {
    pub(super) fn evolve(&mut self, event: &Event) {
        match event {
            Event::StageLimitExceeded(event) => self.visit = self.visit.max(event.visit),
            Event::WentIdle(event) => self.idle_since = self.idle_since.max(Some(event.since)),
            Event::LeftWithoutTask(event) => {
                self.without_task_since = self.without_task_since.max(event.since);
            }
            _ => {}
        }
    }
}

/// The age of the visit is measured in calendar days from its entry; a stage without a limit is never late. A business
/// clock never runs faster, so whoever counts by one is held to no less.
pub(super) fn stage_limit(
    deal: &OpenDeal,
    named: Option<VisitLimit>,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let visit = deal.visit_count();
    if deal.reported.visit >= named.map_or(visit, |limit| limit.visit) {
        return Ok(Vec::new());
    }
    if let Some(limit) = named.filter(|limit| limit.visit != visit) {
        return Err(Refusal::NoSuchVisit { visit: limit.visit, last: visit });
    }
    not_on_hold(deal, given)?;
    let config = super::rules(deal.pipeline, None, given)?;
    let in_force = config.terms(deal.stage).and_then(|terms| terms.limits.max_days);
    let max_days = named.map(|limit| limit.max_days).or(in_force);
    let (Some(max_days), Some(entered)) = (max_days, deal.entered_at) else { return Err(Refusal::NoLimit) };
    is_over(entered, max_days, given)?;
    Ok(vec![Event::StageLimitExceeded(StageLimitExceeded { visit, max_days })])
}

/// What the deal itself went through counts in any case.
pub(super) fn idle(
    deal: &OpenDeal,
    named: Option<IdleSpell>,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    not_on_hold(deal, given)?;
    let config = super::rules(deal.pipeline, None, given)?;
    let in_force = config.terms(deal.stage).and_then(|terms| terms.limits.idle_days);
    let idle_days = named.map(|spell| spell.idle_days).or(in_force);
    let since = deal.touched_at.max(named.map(|spell| spell.since));
    let (Some(idle_days), Some(since)) = (idle_days, since) else { return Err(Refusal::NoLimit) };
    if deal.reported.idle_since >= Some(since) {
        return Ok(Vec::new());
    }
    is_over(since, idle_days, given)?;
    Ok(vec![Event::WentIdle(WentIdle { since, idle_days })])
}

/// That there is no open task, the append sees to.
pub(super) fn without_task(deal: &OpenDeal, since: Option<DateTime<Utc>>, given: &Given<'_>) -> Vec<Event> {
    if since.is_some() && deal.reported.without_task_since >= since {
        return Vec::new();
    }
    let merged = deal.merging.everyone().map(DealId).collect();
    vec![Event::LeftWithoutTask(LeftWithoutTask { deal: DealId(given.stream.0), merged, since })]
}

fn is_over(since: DateTime<Utc>, max_days: i32, given: &Given<'_>) -> Result<(), Refusal> {
    let age_days = (given.now - since).num_days();
    if age_days < i64::from(max_days) { Err(Refusal::WithinLimit { age_days, max_days }) } else { Ok(()) }
}

/// A hold stops both reports of age until its day.
fn not_on_hold(deal: &OpenDeal, given: &Given<'_>) -> Result<(), Refusal> {
    match deal.pace.on_hold_until.filter(|until| given.now.date_naive() < *until) {
        Some(until) => Err(Refusal::OnHold { until }),
        None => Ok(()),
    }
}
