//! `GET /v1/streams/{id}`: the whole history of one record.

use crate::Api;
use crate::answer::{etag, event};
use crate::error::Problem;
use crate::principal::Principal;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use kvali_domain::StreamId;
use kvali_domain::access::Permission;
use kvali_projections::audit_trail::of_history;
use serde_json::json;

pub(crate) async fn history(
    State(api): State<Api>,
    principal: Principal,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    api.demand(&principal, Permission::Read, "a stream").await?;
    let Path(id) = id?;
    // What is no id is the id of nothing.
    let stream = id.parse().map(StreamId).map_err(|_| Problem::not_found("stream"))?;
    api.sees(&principal, Permission::Read, stream, "stream").await?;
    let events = api.store().stream(principal.tenant, stream).await?;
    let Some(version) = events.last().map(|event| event.version) else {
        return Err(Problem::not_found("stream"));
    };
    let opened = api.store().open(principal.tenant, events).await?;
    api.shows_events(&principal, "a stream", &opened).await?;
    let events = opened.iter().zip(of_history(&opened));
    let told: Vec<_> = events.map(|(opened, changes)| event(opened, &changes, &principal)).collect();
    let mut response = Json(json!({ "id": stream, "version": version, "events": told })).into_response();
    response.headers_mut().insert("etag", etag(version));
    Ok(response)
}
