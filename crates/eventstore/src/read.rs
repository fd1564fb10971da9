//! Reads by stream and by position.

mod binary;

use crate::acting::acting_for;
use crate::cache::Folded;
use crate::keyring::{self, KeyedIds, SubjectKeys, TenantKey};
use crate::{Error, Store};
use chrono::{DateTime, Utc};
use kvali_domain::{
    Aggregate, Claim, Event, Occurred, Recorded, State, StreamId, SubjectId, TenantId, Version,
};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// What folding a state needs and no more. Stream by stream: `stream_id = any($2)` makes the planner, which expects
/// one row of a tenant unknown to its statistics, read the whole log of that tenant and filter.
const STATES: &str = "select stream_id, version, event_type, schema_version, occurred_at, precision, zone, \
    data::text, position from (select distinct unnest($2::uuid[]) as id) x cross join lateral (select * from kvali.event \
    where tenant_id = $1 and stream_id = x.id order by version offset 0) e";

/// An event and what it says, with those personal values that can still be read.
#[derive(Clone, Debug)]
pub struct Opened {
    pub recorded: Recorded,
    pub event: Event,
}

impl Opened {
    /// The personal values that were sealed with it, readable still or not: whose each is, and which field.
    pub fn sealed(&self) -> impl Iterator<Item = (SubjectId, &str)> {
        let sealed = self.recorded.personal.iter().flat_map(|personal| keyring::entries(personal));
        sealed.map(|(subject, field, _)| (subject, field))
    }

    /// The records whose texts can be read in it: the stream, and whoever they belong to.
    pub fn told_of(&self) -> BTreeSet<Uuid> {
        if self.recorded.personal.is_none() {
            return BTreeSet::new();
        }
        let mut event = self.event.clone();
        let readable = event.personal().into_iter().filter(|found| found.value.0.is_some());
        let mut told: BTreeSet<Uuid> = readable.map(|found| found.subject.0).collect();
        if !told.is_empty() {
            told.insert(self.recorded.stream.0);
        }
        told
    }
}

/// An event that stands in its place and cannot be read: altered, or written by a newer Kvali.
#[derive(Debug)]
pub(crate) struct Damaged {
    pub position: i64,
    pub stream: StreamId,
    pub error: Error,
}

impl Store {
    /// At most `limit` events after position `after`, in order. A gap is an error, never skipped.
    pub async fn read(&self, tenant: TenantId, after: i64, limit: i64) -> Result<Vec<Recorded>, Error> {
        whole(page(&self.inner.pool, tenant, after, limit).await?)
    }

    /// The events at these positions, in order.
    pub async fn at(&self, tenant: TenantId, positions: &[i64]) -> Result<Vec<Recorded>, Error> {
        let list = positions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let condition = format!(
            "where tenant_id = '{tenant}' and position = any ('{{{list}}}'::bigint[]) order by position"
        );
        whole(binary::events(&self.inner.pool, tenant, condition).await?)
    }

    /// The whole history of a stream.
    pub async fn stream(&self, tenant: TenantId, stream: StreamId) -> Result<Vec<Recorded>, Error> {
        let condition = format!("where tenant_id = '{tenant}' and stream_id = '{stream}' order by version");
        whole(binary::events(&self.inner.pool, tenant, condition).await?)
    }

    /// Decodes events and opens their personal values.
    pub async fn open(&self, tenant: TenantId, events: Vec<Recorded>) -> Result<Vec<Opened>, Error> {
        let events = events.into_iter().map(Ok).collect();
        whole(open(&self.inner.keyring, &self.inner.pool, tenant, events).await?)
    }

    /// The folded state of a stream and its version: 0 and `before` if it has no events.
    pub(crate) async fn fold(
        &self,
        tenant: TenantId,
        streams: &[StreamId],
    ) -> Result<HashMap<StreamId, Folded>, Error> {
        let ids: Vec<_> = streams.iter().map(|stream| stream.0).collect();
        let mut connection = self.connection(tenant).await?;
        let rows = sqlx::query(STATES).bind(tenant.0).bind(&ids).fetch_all(&mut *connection).await;
        let mut folded: HashMap<StreamId, (Version, State)> = HashMap::new();
        for row in rows.map_err(Error::Read)? {
            let get = Column { row: &row, position: row.try_get("position").map_err(Error::Read)? };
            let event_type: &str = get.of("event_type")?;
            let decoded = Event::decode(event_type, get.of("schema_version")?, get.of("data")?);
            let event = decoded.map_err(|source| Error::Decode { position: get.position, source })?;
            let version: Version = get.of("version")?;
            let stream = StreamId(get.of("stream_id")?);
            let (at, state) = folded.entry(stream).or_insert_with(|| (0, State::before_event(&event)));
            state.evolve(&event, version, &get.occurred()?);
            *at = version;
        }
        let folded = folded.into_iter();
        Ok(folded
            .map(|(stream, (version, state))| (stream, Folded { version, state: Arc::new(state) }))
            .collect())
    }
}

