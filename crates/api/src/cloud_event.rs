//! An event as the outside is told it: `CloudEvents` 1.0, JSON format. Names of extensions are of small letters and digits
//! only, as the standard asks.

use crate::answer::personal;
use crate::principal::Principal;
use chrono::{DateTime, Utc};
use kvali_domain::{Recorded, StreamId};
use kvali_eventstore::Opened;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

/// `CloudEvents` 1.0.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CloudEvent<'a> {
    specversion: &'static str,
    id: Uuid,
    /// The tenant's log, as a URN.
    source: String,
    /// Such as `deal.won`.
    r#type: &'a str,
    /// The stream.
    subject: StreamId,
    /// When it was recorded.
    time: DateTime<Utc>,
    datacontenttype: &'static str,
    /// In the log, as a decimal number.
    position: String,
    streamversion: i32,
    schemaversion: i16,
    actor: Uuid,
    channel: String,
    commandid: Uuid,
    correlationid: Uuid,
    /// When it happened; absent where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    occurredat: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<Uuid>,
    /// Which try this is, where events are given out more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<i32>,
    #[schemars(with = "serde_json::Map<String, Value>")]
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    /// As it was written.
    Plain(&'a RawValue),
    WithPersonal(Value),
}

/// An event as webhooks and relays tell it: in JSON, without personal texts.
pub fn cloud_event(recorded: &Recorded) -> Vec<u8> {
    serde_json::to_vec(&CloudEvent::plain(recorded)).expect("an event is written as JSON")
}

impl<'a> CloudEvent<'a> {
    /// With the texts that the reader may see, under `data.personal`.
    pub(crate) fn of(opened: &'a Opened, principal: &Principal) -> Self {
        let recorded = &opened.recorded;
        let Some(personal) = personal(opened, principal) else { return Self::plain(recorded) };
        let mut data: Value = serde_json::from_str(&recorded.data).unwrap_or_default();
        if let Some(members) = data.as_object_mut() {
            members.insert("personal".to_owned(), personal);
        }
        Self::with(recorded, Data::WithPersonal(data))
    }

    /// Of an event without anything personal.
    pub(crate) fn plain(recorded: &'a Recorded) -> Self {
        let data = serde_json::from_str(&recorded.data).unwrap_or(RawValue::NULL);
        Self::with(recorded, Data::Plain(data))
    }

    pub(crate) fn attempt(self, attempt: i32) -> Self {
        Self { attempt: Some(attempt), ..self }
    }

    fn with(recorded: &'a Recorded, data: Data<'a>) -> Self {
        Self {
            specversion: "1.0",
            id: recorded.event_id.0,
            source: format!("urn:kvali:tenant:{}", recorded.tenant),
            r#type: &recorded.event_type,
            subject: recorded.stream,
            time: recorded.recorded_at,
            datacontenttype: "application/json",
            position: recorded.position.to_string(),
            streamversion: recorded.version,
            schemaversion: recorded.schema_version,
            actor: recorded.actor.0,
            channel: recorded.channel.to_string(),
            commandid: recorded.command.0,
            correlationid: recorded.correlation,
            occurredat: recorded.occurred.at(),
            causationid: recorded.causation.map(|cause| cause.0),
            attempt: None,
            data,
        }
    }
}
