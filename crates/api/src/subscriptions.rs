//! `/v1/subscriptions`: groups of services that share the log between them, each event once or more, streams in order.

use crate::Api;
use crate::cloud_event::CloudEvent;
use crate::commands::{instant, uuid};
use crate::error::Problem;
use crate::feed;
use crate::principal::Principal;
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use kvali_domain::StreamId;
use kvali_domain::access::Permission;
use kvali_eventstore::Opened;
use kvali_eventstore::subscribe::{Batch, Fetch, From, Given, Part, Standing, Subscription};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// Events that are given out at once, at most.
const MOST: u16 = 5_000;
const USUAL: u16 = 100;
const USUAL_LEASE: Duration = Duration::from_secs(30);
/// In seconds.
const LONGEST_LEASE: u64 = 3_600;
const LONGEST_PAUSE: u64 = 7 * 86_400;
const LONGEST_NAME: usize = 100;
const LONGEST_REASON: usize = 1_000;

type Name = Result<Path<String>, PathRejection>;
type Body<T> = Result<Json<T>, JsonRejection>;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    name: String,
    /// As in the feed: `deal.won`, or `deal.*`; all, if it is not said.
    types: Option<Vec<String>>,
    /// `beginning`, `now`, a position, or an instant: whatever comes after it.
    from: Option<Value>,
}

#[derive(Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ask {
    limit: Option<i64>,
    lease: Option<String>,
    wait: Option<String>,
}

/// Which of the events in hand; all, if neither is said.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ack {
    token: Number,
    up_to: Option<Number>,
    positions: Option<Vec<Number>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nack {
    token: Number,
    positions: Option<Vec<Number>>,
    /// Before they are given out again; grows with the tries if it is not said.
    pause: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extend {
    token: Number,
    lease: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rewind {
    from: Value,
}

#[derive(Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Replay {
    stream: Option<String>,
}

/// Positions and tokens are digits in a text, as they are told; plain numbers are understood too.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(with = "String", extend("pattern" = "^[0-9]{1,18}$"))]
struct Number(i64);

impl TryFrom<Value> for Number {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        number.map(Self).ok_or_else(|| format!("{value} is no whole number"))
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Fetched<'a> {
    /// To be given back with ack and nack; null where there is nothing.
    token: Option<String>,
    leased_until: Option<chrono::DateTime<chrono::Utc>>,
    events: Vec<CloudEvent<'a>>,
}

impl Api {
    /// The subscription that is meant, for those who may follow the log.
    async fn subscription(&self, principal: &Principal, name: Name) -> Result<Subscription, Problem> {
        self.demand(principal, Permission::Follow, "a subscription").await?;
        let Path(name) = name?;
        // What cannot be a name is the name of nothing.
        let name = checked(name).map_err(|_| Problem::not_found("subscription"))?;
        Ok(self.store().subscription(principal.tenant, name))
    }
}

/// Names with a colon are those of Kvali's own subscriptions.
fn checked(name: String) -> Result<String, Problem> {
    let fits =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_.".contains(letter);
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(fits) {
        return Ok(name);
    }
    let detail = format!("a name has 1 to {LONGEST_NAME} of a-z, 0-9, -, _ and .; {name:?} has not");
    Err(Problem::malformed("name", detail))
}

/// `POST /v1/subscriptions`: 201, or 200 if there is one with that name and the same types.
pub(crate) async fn create(
    State(api): State<Api>,
    principal: Principal,
    body: Body<Create>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    api.demand(&principal, Permission::Follow, "a subscription").await?;
    let Json(Create { name, types, from }) = body?;
    let subscription = api.store().subscription(principal.tenant, checked(name)?);
    checked_types(types.as_deref())?;
    let from = from.as_ref().map_or(Ok(From::Beginning), place)?;
    let is_new = subscription.create(types.as_deref(), from).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(told(&subscription.standing().await?))))
}

pub(crate) fn checked_types(types: Option<&[String]>) -> Result<(), Problem> {
    if types.is_some_and(<[String]>::is_empty) {
        return Err(Problem::malformed("types", "none are named; leave types out for all of them"));
    }
    for word in types.into_iter().flatten() {
        feed::types(word)?;
        if word.trim().is_empty() || word.contains(',') {
            return Err(Problem::malformed("types", format!("{word:?} is not one type, such as deal.won")));
        }
    }
    Ok(())
}

