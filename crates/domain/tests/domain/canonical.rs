//! Canonical bytes are what the golden examples say, and no two events share them.

use chrono::{DateTime, Utc};
use kvali_domain::{ActorId, Channel, CommandId, EventId, Occurred, Recorded, StreamId, TenantId, canonical};
use proptest::prelude::*;
use serde::Deserialize;
use std::fmt::Write as _;
use uuid::Uuid;

const EXAMPLES: &str = include_str!("../../../../schemas/canonical/v1.json");

#[derive(Deserialize)]
struct Example {
    name: String,
    event: Columns,
    hex: String,
}

/// The columns of an event as readable JSON; `personal` is hexadecimal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    tenant: TenantId,
    position: i64,
    stream: StreamId,
    version: i32,
    event_id: EventId,
    event_type: String,
    schema_version: i16,
    occurred: Occurred,
    recorded_at: DateTime<Utc>,
    actor: ActorId,
    on_behalf_of: Option<ActorId>,
    channel: String,
    reason_code: Option<String>,
    command: CommandId,
    correlation: Uuid,
    causation: Option<EventId>,
    data: String,
    personal: Option<String>,
}

impl Columns {
    fn recorded(self) -> Recorded {
        Recorded {
            tenant: self.tenant,
            position: self.position,
            stream: self.stream,
            version: self.version,
            event_id: self.event_id,
            event_type: self.event_type,
            schema_version: self.schema_version,
            occurred: self.occurred,
            recorded_at: self.recorded_at,
            actor: self.actor,
            on_behalf_of: self.on_behalf_of,
            channel: self.channel.parse().expect("a channel"),
            reason_code: self.reason_code,
            command: self.command,
            correlation: self.correlation,
            causation: self.causation,
            data: self.data,
            personal: self.personal.map(|hex| unhex(&hex)),
        }
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    })
}

fn examples() -> Vec<Example> {
    serde_json::from_str(EXAMPLES).expect("a list of examples")
}

#[test]
fn every_golden_example_has_its_bytes() {
    for example in examples() {
        assert_eq!(hex(&canonical::bytes(&example.event.recorded())), example.hex, "{}", example.name);
    }
}

#[test]
fn the_examples_show_every_optional_column_with_and_without_a_value() {
    type Column = (&'static str, fn(&Recorded) -> bool);
    let columns: [Column; 6] = [
        ("occurred_at", |event| event.occurred.at().is_some()),
        ("zone", |event| event.occurred.zone().is_some()),
        ("on_behalf_of", |event| event.on_behalf_of.is_some()),
        ("reason_code", |event| event.reason_code.is_some()),
        ("causation", |event| event.causation.is_some()),
        ("personal", |event| event.personal.is_some()),
    ];
    let events: Vec<Recorded> = examples().into_iter().map(|example| example.event.recorded()).collect();
    for (name, has) in columns {
        assert!(events.iter().any(has), "no example has {name}");
        assert!(!events.iter().all(has), "no example lacks {name}");
    }
    for precision in ["instant", "day", "unknown"] {
        assert!(events.iter().any(|event| event.occurred.precision() == precision), "{precision}");
    }
    assert!(events.iter().any(|event| !event.data.is_ascii()));
}

/// The columns of canonical bytes, taken apart by their length prefixes alone.
fn taken_apart(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut rest = bytes.strip_prefix(b"kvali-event\x01").expect("magic and version");
    let mut columns = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length);
        let (column, tail) = match usize::try_from(length).expect("32 bits") {
            _ if length == u32::MAX => (None, tail),
            length => (Some(tail[..length].to_vec()), &tail[length..]),
        };
        columns.push(column);
        rest = tail;
    }
    assert!(rest.is_empty(), "bytes are left over");
    columns
}

fn a_time() -> impl Strategy<Value = DateTime<Utc>> {
    (-2_000_000_000_000_000_i64..4_000_000_000_000_000)
        .prop_map(|micros| DateTime::from_timestamp_micros(micros).expect("between 1906 and 2096"))
}

fn an_occurred() -> impl Strategy<Value = Occurred> {
    let zone = prop_oneof![Just(chrono_tz::Asia::Tbilisi), Just(chrono_tz::Europe::Berlin)];
    prop_oneof![
        a_time().prop_map(|at| Occurred::Instant { at }),
        (a_time(), zone).prop_map(|(at, zone)| Occurred::Day { at, zone }),
        Just(Occurred::Unknown),
    ]
}

fn a_channel() -> impl Strategy<Value = Channel> {
    prop_oneof![
        Just(Channel::Ui),
        Just(Channel::Import),
        ("[a-z@]{1,5}", any::<u32>()).prop_map(|(rule, version)| Channel::Automation { rule, version }),
    ]
}

