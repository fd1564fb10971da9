//! The shapes of what has no type of its own elsewhere, for the description. `scripts/schemathesis` holds answers of a
//! running server to them.

#![expect(dead_code, reason = "they are read by their derived schemas alone")]

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(JsonSchema)]
pub(crate) struct Nothing {}

/// Lines of text.
#[derive(JsonSchema)]
pub(crate) struct Text(String);

/// The fields of a command; see the command's own path.
#[derive(JsonSchema)]
pub(crate) struct AnyCommand(Map<String, Value>);

/// An answer of a read model, and what it rests on.
#[derive(JsonSchema)]
pub(crate) struct Answered<T> {
    answer: T,
    stands: Stands,
    /// Of the next page, also as `Kvali-Cursor`; null at the end, and where there are no pages.
    cursor: Option<String>,
}

#[derive(JsonSchema)]
struct Stands {
    /// The position of the log that the answer stands at.
    position: i64,
    /// T: the instant that it stands at.
    at: DateTime<Utc>,
    /// Streams that are missing in it, since an event of theirs could not be folded.
    parked_streams: i64,
}

/// A problem (RFC 9457).
#[derive(JsonSchema)]
pub(crate) struct Problem {
    /// Stable, as `code` is.
    r#type: String,
    title: String,
    status: u16,
    code: String,
    /// For people: what would be accepted.
    detail: String,
    /// The part of the request that is meant.
    #[schemars(default)]
    field: Option<String>,
    /// The stream's present version, where it stands in the way.
    #[schemars(default)]
    version: Option<i32>,
    /// The particulars of a refusal.
    #[schemars(default)]
    refusal: Option<Map<String, Value>>,
}

#[derive(JsonSchema)]
pub(crate) struct Ready {
    ready: bool,
    /// Why it is not.
    detail: Option<String>,
}

#[derive(JsonSchema)]
pub(crate) struct Me {
    tenant: Uuid,
    actor: Uuid,
    /// The key that was borne; null for a token of an identity provider.
    key: Option<Uuid>,
    /// What proved it, as the audit trail has it.
    credential: String,
    /// The first of the roles.
    role: Option<String>,
    roles: Vec<String>,
    /// When the key was last used before, to the minute.
    last_used: Option<String>,
    /// Each right, and up to whose records it reaches: own, team, all.
    permissions: BTreeMap<String, String>,
}

