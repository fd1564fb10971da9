//! HTTP in, HTTP out: commands, the feed of events, read models, keys.

mod answer;
mod audit;
mod batch;
mod cloud_event;
mod commands;
mod cursor;
mod docs;
mod edge;
mod error;
mod feed;
mod fields;
mod format;
#[cfg(fuzzing)]
pub mod fuzz;
mod health;
pub mod jobs;
mod key;
mod key_use;
mod oidc;
mod openapi;
mod page;
mod principal;
mod queries;
mod query;
mod rates;
mod requests;
mod routes;
mod serve;
mod shown;
mod streams;
mod subscriptions;
mod tls;
#[cfg(feature = "otel")]
mod traces;
mod unread;
mod upsert;
pub mod webhooks;

pub use cloud_event::cloud_event;
pub use cursor::Cursor;
pub use format::no_formula;
pub use key::{Secret, Token};
pub use oidc::{Issuer, KeySource, TenantOf, UserBy};
pub use openapi::{asyncapi, openapi};
pub use rates::Rates;
pub use serve::{Limits, serve};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use key_use::NotedUses;
use kvali_eventstore::Store;
use oidc::Issuers;
use principal::KnownAccess;
use rates::Limiters;
use std::sync::Arc;
use std::time::Duration;
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
    limiters: Limiters,
    noted_uses: NotedUses,
    issuers: Issuers,
    ready_lag: Option<Duration>,
    loopback: Loopback,
    jobs: jobs::Limits,
    /// Told when this process has received a job.
    job_came: watch::Sender<()>,
}

/// What an operator may set.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub rates: Rates,
    /// The server is not ready while a read model is further behind than this.
    pub ready_lag: Option<Duration>,
    /// Identity providers whose tokens are taken.
    pub issuers: Vec<Issuer>,
    /// Whether webhooks may go to this machine, for development and tests.
    pub loopback: Loopback,
    pub jobs: jobs::Limits,
}

impl Api {
    pub fn new(
        store: Store,
        settings: Settings,
        metrics: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        let (access, stopping) = (KnownAccess::default(), watch::Sender::new(false));
        let Settings { rates, ready_lag, issuers, loopback, jobs } = settings;
        let inner = Inner {
            store,
            access,
            metrics: Box::new(metrics),
            stopping,
            limiters: Limiters::new(rates),
            noted_uses: NotedUses::default(),
            issuers: Issuers::new(issuers),
            ready_lag,
            loopback,
            jobs,
            job_came: watch::Sender::new(()),
        };
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
