//! `GET /v1/events`: the log in order, without gaps, from any position, as `CloudEvents`: in batches that may wait for the
//! next event (long poll), or as server-sent events.

use crate::Api;
use crate::cloud_event::CloudEvent;
use crate::commands::uuid;
use crate::cursor::Cursor;
use crate::error::Problem;
use crate::page::{MOST, limited, with_cursor};
use crate::principal::Principal;
use crate::query::Query;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use kvali_domain::StreamId;
use kvali_domain::access::Permission;
use kvali_domain::history::SHAPES;
use kvali_eventstore::{Error, Opened};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::{Duration, Instant};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// A cursor, or a position: `0` is the beginning.
    after: Option<String>,
    /// Event types, parted by commas; `deal.*` stands for all of an aggregate's.
    types: Option<String>,
    stream: Option<String>,
    limit: Option<i64>,
    /// How long to wait for an event if there is none: `30s`.
    wait: Option<String>,
}

const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Events that are looked at for one answer, at most, so that a filter that little passes cannot keep a request for ever.
const LOOKED_AT: i64 = 20_000;
/// Whoever appended in this process tells at once; for other processes the head is looked at so often.
const POLL: Duration = Duration::from_millis(200);
const FEED: &str = "the feed of events";

/// What passes.
#[derive(Clone, Debug)]
struct Filter {
    types: Option<BTreeSet<String>>,
    stream: Option<StreamId>,
}

impl Filter {
    fn of(asked: &Asked) -> Result<Self, Problem> {
        let types = asked.types.as_deref().map(types).transpose()?;
        let stream = uuid("stream", asked.stream.as_deref())?.map(StreamId);
        Ok(Self { types, stream })
    }

    fn passes(&self, opened: &Opened) -> bool {
        let recorded = &opened.recorded;
        self.stream.is_none_or(|stream| recorded.stream == stream)
            && self.types.as_ref().is_none_or(|types| types.contains(&*recorded.event_type))
    }
}

pub(crate) fn types(text: &str) -> Result<BTreeSet<String>, Problem> {
    let known = || SHAPES.iter().map(|shape| shape.event_type);
    let mut wanted = BTreeSet::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let of_aggregate = word.strip_suffix(".*");
        let fits = |name: &&str| match of_aggregate {
            Some(aggregate) => name.split_once('.').is_some_and(|(of, _)| of == aggregate),
            None => *name == word,
        };
        let before = wanted.len();
        wanted.extend(known().filter(fits).map(str::to_owned));
        if wanted.len() == before && !known().any(|name| fits(&name)) {
            let detail =
                format!("no event has type {word:?}; types look like deal.won, and deal.* is all of deals");
            return Err(Problem::malformed("types", detail));
        }
    }
    Ok(wanted)
}

#[cfg(fuzzing)]
pub(crate) fn fuzzed(query: &str) {
    if let Some(asked) = crate::fuzz::parsed::<Asked>(query) {
        let _problem = (Filter::of(&asked), asked.wait.as_deref().map(seconds));
    }
}

/// A page of the feed: what passed, and where to go on.
struct Page {
    events: Vec<Opened>,
    next: Cursor,
    /// Whether the log had more to look at.
    more: bool,
}

pub(crate) async fn events(
    State(api): State<Api>,
    principal: Principal,
    headers: HeaderMap,
    asked: Result<Query<Asked>, Problem>,
) -> Result<Response, Problem> {
    api.demand(&principal, Permission::Follow, FEED).await?;
    let Query(asked) = asked?;
    let filter = Filter::of(&asked)?;
    let limit = limited(asked.limit, 100)?;
    let accepts = headers.get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/event-stream") {
        let last = headers.get("last-event-id").and_then(|last| last.to_str().ok()).map(str::to_owned);
        let begin = begin(&api, &principal, last.or(asked.after).as_deref()).await?;
        return Ok(follow(api, principal, filter, begin).into_response());
    }
    let begin = begin(&api, &principal, asked.after.as_deref()).await?;
    let wait = asked.wait.as_deref().map(seconds).transpose()?.unwrap_or_default();
    let page = waited(&api, &principal, &filter, begin, limit, wait).await?;
    api.shows_events(&principal, FEED, &page.events).await?;
    let told: Vec<_> = page.events.iter().map(|opened| CloudEvent::of(opened, &principal)).collect();
    let mut response = axum::Json(told).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/cloudevents-batch+json"));
    headers.insert("kvali-more", HeaderValue::from_static(if page.more { "true" } else { "false" }));
    Ok(with_cursor(response, Some(&page.next.to_string())))
}

