//! How a command's outcome and an event are told.

use crate::error::Problem;
use crate::principal::Principal;
use axum::http::HeaderValue;
use kvali_domain::field_changes::SealedField;
use kvali_domain::{CommandId, FieldId, Order, Recorded, StreamId, TenantId};
use kvali_eventstore::{Answer, Error, Opened, Outcome, Store};
use kvali_projections::audit_trail::Change;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// A stream's version as an entity tag: `"7"`.
pub(crate) fn etag(version: i32) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).expect("digits are visible")
}

/// What became of a command that was not refused.
pub(crate) struct Told {
    pub(crate) body: Value,
    /// Of the stream, after it, where it caused something there.
    pub(crate) version: Option<i32>,
    /// Of the last of its events.
    pub(crate) position: Option<i64>,
    /// It was carried out before; this is what became of it then.
    pub(crate) is_repeated: bool,
}

/// What a command is called in its answer.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) tenant: TenantId,
    pub(crate) command: &'static str,
    pub(crate) command_id: CommandId,
    pub(crate) stream: StreamId,
}

impl Asked {
    pub(crate) fn of(tenant: TenantId, order: &Order, command_id: CommandId) -> Self {
        Self { tenant, command: order.command.command_type(), command_id, stream: order.stream }
    }

    pub(crate) async fn told(self, store: &Store, outcome: Outcome) -> Result<Told, Problem> {
        let answer = match outcome {
            Outcome::Accepted(answer) => answer,
            Outcome::Refused(refusal) => return Err(Problem::from(&refusal)),
            Outcome::Reused => return Err(Error::CommandIdReused(self.command_id).into()),
        };
        let events = match answer.first_position {
            Some(first) => store.read(self.tenant, first - 1, answer.event_count.into()).await?,
            None => Vec::new(),
        };
        Ok(self.carried_out(&answer, &events))
    }

    /// What came of it, with its events where they were appended.
    pub(crate) fn carried_out(self, answer: &Answer, events: &[Recorded]) -> Told {
        let of_stream = |event: &&Recorded| event.stream == self.stream;
        let version = events.iter().filter(of_stream).map(|event| event.version).next_back();
        let position = events.last().map(|event| event.position);
        let outcome = if answer.event_count == 0 { "already_so" } else { "accepted" };
        let body = json!({
            "command": self.command,
            "command_id": self.command_id,
            "id": self.stream,
            "outcome": outcome,
            "version": version,
            "position": position,
            "events": events.iter().map(brief).collect::<Vec<_>>(),
        });
        Told { body, version, position, is_repeated: answer.known }
    }
}

/// To whoever caused it; the texts, the sender knows.
fn brief(event: &Recorded) -> Value {
    json!({
        "position": event.position,
        "id": event.event_id,
        "type": event.event_type,
        "stream": event.stream,
        "version": event.version,
        "data": data(event),
    })
}

fn data(event: &Recorded) -> Value {
    serde_json::from_str(&event.data).unwrap_or_else(|_| json!(event.data))
}

/// An event as history tells it, with what it changed, and the texts that the reader may see and that can still be read.
pub(crate) fn event(opened: &Opened, changes: &[Change], principal: &Principal) -> Value {
    let recorded = &opened.recorded;
    let mut told = json!({
        "position": recorded.position,
        "id": recorded.event_id,
        "type": recorded.event_type,
        "schema_version": recorded.schema_version,
        "stream": recorded.stream,
        "version": recorded.version,
        "occurred": recorded.occurred,
        "recorded_at": recorded.recorded_at,
        "actor": recorded.actor,
        "on_behalf_of": recorded.on_behalf_of,
        "channel": recorded.channel.to_string(),
        "reason_code": recorded.reason_code,
        "command_id": recorded.command,
        "correlation_id": recorded.correlation,
        "causation_id": recorded.causation,
        "data": data(recorded),
        "changes": changes.iter().map(|change| change.json(principal.sees())).collect::<Vec<_>>(),
    });
    if let (Some(members), Some(personal)) = (told.as_object_mut(), personal(opened, principal)) {
        members.insert("personal".to_owned(), personal);
    }
    told
}

/// Sealed values by field: the text, or null if it was erased or the reader may not see it. None, if nothing was sealed.
pub(crate) fn personal(opened: &Opened, principal: &Principal) -> Option<Value> {
    opened.recorded.personal.as_ref()?;
    let sees = principal.sees();
    let mut event = opened.event.clone();
    let mut fields = Map::new();
    for found in event.personal() {
        let custom = (found.field == "sealed_value").then(|| sealed_field(&opened.recorded));
        let text =
            found.value.0.as_ref().filter(|_| sees.tells(custom)).map_or(Value::Null, |text| json!(text));
        // Several people may be named in one event under one field.
        match fields.get_mut(found.field) {
            None => {
                fields.insert(found.field.to_owned(), text);
            }
            Some(Value::Array(several)) => several.push(text),
            Some(one) => *one = Value::Array(vec![one.take(), text]),
        }
    }
    Some(Value::Object(fields))
}

/// The custom field whose value is sealed in an event; one that does not exist, if the event does not say.
fn sealed_field(recorded: &Recorded) -> FieldId {
    #[derive(Deserialize)]
    struct Sealing {
        sealed: Option<SealedField>,
    }
    let sealing = serde_json::from_str::<Sealing>(&recorded.data).ok();
    sealing.and_then(|sealing| sealing.sealed).map_or(FieldId(Uuid::nil()), |sealed| sealed.field)
}
