//! HTTP in, HTTP out: commands, the feed of events, read models, keys.

mod answer;
mod audit;
mod batch;
mod commands;
mod cursor;
mod edge;
mod error;
mod feed;
mod format;
mod health;
mod key;
mod principal;
mod queries;
mod serve;
mod shown;
mod streams;

pub use cursor::Cursor;
pub use format::no_formula;
pub use key::{Secret, Token};
pub use serve::{Limits, serve};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use kvali_eventstore::Store;
use principal::KnownAccess;
use std::sync::Arc;
use tokio::sync::watch;

/// What every request is answered with.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    access: KnownAccess,
    /// What Prometheus may scrape, in its text format.
    metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// Whoever waits for events is sent home when the server stops.
    stopping: watch::Sender<bool>,
}

impl Api {
    pub fn new(store: Store, metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        let (access, stopping) = (KnownAccess::default(), watch::Sender::new(false));
        Self { inner: Arc::new(Inner { store, access, metrics: Box::new(metrics), stopping }) }
    }

    fn store(&self) -> &Store {
        &self.inner.store
    }
}

/// Every route there is.
fn router(api: Api, body_limit: usize) -> Router {
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/v1/me", get(principal::me))
        .route("/v1/commands", post(batch::carry_out))
        .route("/v1/events", get(feed::events))
        .route("/v1/streams/{id}", get(streams::history))
        .route("/v1/audit", get(audit::audit))
        .route("/v1/board", get(queries::board))
        .route("/v1/completeness", get(queries::completeness))
        .route("/v1/duplicates", get(queries::duplicates))
        .route("/v1/funnel", get(queries::funnel))
        .route("/v1/search", get(queries::search))
        .route("/v1/timeline/{id}", get(queries::timeline))
        .route("/v1/{aggregate}/{id}/{command}", post(commands::carry_out))
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(body_limit))
        .with_state(api)
}
