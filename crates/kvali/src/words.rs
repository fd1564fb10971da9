//! A deal's events in words, with the names that things had.

use crate::failure::Failure;
use crate::names::Names;
use chrono::SecondsFormat;
use kvali_domain::deal::{Event, Line, OpenDeal};
use kvali_domain::field_changes::{Changes, FieldValue};
use kvali_domain::merge::Change;
use kvali_domain::{Occurred, Personal, PipelineId};

/// When something happened, as exactly as it is known.
pub(crate) fn when(occurred: &Occurred) -> String {
    match occurred {
        Occurred::Instant { at } => at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        Occurred::Day { at, zone } => format!("{} ({zone})", at.with_timezone(zone).format("%Y-%m-%d")),
        Occurred::Unknown => "unknown".to_owned(),
    }
}

/// What happened to the deal.
pub(crate) async fn what(names: &mut Names<'_>, deal: &OpenDeal, event: &Event) -> Result<String, Failure> {
    Ok(match event {
        Event::Opened(event) => {
            let stage = names.stage(event.pipeline, event.pipeline_version, event.stage).await?;
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
            let (pipeline, version) = (pipeline_of(deal, event.visit), event.pipeline_version);
            let from = names.stage(pipeline, version, event.from).await?;
            let to = names.stage(pipeline, version, event.to).await?;
            format!("moved from {from} to {to}")
        }
        Event::PipelineChanged(event) => {
            // The version is one of the pipeline that it went to; of the other its stages' present names do.
            let from = names.stage(event.from_pipeline, i32::MAX, event.from).await?;
            let to = names.stage(event.to_pipeline, event.pipeline_version, event.to).await?;
            let (left, entered) = (
                names.pipeline_name(event.from_pipeline).await?,
                names.pipeline_name(event.to_pipeline).await?,
            );
            format!("transferred from {from} in {left} to {to} in {entered}")
        }
        Event::StageCorrected(event) => {
            let (pipeline, version) = (pipeline_of(deal, event.visit), event.pipeline_version);
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
            let pipeline = pipeline_of(deal, event.visit);
            let from = names.stage(pipeline, event.pipeline_version, event.from).await?;
            let worth = event.value.map_or(String::new(), |value| format!(", worth {value}"));
            format!("won from {from}{worth}")
        }
        Event::Lost(event) => {
            let pipeline = pipeline_of(deal, event.visit);
            let from = names.stage(pipeline, event.pipeline_version, event.from).await?;
            let stage = names.stage(pipeline, event.pipeline_version, event.stage).await?;
            format!("lost from {from} ({stage}): {}", names.loss_reason(event.reason).await?)
        }
        Event::Reopened(event) => {
            let pipeline = pipeline_of(deal, event.visit);
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
        Event::LinkedToPrevious(event) => format!("a repeat of deal {}", event.previous),
        Event::ContactAdded(event) => {
            let role = word(&event.role);
            format!("contact added: {} ({role})", names.of(event.contact.stream()).await?)
        }
        Event::ContactRemoved(event) => {
            format!("contact removed: {}", names.of(event.contact.stream()).await?)
        }
        Event::PrimaryContactSet(event) => {
            format!("first contact: {}", names.of(event.to.stream()).await?)
        }
        Event::CompanySet(event) => format!("company set: {}", names.of(event.to.stream()).await?),
        Event::LineAdded(event) => format!("line {} added: {}", event.line, line(&event.is)),
        Event::LineChanged(event) => {
            format!("line {} changed from {} to {}", event.line, line(&event.from), line(&event.to))
        }
        Event::LineRemoved(event) => format!("line {} removed: {}", event.line, line(&event.was)),
        Event::ProbabilityOverrideCleared(_) => "probability is that of the stage again".to_owned(),
        Event::ForecastCategorySet(event) => format!("forecast category: {}", word(&event.to)),
        Event::Resumed(_) => "resumed".to_owned(),
        Event::ApprovalRequested(event) => {
            format!("approval {} requested: {}", event.approval, word(&event.matter))
        }
        Event::ApprovalGranted(event) => format!("approval {} granted", event.approval),
        Event::ApprovalRefused(event) => format!("approval {} refused", event.approval),
        Event::FieldsChanged(event) => fields(names, &event.0).await?,
        Event::Tagged(event) => format!("tagged {}", names.tag(event.tag).await?),
        Event::Untagged(event) => format!("no longer tagged {}", names.tag(event.tag).await?),
        Event::Archived(_) => "archived".to_owned(),
        Event::Restored(_) => "restored".to_owned(),
        Event::StageLimitExceeded(event) => {
            format!("longer in visit {} than {} days", event.visit, event.max_days)
        }
        Event::WentIdle(event) => format!("idle for {} days", event.idle_days),
        Event::LeftWithoutTask(_) => "left without an open task".to_owned(),
        Event::Merged(event) => {
            format!("merged with {}{}", list(&event.losers), taken(names, &event.changes).await?)
        }
        Event::Unmerged(event) => {
            format!("told apart from {}{}", list(&event.losers), taken(names, &event.changes).await?)
        }
        Event::MergedInto(event) => format!("merged into deal {}", event.survivor),
        Event::Separated(event) => format!("told apart from deal {}", event.survivor),
    })
}

/// The pipeline that the visit was in.
fn pipeline_of(deal: &OpenDeal, visit: i32) -> PipelineId {
    deal.visit(visit).map_or(deal.pipeline, |visit| visit.pipeline)
}

fn list<T: std::fmt::Display>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// A permanent word, with spaces.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.replace('_', " "),
        _ => "(unknown)".to_owned(),
    }
}

fn line(line: &Line) -> String {
    let Line { product, quantity, unit_price, discount_percent } = line;
    let discount =
        if discount_percent.is_zero() { String::new() } else { format!(" less {discount_percent} %") };
    format!("{quantity} of {product} at {unit_price}{discount}")
}

pub(crate) async fn fields(names: &mut Names<'_>, changes: &Changes) -> Result<String, Failure> {
    let mut told = Vec::new();
    for change in &changes.changes {
        let (field, to) = (names.field(change.field).await?, change.to.as_ref());
        told.push(format!("{field}: {}", to.map_or_else(|| "nothing".to_owned(), value)));
    }
    if let Some(sealed) = &changes.sealed {
        let to = match changes.unsealed() {
            Some(to) => value(&to),
            None if sealed.filled => "(erased)".to_owned(),
            None => "nothing".to_owned(),
        };
        told.push(format!("{}: {to}", names.field(sealed.field).await?));
    }
    Ok(told.join(", "))
}

fn value(value: &FieldValue) -> String {
    match value {
        FieldValue::Text(text) | FieldValue::Choice(text) => text.clone(),
        FieldValue::Number(number) => number.to_string(),
        FieldValue::Money(money) => money.to_string(),
        FieldValue::Date(date) => date.to_string(),
        FieldValue::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        FieldValue::MultiChoice(keys) => keys.join(" and "),
    }
}

/// Which fields of the survivor changed by a merge, or by undoing one.
async fn taken(names: &mut Names<'_>, changes: &[Change]) -> Result<String, Failure> {
    let mut fields = Vec::new();
    for change in changes {
        fields.push(match change.field.strip_prefix("field:").and_then(|id| id.parse().ok()) {
            Some(field) => names.field(field).await?,
            None => change.field.replace('_', " "),
        });
    }
    Ok(if fields.is_empty() { String::new() } else { format!("; changed: {}", fields.join(", ")) })
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
