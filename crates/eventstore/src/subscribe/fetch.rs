//! Giving out: first what streams that are behind may have, then what follows the cursor.

use super::{SubscribeError, Subscription, is_wanted};
use chrono::{DateTime, Utc};
use kvali_domain::Recorded;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use uuid::Uuid;

/// How much to give out, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Fetch {
    /// Events, at most.
    pub limit: u16,
    /// What is not settled by then is given to others.
    pub lease: Duration,
}

/// What a member has in hand.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Settles the batch; refused once its events were given to others.
    pub token: i64,
    pub leased_until: DateTime<Utc>,
    /// In the order of their positions.
    pub events: Vec<Given>,
}

#[derive(Clone, Debug)]
pub struct Given {
    pub recorded: Recorded,
    /// How often the stream was given back at its first event before.
    pub tries: i32,
}

/// Events that are looked at for one batch, at most.
const LOOKED_AT: i64 = 20_000;
/// Where little passes, larger pages are read, up to so many events.
const LARGEST_PAGE: usize = 5_000;
/// Events that a group may have in hand, at most.
const MOST_IN_HAND: usize = 20_000;
/// How often another process may be quicker.
const MOST_ATTEMPTS: u32 = 32;
/// Whoever appended or settled in this process tells at once; for other processes, leases and pauses it is looked so often,
/// at first and later.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(1);

/// The subscription as it was found.
#[derive(sqlx::FromRow)]
struct Seen {
    types: Option<Vec<String>>,
    cursor: i64,
    token: i64,
    epoch: i32,
    log_epoch: i32,
    /// Whether any stream is behind.
    behind: bool,
    /// Whether a lease has run out.
    expired: bool,
    /// Streams of what is in hand, as often as they are.
    busy: Vec<Uuid>,
}

/// What a batch is to be made of.
struct Chosen {
    limit: usize,
    events: Vec<Given>,
    /// Streams that are held back, each from that event on.
    held: HashMap<Uuid, (i64, i32)>,
    cursor: i64,
}

