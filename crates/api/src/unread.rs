//! An answer may come before its request was read to the end: too large, or not allowed. The rest is then read and thrown away
//! first, for a connection that is closed while its client still sends is reset, and the client never learns why.

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::stream::{StreamExt, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// Whoever sends more than this, or for longer, is cut off.
const MOST: usize = 64 * 1024 * 1024;
const LONGEST: Duration = Duration::from_secs(5);

pub(crate) async fn drained(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let is_asked_for = parts.headers.contains_key(EXPECT);
    let unread = Arc::new(Unread(Mutex::new((body.into_data_stream(), false))));
    let handed = Arc::clone(&unread);
    let body = Body::from_stream(poll_fn(move |context| handed.poll(context)));
    let response = next.run(Request::from_parts(parts, body)).await;
    // A client that waits to be asked for the body has not sent any.
    if unread.has_begun() || !is_asked_for {
        let _cut_off = tokio::time::timeout(LONGEST, unread.drain()).await;
    }
    response
}

/// A body that a handler reads, and whether it has begun to.
struct Unread(Mutex<(BodyDataStream, bool)>);

impl Unread {
    fn poll(&self, context: &mut Context) -> Poll<Option<Result<Bytes, axum::Error>>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.1 = true;
        held.0.poll_next_unpin(context)
    }

    fn has_begun(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    async fn drain(&self) {
        let mut room = MOST;
        while let Some(Ok(part)) = std::future::poll_fn(|context| self.poll(context)).await {
            match room.checked_sub(part.len()) {
                Some(less) => room = less,
                None => return,
            }
        }
    }
}
