//! Whether the server lives, whether it can answer, and what Prometheus may scrape.

use crate::Api;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

/// The process answers; nothing else is asked.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// `200` if the database answers, whose schema was brought up to date before the first request; `lag` tells how far the
/// read models are behind.
pub(crate) async fn ready(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    match api.store().projection_status().await {
        Ok(status) => {
            let live = status.iter().filter(|row| row.live);
            let lag_events: i64 = live.clone().map(|row| row.head - row.position).sum();
            let lag_seconds = live.clone().map(|row| row.lag_seconds).fold(0.0, f64::max);
            let parked: i64 = live.map(|row| row.parked).sum();
            let lag = json!({ "events": lag_events, "seconds": lag_seconds, "parked_streams": parked });
            (StatusCode::OK, Json(json!({ "ready": true, "lag": lag })))
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

pub(crate) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (api.inner.metrics)())
}
