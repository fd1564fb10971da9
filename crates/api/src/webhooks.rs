//! `/v1/webhooks`: where events are sent to, signed as Standard Webhooks says. The body is the event as the feed tells it,
//! without personal texts.

mod address;
mod deliver;
mod dispatch;
mod sign;

pub use address::{Forbidden, Loopback};
pub use dispatch::{Dispatch, Dispatcher};
pub use sign::reveal;

use crate::error::Problem;
use crate::page::{Pages, cut, limited, with_cursor};
use crate::principal::Principal;
use crate::query::Query;
use crate::subscriptions::{checked_types, duration, place};
use crate::{Api, edge};
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kvali_domain::access::Permission;
use kvali_eventstore::subscribe::{From, Standing};
use kvali_eventstore::webhook::{Endpoint, Webhook};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Attempts of one page, unless it is said otherwise.
const LISTED: i64 = 200;
const LONGEST_URL: usize = 2_000;
/// A secret that was replaced signs for so long, unless it is said otherwise; in seconds.
const KEEP: Duration = Duration::from_secs(86_400);
const LONGEST_KEEP: u64 = 30 * 86_400;

type Id = Result<Path<String>, PathRejection>;
type Body<T> = Result<Json<T>, JsonRejection>;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    url: String,
    types: Option<Vec<String>>,
    /// As of a subscription; `now`, if it is not said.
    from: Option<Value>,
}

#[derive(Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rotate {
    keep: Option<String>,
}

#[derive(Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Replay {
    from: Option<Value>,
}

/// Whether events may be sent there, as far as can be told without the name service.
pub fn check(url: &str, loopback: Loopback) -> Result<(), Forbidden> {
    address::checked(url, loopback).map(drop)
}

impl Api {
    async fn may_send(&self, principal: &Principal) -> Result<(), Problem> {
        self.demand(principal, Permission::GrantAccess, "webhooks").await
    }

    async fn endpoint(&self, principal: &Principal, id: Id) -> Result<(Endpoint, Webhook), Problem> {
        self.may_send(principal).await?;
        let Path(id) = id?;
        let id = id.parse().map_err(|_| Problem::not_found("webhook"))?;
        let endpoint = self.store().webhook(principal.tenant, id);
        let standing = endpoint.standing().await?.ok_or_else(|| Problem::not_found("webhook"))?;
        Ok((endpoint, standing))
    }
}

fn told(webhook: &Webhook, standing: &Standing) -> Value {
    json!({
        "id": webhook.endpoint_id,
        "url": webhook.url,
        "types": standing.types,
        "created_at": webhook.created_at,
        "disabled_at": webhook.disabled_at,
        "disabled_reason": webhook.disabled_reason,
        "previous_secret_until": webhook.previous_until,
        "checkpoint": standing.checkpoint.to_string(),
        "behind_streams": standing.behind,
        "parked_streams": standing.parked,
        "lag": { "events": standing.lag_events(), "seconds": standing.lag_seconds },
    })
}

/// `POST /v1/webhooks`: the secret is shown this once.
pub(crate) async fn create(
    State(api): State<Api>,
    principal: Principal,
    body: Body<Create>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    api.may_send(&principal).await?;
    let Json(Create { url, types, from }) = body?;
    if url.len() > LONGEST_URL {
        return Err(Problem::malformed("url", format!("a URL has at most {LONGEST_URL} bytes")));
    }
    check(&url, api.inner.loopback).map_err(|forbidden| Problem::malformed("url", forbidden.to_string()))?;
    checked_types(types.as_deref())?;
    let from = from.as_ref().map_or(Ok(From::Now), place)?;
    let endpoint = api.store().webhook(principal.tenant, edge::new_id());
    let secret = endpoint.create(&url, types.as_deref(), from).await?;
    let told = json!({ "id": endpoint.id(), "url": url, "types": types, "secret": reveal(&secret) });
    Ok((StatusCode::CREATED, Json(told)))
}

