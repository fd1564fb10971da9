//! A request as OpenTelemetry tells it: on the sender's trace, by the names that its conventions give to HTTP.

use axum::http::{HeaderMap, Method};
use opentelemetry::global;
use opentelemetry::trace::Status;
use opentelemetry_http::HeaderExtractor;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub(crate) fn begin(span: &Span, headers: &HeaderMap, method: &Method, route: &str) {
    let sender = global::get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor(headers)));
    // Refused only where nobody listens to traces.
    let _unheard = span.set_parent(sender);
    span.record("otel.kind", "server").record("otel.name", format!("{method} {route}"));
    span.set_attribute("http.request.method", method.to_string());
    span.set_attribute("http.route", route.to_owned());
}

/// `status`: `None`, if the client was gone before its answer.
pub(crate) fn end(span: &Span, status: Option<u16>) {
    let Some(status) = status else { return };
    span.set_attribute("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}
