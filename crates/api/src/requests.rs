//! What each request leaves behind: its id in the answer, one line in the log, and figures.

use crate::edge;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tracing::{Instrument, Span, field};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Scraped and asked every few seconds; at `debug`, so that they do not drown the others.
const OFTEN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// What is known of a request before anybody knows whose it is, and what is learnt of it on the way.
#[derive(Clone)]
pub(crate) struct Asked(Arc<Learnt>);

struct Learnt {
    id: String,
    /// What is left of its sender's rate, for the answer's header.
    rate: OnceLock<HeaderValue>,
}

impl Asked {
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    pub(crate) fn leaves(&self, rate: HeaderValue) {
        // Whoever is asked for twice in one request is the same.
        let _known_already = self.0.rate.set(rate);
    }
}

pub(crate) async fn told(mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let asked = Asked(Arc::new(Learnt { id: request_id(request.headers()), rate: OnceLock::new() }));
    let line = Line::begin(asked.id(), request.method().clone(), route);
    #[cfg(feature = "otel")]
    crate::traces::begin(&line.span, request.headers(), &line.method, &line.route);
    request.extensions_mut().insert(asked.clone());
    let mut response = next.run(request).instrument(line.span.clone()).await;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(asked.id()) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(rate) = asked.0.rate.get() {
        headers.insert("ratelimit", rate.clone());
    }
    line.end(response.status().as_u16());
    response
}

/// The sender's own, if it can be kept and told; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    const LONGEST: usize = 128;
    let said = headers.get(REQUEST_ID).and_then(|said| said.to_str().ok());
    let fits = |said: &&str| !said.is_empty() && said.len() <= LONGEST;
    said.filter(fits).map_or_else(|| edge::new_id().to_string(), str::to_owned)
}

/// Written when the answer begins, or when the client is gone before that.
struct Line {
    span: Span,
    method: Method,
    route: String,
    begun: Instant,
    status: Option<u16>,
}

impl Line {
    fn begin(request: &str, method: Method, route: String) -> Self {
        let span = tracing::info_span!(
            "request",
            request,
            %method,
            route,
            tenant = field::Empty,
            actor = field::Empty,
            key = field::Empty,
            command = field::Empty,
            command_id = field::Empty,
            stream = field::Empty,
            otel.name = field::Empty,
            otel.kind = field::Empty,
        );
        Self { span, method, route, begun: Instant::now(), status: None }
    }

    fn end(mut self, status: u16) {
        self.status = Some(status);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _within = self.span.enter();
        let seconds = self.begun.elapsed().as_secs_f64();
        let duration_ms = (seconds * 1e6).round() / 1e3;
        #[cfg(feature = "otel")]
        crate::traces::end(&self.span, self.status);
        let status = self.status.map_or_else(|| "gone".to_owned(), |status| status.to_string());
        if OFTEN.contains(&&*self.route) {
            tracing::debug!(status, duration_ms, "answered");
        } else {
            tracing::info!(status, duration_ms, "answered");
        }
        let labels = [("method", self.method.to_string()), ("route", self.route.clone())];
        metrics::histogram!("kvali_http_request_seconds", &labels).record(seconds);
        let [method, route] = labels;
        metrics::counter!("kvali_http_requests_total", &[method, route, ("status", status)]).increment(1);
    }
}
