//! What fuzzers reach (`tests/fuzz`), and nobody else: it is compiled with `--cfg fuzzing` alone.

use crate::{audit, batch, feed, queries, query};
use axum::http::Uri;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// The query string of a route, read as the route reads it; nothing is asked.
pub fn question(route: &str, query: &str) {
    match route {
        "events" => feed::fuzzed(query),
        "audit" => audit::fuzzed(query),
        route => queries::fuzz::question(route, query),
    }
}

/// The body of a batch, read up to its commands; none is sent. The number of those that are sound.
pub fn batch(body: &[u8]) -> usize {
    batch::fuzzed(body)
}

/// As a route reads it; `None` is a 400.
pub(crate) fn parsed<T: DeserializeOwned + JsonSchema>(text: &str) -> Option<T> {
    let uri = Uri::builder().path_and_query(format!("/?{text}")).build().ok()?;
    query::parsed(&uri).ok()
}
