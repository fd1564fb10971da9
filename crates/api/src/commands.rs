//! `POST /v1/{aggregate}/{id}/{command}`: one command, by its word in lower case: `/v1/deal/ID/close-won`.

use crate::answer::{Asked, Told, etag, of_before};
use crate::error::Problem;
use crate::principal::{Principal, command_id};
use crate::{Api, edge};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SubsecRound, Utc};
use kvali_domain::access::Permission;
use kvali_domain::label::is_reason_code;
use kvali_domain::{Channel, Command, CommandId, General, Occurred, Order, Refusal, StreamId, command_types};
use kvali_eventstore::{Envelope, Error, Outcome};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::LazyLock;
use tracing::field::display;
use uuid::Uuid;

/// The permanent word by aggregate and by word in lower case.
static WORDS: LazyLock<HashMap<(&'static str, String), &'static str>> = LazyLock::new(|| {
    command_types().into_iter().map(|known| ((known.aggregate, kebab(known.name)), known.name)).collect()
});

/// `CloseWon` as a path has it: `close-won`.
pub(crate) fn kebab(word: &str) -> String {
    let mut path = String::with_capacity(word.len() + 4);
    for letter in word.chars() {
        if letter.is_ascii_uppercase() && !path.is_empty() {
            path.push('-');
        }
        path.push(letter.to_ascii_lowercase());
    }
    path
}

pub(crate) async fn carry_out(
    State(api): State<Api>,
    principal: Principal,
    path: Result<Path<(String, String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let Path((aggregate, id, command)) = path?;
    let name = word(&aggregate, &command)?;
    let body = body?;
    let fields: Value = if body.is_empty() {
        Value::Object(serde_json::Map::new())
    } else {
        serde_json::from_slice(&body)
            .map_err(|error| Problem::malformed("body", format!("not JSON: {error}")))?
    };
    let said = Said::of(&headers)?;
    let (order, envelope) = said.prepared(&principal, name, &id, &fields)?;
    let permission = Permission::of(&order.command);
    api.demand(&principal, permission, name).await?;
    let asked = Asked::of(&order, envelope.command_id);
    let span = tracing::Span::current();
    span.record("command", name).record("command_id", display(envelope.command_id));
    span.record("stream", display(order.stream));
    let outcome = api.store().handle(order, envelope).await?;
    api.told_of(&principal, permission, name, &outcome).await?;
    api.inner.access.forget_after(name, principal.tenant);
    let before = of_before(api.store(), principal.tenant, [&outcome]).await?;
    Ok(answered(asked.told(outcome, &before)?))
}

impl Api {
    /// A command to what the sender sees and may not change is a denial as well.
    pub(crate) async fn told_of(
        &self,
        principal: &Principal,
        permission: Permission,
        what: &str,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        if let Outcome::Refused(Refusal::General(General::NotYours { .. })) = outcome {
            self.record_denial(principal, permission, what).await?;
        }
        Ok(())
    }
}

fn answered(told: Told) -> Response {
    let mut response = (StatusCode::OK, Json(told.body)).into_response();
    let headers = response.headers_mut();
    if let Some(version) = told.version {
        headers.insert("etag", etag(version));
    }
    if let Some(position) = told.position {
        headers.insert("kvali-position", HeaderValue::from(position));
    }
    if told.is_repeated {
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    response
}

/// The command that a path means.
pub(crate) fn word(aggregate: &str, command: &str) -> Result<&'static str, Problem> {
    let known = WORDS.iter().find(|((of, path), _)| *of == aggregate && path == command);
    if let Some((_, name)) = known {
        return Ok(name);
    }
    let mut words: Vec<&str> =
        WORDS.keys().filter(|(of, _)| *of == aggregate).map(|(_, path)| path.as_str()).collect();
    words.sort_unstable();
    let detail = if words.is_empty() {
        let mut aggregates: Vec<&str> = WORDS.keys().map(|(of, _)| *of).collect();
        aggregates.sort_unstable();
        aggregates.dedup();
        format!("there is no aggregate {aggregate:?}; there are {}", aggregates.join(", "))
    } else {
        format!("{aggregate} has no command {command:?}; it has {}", words.join(", "))
    };
    Err(Problem::new(StatusCode::NOT_FOUND, "unknown_command", detail))
}

/// What is said beside the command itself.
#[derive(Clone, Default)]
pub(crate) struct Said {
    pub(crate) idempotency_key: Option<String>,
    pub(crate) expected_version: Option<i32>,
    pub(crate) reason_code: Option<String>,
    pub(crate) occurred_at: Option<DateTime<Utc>>,
    /// What it is called where its sender has no name for it; drawn anew, if this is not said either.
    pub(crate) otherwise: Option<Uuid>,
}

/// The longest idempotency key, in bytes.
const LONGEST: usize = 200;

impl Said {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let text = |name: &'static str| -> Result<Option<String>, Problem> {
            let Some(value) = headers.get(name) else { return Ok(None) };
            let text =
                value.to_str().map_err(|_| Problem::malformed(name, format!("{name} is not plain text")))?;
            Ok(Some(text.trim().to_owned()))
        };
        let expected_version = match text("if-match")? {
            None => None,
            Some(tag) if tag == "*" => None,
            Some(tag) => {
                let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
                let version = version.and_then(|version| version.parse().ok());
                let wrong = || {
                    let detail =
                        format!("If-Match {tag} is no version; give the ETag of an answer, such as \"7\"");
                    Problem::malformed("If-Match", detail)
                };
                Some(version.ok_or_else(wrong)?)
            }
        };
        let occurred_at = match text("kvali-occurred-at")? {
            None => None,
            Some(text) => Some(instant("Kvali-Occurred-At", &text)?),
        };
        let said = Self {
            idempotency_key: text("idempotency-key")?,
            expected_version,
            reason_code: text("kvali-reason")?,
            occurred_at,
            otherwise: None,
        };
        said.checked()
    }

    /// The same for the same idempotency key; else what it is called otherwise.
    pub(crate) fn command_id(&self, principal: &Principal) -> Uuid {
        let named = self.idempotency_key.as_ref().map(|key| command_id(principal, key));
        named.or(self.otherwise).unwrap_or_else(edge::new_id)
    }

    pub(crate) fn checked(self) -> Result<Self, Problem> {
        let is_key = |key: &String| !key.is_empty() && key.len() <= LONGEST && !key.contains('\0');
        if self.idempotency_key.as_ref().is_some_and(|key| !is_key(key)) {
            let detail = format!("Idempotency-Key has 1 to {LONGEST} bytes and no U+0000");
            return Err(Problem::malformed("Idempotency-Key", detail));
        }
        if self.reason_code.as_deref().is_some_and(|code| !is_reason_code(code)) {
            let detail = "Kvali-Reason is a code of 1 to 64 characters without spaces, such as typo; it is kept in the clear";
            return Err(Problem::malformed("Kvali-Reason", detail));
        }
        Ok(self)
    }

    /// The order and its envelope. Two requests with one idempotency key are one command.
    pub(crate) fn prepared(
        self,
        principal: &Principal,
        name: &'static str,
        id: &str,
        fields: &Value,
    ) -> Result<(Order, Envelope), Problem> {
        let command = Command::decode(name, fields)?;
        let command_uuid = self.command_id(principal);
        let stream = stream(name, &command, id, command_uuid)?;
        let envelope = self.envelope(principal, command_uuid, Permission::of(&command));
        Ok((Order { stream, command }, envelope))
    }

    /// What goes with a command of that id.
    pub(crate) fn envelope(self, principal: &Principal, id: Uuid, permission: Permission) -> Envelope {
        let (tenant, actor) = (principal.tenant, principal.actor);
        let mut envelope = Envelope::new(tenant, CommandId(id), actor, Channel::Api, edge::now());
        envelope.expected_version = self.expected_version;
        envelope.reason_code = self.reason_code;
        envelope.occurred = self.occurred_at.map(|at| Occurred::Instant { at });
        envelope.credential = Some(principal.credential());
        envelope.request_id = Some(principal.request_id.clone());
        envelope.source_address = principal.peer.map(|peer| peer.ip().to_string());
        envelope.reaches = principal.reaches(permission);
        envelope
    }
}

