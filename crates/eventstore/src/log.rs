//! One append: the arrays of one `CALL kvali.append`, and its verdicts.

mod wire;

use chrono::{DateTime, Utc};
use kvali_domain::{ActorId, CommandId, StreamId, TenantId, Version};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use std::collections::HashMap;
use uuid::Uuid;
use wire::{ClaimStep, NewCommand, NewEvent};

/// A command ready to be appended: decided, sealed, with everything that its acceptance depends on.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub command_id: CommandId,
    pub request_hash: [u8; 32],
    pub command_type: &'static str,
    pub stream: StreamId,
    pub actor: ActorId,
    pub on_behalf_of: Option<ActorId>,
    pub channel: String,
    pub reason_code: Option<String>,
    pub correlation: Uuid,
    pub causation: Option<Uuid>,
    pub credential: Option<String>,
    pub request_id: Option<String>,
    pub source_address: Option<String>,
    /// Of a command that the rules refuse: it is recorded and appends nothing.
    pub refusal: Option<RefusalRow>,
    pub needs: Vec<Need>,
    pub claims: Vec<ClaimRow>,
    pub steps: Vec<TallyStep>,
    pub events: Vec<EventRow>,
}

#[derive(Clone, Debug)]
pub(crate) struct RefusalRow {
    pub id: Uuid,
    pub code: String,
    pub detail: String,
}

/// The version that a stream must be at, and how many events the command adds to it (0: merely read).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Need {
    pub stream: StreamId,
    pub version: Version,
    pub adds: i32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ClaimRow {
    pub op: &'static str,
    /// Whether it can be refused.
    pub demand: bool,
    pub kind: &'static str,
    pub key: String,
    pub holder: StreamId,
}

/// One more, or one fewer, of those that a key counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TallyStep {
    pub kind: &'static str,
    pub key: String,
    pub adds: i32,
}

#[derive(Clone, Debug)]
pub(crate) struct EventRow {
    pub stream: StreamId,
    pub version: Version,
    pub id: Uuid,
    pub event_type: &'static str,
    pub schema_version: i16,
    /// `None`: now, by the log's clock (or never, when the precision is unknown).
    pub occurred_at: Option<DateTime<Utc>>,
    pub precision: &'static str,
    pub zone: Option<&'static str>,
    pub data: String,
    pub personal: Option<Vec<u8>>,
}

/// What became of one command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Accepted {
        first_position: Option<i64>,
        event_count: i32,
        recorded_at: DateTime<Utc>,
    },
    /// The id was bound before, to this very request: its first outcome.
    Known {
        first_position: Option<i64>,
        event_count: i32,
    },
    /// The id was bound before, to another request.
    IdReused,
    Conflict,
    /// The claim in the way, by its place among the command's claims; who holds it, or how many it counts.
    Claimed {
        claim: usize,
        holder: Option<StreamId>,
        counted: Option<i64>,
    },
    RefusalRecorded,
}

impl Verdict {
    /// Otherwise the command is to be decided again.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Conflict | Self::Claimed { .. })
    }
}

const CALL: &str = "call kvali.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

/// Appends `commands` in one call. They are accepted or refused each on its own; an `Err` leaves the fate of
/// all of them unknown.
pub(crate) async fn append(
    connection: &mut PgConnection,
    tenant: TenantId,
    commands: &[&Prepared],
) -> Result<Vec<Verdict>, sqlx::Error> {
    let (mut events, mut claims) = (Vec::with_capacity(commands.len()), Vec::new());
    let mut needs = Needs::of(commands.len());
    let mut tallies = Tallies::default();
    for (cmd, command) in (1..).zip(commands.iter().copied()) {
        events.extend(command.events.iter().map(|event| NewEvent { cmd, command, event }));
        claims.extend(command.claims.iter().map(|claim| ClaimStep { cmd, claim }));
        command.needs.iter().for_each(|need| needs.push(cmd, *need));
        command.steps.iter().for_each(|step| tallies.push(cmd, step));
    }
    let row = sqlx::query(CALL)
        .bind(tenant.0)
        .bind(commands.iter().map(|command| NewCommand(command)).collect::<Vec<_>>())
        .bind(events)
        .bind(needs.streams)
        .bind(needs.starts)
        .bind(needs.cmds)
        .bind(needs.places)
        .bind(needs.versions)
        .bind(needs.adds)
        .bind(claims)
        .bind(tallies.kinds)
        .bind(tallies.keys)
        .bind(tallies.sums)
        .bind(tallies.cmds)
        .bind(tallies.places)
        .bind(tallies.adds)
        .fetch_one(connection)
        .await?;
    verdicts(&row, commands)
}