/// Events of which none may be damaged.
fn whole<T>(events: Vec<Result<T, Damaged>>) -> Result<Vec<T>, Error> {
    events.into_iter().map(|event| event.map_err(|damaged| damaged.error)).collect()
}

/// One page of the log in order of position, checked for gaps.
pub(crate) async fn page(
    pool: &PgPool,
    tenant: TenantId,
    after: i64,
    limit: i64,
) -> Result<Vec<Result<Recorded, Damaged>>, Error> {
    let condition =
        format!("where tenant_id = '{tenant}' and position > {after} order by position limit {limit}");
    let events = binary::events(pool, tenant, condition).await?;
    for (expected, event) in (after + 1..).zip(&events) {
        let found = event.as_ref().map_or_else(|damaged| damaged.position, |event| event.position);
        if found != expected {
            return Err(Error::Gap { expected, found });
        }
    }
    Ok(events)
}

pub(crate) async fn open(
    keyring: &keyring::Keyring,
    pool: &PgPool,
    tenant: TenantId,
    events: Vec<Result<Recorded, Damaged>>,
) -> Result<Vec<Result<Opened, Damaged>>, Error> {
    let sealed = events.iter().flatten().filter_map(|event| event.personal.as_deref());
    let subjects: BTreeSet<SubjectId> =
        sealed.flat_map(keyring::entries).map(|(subject, ..)| subject).collect();
    let keys = if subjects.is_empty() {
        SubjectKeys::new()
    } else {
        let key: Arc<TenantKey> = keyring.tenant(tenant).await?;
        let mut connection = acting_for(pool, tenant).await.map_err(Error::Keys)?;
        keyring.existing(&mut connection, &key, &subjects.into_iter().collect::<Vec<_>>()).await?
    };
    Ok(events.into_iter().map(|event| decode(event?, &keys)).collect())
}

fn decode(recorded: Recorded, keys: &SubjectKeys) -> Result<Opened, Damaged> {
    let (position, stream) = (recorded.position, recorded.stream);
    opened(recorded, keys).map_err(|error| Damaged { position, stream, error })
}

fn opened(recorded: Recorded, keys: &SubjectKeys) -> Result<Opened, Error> {
    let decoded = Event::decode(&recorded.event_type, recorded.schema_version, &recorded.data);
    let mut event = decoded.map_err(|source| Error::Decode { position: recorded.position, source })?;
    if let Some(personal) = &recorded.personal {
        keyring::unseal(&mut event, personal, keys, (recorded.tenant, recorded.stream, recorded.version))?;
    }
    Ok(Opened { recorded, event })
}

struct Column<'a> {
    row: &'a PgRow,
    position: i64,
}

impl<'a> Column<'a> {
    fn of<T: sqlx::Decode<'a, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>>(
        &self,
        column: &'static str,
    ) -> Result<T, Error> {
        self.row.try_get(column).map_err(Error::Read)
    }

    fn occurred(&self) -> Result<Occurred, Error> {
        let read = occurred(self.of("precision")?, self.of("occurred_at")?, self.of("zone")?);
        read.map_err(|unknown| unknown.at(self.position))
    }
}

/// A stored word that this Kvali does not know.
struct Unknown {
    column: &'static str,
    value: String,
}

impl Unknown {
    fn new(column: &'static str, value: &str) -> Self {
        Self { column, value: value.to_owned() }
    }

    fn at(self, position: i64) -> Error {
        Error::Column { position, column: self.column, value: self.value }
    }
}

fn occurred(precision: &str, at: Option<DateTime<Utc>>, zone: Option<&str>) -> Result<Occurred, Unknown> {
    Ok(match (precision, at) {
        ("instant", Some(at)) => Occurred::Instant { at },
        ("unknown", None) => Occurred::Unknown,
        ("day", Some(at)) => {
            let zone = zone.unwrap_or_default();
            Occurred::Day { at, zone: zone.parse().map_err(|_| Unknown::new("zone", zone))? }
        }
        _ => return Err(Unknown::new("precision", precision)),
    })
}

/// The log by its own clock.
impl Store {
    /// The last position recorded at or before `instant`; 0 if there is none.
    pub async fn position_at(&self, tenant: TenantId, instant: DateTime<Utc>) -> Result<i64, Error> {
        // Recording times never decrease with positions, so halving finds the last one by the primary key.
        let (mut known, mut beyond) = (0, self.head(tenant).await? + 1);
        while known + 1 < beyond {
            let middle = known + (beyond - known) / 2;
            if self.recorded_at(tenant, middle).await?.is_some_and(|at| at <= instant) {
                known = middle;
            } else {
                beyond = middle;
            }
        }
        Ok(known)
    }