impl Subscription {
    /// The next events, if any come before `wait` is over or whoever `stopped` says so.
    pub async fn next(
        &self,
        ask: Fetch,
        wait: Duration,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<Option<Batch>, SubscribeError> {
        let mut moved = self.store.moved();
        let (until, mut pause) = (Instant::now() + wait, SOONEST);
        loop {
            moved.borrow_and_update();
            let found = self.fetch(ask).await?;
            let left = until.saturating_duration_since(Instant::now());
            if found.is_some() || left.is_zero() || *stopped.borrow() {
                return Ok(found);
            }
            tokio::select! {
                _ = moved.changed() => {}
                _ = stopped.changed() => {}
                () = tokio::time::sleep(left.min(pause)) => pause = (pause * 2).min(LATEST),
            }
        }
    }

    /// The next events, if there are any now.
    pub async fn fetch(&self, ask: Fetch) -> Result<Option<Batch>, SubscribeError> {
        let line = self.store.inner.lines.of(self);
        let _turn = line.lock().await;
        let mut attempts = 0;
        while attempts < MOST_ATTEMPTS {
            let seen = self.look().await?;
            if seen.expired {
                self.take_back().await?;
                continue;
            }
            if seen.busy.len() >= MOST_IN_HAND {
                return Ok(None);
            }
            let chosen = self.choose(&seen, usize::from(ask.limit)).await?;
            if chosen.events.is_empty() && chosen.cursor == seen.cursor {
                return Ok(None);
            }
            match self.give_out(&seen, chosen, ask.lease).await? {
                // Nothing passed so far.
                Some(batch) if batch.events.is_empty() => {}
                Some(batch) => return Ok(Some(batch)),
                None => attempts += 1,
            }
        }
        Err(SubscribeError::Crowded { attempts })
    }

    async fn look(&self) -> Result<Seen, SubscribeError> {
        let seen: Option<Seen> = sqlx::query_as(include_str!("look.sql"))
            .bind(self.tenant.0)
            .bind(&self.name)
            .fetch_optional(&mut *self.connection().await?)
            .await
            .map_err(SubscribeError::read)?;
        let seen = seen.ok_or_else(|| self.no_such())?;
        if seen.epoch == seen.log_epoch { Ok(seen) } else { Err(SubscribeError::AnotherLog) }
    }

    async fn choose(&self, seen: &Seen, limit: usize) -> Result<Chosen, SubscribeError> {
        let mut chosen = Chosen { limit, events: Vec::new(), held: HashMap::new(), cursor: seen.cursor };
        if seen.behind {
            self.choose_owed(seen, &mut chosen).await?;
        }
        let busy: HashSet<Uuid> = seen.busy.iter().copied().collect();
        let mut page = limit;
        while chosen.events.len() < chosen.limit && chosen.cursor - seen.cursor < LOOKED_AT {
            let at_most = i64::try_from(page).unwrap_or(LOOKED_AT);
            let events = self.store.read(self.tenant, chosen.cursor, at_most).await?;
            let is_last = events.len() < page;
            page = page.max((page * 4).min(LARGEST_PAGE));
            let behind = if seen.behind { self.behind_among(&events).await? } else { HashSet::new() };
            for recorded in events {
                if chosen.events.len() == chosen.limit {
                    return Ok(chosen);
                }
                chosen.cursor = recorded.position;
                if !is_wanted(seen.types.as_deref(), &recorded.event_type) {
                    continue;
                }
                let stream = recorded.stream.0;
                if busy.contains(&stream) || behind.contains(&stream) {
                    chosen.held.entry(stream).or_insert((recorded.position, recorded.version));
                } else {
                    chosen.events.push(Given { recorded, tries: 0 });
                }
            }
            if is_last {
                break;
            }
        }
        Ok(chosen)
    }

    /// After each try half as much is given out at once, so that an event which kills its reader stands alone before its
    /// tries are at an end, and parks no stream but its own.
    async fn choose_owed(&self, seen: &Seen, chosen: &mut Chosen) -> Result<(), SubscribeError> {
        let owed: Vec<(i64, Uuid, i32)> = sqlx::query_as(include_str!("owed.sql"))
            .bind(self.tenant.0)
            .bind(&self.name)
            .bind(&seen.busy)
            .bind(seen.cursor)
            .bind(&seen.types)
            .bind(i64::try_from(chosen.limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *self.connection().await?)
            .await
            .map_err(SubscribeError::read)?;
        let mut tries: HashMap<i64, i32> = HashMap::new();
        for (position, _, tried) in owed {
            let few = (chosen.limit >> tried.clamp(0, 16)).max(1);
            if tries.len() >= few {
                break;
            }
            chosen.limit = few;
            tries.insert(position, tried);
        }
        if tries.is_empty() {
            return Ok(());
        }
        let positions: Vec<i64> = tries.keys().copied().collect();
        let events = self.store.at(self.tenant, &positions).await?;
        chosen.events.extend(events.into_iter().map(|recorded| {
            let tries = tries.get(&recorded.position).copied().unwrap_or_default();
            Given { recorded, tries }
        }));
        Ok(())
    }

    async fn behind_among(&self, events: &[Recorded]) -> Result<HashSet<Uuid>, SubscribeError> {
        let streams: HashSet<Uuid> = events.iter().map(|event| event.stream.0).collect();
        let behind: Vec<Uuid> = sqlx::query_scalar(
            "select b.stream_id from unnest($3::uuid[]) x (id) cross join lateral (select b.stream_id \
             from kvali.subscription_stream b where b.tenant_id = $1 and b.subscription = $2 and b.stream_id = x.id limit 1) b",
        )
        .bind(self.tenant.0)
        .bind(&self.name)
        .bind(streams.into_iter().collect::<Vec<_>>())
        .fetch_all(&mut *self.connection().await?)
        .await
        .map_err(SubscribeError::read)?;
        Ok(behind.into_iter().collect())
    }

    /// One statement, which holds as a whole or not at all: `None` if another member was quicker.
    async fn give_out(
        &self,
        seen: &Seen,
        chosen: Chosen,
        lease: Duration,
    ) -> Result<Option<Batch>, SubscribeError> {
        let Chosen { events, held, cursor, .. } = chosen;
        let (held, (from, versions)): (Vec<Uuid>, (Vec<i64>, Vec<i32>)) = held.into_iter().unzip();
        let places = events.iter().map(|given| (given.recorded.position, given.recorded.stream.0));
        let (positions, streams): (Vec<i64>, Vec<Uuid>) = places.unzip();
        let taken: Option<(i64, Option<DateTime<Utc>>)> = sqlx::query_as(include_str!("give_out.sql"))
            .bind(self.tenant.0)
            .bind(&self.name)
            .bind(cursor)
            .bind(seen.token)
            .bind(held)
            .bind(from)
            .bind(versions)
            .bind(lease)
            .bind(positions)
            .bind(streams)
            .fetch_optional(&mut *self.connection().await?)
            .await
            .map_err(SubscribeError::read)?;
        Ok(taken.map(|(token, leased_until)| Batch {
            token,
            leased_until: leased_until.unwrap_or(DateTime::UNIX_EPOCH),
            events,
        }))
    }
}
