//! The accept loop: how many connections, how long for a header, and how it ends.

use crate::error::Problem;
use crate::principal::Peer;
use crate::{Api, requests, router, unread};
use axum::Extension;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

/// What one client may take from the others.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A header that takes longer ends its connection.
    pub header_timeout: Duration,
    /// Further connections wait to be accepted.
    pub connections: usize,
    /// Bytes of a body.
    pub body: usize,
    /// Requests that are under way when the server is told to stop have so long to end.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            connections: 2_048,
            body: 2 * 1024 * 1024,
            grace: Duration::from_secs(10),
        }
    }
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    // The panic's hook has told where and why.
    Problem::unexpected().into_response()
}

/// Answers until `stop`, then ends what is under way.
pub async fn serve(listener: TcpListener, api: Api, limits: Limits, stop: impl Future<Output = ()>) {
    let router = router(api.clone(), limits.body).layer(CatchPanicLayer::custom(panicked));
    let router = router.layer(axum::middleware::from_fn(unread::drained));
    let router = router.layer(axum::middleware::from_fn(requests::told));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    builder.http2().timer(TokioTimer::new());
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await.expect("it is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        let (connection, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or the client was gone before it was let in.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _is_a_hint = connection.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone().layer(Extension(Peer(address))));
        let served = builder.serve_connection(TokioIo::new(connection), service);
        let served = graceful.watch(served.into_owned());
        tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(%error, %address, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    api.inner.stopping.send_replace(true);
    if tokio::time::timeout(limits.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way when the grace was over");
    }
}