pub(crate) async fn list(State(api): State<Api>, principal: Principal) -> Result<Json<Value>, Problem> {
    api.may_send(&principal).await?;
    let standing = api.store().subscriptions(principal.tenant).await?;
    let all = api.store().webhooks(principal.tenant).await?;
    let told = all.iter().filter_map(|webhook| {
        let name =
            api.store().webhook(principal.tenant, webhook.endpoint_id).subscription().name().to_owned();
        standing.iter().find(|standing| standing.name == name).map(|standing| told(webhook, standing))
    });
    Ok(Json(told.collect()))
}

pub(crate) async fn one(
    State(api): State<Api>,
    principal: Principal,
    id: Id,
) -> Result<Json<Value>, Problem> {
    let (endpoint, webhook) = api.endpoint(&principal, id).await?;
    Ok(Json(told(&webhook, &endpoint.subscription().standing().await?)))
}

pub(crate) async fn delete(
    State(api): State<Api>,
    principal: Principal,
    id: Id,
) -> Result<StatusCode, Problem> {
    let (endpoint, _) = api.endpoint(&principal, id).await?;
    endpoint.delete().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/webhooks/{id}/rotate`: for a while two secrets sign.
pub(crate) async fn rotate(
    State(api): State<Api>,
    principal: Principal,
    id: Id,
    body: Body<Rotate>,
) -> Result<Json<Value>, Problem> {
    let (endpoint, _) = api.endpoint(&principal, id).await?;
    let Json(Rotate { keep }) = body?;
    let keep = keep.map_or(Ok(KEEP), |text| duration("keep", &text, 0, LONGEST_KEEP))?;
    let secret = endpoint.rotate(keep).await?.ok_or_else(|| Problem::not_found("webhook"))?;
    Ok(Json(json!({ "secret": reveal(&secret) })))
}

pub(crate) async fn enable(
    State(api): State<Api>,
    principal: Principal,
    id: Id,
) -> Result<StatusCode, Problem> {
    let (endpoint, _) = api.endpoint(&principal, id).await?;
    endpoint.disable(None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/webhooks/{id}/replay`: what was parked; or all after `from`.
pub(crate) async fn replay(
    State(api): State<Api>,
    principal: Principal,
    id: Id,
    body: Body<Replay>,
) -> Result<Json<Value>, Problem> {
    let (endpoint, _) = api.endpoint(&principal, id).await?;
    let Json(Replay { from }) = body?;
    if let Some(from) = from {
        let position = endpoint.subscription().rewind(place(&from)?).await?;
        return Ok(Json(json!({ "position": position.to_string() })));
    }
    let replayed = endpoint.subscription().replay(None).await?;
    Ok(Json(json!({ "replayed": replayed })))
}

/// The newest attempts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attempts {
    limit: Option<i64>,
    /// Of the page before, to go on after it.
    cursor: Option<String>,
}

pub(crate) async fn deliveries(
    State(api): State<Api>,
    principal: Principal,
    id: Id,
    pages: Pages,
    asked: Result<Query<Attempts>, Problem>,
) -> Result<Response, Problem> {
    let (endpoint, _) = api.endpoint(&principal, id).await?;
    let Query(asked) = asked?;
    let limit = limited(asked.limit, LISTED)?;
    let mut page = endpoint.deliveries(pages.place(asked.cursor.as_deref())?, limit + 1).await?;
    let next = cut(&mut page, limit).map(|(attempt, _)| pages.cursor(attempt));
    let told = page.iter().map(|(attempt, delivery)| {
        json!({
            "at": attempt.at,
            "position": delivery.position.to_string(),
            "event": delivery.event_id,
            "attempt": delivery.attempt,
            "took_ms": delivery.took_ms,
            "status": delivery.status,
            "failure": delivery.failure,
        })
    });
    let response = Json(told.collect::<Value>()).into_response();
    Ok(with_cursor(response, next.as_deref()))
}