pub(crate) fn place(from: &Value) -> Result<From, Problem> {
    match from {
        Value::String(word) if word == "beginning" => Ok(From::Beginning),
        Value::String(word) if word == "now" => Ok(From::Now),
        Value::String(text) => match text.parse() {
            Ok(position) => Ok(From::Position(position)),
            Err(_) => Ok(From::Instant(instant("from", text)?)),
        },
        value => value.as_i64().map(From::Position).ok_or_else(|| {
            let detail =
                format!("from {value} is no place; say \"beginning\", \"now\", a position or an instant");
            Problem::malformed("from", detail)
        }),
    }
}

fn told(standing: &Standing) -> Value {
    json!({
        "name": standing.name,
        "types": standing.types,
        "created_at": standing.created_at,
        "checkpoint": standing.checkpoint.to_string(),
        "in_hand": standing.in_hand,
        "behind_streams": standing.behind,
        "parked_streams": standing.parked,
        "lag": { "events": standing.lag_events(), "seconds": standing.lag_seconds },
    })
}

pub(crate) async fn list(State(api): State<Api>, principal: Principal) -> Result<Json<Value>, Problem> {
    api.demand(&principal, Permission::Follow, "subscriptions").await?;
    let all = api.store().subscriptions(principal.tenant).await?;
    Ok(Json(all.iter().filter(|standing| !standing.name.contains(':')).map(told).collect()))
}

pub(crate) async fn one(
    State(api): State<Api>,
    principal: Principal,
    name: Name,
) -> Result<Json<Value>, Problem> {
    let subscription = api.subscription(&principal, name).await?;
    Ok(Json(told(&subscription.standing().await?)))
}

