//! HTTP in, HTTP out: commands, the feed of events, read models, keys.

mod answer;
mod batch;
mod cloud_event;
mod commands;
mod cursor;
mod edge;
mod error;
mod feed;
mod health;
mod key;
mod principal;
mod queries;
mod serve;
mod streams;
mod subscriptions;

pub use cursor::Cursor;
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

/// Routes of services that follow the log in groups.
fn following() -> Router<Api> {
    Router::new()
        .route("/v1/subscriptions", get(subscriptions::list).post(subscriptions::create))
        .route("/v1/subscriptions/{name}", get(subscriptions::one).delete(subscriptions::delete))
        .route("/v1/subscriptions/{name}/fetch", post(subscriptions::fetch))
        .route("/v1/subscriptions/{name}/ack", post(subscriptions::ack))
        .route("/v1/subscriptions/{name}/nack", post(subscriptions::nack))
        .route("/v1/subscriptions/{name}/extend", post(subscriptions::extend))
        .route("/v1/subscriptions/{name}/rewind", post(subscriptions::rewind))
        .route("/v1/subscriptions/{name}/parked", get(subscriptions::parked))
        .route("/v1/subscriptions/{name}/parked/replay", post(subscriptions::replay))
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
        .route("/v1/board", get(queries::board))
        .route("/v1/completeness", get(queries::completeness))
        .route("/v1/duplicates", get(queries::duplicates))
        .route("/v1/funnel", get(queries::funnel))
        .route("/v1/search", get(queries::search))
        .route("/v1/timeline/{id}", get(queries::timeline))
        .route("/v1/{aggregate}/{id}/{command}", post(commands::carry_out))
        .merge(following())
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(body_limit))
        .with_state(api)
}
