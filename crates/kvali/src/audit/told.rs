//! Entries of the audit trail for people: a row per changed field, with the names that things have.

use crate::failure::Failure;
use crate::names::Names;
use crate::output::Table;
use kvali_domain::{ActorId, LossReasonId, PipelineId, StageId, StreamId, TagId};
use kvali_projections::audit_trail::{Entry, Happened, Particulars, Sees};
use serde_json::{Value, json};
use uuid::Uuid;

const COLUMNS: [&str; 10] =
    ["recorded", "kind", "actor", "what", "record", "field", "before", "after", "why", "position"];

pub(super) async fn table(names: &mut Names<'_>, entries: &[Entry]) -> Result<Table, Failure> {
    let mut table = Table::new("Audit trail", &COLUMNS);
    for entry in entries {
        rows(names, entry, &mut table).await?;
    }
    Ok(table)
}

async fn rows(names: &mut Names<'_>, entry: &Entry, table: &mut Table) -> Result<(), Failure> {
    let recorded = json!(entry.recorded_at.format("%F %T%.3f").to_string());
    let (kind, actor) = (json!(entry.kind.word()), json!(names.actor(ActorId(entry.actor)).await?));
    let mut row =
        |what: Value, record: Value, [field, before, after]: [Value; 3], why: Value, position: Value| {
            table.row([
                recorded.clone(),
                kind.clone(),
                actor.clone(),
                what,
                record,
                field,
                before,
                after,
                why,
                position,
            ]);
        };
    match &entry.particulars {
        Particulars::Event(happened) => {
            let (what, why) = (json!(happened.recorded.event_type), why(entry));
            let record = json!(names.of(happened.recorded.stream).await?);
            let position = json!(happened.recorded.position);
            let mut changes = Vec::new();
            for change in &happened.changes {
                changes.push(told(names, happened, &change.json(Sees::All)).await?);
            }
            if changes.is_empty() {
                changes.push([Value::Null, Value::Null, Value::Null]);
            }
            for change in changes {
                row(what.clone(), record.clone(), change, why.clone(), position.clone());
            }
        }
        Particulars::Refused { stream, code, .. } => {
            let record = json!(names.of(StreamId(*stream)).await?);
            row(json!(entry.what), record, Default::default(), json!(code), Value::Null);
        }
        Particulars::Denied { permission } => {
            let why = json!(format!("without the right {permission:?}"));
            row(json!(entry.what), Value::Null, Default::default(), why, Value::Null);
        }
        Particulars::Read { shown, count, .. } => {
            let record = match shown.as_slice() {
                [one] => json!(names.of(StreamId(*one)).await?),
                _ => json!(format!("{count} records")),
            };
            row(json!(entry.what), record, Default::default(), Value::Null, Value::Null);
        }
    }
    Ok(())
}

/// In words, else as a code.
fn why(entry: &Entry) -> Value {
    let told = entry.json(Sees::All);
    if told["comment"].is_null() { told["reason_code"].clone() } else { told["comment"].clone() }
}

async fn told(names: &mut Names<'_>, happened: &Happened, change: &Value) -> Result<[Value; 3], Failure> {
    let field = change["field"].as_str().unwrap_or_default();
    let mut values = [Value::Null, Value::Null];
    for (value, side) in values.iter_mut().zip(["before", "after"]) {
        let withheld = change.get("withheld").filter(|_| change[side].is_null());
        *value = match withheld.and_then(Value::as_str) {
            Some(withheld) => json!(format!("({withheld})")),
            None => named(names, happened, field, &change[side]).await?,
        };
    }
    let [before, after] = values;
    let [before, after] = [before, after].map(shortened);
    let field = match field.strip_prefix("fields.").and_then(|id| id.parse().ok()) {
        Some(id) => names.field(id).await?,
        None => field.to_owned(),
    };
    Ok([json!(field), before, after])
}

/// A table is for looking; JSON and CSV have all of it.
fn shortened(value: Value) -> Value {
    const LONGEST: usize = 100;
    let text = match &value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
        _ => return value,
    };
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => json!(format!("{}…", &text[..cut])),
        None => json!(text),
    }
}

/// What an id stands for, if it stands for something with a name.
async fn named(names: &mut Names<'_>, of: &Happened, field: &str, value: &Value) -> Result<Value, Failure> {
    let Some(id) = value.as_str().and_then(|text| Uuid::parse_str(text).ok()) else {
        return Ok(value.clone());
    };
    let name = match field {
        "stage" => stage(names, of, StageId(id)).await?,
        "pipeline" => names.pipeline_name(PipelineId(id)).await?,
        "loss_reason" => names.loss_reason(LossReasonId(id)).await?,
        "tags" => names.tag(TagId(id)).await?,
        _ => names.of(StreamId(id)).await?,
    };
    Ok(json!(name))
}

/// As it is called today.
async fn stage(names: &mut Names<'_>, of: &Happened, stage: StageId) -> Result<String, Failure> {
    match names.deal(of.recorded.stream).await? {
        Some(deal) => names.stage(deal.pipeline, i32::MAX, stage).await,
        None => Ok(stage.to_string()),
    }
}