pub(crate) async fn delete(
    State(api): State<Api>,
    principal: Principal,
    name: Name,
) -> Result<StatusCode, Problem> {
    api.subscription(&principal, name).await?.delete().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/subscriptions/{name}/fetch`: events and the token that settles them; without events, no token.
pub(crate) async fn fetch(
    State(api): State<Api>,
    principal: Principal,
    name: Name,
    body: Body<Ask>,
) -> Result<Response, Problem> {
    let subscription = api.subscription(&principal, name).await?;
    let Json(Ask { limit, lease, wait }) = body?;
    let limit = limit.unwrap_or(USUAL.into());
    let limit = u16::try_from(limit).ok().filter(|limit| (1..=MOST).contains(limit));
    let limit = limit.ok_or_else(|| Problem::malformed("limit", format!("limit is from 1 to {MOST}")))?;
    let ask = Fetch { limit, lease: lease_of(lease.as_deref())? };
    let wait = wait.as_deref().map(feed::seconds).transpose()?.unwrap_or_default();
    let mut stopping = api.inner.stopping.subscribe();
    let batch = subscription.next(ask, wait, &mut stopping).await?;
    given_out(&api, &principal, batch).await
}

async fn given_out(api: &Api, principal: &Principal, batch: Option<Batch>) -> Result<Response, Problem> {
    let Some(Batch { token, leased_until, events }) = batch else {
        return Ok(Json(Fetched { token: None, leased_until: None, events: Vec::new() }).into_response());
    };
    // Only what is sealed has to be opened.
    let (sealed, plain): (Vec<Given>, Vec<Given>) =
        events.into_iter().partition(|given| given.recorded.personal.is_some());
    let tries: HashMap<i64, i32> =
        sealed.iter().map(|given| (given.recorded.position, given.tries)).collect();
    let sealed = sealed.into_iter().map(|given| given.recorded).collect();
    let opened: Vec<Opened> = api.store().open(principal.tenant, sealed).await?;
    api.shows_events(principal, "a subscription", &opened).await?;
    let mut told: Vec<(i64, CloudEvent<'_>)> = Vec::with_capacity(plain.len() + opened.len());
    told.extend(plain.iter().map(|given| {
        let position = given.recorded.position;
        (position, CloudEvent::plain(&given.recorded).attempt(given.tries + 1))
    }));
    told.extend(opened.iter().map(|opened| {
        let position = opened.recorded.position;
        let tries = tries.get(&position).copied().unwrap_or_default();
        (position, CloudEvent::of(opened, principal).attempt(tries + 1))
    }));
    told.sort_by_key(|(position, _)| *position);
    let events = told.into_iter().map(|(_, event)| event).collect();
    let fetched = Fetched { token: Some(token.to_string()), leased_until: Some(leased_until), events };
    let body = serde_json::to_vec(&fetched).map_err(|_| Problem::unexpected())?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn lease_of(text: Option<&str>) -> Result<Duration, Problem> {
    text.map_or(Ok(USUAL_LEASE), |text| duration("lease", text, 1, LONGEST_LEASE))
}

/// In whole seconds: `30s`, or `30`.
pub(crate) fn duration(field: &'static str, text: &str, least: u64, most: u64) -> Result<Duration, Problem> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok();
    let seconds = seconds.filter(|seconds| (least..=most).contains(seconds));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| Problem::malformed(field, format!("{field} {text:?} is not from {least}s to {most}s")))
}

pub(crate) async fn ack(
    State(api): State<Api>,
    principal: Principal,
    name: Name,
    body: Body<Ack>,
) -> Result<Json<Value>, Problem> {
    let subscription = api.subscription(&principal, name).await?;
    let Json(Ack { token, up_to, positions }) = body?;
    let part = match (up_to, positions) {
        (Some(_), Some(_)) => {
            let detail = "say up_to or positions, not both; neither means all";
            return Err(Problem::malformed("up_to", detail));
        }
        (Some(up_to), None) => Part::UpTo(up_to.0),
        (None, positions) => each(positions),
    };
    let acked = subscription.ack(token.0, part).await?;
    Ok(Json(json!({ "left": acked.left })))
}

fn each(positions: Option<Vec<Number>>) -> Part {
    positions
        .map_or(Part::All, |positions| Part::Each(positions.into_iter().map(|position| position.0).collect()))
}

pub(crate) async fn nack(
    State(api): State<Api>,
    principal: Principal,
    name: Name,
    body: Body<Nack>,
) -> Result<Json<Value>, Problem> {
    let subscription = api.subscription(&principal, name).await?;
    let Json(Nack { token, positions, pause, reason }) = body?;
    let pause = pause.map(|text| duration("pause", &text, 0, LONGEST_PAUSE)).transpose()?;
    if reason.as_ref().is_some_and(|reason| reason.len() > LONGEST_REASON || reason.contains('\0')) {
        let detail = format!("reason has at most {LONGEST_REASON} bytes and no U+0000");
        return Err(Problem::malformed("reason", detail));
    }
    let back = subscription.nack(token.0, each(positions), pause, reason).await?;
    Ok(Json(json!({ "given_back": back.events, "parked": back.parked, "left": back.left })))
}

pub(crate) async fn extend(
    State(api): State<Api>,
    principal: Principal,
    name: Name,
    body: Body<Extend>,
) -> Result<Json<Value>, Problem> {
    let subscription = api.subscription(&principal, name).await?;
    let Json(Extend { token, lease }) = body?;
    let until = subscription.extend(token.0, lease_of(lease.as_deref())?).await?;
    Ok(Json(json!({ "leased_until": until })))
}

pub(crate) async fn rewind(
    State(api): State<Api>,
    principal: Principal,
    name: Name,
    body: Body<Rewind>,
) -> Result<Json<Value>, Problem> {
    let subscription = api.subscription(&principal, name).await?;
    let Json(Rewind { from }) = body?;
    let position = subscription.rewind(place(&from)?).await?;
    Ok(Json(json!({ "position": position.to_string() })))
}

pub(crate) async fn parked(
    State(api): State<Api>,
    principal: Principal,
    name: Name,
) -> Result<Json<Value>, Problem> {
    let subscription = api.subscription(&principal, name).await?;
    let parked = subscription.parked().await?;
    let told = parked.iter().map(|stream| {
        json!({
            "stream": stream.stream_id,
            "position": stream.position.to_string(),
            "tries": stream.tries,
            "reason": stream.failure,
            "parked_at": stream.parked_at,
        })
    });
    Ok(Json(told.collect()))
}

/// `POST /v1/subscriptions/{name}/parked/replay`: one stream, or all.
pub(crate) async fn replay(
    State(api): State<Api>,
    principal: Principal,
    name: Name,
    body: Body<Replay>,
) -> Result<Json<Value>, Problem> {
    let subscription = api.subscription(&principal, name).await?;
    let Json(Replay { stream }) = body?;
    let stream = uuid("stream", stream.as_deref())?.map(StreamId);
    let replayed = subscription.replay(stream).await?;
    Ok(Json(json!({ "replayed": replayed })))
}