/// The conditions of one call: each stream once, with the version that it must be at before, and column by
/// column what every command needs.
struct Needs {
    streams: Vec<Uuid>,
    starts: Vec<Version>,
    cmds: Vec<i32>,
    places: Vec<i32>,
    versions: Vec<Version>,
    adds: Vec<i32>,
    /// Place among the streams, from 0, and the version that the needs so far lead to.
    reached: HashMap<StreamId, (usize, Version)>,
}

impl Needs {
    fn of(commands: usize) -> Self {
        Self {
            streams: Vec::with_capacity(commands),
            starts: Vec::with_capacity(commands),
            cmds: Vec::with_capacity(commands),
            places: Vec::with_capacity(commands),
            versions: Vec::with_capacity(commands),
            adds: Vec::with_capacity(commands),
            reached: HashMap::with_capacity(commands),
        }
    }

    fn push(&mut self, cmd: i32, need: Need) {
        let (place, version) = self.reached.entry(need.stream).or_insert_with(|| {
            self.streams.push(need.stream.0);
            self.starts.push(need.version);
            (self.starts.len() - 1, need.version)
        });
        if *version != need.version {
            // The needs do not follow from one another: no stream is ever at this version, so that the call is
            // judged command by command.
            self.starts[*place] = -1;
        }
        *version = need.version + need.adds;
        self.cmds.push(cmd);
        self.places.push(i32::try_from(*place + 1).expect("a call has few streams"));
        self.versions.push(need.version);
        self.adds.push(need.adds);
    }
}

/// The counting of one call: each key once, with the sum of its steps, and the steps.
#[derive(Default)]
struct Tallies<'a> {
    kinds: Vec<&'static str>,
    keys: Vec<&'a str>,
    sums: Vec<i32>,
    cmds: Vec<i32>,
    places: Vec<i32>,
    adds: Vec<i32>,
    known: HashMap<(&'static str, &'a str), usize>,
}

impl<'a> Tallies<'a> {
    fn push(&mut self, cmd: i32, step: &'a TallyStep) {
        let place = *self.known.entry((step.kind, &step.key)).or_insert_with(|| {
            self.kinds.push(step.kind);
            self.keys.push(&step.key);
            self.sums.push(0);
            self.sums.len() - 1
        });
        self.sums[place] += step.adds;
        self.cmds.push(cmd);
        self.places.push(i32::try_from(place + 1).expect("a call counts few keys"));
        self.adds.push(step.adds);
    }
}

fn verdicts(row: &PgRow, commands: &[&Prepared]) -> Result<Vec<Verdict>, sqlx::Error> {
    let head: i64 = row.try_get("r_head")?;
    let recorded_at = row.try_get("r_recorded")?;
    let judged: Option<Judged> = match row.try_get("r_verdict")? {
        None => None,
        Some(verdicts) => Some(Judged {
            verdicts,
            positions: row.try_get("r_position")?,
            counts: row.try_get("r_count")?,
            claims: row.try_get("r_claim")?,
            holders: row.try_get("r_holder")?,
            counted: row.try_get("r_counted")?,
        }),
    };
    let mut next_position = head + 1;
    let mut claims_before = 0;
    let verdict = |(at, command): (usize, &&Prepared)| {
        let own_claims_start = claims_before;
        claims_before += command.claims.len();
        if let Some(judged) = judged.as_ref().filter(|judged| judged.verdicts[at] != 0) {
            return judged.verdict(at, own_claims_start);
        }
        let event_count = event_count(command);
        let first_position = (event_count > 0).then_some(next_position);
        next_position += i64::from(event_count);
        Verdict::Accepted { first_position, event_count, recorded_at }
    };
    Ok(commands.iter().enumerate().map(verdict).collect())
}

/// What the procedure says of each command when it did not simply accept all of them.
struct Judged {
    verdicts: Vec<i16>,
    positions: Vec<Option<i64>>,
    counts: Vec<Option<i32>>,
    claims: Vec<Option<i32>>,
    holders: Vec<Option<Uuid>>,
    counted: Vec<Option<i64>>,
}

impl Judged {
    fn verdict(&self, at: usize, own_claims_start: usize) -> Verdict {
        match self.verdicts[at] {
            1 => Verdict::Known {
                first_position: self.positions[at],
                event_count: self.counts[at].unwrap_or_default(),
            },
            2 => Verdict::IdReused,
            4 => Verdict::Claimed {
                claim: self.claims[at]
                    .map_or(0, |nth| usize::try_from(nth - 1).unwrap_or(0) - own_claims_start),
                holder: self.holders[at].map(StreamId),
                counted: self.counted[at],
            },
            5 => Verdict::RefusalRecorded,
            _ => Verdict::Conflict,
        }
    }
}

fn event_count(command: &Prepared) -> i32 {
    i32::try_from(command.events.len()).expect("a command has few events")
}
