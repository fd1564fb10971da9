//! Rows of the log as binary COPY sends them: half the work, on both sides, of the rows of a query.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4> describes the format.

use crate::Error;
use crate::acting::acting_for;
use crate::read::{Damaged, Unknown, occurred};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use kvali_domain::{ActorId, CommandId, EventId, Recorded, StreamId, TenantId};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// In the order that [`recorded`] takes them.
const COLUMNS: &str = "tenant_id, position, stream_id, version, event_id, event_type, schema_version, occurred_at, \
    precision, zone, recorded_at, actor, on_behalf_of, channel, reason_code, command_id, correlation_id, \
    causation_id, data, personal";

/// Signature, flags, length of an extension: as Postgres has written them since version 7.4.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Microseconds between the epoch of Postgres, 2000-01-01, and 1970-01-01.
const EPOCH: i64 = 946_684_800_000_000;
/// Rows are decoded whenever so many bytes have come, so that memory stays small and both sides work at once.
const CHUNK: usize = 64 << 10;

/// The events that `condition` names: it is SQL, and made of numbers and ids only. Goes on to its end even if
/// the caller stops waiting, since a connection left half-way would give its next user the rest; for the same
/// reason a connection that saw an error is not used again.
pub(super) async fn events(
    pool: &PgPool,
    tenant: TenantId,
    condition: String,
) -> Result<Vec<Result<Recorded, Damaged>>, Error> {
    let mut connection = acting_for(pool, tenant).await.map_err(Error::Read)?;
    let read = async move {
        let events = copy(&mut connection, &condition).await;
        if events.is_err() {
            connection.close_on_drop();
        }
        events
    };
    tokio::spawn(read).await.map_err(Error::Task)?
}

async fn copy(
    connection: &mut PgConnection,
    condition: &str,
) -> Result<Vec<Result<Recorded, Damaged>>, Error> {
    let statement = format!("copy (select {COLUMNS} from kvali.event {condition}) to stdout binary");
    let mut chunks = connection.copy_out_raw(&statement).await.map_err(Error::Read)?;
    let mut events = Vec::new();
    let mut bytes = Vec::with_capacity(CHUNK);
    let mut header = HEADER.len();
    while let Some(chunk) = chunks.try_next().await.map_err(Error::Read)? {
        let skipped = header.min(chunk.len());
        header -= skipped;
        bytes.extend_from_slice(&chunk[skipped..]);
        if bytes.len() >= CHUNK {
            let used = decode(&bytes, &mut events)?;
            bytes.drain(..used);
        }
    }
    decode(&bytes, &mut events)?;
    Ok(events)
}

/// Decodes the rows that have come whole; answers with their bytes.
fn decode(bytes: &[u8], events: &mut Vec<Result<Recorded, Damaged>>) -> Result<usize, Error> {
    let mut rest = bytes;
    while let Some((mut fields, after)) = next_row(rest) {
        events.push(recorded(&mut fields)?);
        rest = after;
    }
    Ok(bytes.len() - rest.len())
}

/// The fields of the next row, and what follows it; `None` if it has not come whole, and at the trailer.
fn next_row(bytes: &[u8]) -> Option<(Fields<'_>, &[u8])> {
    let (count, fields) = bytes.split_first_chunk::<2>()?;
    let mut rest = fields;
    for _ in 0..u16::try_from(i16::from_be_bytes(*count)).ok()? {
        let (length, value) = rest.split_first_chunk::<4>()?;
        rest = value.get(usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0)..)?;
    }
    Some((Fields(fields), rest))
}

/// The values of one row that are still to be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn optional(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length));
        let (value, rest) = rest.split_at(length.unwrap_or(0));
        self.0 = rest;
        length.is_ok().then_some(value)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.optional()
            .and_then(|value| value.try_into().ok())
            .ok_or_else(|| malformed("a fixed-length value"))
    }

    fn id(&mut self) -> Result<Uuid, Error> {
        self.fixed().map(Uuid::from_bytes)
    }

    fn optional_id(&mut self) -> Result<Option<Uuid>, Error> {
        self.optional().map(|value| Uuid::from_slice(value).map_err(|_| malformed("an id"))).transpose()
    }

    fn optional_time(&mut self) -> Result<Option<DateTime<Utc>>, Error> {
        let Some(value) = self.optional() else { return Ok(None) };
        let micros = value.try_into().ok().map(i64::from_be_bytes);
        let time = micros.and_then(|micros| DateTime::from_timestamp_micros(micros.checked_add(EPOCH)?));
        time.map(Some).ok_or_else(|| malformed("a time"))
    }

    fn optional_text(&mut self) -> Result<Option<&'a str>, Error> {
        self.optional().map(|value| std::str::from_utf8(value).map_err(|_| malformed("a text"))).transpose()
    }

    fn text(&mut self) -> Result<&'a str, Error> {
        self.optional_text()?.ok_or_else(|| malformed("a text"))
    }
}

/// What tells an event's place must be there; what cannot be read of the rest is the event's own damage.
fn recorded(row: &mut Fields<'_>) -> Result<Result<Recorded, Damaged>, Error> {
    let tenant = TenantId(row.id()?);
    let position = i64::from_be_bytes(row.fixed()?);
    let stream = StreamId(row.id()?);
    let event = placed(row, tenant, position, stream);
    Ok(event.map_err(|error| Damaged { position, stream, error }))
}

fn placed(
    row: &mut Fields<'_>,
    tenant: TenantId,
    position: i64,
    stream: StreamId,
) -> Result<Recorded, Error> {
    let unknown = |unknown: Unknown| unknown.at(position);
    Ok(Recorded {
        tenant,
        position,
        stream,
        version: i32::from_be_bytes(row.fixed()?),
        event_id: EventId(row.id()?),
        event_type: row.text()?.to_owned(),
        schema_version: i16::from_be_bytes(row.fixed()?),
        occurred: {
            let at = row.optional_time()?;
            occurred(row.text()?, at, row.optional_text()?).map_err(unknown)?
        },
        recorded_at: row.optional_time()?.ok_or_else(|| malformed("a time"))?,
        actor: ActorId(row.id()?),
        on_behalf_of: row.optional_id()?.map(ActorId),
        channel: {
            let channel = row.text()?;
            channel.parse().map_err(|_| unknown(Unknown::new("channel", channel)))?
        },
        reason_code: row.optional_text()?.map(str::to_owned),
        command: CommandId(row.id()?),
        correlation: row.id()?,
        causation: row.optional_id()?.map(EventId),
        data: row.text()?.to_owned(),
        personal: row.optional().map(<[u8]>::to_vec),
    })
}

fn malformed(what: &'static str) -> Error {
    Error::Read(sqlx::Error::Protocol(format!("binary COPY of the log: {what} was expected")))
}
