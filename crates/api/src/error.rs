//! What goes wrong, as RFC 9457 problem details. Status codes are decided here and nowhere else.

use crate::fields::Field;
use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use kvali_domain::funnel::NotADefinition;
use kvali_domain::{CommandError, General, Refusal};
use kvali_eventstore::Error;
use kvali_eventstore::subscribe::SubscribeError;
use kvali_projections::conversion_funnel::QueryError;
use kvali_projections::{AskError, overdue_tasks};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// A problem: `type` and `code` are stable, `detail` is for people and says what would be accepted.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: Cow<'static, str>,
    pub(crate) detail: String,
    /// Which part of the request is meant.
    pub(crate) field: Option<String>,
    /// Further members, such as the refusal's own.
    pub(crate) more: Map<String, Value>,
    /// The stream's version, where it stands in the way.
    pub(crate) version: Option<i32>,
    /// Of who asks too often. Boxed, since few problems have it and all are moved about.
    pub(crate) pause: Option<Box<Pause>>,
}

/// When to come back.
#[derive(Debug)]
pub(crate) struct Pause {
    pub(crate) seconds: u64,
    /// What is left of the sender's rate.
    pub(crate) rate: Option<HeaderValue>,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        let (code, detail) = (code.into(), detail.into());
        let (field, more, version) = (None, Map::new(), None);
        Self { status, code, detail, field, more, version, pause: None }
    }

    pub(crate) fn malformed(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail).about(field)
    }

    /// The same problem, with that part of the request.
    pub(crate) fn about(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// The same for what is not there and for what is somebody else's.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    pub(crate) fn unavailable() -> Self {
        let detail = "the database does not answer; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = kvali_eventstore::chain(error), "a request failed");
        Self::unexpected()
    }

    pub(crate) fn unexpected() -> Self {
        let detail = "the request failed on the server's side; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    pub(crate) fn body(&self) -> Value {
        let mut body = json!({
            "type": format!("urn:kvali:problem:{}", self.code),
            "title": self.code.replace('_', " "),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Some(members) = body.as_object_mut() {
            members.extend(self.field.iter().map(|field| ("field".to_owned(), json!(field))));
            members.extend(self.version.iter().map(|version| ("version".to_owned(), json!(version))));
            members.extend(self.more.clone());
        }
        body
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        if let Some(pause) = self.pause {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(pause.seconds));
            headers.extend(pause.rate.map(|rate| (HeaderName::from_static("ratelimit"), rate)));
        }
        if let Some(version) = self.version {
            headers.insert(header::ETAG, crate::answer::etag(version));
        }
        response
    }
}

impl Problem {
    /// A command that the rules refuse: 422; where another writer was there before, 409 or, for If-Match, 412.
    pub(crate) fn of_refusal(refusal: &Refusal, command: &'static str) -> Self {
        let told = serde_json::to_value(refusal).unwrap_or_default();
        let mut more: Map<String, Value> = told.as_object().cloned().unwrap_or_default();
        let code = match more.remove("code") {
            Some(Value::String(code)) => code,
            _ => "refused".to_owned(),
        };
        let status = match refusal {
            Refusal::General(General::StaleVersion { .. }) => StatusCode::PRECONDITION_FAILED,
            Refusal::General(General::Taken { .. }) => StatusCode::CONFLICT,
            Refusal::General(General::NotYours { .. }) => StatusCode::FORBIDDEN,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let version = match refusal {
            Refusal::General(General::StaleVersion { actual, .. }) => Some(*actual),
            _ => None,
        };
        let field = match refusal {
            Refusal::General(General::StaleVersion { .. }) => "If-Match".to_owned(),
            Refusal::General(General::InTheFuture { .. }) => "Kvali-Occurred-At".to_owned(),
            refusal => {
                let fields = Field::of_command(command);
                let about = refusal.members();
                about.iter().find_map(|name| fields.way_to(name)).unwrap_or_else(|| "id".to_owned())
            }
        };
        let more = Map::from_iter([("refusal".to_owned(), Value::Object(more))]);
        Self { more, version, ..Self::new(status, code, refusal.to_string()).about(field) }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let field = match &error {
            CommandError::Malformed { field, .. } if !field.is_empty() => field.clone(),
            _ => "body".to_owned(),
        };
        Self::malformed(field, error.to_string())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, code) = match &error {
            Error::Append(_) | Error::Connect(_) => (StatusCode::SERVICE_UNAVAILABLE, "fate_unknown"),
            Error::Contended { .. } | Error::Overtaken => (StatusCode::CONFLICT, "contended"),
            Error::CommandIdReused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Error::Rejected(_) => (StatusCode::UNPROCESSABLE_ENTITY, "rejected"),
            Error::NoSuchPosition { .. } => (StatusCode::BAD_REQUEST, "no_such_position"),
            _ if error.is_out_of_reach() => return Self::unavailable(),
            _ => return Self::internal(&error),
        };
        let problem = Self::new(status, code, error.to_string());
        match &error {
            Error::CommandIdReused(_) => problem.about("Idempotency-Key"),
            Error::NoSuchPosition { .. } => problem.about("as_of"),
            _ => problem,
        }
    }
}

