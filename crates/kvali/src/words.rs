//! A deal's events in words, with the names that things had.

use crate::failure::Failure;
use crate::names::Names;
use chrono::SecondsFormat;
use kvali_domain::deal::Event;
use kvali_domain::{Occurred, Personal, PipelineId};

/// When something happened, as exactly as it is known.
pub(crate) fn when(occurred: &Occurred) -> String {
    match occurred {
        Occurred::Instant { at } => at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        Occurred::Day { at, zone } => format!("{} ({zone})", at.with_timezone(zone).format("%Y-%m-%d")),
        Occurred::Unknown => "unknown".to_owned(),
    }
}

/// What happened to a deal of `pipeline`.
pub(crate) async fn what(
    names: &mut Names<'_>,
    pipeline: PipelineId,
    event: &Event,
) -> Result<String, Failure> {
    Ok(match event {
        Event::Opened(event) => {
            let stage = names.stage(pipeline, event.pipeline_version, event.stage).await?;
            let with = event.party_name.as_deref().map(|name| format!(" with {name}"));
            let owner = match event.owner {
                Some(owner) => Some(format!(", owned by {}", names.user(owner).await?)),
                None => None,
            };
            let worth = event.value.map(|value| format!(", worth {value}"));
            let more: String = [with, owner, worth].into_iter().flatten().collect();
            format!("opened in {stage}{more}")
        }
        Event::StageChanged(event) => {
            let version = event.pipeline_version;
            let from = names.stage(pipeline, version, event.from).await?;
            let to = names.stage(pipeline, version, event.to).await?;
            format!("moved from {from} to {to}")
        }
        Event::StageCorrected(event) => {
            let version = event.pipeline_version;
            let from = names.stage(pipeline, version, event.from).await?;
            let to = names.stage(pipeline, version, event.to).await?;
            format!("visit {} corrected from {from} to {to}", event.visit)
        }
        Event::Assigned(event) => format!("assigned to {}", names.user(event.to).await?),
        Event::ValueChanged(event) => match event.from {
            Some(from) => format!("value changed from {from} to {}", event.to),
            None => format!("value set to {}", event.to),
        },
        Event::ExpectedCloseChanged(event) => match event.from {
            Some(from) if event.to > from => {
                format!("expected close pushed from {from} to {} (push {})", event.to, event.push_count)
            }
            Some(from) => format!("expected close drawn from {from} to {}", event.to),
            None => format!("expected close set to {}", event.to),
        },
        Event::Won(event) => {
            let from = names.stage(pipeline, event.pipeline_version, event.from).await?;
            let worth = event.value.map_or(String::new(), |value| format!(", worth {value}"));
            format!("won from {from}{worth}")
        }
        Event::Lost(event) => {
            let from = names.stage(pipeline, event.pipeline_version, event.from).await?;
            let stage = names.stage(pipeline, event.pipeline_version, event.stage).await?;
            format!("lost from {from} ({stage}): {}", names.loss_reason(event.reason).await?)
        }
        Event::Reopened(event) => {
            let to = names.stage(pipeline, event.pipeline_version, event.to).await?;
            format!("reopened in {to}")
        }
        Event::Renamed(event) => format!("named {}", event.name.as_deref().unwrap_or("(erased)")),
        Event::NextStepSet(event) => format!("next step: {}", event.text.as_deref().unwrap_or("a task")),
        Event::PutOnHold(event) => format!("put on hold until {}", event.until),
        Event::Revived(event) => format!("revived as {}", event.recycled),
        Event::HandedBack(event) => format!("handed back to sales as {}", event.deal),
        Event::ProbabilityOverridden(event) => format!("probability overridden: {} %", event.probability),
        Event::Followed(event) => format!("followed by {}", names.user(event.user).await?),
        Event::Unfollowed(event) => format!("no longer followed by {}", names.user(event.user).await?),
        other => match (other.event_type().trim_start_matches("deal.").replace('_', " "), other.data()) {
            (words, data) if data == "{}" => words,
            (words, data) => format!("{words} {data}"),
        },
    })
}

/// The reason given in words, if the event bears one and its key still exists.
pub(crate) fn reason(event: &Event) -> Option<&str> {
    let reason: &Personal = match event {
        Event::StageCorrected(event) => &event.reason,
        Event::Lost(event) => &event.comment,
        Event::Reopened(event) => &event.reason,
        Event::Assigned(event) => &event.reason,
        Event::PutOnHold(event) => &event.reason,
        Event::ProbabilityOverridden(event) => &event.reason,
        Event::ApprovalRequested(event) => &event.reason,
        Event::ApprovalRefused(event) => &event.reason,
        _ => return None,
    };
    reason.as_deref()
}
