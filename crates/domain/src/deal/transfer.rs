//! A deal that changes its pipeline: its visits stay where they were, and it goes on under the other one's rules.

use super::{
    Event, OpenDeal, Refusal, Side, accepted_moves, forward_in_time, not_archived, process_stage, required,
    rules,
};
use crate::pipeline::{Class, Config, Stage};
use crate::{DealId, Given, PipelineId, StageId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PipelineChanged {
    pub from_pipeline: PipelineId,
    pub to_pipeline: PipelineId,
    pub from: StageId,
    pub to: StageId,
    /// Of the pipeline that the deal goes to.
    pub pipeline_version: Version,
    /// The number of the visit that begins; all visits of a deal are numbered together.
    pub visit: i32,
    /// The deal and those merged into it, where the pipeline that it goes to wants an open task about one of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub with_task_of: Vec<DealId>,
}

pub(super) fn transfer(
    deal: &OpenDeal,
    pipeline: PipelineId,
    to: StageId,
    named: Option<Version>,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let config = rules(pipeline, named, given)?;
    if pipeline == deal.pipeline {
        return Err(same_pipeline(deal, config));
    }
    not_archived(config, "transfer the deal to a pipeline that is in force")?;
    let target = process_stage(config, to)?;
    if config.policy.party_required && deal.with.is_nobody() {
        return Err(Refusal::PartyRequiredThere { pipeline: config.name.clone() });
    }
    required(config, target, Side::Enter, &deal.has())?;
    forward_in_time(deal, given)?;
    Ok(vec![Event::PipelineChanged(PipelineChanged {
        from_pipeline: deal.pipeline,
        to_pipeline: pipeline,
        from: deal.stage,
        to,
        pipeline_version: config.version,
        visit: deal.next_visit(),
        with_task_of: if config.policy.next_task_required { deal.all(given) } else { Vec::new() },
    })])
}

fn same_pipeline(deal: &OpenDeal, config: &Config) -> Refusal {
    let process: Vec<&Stage> = config.of_class(Class::Process).collect();
    let here = process.iter().position(|stage| stage.id == deal.stage);
    let accepted = here.map_or_else(Vec::new, |here| accepted_moves(config, &process, here));
    Refusal::SamePipeline { pipeline: config.name.clone(), accepted }
}