/// A wait in whole seconds: `30s`, or `30`.
pub(crate) fn seconds(text: &str) -> Result<Duration, Problem> {
    let wrong = || {
        let detail = format!("wait {text:?} is not from 0s to {}s", LONGEST_WAIT.as_secs());
        Problem::malformed("wait", detail)
    };
    let seconds =
        text.strip_suffix('s').unwrap_or(text).parse().map(Duration::from_secs).map_err(|_| wrong())?;
    if seconds <= LONGEST_WAIT { Ok(seconds) } else { Err(wrong()) }
}

/// Where a reader begins; without a word, at the beginning of the log.
async fn begin(api: &Api, principal: &Principal, after: Option<&str>) -> Result<Cursor, Problem> {
    let log = api.store().log_of(principal.tenant).await?;
    let here = |position| Cursor { tenant: principal.tenant, epoch: log.epoch, position };
    let Some(after) = after else { return Ok(here(0)) };
    let cursor = match after.parse::<i64>() {
        Ok(position) => here(position),
        Err(_) => after.parse::<Cursor>().map_err(|wrong| Problem::malformed("after", wrong.to_string()))?,
    };
    if cursor.tenant != principal.tenant || cursor.epoch != log.epoch {
        let detail = "this cursor is of another log, or of this one before it was restored; begin anew from a position";
        return Err(Problem::new(StatusCode::GONE, "cursor_of_another_log", detail).about("after"));
    }
    if !(0..=log.head).contains(&cursor.position) {
        let beyond = Error::NoSuchPosition { position: cursor.position, head: log.head };
        return Err(Problem::from(beyond).about("after"));
    }
    Ok(cursor)
}

/// A page that has something, if anything comes within the wait.
async fn waited(
    api: &Api,
    principal: &Principal,
    filter: &Filter,
    mut after: Cursor,
    limit: i64,
    wait: Duration,
) -> Result<Page, Problem> {
    let mut moved = api.store().moved();
    let mut stopping = api.inner.stopping.subscribe();
    let until = Instant::now() + wait;
    loop {
        moved.borrow_and_update();
        let page = page(api, principal, filter, after, limit).await?;
        let left = until.saturating_duration_since(Instant::now());
        if !page.events.is_empty() || left.is_zero() || *stopping.borrow() {
            return Ok(page);
        }
        after = page.next;
        if !page.more {
            tokio::select! {
                _ = moved.changed() => {}
                _ = stopping.changed() => {}
                () = tokio::time::sleep(left.min(POLL)) => {}
            }
        }
    }
}

async fn page(
    api: &Api,
    principal: &Principal,
    filter: &Filter,
    after: Cursor,
    limit: i64,
) -> Result<Page, Problem> {
    let mut next = after;
    let mut passed = Vec::new();
    let wanted = usize::try_from(limit).unwrap_or_default();
    while next.position - after.position < LOOKED_AT {
        let events = api.store().read(principal.tenant, next.position, limit).await?;
        let is_last = i64::try_from(events.len()).is_ok_and(|count| count < limit);
        for opened in api.store().open(principal.tenant, events).await? {
            if passed.len() == wanted {
                return Ok(Page { events: passed, next, more: true });
            }
            next.position = opened.recorded.position;
            if filter.passes(&opened) {
                passed.push(opened);
            }
        }
        if is_last || passed.len() == wanted {
            return Ok(Page { events: passed, next, more: !is_last });
        }
    }
    Ok(Page { events: passed, next, more: true })
}

/// Server-sent events: each bears its cursor as id, so that whoever comes back goes on where he was.
fn follow(
    api: Api,
    principal: Principal,
    filter: Filter,
    begin: Cursor,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let pages = stream::unfold(Some((api, principal, filter, begin)), async |state| {
        let (api, principal, filter, after) = state?;
        if *api.inner.stopping.borrow() {
            return None;
        }
        // Else the stream ends: the reader comes back with its last id.
        let page = waited(&api, &principal, &filter, after, i64::from(MOST), LONGEST_WAIT).await.ok()?;
        api.shows_events(&principal, FEED, &page.events).await.ok()?;
        let mut told: Vec<Result<Event, Infallible>> = page
            .events
            .iter()
            .map(|opened| {
                let cursor = Cursor { position: opened.recorded.position, ..after };
                let event = Event::default().id(cursor.to_string()).event(&*opened.recorded.event_type);
                let told = event.json_data(CloudEvent::of(opened, &principal));
                Ok(told.expect("an event is written as JSON"))
            })
            .collect();
        if page.events.is_empty() {
            // Moves the reader on past what does not pass.
            told.push(Ok(Event::default().id(page.next.to_string()).comment("nothing passed")));
        }
        Some((stream::iter(told), Some((api, principal, filter, page.next))))
    });
    let events = futures_util::StreamExt::flatten(pages);
    Sse::new(Box::pin(events)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}
