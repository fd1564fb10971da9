//! Asking the trail: entries as the tables have them, and what each event changed, before and after.

use super::changes::{self, Change};
use super::entry::{Entry, Happened, Particulars};
use super::filter::{Filter, Kind};
use super::part::{Found, Part, Row};
use super::place::Place;
use crate::ask::AskError;
use crate::timeline::Timeline;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use kvali_domain::{StreamId, TenantId};
use kvali_eventstore::project::AsOf;
use kvali_eventstore::{Opened, Store};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Ask {
    pub filter: Filter,
    pub after: Option<Place>,
    pub limit: usize,
}

#[derive(Clone, Debug)]
pub struct Trail {
    /// Newest first. May be fewer than asked for, while there are more.
    pub entries: Vec<Entry>,
    /// Where to go on, if there are earlier ones.
    pub next: Option<Place>,
    /// Streams whose later events may be missing among those that name the record: see [`Filter::object`].
    pub parked: i64,
}

/// Entries that one answer holds, at most.
const MOST: usize = 1_000;
/// Those that are looked at for one answer, where only the events themselves tell whether a field was changed.
const LOOKED_AT: usize = 5_000;
const TOGETHER: usize = 200;
/// Histories that are read at once.
const AT_ONCE: usize = 4;

/// The entries that pass, newest first.
pub async fn trail(
    store: &Store,
    tenant: TenantId,
    ask: Ask,
    now: DateTime<Utc>,
    progress: &(dyn Fn(i64, i64) + Sync),
) -> Result<Trail, AskError> {
    let Ask { filter, mut after, limit } = ask;
    let limit = limit.clamp(1, MOST);
    let passing = filter.known()?;
    let (above, up_to) = positions(store, tenant, &passing.asked).await?;
    let (mut entries, mut looked_at, mut parked) = (Vec::new(), 0, 0);
    loop {
        // Where only the events themselves tell, many are looked at together.
        let least = if passing.asked.field.is_some() { TOGETHER } else { 1 };
        let left = i64::try_from((limit - entries.len()).max(least)).expect("a page is small");
        let part = Part { passing: passing.clone(), above, up_to, after, limit: left };
        let found = part.find(store, tenant, now, progress, &mut parked).await?;
        looked_at += found.rows.len();
        entries.extend(told(store, tenant, found.rows, passing.asked.field.as_deref()).await?);
        after = found.next;
        if entries.len() > limit {
            entries.truncate(limit);
            after = entries.last().and_then(Place::after_event);
        }
        if after.is_none() || entries.len() >= limit || looked_at >= LOOKED_AT {
            return Ok(Trail { entries, next: after, parked });
        }
    }
}

/// Positions are recorded in order, so a time is a position: above which, and up to which.
async fn positions(store: &Store, tenant: TenantId, asked: &Filter) -> Result<(i64, i64), AskError> {
    let before = async |instant: DateTime<Utc>| {
        let last = instant.checked_sub_signed(TimeDelta::microseconds(1));
        store.position_at(tenant, last.unwrap_or(instant)).await
    };
    let above = match asked.from {
        Some(from) => before(from).await?,
        None => 0,
    };
    let up_to = match asked.to {
        Some(to) => before(to).await?,
        None => i64::MAX,
    };
    Ok((above, up_to))
}

impl Part {
    async fn find(
        self,
        store: &Store,
        tenant: TenantId,
        now: DateTime<Utc>,
        progress: &(dyn Fn(i64, i64) + Sync),
        parked: &mut i64,
    ) -> Result<Found, AskError> {
        if self.passing.asked.object.is_none() {
            return store.ask_log(tenant, now, self).await;
        }
        let answered = store.ask(Arc::new(Timeline), tenant, AsOf::NOW, now, progress, self).await?;
        *parked = answered.parked;
        Ok(answered.answer)
    }
}

async fn told(
    store: &Store,
    tenant: TenantId,
    rows: Vec<Row>,
    field: Option<&str>,
) -> Result<Vec<Entry>, AskError> {
    let positions: Vec<i64> = rows.iter().map(|row| row.position).filter(|position| *position > 0).collect();
    let recorded = if positions.is_empty() { Vec::new() } else { store.at(tenant, &positions).await? };
    let opened = store.open(tenant, recorded).await?;
    let mut changes = changed(store, tenant, &opened).await?;
    let mut opened: HashMap<i64, Opened> =
        opened.into_iter().map(|opened| (opened.recorded.position, opened)).collect();
    let entry = |row: Row| {
        let happened = opened.remove(&row.position).map(|opened| Happened {
            comment: changes::comment(&opened),
            changes: changes.remove(&row.position).unwrap_or_default(),
            told_of: opened.told_of(),
            recorded: opened.recorded,
        });
        entry(row, happened)
    };
    let entries = rows.into_iter().map(entry);
    Ok(entries.filter(|entry| field.is_none_or(|field| entry.changes(field))).collect())
}

/// What each event changed, by position. Only where it does not say itself what was before is its stream's history read.
async fn changed(
    store: &Store,
    tenant: TenantId,
    opened: &[Opened],
) -> Result<HashMap<i64, Vec<Change>>, AskError> {
    let mut changed: HashMap<i64, Vec<Change>> = HashMap::new();
    let mut wanted: BTreeMap<StreamId, BTreeMap<i32, i64>> = BTreeMap::new();
    for event in opened {
        let recorded = &event.recorded;
        if changes::needs_past(event) {
            wanted.entry(recorded.stream).or_default().insert(recorded.version, recorded.position);
        } else {
            changed.insert(recorded.position, changes::of_one(event));
        }
    }
    let folded = stream::iter(wanted).map(async |(stream, versions)| {
        let events = store.stream(tenant, stream).await?;
        let history = store.open(tenant, events).await?;
        let told = changes::of_stream(&history, &versions.keys().copied().collect::<BTreeSet<_>>());
        let by_position = |(version, changes)| Some((*versions.get(&version)?, changes));
        Ok::<_, AskError>(told.into_iter().filter_map(by_position).collect::<Vec<_>>())
    });
    let folded: Vec<Vec<(i64, Vec<Change>)>> = folded.buffer_unordered(AT_ONCE).try_collect().await?;
    changed.extend(folded.into_iter().flatten());
    Ok(changed)
}

fn entry(row: Row, happened: Option<Happened>) -> Entry {
    let kind = row.kind.unwrap_or(Kind::Event);
    let particulars = match (kind, happened) {
        (_, Some(happened)) => Particulars::Event(Box::new(happened)),
        (Kind::Denied, None) => Particulars::Denied { permission: row.code.unwrap_or_default() },
        (Kind::Read, None) => Particulars::Read {
            shown: row.shown.unwrap_or_default(),
            count: row.count.unwrap_or_default(),
            positions: row.first_position.zip(row.last_position),
        },
        (Kind::Refused | Kind::Event, None) => Particulars::Refused {
            command_id: row.command_id.unwrap_or_default(),
            stream: row.stream.unwrap_or_default(),
            code: row.code.unwrap_or_default(),
            detail: row.detail.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
        },
    };
    let Row { recorded_at, id, actor, what, credential, request_id, source_address, .. } = row;
    Entry { kind, recorded_at, id, actor, what, credential, request_id, source_address, particulars }
}

impl Entry {
    fn changes(&self, field: &str) -> bool {
        let Particulars::Event(happened) = &self.particulars else { return false };
        happened.changes.iter().any(|change| change.is_of(field))
    }
}