#[derive(JsonSchema)]
pub(crate) struct CommandAnswer {
    command: String,
    command_id: Uuid,
    /// The stream that the command was done to.
    id: Uuid,
    outcome: Outcome,
    /// Of the stream, after it; null where it caused nothing there.
    version: Option<i32>,
    /// Of the last event.
    position: Option<i64>,
    events: Vec<Event>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Outcome {
    Accepted,
    /// Nothing was left to do.
    AlreadySo,
}

#[derive(JsonSchema)]
struct Event {
    position: i64,
    id: Uuid,
    r#type: String,
    stream: Uuid,
    version: i32,
    data: Map<String, Value>,
}

/// What became of a record that is named by its external id.
#[derive(JsonSchema)]
pub(crate) struct Upserted {
    /// Of its stream.
    id: Uuid,
    /// `created`, `changed` or `unchanged`.
    outcome: String,
    version: Option<i32>,
    position: Option<i64>,
    /// What was sent for it, and what became of each.
    commands: Vec<CommandAnswer>,
}

#[derive(JsonSchema)]
pub(crate) struct Batch(#[schemars(length(max = 1000))] Vec<Item>);

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Item {
    /// Such as `deal`.
    aggregate: String,
    /// A UUID, or `-`.
    id: String,
    /// Such as `close-won`.
    command: String,
    #[schemars(default)]
    body: Option<Map<String, Value>>,
    #[schemars(default)]
    idempotency_key: Option<String>,
    #[schemars(default)]
    if_version: Option<i32>,
    #[schemars(default)]
    reason: Option<String>,
    #[schemars(default)]
    occurred_at: Option<DateTime<Utc>>,
}

/// What became of one command of a batch: `answer`, or `problem`.
#[derive(JsonSchema)]
pub(crate) struct Verdict {
    /// The status that it would have had alone.
    status: u16,
    #[schemars(default)]
    answer: Option<CommandAnswer>,
    #[schemars(default)]
    problem: Option<Problem>,
}

#[derive(JsonSchema)]
pub(crate) struct History {
    id: Uuid,
    version: i32,
    events: Vec<Told>,
}

#[derive(JsonSchema)]
struct Told {
    #[schemars(flatten)]
    event: Event,
    /// What it changed, field by field.
    changes: Vec<Change>,
}

/// Of one field, as far as its record's events say.
#[derive(JsonSchema)]
struct Change {
    /// Such as `owner`, `points.2.value`, `fields.ID`.
    field: String,
    before: Value,
    after: Value,
    /// Why a value is null: `masked` or `erased`.
    #[schemars(default)]
    withheld: Option<String>,
}

/// Where a subscription stands.
#[derive(JsonSchema)]
pub(crate) struct Subscription {
    name: String,
    types: Option<Vec<String>>,
    created_at: DateTime<Utc>,
    /// All events up to this position are done.
    checkpoint: String,
    /// Events that are leased now.
    in_hand: i64,
    /// Streams of which events wait for another try.
    behind_streams: i64,
    parked_streams: i64,
    lag: Lag,
}

#[derive(JsonSchema)]
struct Lag {
    events: i64,
    seconds: f64,
}

#[derive(JsonSchema)]
pub(crate) struct Acked {
    /// Events of the lease that are still to be done.
    left: i64,
}

#[derive(JsonSchema)]
pub(crate) struct GivenBack {
    #[schemars(rename = "given_back")]
    events: i64,
    /// Streams that are given up from now on.
    parked: Vec<Uuid>,
    left: i64,
}

#[derive(JsonSchema)]
pub(crate) struct Extended {
    leased_until: DateTime<Utc>,
}

#[derive(JsonSchema)]
pub(crate) struct Rewound {
    position: String,
}

#[derive(JsonSchema)]
pub(crate) struct ParkedStream {
    stream: Uuid,
    /// The event that could not be done.
    position: String,
    tries: i32,
    reason: Option<String>,
    parked_at: DateTime<Utc>,
}

#[derive(JsonSchema)]
pub(crate) struct Replayed {
    replayed: i64,
}

/// Entries of the audit trail, the newest first.
#[derive(JsonSchema)]
pub(crate) struct Trail {
    entries: Vec<Map<String, Value>>,
    /// Where to go on; null at the end.
    cursor: Option<String>,
    parked_streams: i64,
}

/// Where events are sent to, and how far it is.
#[derive(JsonSchema)]
pub(crate) struct Webhook {
    id: Uuid,
    url: String,
    types: Option<Vec<String>>,
    created_at: DateTime<Utc>,
    disabled_at: Option<DateTime<Utc>>,
    disabled_reason: Option<String>,
    /// Until when the secret before the present one signs too.
    previous_secret_until: Option<DateTime<Utc>>,
    checkpoint: String,
    behind_streams: i64,
    parked_streams: i64,
    lag: Lag,
}

#[derive(JsonSchema)]
pub(crate) struct NewWebhook {
    id: Uuid,
    url: String,
    types: Option<Vec<String>>,
    /// Shown this once.
    secret: String,
}

#[derive(JsonSchema)]
pub(crate) struct NewSecret {
    /// Shown this once.
    secret: String,
}

/// How many streams are sent again, or after which position all is.
#[derive(JsonSchema)]
pub(crate) struct SentAgain {
    #[schemars(default)]
    replayed: Option<i64>,
    #[schemars(default)]
    position: Option<String>,
}

/// One attempt.
#[derive(JsonSchema)]
pub(crate) struct Delivery {
    at: DateTime<Utc>,
    position: String,
    event: Uuid,
    /// 1 for the first.
    attempt: i32,
    took_ms: i32,
    /// Of the answer, if there was one.
    status: Option<i16>,
    failure: Option<String>,
}

/// Many commands that were sent at once.
#[derive(JsonSchema)]
pub(crate) struct Job {
    id: Uuid,
    /// `waiting`, `running`, `cancelling`, `finished`, `cancelled` or `stopped`.
    state: String,
    /// Why it was stopped.
    reason: Option<String>,
    /// `ndjson` or `csv`.
    format: String,
    /// The command of every row of a table.
    command: Option<String>,
    dry_run: bool,
    /// Who sent it.
    actor: Uuid,
    request_id: String,
    counts: Counts,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    /// Until when the verdicts can be read, once it has ended.
    kept_until: Option<DateTime<Utc>>,
}

#[derive(JsonSchema)]
struct Counts {
    rows: i32,
    /// The sum of the four below.
    done: i32,
    accepted: i32,
    already_so: i32,
    refused: i32,
    malformed: i32,
}

/// Rows with a verdict, in the order of their numbers.
#[derive(JsonSchema)]
pub(crate) struct JobRows {
    rows: Vec<JobRow>,
    /// Where to go on.
    after: i32,
    /// Whether there may be more by now.
    more: bool,
}

/// What became of a row: `answer`, or `problem`.
#[derive(JsonSchema)]
struct JobRow {
    /// From 1.
    row: i32,
    /// Where it begins in what was sent, from 1.
    line: i32,
    /// `accepted`, `already_so`, `refused` or `malformed`.
    verdict: String,
    /// The status that it would have had alone.
    status: u16,
    #[schemars(default)]
    answer: Option<CommandAnswer>,
    #[schemars(default)]
    problem: Option<Problem>,
}
