//! What a program without Kvali would send: prepared single-row inserts, selects of a stream, COPY BINARY.

use crate::sales::{new_id, now};
use futures_util::TryStreamExt;
use kvali_domain::{CommandId, EventId, Recorded, StreamId, TenantId};
use sqlx::{PgConnection, Row};
use std::sync::atomic::{AtomicI64, Ordering};

const INSERT: &str = "insert into raw.event values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
     $16, $17, $18, $19::json, $20)";

const STREAM: &str = "select version, event_type, schema_version, occurred_at, precision, zone, data::text \
     from raw.event where tenant_id = $1 and stream_id = $2 order by version";

/// Far above the positions of rows copied from the log; unique, and free of charge for the raw side.
static POSITION: AtomicI64 = AtomicI64::new(1 << 40);

/// A row like `template`, for another place in the log.
pub fn row(template: &Recorded, tenant: TenantId, stream: StreamId, version: i32) -> Recorded {
    let command = CommandId(new_id());
    Recorded {
        tenant,
        position: POSITION.fetch_add(1, Ordering::Relaxed),
        stream,
        version,
        event_id: EventId(new_id()),
        recorded_at: now(),
        command,
        correlation: command.0,
        ..template.clone()
    }
}

/// One row in a transaction of its own.
pub async fn insert(connection: &mut PgConnection, row: &Recorded) {
    let done = sqlx::query(INSERT)
        .bind(row.tenant.0)
        .bind(row.position)
        .bind(row.stream.0)
        .bind(row.version)
        .bind(row.event_id.0)
        .bind(&row.event_type)
        .bind(row.schema_version)
        .bind(row.occurred.at())
        .bind(row.occurred.precision())
        .bind(row.occurred.zone())
        .bind(row.recorded_at)
        .bind(row.actor.0)
        .bind(row.on_behalf_of.map(|actor| actor.0))
        .bind(row.channel.to_string())
        .bind(&row.reason_code)
        .bind(row.command.0)
        .bind(row.correlation)
        .bind(row.causation.map(|event| event.0))
        .bind(&row.data)
        .bind(&row.personal)
        .execute(connection)
        .await;
    done.expect("the row is new");
}

/// Reads a stream, without decoding it; answers with its last version.
pub async fn select_stream(connection: &mut PgConnection, tenant: TenantId, stream: StreamId) -> i32 {
    let rows = sqlx::query(STREAM).bind(tenant.0).bind(stream.0).fetch_all(connection).await;
    rows.expect("the stream is read").last().expect("the stream exists").get("version")
}

/// Writes all rows with one `COPY … FROM STDIN BINARY`, encoded on the way.
pub async fn copy_in(connection: &mut PgConnection, rows: &[Recorded]) {
    let mut copy = connection.copy_in_raw("copy raw.event from stdin binary").await.expect("COPY starts");
    let mut buffer = Vec::with_capacity(CHUNK + 4096);
    buffer.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    for row in rows {
        encode(row, &mut buffer);
        if buffer.len() >= CHUNK {
            copy.send(buffer.as_slice()).await.expect("the server takes it");
            buffer.clear();
        }
    }
    buffer.extend_from_slice(&(-1_i16).to_be_bytes());
    copy.send(buffer.as_slice()).await.expect("the server takes it");
    copy.finish().await.expect("the rows are new");
}

const CHUNK: usize = 64 << 10;

fn encode(row: &Recorded, out: &mut Vec<u8>) {
    let time =
        |at: chrono::DateTime<chrono::Utc>| (at.timestamp_micros() - MICROS_1970_TO_2000).to_be_bytes();
    let channel = row.channel.to_string();
    out.extend_from_slice(&20_i16.to_be_bytes());
    put(out, Some(row.tenant.0.as_bytes()));
    put(out, Some(&row.position.to_be_bytes()));
    put(out, Some(row.stream.0.as_bytes()));
    put(out, Some(&row.version.to_be_bytes()));
    put(out, Some(row.event_id.0.as_bytes()));
    put(out, Some(row.event_type.as_bytes()));
    put(out, Some(&row.schema_version.to_be_bytes()));
    put(out, row.occurred.at().map(time).as_ref().map(<[u8; 8]>::as_slice));
    put(out, Some(row.occurred.precision().as_bytes()));
    put(out, row.occurred.zone().map(str::as_bytes));
    put(out, Some(&time(row.recorded_at)));
    put(out, Some(row.actor.0.as_bytes()));
    put(out, row.on_behalf_of.as_ref().map(|actor| actor.0.as_bytes().as_slice()));
    put(out, Some(channel.as_bytes()));
    put(out, row.reason_code.as_deref().map(str::as_bytes));
    put(out, Some(row.command.0.as_bytes()));
    put(out, Some(row.correlation.as_bytes()));
    put(out, row.causation.as_ref().map(|event| event.0.as_bytes().as_slice()));
    put(out, Some(row.data.as_bytes()));
    put(out, row.personal.as_deref());
}

/// Postgres counts microseconds from 2000-01-01.
const MICROS_1970_TO_2000: i64 = 946_684_800_000_000;

fn put(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = value else { return out.extend_from_slice(&(-1_i32).to_be_bytes()) };
    let length = i32::try_from(value.len()).expect("a column holds less than 1 GB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

/// Receives `source`, a table or a query in brackets, as binary COPY; counts bytes and looks at none.
pub async fn copy_out(connection: &mut PgConnection, source: &str) -> usize {
    let statement = format!("copy {source} to stdout binary");
    let mut chunks = connection.copy_out_raw(&statement).await.expect("COPY starts");
    let mut bytes = 0;
    while let Some(chunk) = chunks.try_next().await.expect("the server sends it") {
        bytes += chunk.len();
    }
    bytes
}

/// Copies rows of the log, so that both sides start from the same streams.
pub async fn take_over(connection: &mut PgConnection, tenants: &[TenantId], streams: &[StreamId]) {
    let tenants: Vec<_> = tenants.iter().map(|tenant| tenant.0).collect();
    let streams: Vec<_> = streams.iter().map(|stream| stream.0).collect();
    let copied = sqlx::query(
        "insert into raw.event select * from kvali.event where tenant_id = any($1) and stream_id = any($2) order by position",
    )
    .bind(tenants)
    .bind(streams)
    .execute(connection)
    .await;
    copied.expect("the streams are new to the raw table");
}