impl From<SubscribeError> for Problem {
    fn from(error: SubscribeError) -> Self {
        let (status, code) = match error {
            SubscribeError::Store(error @ Error::NoSuchPosition { .. }) => {
                return Self::from(error).about("from");
            }
            SubscribeError::Store(error) => return error.into(),
            SubscribeError::NoSuch { .. } => return Self::not_found("subscription"),
            SubscribeError::Exists { .. } => (StatusCode::CONFLICT, "name_taken"),
            SubscribeError::OldToken => (StatusCode::CONFLICT, "old_token"),
            SubscribeError::NotInHand { .. } => (StatusCode::CONFLICT, "not_in_hand"),
            SubscribeError::Crowded { .. } => (StatusCode::CONFLICT, "contended"),
            SubscribeError::AnotherLog => (StatusCode::GONE, "cursor_of_another_log"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Store(error) => error.into(),
            AskError::Read(_) => Self::internal(&error),
            AskError::NoSuch { what, .. } | AskError::Several { what, .. } => {
                Self::malformed(what, error.to_string())
            }
            AskError::NothingSearched { .. } => Self::malformed("text", error.to_string()),
            AskError::NoSuchId { what, .. } => Self::not_found(what),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Store(error) => error.into(),
            QueryError::Read(_) => Self::internal(&error),
            error => {
                let field = match &error {
                    QueryError::NoSuchFunnel { .. }
                    | QueryError::NoSuchVersion { .. }
                    | QueryError::NotStanding { .. } => "name",
                    QueryError::NoSuchPipeline { .. } => "pipeline",
                    QueryError::NoSuchField { .. } | QueryError::SealedField { .. } => "by",
                    QueryError::NotADefinition(NotADefinition::WindowOnRule { .. }) => "window",
                    QueryError::NotAPeriod(_) => "to",
                    _ => "query",
                };
                Self::malformed(field, error.to_string())
            }
        }
    }
}

impl From<overdue_tasks::QueryError> for Problem {
    fn from(error: overdue_tasks::QueryError) -> Self {
        use overdue_tasks::QueryError;
        match error {
            QueryError::Store(error) => error.into(),
            QueryError::Read(_) => Self::internal(&error),
            QueryError::NoSuchUser { .. } | QueryError::SeveralUsers { .. } => {
                Self::malformed("of", error.to_string())
            }
            QueryError::NoSuchTeam { .. } => Self::malformed("team", error.to_string()),
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::malformed("path", rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                let detail = "say Content-Type: application/json";
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
            }
            StatusCode::UNPROCESSABLE_ENTITY => {
                let misfit = misfit(&rejection);
                misfit.map_or_else(|| Self::malformed("body", rejection.body_text()), of_misfit)
            }
            _ => Self::malformed("body", rejection.body_text()),
        }
    }
}

/// What axum read in vain, where it was sound.
pub(crate) fn misfit<'a, E: std::error::Error + 'static>(
    rejection: &'a (dyn std::error::Error + 'static),
) -> Option<&'a serde_path_to_error::Error<E>> {
    rejection.source()?.source()?.downcast_ref()
}

/// Of JSON that is sound and not what is asked for.
pub(crate) fn of_misfit(misfit: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let (place, told) = (kvali_domain::place(misfit), misfit.inner().to_string());
    if place.is_empty() { Problem::malformed("body", told) } else { Problem::malformed(place, told) }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => Self::malformed("body", rejection.body_text()),
        }
    }
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large; send less at once")
}

pub(crate) async fn no_such_route(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}; the commands are at /v1/AGGREGATE/ID/COMMAND", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}

pub(crate) async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not answer {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
