//! Events as the log tells them: `CloudEvents` 1.0.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use uuid::Uuid;

#[derive(Deserialize, Clone, PartialEq, Debug)]
pub struct Event {
    pub id: Uuid,
    /// Permanent, such as `deal.won`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The stream: the record that it happened to.
    #[serde(rename = "subject")]
    pub stream: Uuid,
    /// Place in the stream: 1, 2, 3, …
    #[serde(rename = "streamversion")]
    pub version: i32,
    /// Place in the log.
    #[serde(deserialize_with = "digits")]
    pub position: i64,
    /// When it was recorded.
    pub time: DateTime<Utc>,
    /// When it happened, if that is known.
    #[serde(rename = "occurredat")]
    pub occurred_at: Option<DateTime<Utc>>,
    pub actor: Uuid,
    #[serde(rename = "commandid")]
    pub command_id: Uuid,
    /// Which try this is, of a subscription.
    #[serde(default = "first")]
    pub attempt: u32,
    /// As `schemas/events` describes it; sealed texts under `personal`.
    pub data: Value,
}

fn first() -> u32 {
    1
}

pub(crate) fn digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}
