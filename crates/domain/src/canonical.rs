//! Canonical bytes of an event, version 1: the leaf that an integrity proof hashes.
//!
//! `b"kvali-event"`, one version byte, then every column in the order below. Each value is a big-endian
//! `u32` length and that many bytes; an absent value is the length `0xFFFF_FFFF` alone. Integers are
//! big-endian two's complement of their column's width, times are `i64` microseconds since 1970 UTC,
//! identifiers are 16 bytes, texts are UTF-8, `data` and `personal` are the stored bytes.
//!
//! Columns: tenant, position (64 bit), stream, version (32), event id, event type, schema version (16),
//! occurred at\*, precision, zone\*, recorded at, actor, on behalf of\*, channel, reason code\*, command,
//! correlation, causation\*, data, personal\*. A star marks those that may be absent.
//!
//! Golden examples: `schemas/canonical/v1.json`.

use crate::Recorded;
use chrono::{DateTime, Utc};
use uuid::Uuid;

pub const VERSION: u8 = 1;
const MAGIC: &[u8] = b"kvali-event";
const ABSENT: u32 = u32::MAX;

/// The canonical bytes of `event`.
pub fn bytes(event: &Recorded) -> Vec<u8> {
    let mut out = Vec::with_capacity(384 + event.data.len() + event.personal.as_ref().map_or(0, Vec::len));
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    put_id(&mut out, Some(event.tenant.0));
    put(&mut out, Some(&event.position.to_be_bytes()));
    put_id(&mut out, Some(event.stream.0));
    put(&mut out, Some(&event.version.to_be_bytes()));
    put_id(&mut out, Some(event.event_id.0));
    put(&mut out, Some(event.event_type.as_bytes()));
    put(&mut out, Some(&event.schema_version.to_be_bytes()));
    put_time(&mut out, event.occurred.at());
    put(&mut out, Some(event.occurred.precision().as_bytes()));
    put(&mut out, event.occurred.zone().map(str::as_bytes));
    put_time(&mut out, Some(event.recorded_at));
    put_id(&mut out, Some(event.actor.0));
    put_id(&mut out, event.on_behalf_of.map(|actor| actor.0));
    put(&mut out, Some(event.channel.to_string().as_bytes()));
    put(&mut out, event.reason_code.as_deref().map(str::as_bytes));
    put_id(&mut out, Some(event.command.0));
    put_id(&mut out, Some(event.correlation));
    put_id(&mut out, event.causation.map(|event| event.0));
    put(&mut out, Some(event.data.as_bytes()));
    put(&mut out, event.personal.as_deref());
    out
}

fn put(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = value else { return out.extend_from_slice(&ABSENT.to_be_bytes()) };
    let length = u32::try_from(value.len()).expect("a column holds less than 1 GB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

fn put_id(out: &mut Vec<u8>, id: Option<Uuid>) {
    put(out, id.as_ref().map(|id| id.as_bytes().as_slice()));
}

fn put_time(out: &mut Vec<u8>, time: Option<DateTime<Utc>>) {
    put(out, time.map(|time| time.timestamp_micros().to_be_bytes()).as_ref().map(<[u8; 8]>::as_slice));
}