    /// When the event at `position` was recorded.
    pub async fn recorded_at(&self, tenant: TenantId, position: i64) -> Result<Option<DateTime<Utc>>, Error> {
        let mut connection = self.connection(tenant).await?;
        sqlx::query_scalar("select recorded_at from kvali.event where tenant_id = $1 and position = $2")
            .bind(tenant.0)
            .bind(position)
            .fetch_optional(&mut *connection)
            .await
            .map_err(Error::Read)
    }
}

/// Look-ups that senders of commands need.
impl Store {
    /// The folded state of a stream as the log has it now, with its version; `None` if it has no events.
    pub async fn state(
        &self,
        tenant: TenantId,
        stream: StreamId,
    ) -> Result<Option<(Version, Arc<State>)>, Error> {
        let folded = self.fold(tenant, &[stream]).await?.remove(&stream);
        Ok(folded.map(|folded| (folded.version, folded.state)))
    }

    /// The state of one aggregate as the log has it now; before its first event, if it has none or is another's.
    pub async fn aggregate<A: Aggregate>(&self, tenant: TenantId, stream: StreamId) -> Result<A, Error> {
        let found = self.state(tenant, stream).await?;
        Ok(found.and_then(|(_, state)| A::of(&state).cloned()).unwrap_or_default())
    }

    /// The stream that holds a claim, such as the pipeline with a name.
    pub async fn holder(&self, tenant: TenantId, kind: &str, key: &str) -> Result<Option<StreamId>, Error> {
        let mut connection = self.connection(tenant).await?;
        let holder = sqlx::query_scalar(
            "select holder from kvali.claim where tenant_id = $1 and kind = $2 and key = $3 limit 1",
        )
        .bind(tenant.0)
        .bind(kind)
        .bind(key)
        .fetch_optional(&mut *connection)
        .await
        .map_err(Error::Read)?;
        Ok(holder.map(StreamId))
    }

    /// The streams that hold the keys of these claims, whatever their conditions; in the order of the claims.
    pub async fn holders(&self, tenant: TenantId, claims: &[Claim]) -> Result<Vec<Vec<StreamId>>, Error> {
        let mut holders = vec![Vec::new(); claims.len()];
        // Nothing is claimed where nothing happened, and looking does not make the tenant's key.
        if claims.is_empty() || self.head(tenant).await? == 0 {
            return Ok(holders);
        }
        let key = self.inner.keyring.tenant(tenant).await?;
        let hashed = |claim: &Claim| key.hash(claim.key.as_bytes()).to_hex().to_string();
        let stored = |claim: &Claim| if claim.personal { hashed(claim) } else { claim.key.clone() };
        let kinds: Vec<_> = claims.iter().map(|claim| claim.kind).collect();
        let keys: Vec<_> = claims.iter().map(stored).collect();
        let mut connection = self.connection(tenant).await?;
        let rows: Vec<(i64, Uuid)> = sqlx::query_as(
            "select k.ord, c.holder \
             from unnest($2::text[], $3::text[]) with ordinality k (kind, key, ord) \
             join kvali.claim c on c.tenant_id = $1 and c.kind = k.kind and c.key = k.key \
             order by k.ord, c.holder",
        )
        .bind(tenant.0)
        .bind(&kinds)
        .bind(&keys)
        .fetch_all(&mut *connection)
        .await
        .map_err(Error::Read)?;
        for (ord, holder) in rows {
            let at = usize::try_from(ord - 1).expect("ordinality counts from 1");
            holders[at].push(StreamId(holder));
        }
        Ok(holders)
    }

    /// How many a key counts, such as the open deals of a stage.
    pub async fn counted(&self, tenant: TenantId, kind: &str, key: &str) -> Result<i64, Error> {
        let mut connection = self.connection(tenant).await?;
        let count = sqlx::query_scalar(
            "select count from kvali.tally where tenant_id = $1 and kind = $2 and key = $3",
        )
        .bind(tenant.0)
        .bind(kind)
        .bind(key)
        .fetch_optional(&mut *connection)
        .await
        .map_err(Error::Read)?;
        Ok(count.unwrap_or(0))
    }

    /// The key under which a claim on something personal, such as a mail address, is kept.
    pub async fn personal_key(&self, tenant: TenantId, key: &str) -> Result<String, Error> {
        let tenant = self.inner.keyring.tenant(tenant).await?;
        Ok(tenant.hash(key.as_bytes()).to_hex().to_string())
    }

    /// What makes ids under the tenant's key.
    pub async fn keyed_ids(&self, tenant: TenantId) -> Result<KeyedIds, Error> {
        Ok(KeyedIds(self.inner.keyring.tenant(tenant).await?))
    }

    /// The id of a person or account that an outside system knows by name.
    pub async fn keyed_id(&self, tenant: TenantId, kind: &str, text: &str) -> Result<Uuid, Error> {
        Ok(self.keyed_ids(tenant).await?.named(kind, text))
    }
}
