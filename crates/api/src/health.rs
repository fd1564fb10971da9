//! Whether the server lives, whether it can answer, and what Prometheus may scrape.

use crate::Api;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use kvali_eventstore::project::Status;
use serde_json::{Value, json};

/// The process answers; nothing else is asked.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// `200` if the database answers, has the schema that this program knows, and the read models are not too far behind.
pub(crate) async fn ready(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    match looked(&api).await {
        Ok((applied, known, status)) => {
            let lag = Lag::of(&status);
            let detail = reason(&api, applied, known, &lag);
            let ready = detail.is_none();
            let told = json!({
                "ready": ready,
                "detail": detail,
                "schema": { "applied": applied, "known": known },
                "lag": { "events": lag.events, "seconds": lag.seconds, "parked_streams": lag.parked },
            });
            (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(told))
        }
        Err(error) => {
            tracing::warn!(error = kvali_eventstore::chain(&error), "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                Json(json!({ "ready": false, "detail": "the database does not answer" })),
            )
        }
    }
}

async fn looked(api: &Api) -> Result<(i64, i64, Vec<Status>), kvali_eventstore::Error> {
    let (applied, known) = api.store().schema().await?;
    Ok((applied, known, api.store().projection_status().await?))
}

/// Why it is not ready.
fn reason(api: &Api, applied: i64, known: i64, lag: &Lag) -> Option<String> {
    if applied != known {
        return Some(format!(
            "the database is at schema {applied} and this program knows {known}; start the newer program"
        ));
    }
    let most = api.inner.ready_lag?.as_secs_f64();
    (lag.seconds > most)
        .then(|| format!("a read model is {:.0} s behind, more than the {most} s allowed", lag.seconds))
}

/// How far the read models that answer are behind.
struct Lag {
    events: i64,
    seconds: f64,
    parked: i64,
}

impl Lag {
    fn of(status: &[Status]) -> Self {
        let live = || status.iter().filter(|row| row.live);
        Self {
            events: live().map(|row| row.head - row.position).sum(),
            seconds: live().map(|row| row.lag_seconds).fold(0.0, f64::max),
            parked: live().map(|row| row.parked).sum(),
        }
    }
}

pub(crate) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (api.inner.metrics)())
}
