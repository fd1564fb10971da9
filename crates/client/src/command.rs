//! Commands: one thing that is to be done to one record.

use crate::{BackOff, Client, Error, SHORT, answered, read};
use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Named as in `docs/commands.md`: `Command::new("deal", id, "close-won")`.
#[derive(Clone, Debug)]
pub struct Command {
    aggregate: &'static str,
    id: Option<Uuid>,
    word: &'static str,
    idempotency_key: Option<String>,
    if_version: Option<i32>,
    reason: Option<String>,
    occurred_at: Option<DateTime<Utc>>,
    fields: Value,
}

/// What became of a command that was not refused.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub command_id: Uuid,
    /// The record that it was done to.
    pub id: Uuid,
    /// `accepted`; or `already_so`, and nothing happened.
    pub outcome: String,
    /// Of the record, after it.
    pub version: Option<i32>,
    /// Of its last event: `ask` with `after` to read what was written.
    pub position: Option<i64>,
}

impl Command {
    pub fn new(aggregate: &'static str, id: impl Into<Option<Uuid>>, command: &'static str) -> Self {
        Self {
            aggregate,
            id: id.into(),
            word: command,
            idempotency_key: None,
            if_version: None,
            reason: None,
            occurred_at: None,
            fields: Value::Object(serde_json::Map::new()),
        }
    }

    /// Its fields.
    pub fn with(mut self, fields: &impl Serialize) -> Result<Self, Error> {
        self.fields = serde_json::to_value(fields).map_err(Error::Answer)?;
        Ok(self)
    }

    /// Two commands with the same key are one, whoever sends the second, and when.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Refused unless the record is at this version.
    #[must_use]
    pub fn if_version(mut self, version: i32) -> Self {
        self.if_version = Some(version);
        self
    }

    #[must_use]
    pub fn reason(mut self, code: impl Into<String>) -> Self {
        self.reason = Some(code.into());
        self
    }

    #[must_use]
    pub fn occurred_at(mut self, at: DateTime<Utc>) -> Self {
        self.occurred_at = Some(at);
        self
    }
}

/// How often a command is sent before its failure is told.
const TRIES: u32 = 5;

impl Client {
    /// Sends it until it is known what became of it. It counts once, however often it is sent.
    pub async fn send(&self, command: &Command) -> Result<Outcome, Error> {
        let key = command.idempotency_key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        let mut back_off = BackOff::new();
        for _ in 1..TRIES {
            match self.send_once(command, &key).await {
                Err(error) if error.is_passing() => back_off.rest().await,
                done => return done,
            }
        }
        self.send_once(command, &key).await
    }

    async fn send_once(&self, command: &Command, key: &str) -> Result<Outcome, Error> {
        let id = command.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let path = ["v1", command.aggregate, &id, command.word];
        let mut request = self.request(Method::POST, &path).header("idempotency-key", key);
        if let Some(version) = command.if_version {
            request = request.header("if-match", format!("\"{version}\""));
        }
        if let Some(reason) = &command.reason {
            request = request.header("kvali-reason", reason);
        }
        if let Some(at) = command.occurred_at {
            request = request.header("kvali-occurred-at", at.to_rfc3339_opts(SecondsFormat::Micros, true));
        }
        read(answered(request.json(&command.fields).timeout(SHORT)).await?).await
    }
}