fn an_id() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

prop_compose! {
    /// Texts are short and alike, so that columns would run into each other if they could.
    fn an_event()(
        ids in prop::array::uniform7(an_id()),
        maybe in (prop::option::of(an_id()), prop::option::of(an_id())),
        (position, version, schema_version) in any::<(i64, i32, i16)>(),
        (occurred, recorded_at, channel) in (an_occurred(), a_time(), a_channel()),
        (event_type, data) in ("[ab]{0,3}", "[abე]{0,3}"),
        reason_code in prop::option::of("[ab]{0,3}"),
        personal in prop::option::of(prop::collection::vec(97_u8..99, 0..3)),
    ) -> Recorded {
        let [tenant, stream, event_id, actor, command, correlation, _] = ids;
        Recorded {
            tenant: TenantId(tenant),
            position,
            stream: StreamId(stream),
            version,
            event_id: EventId(event_id),
            event_type,
            schema_version,
            occurred,
            recorded_at,
            actor: ActorId(actor),
            on_behalf_of: maybe.0.map(ActorId),
            channel,
            reason_code,
            command: CommandId(command),
            correlation,
            causation: maybe.1.map(EventId),
            data,
            personal,
        }
    }
}

/// `event` with one column, by number, taken from `other`.
fn with_column(event: &Recorded, column: usize, other: &Recorded) -> Recorded {
    let (mut mixed, other) = (event.clone(), other.clone());
    match column {
        0 => mixed.tenant = other.tenant,
        1 => mixed.position = other.position,
        2 => mixed.stream = other.stream,
        3 => mixed.version = other.version,
        4 => mixed.event_id = other.event_id,
        5 => mixed.event_type = other.event_type,
        6 => mixed.schema_version = other.schema_version,
        7 => mixed.occurred = other.occurred,
        8 => mixed.recorded_at = other.recorded_at,
        9 => mixed.actor = other.actor,
        10 => mixed.on_behalf_of = other.on_behalf_of,
        11 => mixed.channel = other.channel,
        12 => mixed.reason_code = other.reason_code,
        13 => mixed.command = other.command,
        14 => mixed.correlation = other.correlation,
        15 => mixed.causation = other.causation,
        16 => mixed.data = other.data,
        _ => mixed.personal = other.personal,
    }
    mixed
}

proptest! {
    #[test]
    fn distinct_events_have_distinct_bytes(event in an_event(), other in an_event(), column in 0_usize..18) {
        let mixed = with_column(&event, column, &other);
        prop_assert_eq!(event == mixed, canonical::bytes(&event) == canonical::bytes(&mixed));
    }

    #[test]
    fn bytes_come_apart_into_the_columns_they_were_made_of(event in an_event()) {
        let micros = |time: DateTime<Utc>| time.timestamp_micros().to_be_bytes().to_vec();
        let id = |id: Uuid| id.as_bytes().to_vec();
        let text = |text: &str| text.as_bytes().to_vec();
        let columns = vec![
            Some(id(event.tenant.0)),
            Some(event.position.to_be_bytes().to_vec()),
            Some(id(event.stream.0)),
            Some(event.version.to_be_bytes().to_vec()),
            Some(id(event.event_id.0)),
            Some(text(&event.event_type)),
            Some(event.schema_version.to_be_bytes().to_vec()),
            event.occurred.at().map(micros),
            Some(text(event.occurred.precision())),
            event.occurred.zone().map(text),
            Some(micros(event.recorded_at)),
            Some(id(event.actor.0)),
            event.on_behalf_of.map(|actor| id(actor.0)),
            Some(text(&event.channel.to_string())),
            event.reason_code.as_deref().map(text),
            Some(id(event.command.0)),
            Some(id(event.correlation)),
            event.causation.map(|event| id(event.0)),
            Some(text(&event.data)),
            event.personal.clone(),
        ];
        prop_assert_eq!(taken_apart(&canonical::bytes(&event)), columns);
    }

    #[test]
    fn a_channel_is_read_as_it_is_written(channel in a_channel()) {
        prop_assert_eq!(channel.to_string().parse::<Channel>(), Ok(channel));
    }
}

#[test]
fn a_channel_that_is_none_is_told_which_there_are() {
    for text in ["", "UI", "automation", "automation:x", "automation:x@", "automation:x@-1", "automation:x@y"]
    {
        let refused = text.parse::<Channel>().expect_err("no channel");
        assert!(refused.to_string().contains("ui, api, cli, import, timer, automation:RULE@VERSION"));
    }
}