/// An id among the fields of a question.
pub(crate) fn uuid(field: &'static str, text: Option<&str>) -> Result<Option<Uuid>, Problem> {
    text.map(|text| text.parse().map_err(|_| Problem::malformed(field, format!("{text:?} is no UUID"))))
        .transpose()
}

pub(crate) fn instant(field: &'static str, text: &str) -> Result<DateTime<Utc>, Problem> {
    let at = DateTime::parse_from_rfc3339(text).map_err(|_| {
        Problem::malformed(
            field,
            format!("{field} {text:?} is no instant; one looks like 2026-03-31T18:00:00Z"),
        )
    })?;
    Ok(at.with_timezone(&Utc).trunc_subsecs(6))
}

/// What a command is done to. `-` stands for the one stream that it can be done to, or for a new one.
pub(crate) fn stream(name: &str, command: &Command, id: &str, command_id: Uuid) -> Result<StreamId, Problem> {
    let given = match id {
        "-" => None,
        id => Some(StreamId(id.parse().map_err(|_| {
            Problem::malformed("id", format!("{id:?} is no UUID; give one, or - where none is needed"))
        })?)),
    };
    match (command.home(), given) {
        (Some(home), Some(given)) if home != given => {
            Err(Problem::malformed("id", format!("{name} is done to {home}; give that id, or -")))
        }
        (Some(home), _) => Ok(home),
        (None, Some(given)) => Ok(given),
        (None, None) if command.begins() => Ok(StreamId(Uuid::new_v5(&command_id, b"stream"))),
        (None, None) => Err(Problem::malformed("id", format!("{name} is done to something; give its id"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{WORDS, kebab, word};
    use kvali_domain::command_types;

    #[test]
    fn every_command_has_a_path_of_its_own() {
        assert_eq!(kebab("CloseWon"), "close-won");
        assert_eq!(WORDS.len(), command_types().len());
        for known in command_types() {
            assert_eq!(word(known.aggregate, &kebab(known.name)).expect("it has a path"), known.name);
        }
    }

    #[test]
    fn a_path_that_is_none_is_answered_with_those_there_are() {
        let told = word("deal", "close").expect_err("there is none").detail;
        assert!(told.contains("close-won") && !told.contains("create-pipeline"), "{told}");
        let told = word("deals", "close-won").expect_err("there is none").detail;
        assert!(told.contains("deal, ") && told.contains("lead"), "{told}");
    }
}
