//! How a command's outcome and an event are told.

use crate::error::Problem;
use crate::principal::Principal;
use axum::http::HeaderValue;
use kvali_domain::field_changes::SealedField;
use kvali_domain::{CommandId, EventId, FieldId, Order, Recorded, StreamId, TenantId};
use kvali_eventstore::{Answer, Appended, Error, Opened, Outcome, Store};
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
    pub(crate) command: &'static str,
    pub(crate) command_id: CommandId,
    pub(crate) stream: StreamId,
}

impl Asked {
    pub(crate) fn of(order: &Order, command_id: CommandId) -> Self {
        Self { command: order.command.command_type(), command_id, stream: order.stream }
    }

    /// With what [`of_before`] found.
    pub(crate) fn told(self, outcome: Outcome, before: &[Recorded]) -> Result<Told, Problem> {
        match outcome {
            Outcome::Accepted(answer) => Ok(self.carried_out(&answer, before)),
            Outcome::Refused(refusal) => Err(Problem::of_refusal(&refusal, self.command)),
            Outcome::Reused => Err(Error::CommandIdReused(self.command_id).into()),
        }
    }

    /// What came of it, with its events where they were appended.
    pub(crate) fn carried_out(self, answer: &Answer, before: &[Recorded]) -> Told {
        let events: Vec<Brief<'_>> = if answer.known {
            let place = |position: i64| before.partition_point(|event| event.position < position);
            let positions = answer.positions();
            before[place(positions.start)..place(positions.end)].iter().map(Brief::of_log).collect()
        } else {
            answer.positions().zip(&answer.events).map(Brief::of_append).collect()
        };
        let of_stream = |event: &&Brief<'_>| event.stream == self.stream;
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
            "events": events.iter().map(Brief::json).collect::<Vec<_>>(),
        });
        Told { body, version, position, is_repeated: answer.known }
    }
}

/// The events of those commands that were carried out before, in the order of their positions.
pub(crate) async fn of_before<'a>(
    store: &Store,
    tenant: TenantId,
    outcomes: impl IntoIterator<Item = &'a Outcome>,
) -> Result<Vec<Recorded>, Error> {
    let known = outcomes.into_iter().filter_map(|outcome| match outcome {
        Outcome::Accepted(answer) if answer.known => Some(answer.positions()),
        _ => None,
    });
    let positions: Vec<i64> = known.flatten().collect();
    if positions.is_empty() { Ok(Vec::new()) } else { store.at(tenant, &positions).await }
}

/// An event, to whoever caused it; the texts, the sender knows.
struct Brief<'a> {
    position: i64,
    id: EventId,
    event_type: &'a str,
    stream: StreamId,
    version: i32,
    data: &'a str,
}

impl<'a> Brief<'a> {
    fn of_log(event: &'a Recorded) -> Self {
        let Recorded { position, event_id: id, event_type, stream, version, data, .. } = event;
        Self { position: *position, id: *id, event_type, stream: *stream, version: *version, data }
    }

    fn of_append((position, event): (i64, &'a Appended)) -> Self {
        let Appended { event_id: id, event_type, stream, version, data } = event;
        Self { position, id: *id, event_type, stream: *stream, version: *version, data }
    }

    fn json(&self) -> Value {
        json!({
            "position": self.position,
            "id": self.id,
            "type": self.event_type,
            "stream": self.stream,
            "version": self.version,
            "data": data(self.data),
        })
    }
}

fn data(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
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
        "data": data(&recorded.data),
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
