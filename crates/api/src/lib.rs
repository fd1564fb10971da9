//! HTTP in, HTTP out: commands, the feed of events, read models, keys.

mod answer;
mod batch;
mod cloud_event;
mod commands;
mod cursor;
mod docs;
mod edge;
mod error;
mod feed;
mod health;
mod key;
mod openapi;
mod principal;
mod queries;
mod routes;
mod serve;
mod streams;
mod subscriptions;
pub mod webhooks;

pub use cursor::Cursor;
pub use key::{Secret, Token};
pub use openapi::{asyncapi, openapi};
pub use serve::{Limits, serve};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use kvali_eventstore::Store;
use principal::KnownAccess;
use std::sync::Arc;
use tokio::sync::watch;
use webhooks::Loopback;

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
    /// Whether webhooks may go to this machine.
    loopback: Loopback,
}

impl Api {
    pub fn new(store: Store, metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        let (access, stopping) = (KnownAccess::default(), watch::Sender::new(false));
        Self {
            inner: Arc::new(Inner {
                store,
                access,
                metrics: Box::new(metrics),
                stopping,
                loopback: Loopback::Refused,
            }),
        }
    }

    /// Lets webhooks go to this machine, for development and tests.
    #[must_use]
    pub fn with_loopback(self, loopback: Loopback) -> Self {
        let mut inner = Arc::into_inner(self.inner).expect("it is not shared before it serves");
        inner.loopback = loopback;
        Self { inner: Arc::new(inner) }
    }

    fn store(&self) -> &Store {
        &self.inner.store
    }
}

/// What answers requests.
fn router(api: Api, body_limit: usize) -> Router {
    routes::router()
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(body_limit))
        .with_state(api)
}
