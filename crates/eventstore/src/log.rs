//! One append: the arrays of one `CALL kvali.append`, and its verdicts.

use chrono::{DateTime, Utc};
use kvali_domain::{ActorId, CommandId, StreamId, TenantId, Version};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// A command ready to be appended: decided, sealed, with everything that its acceptance depends on.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub command_id: CommandId,
    pub request_hash: [u8; 32],
    pub command_type: String,
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
    pub kind: &'static str,
    pub key: String,
    pub holder: StreamId,
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
    /// The claim in the way, by its place among the command's claims, and who holds it.
    Claimed {
        claim: usize,
        holder: Option<StreamId>,
    },
    RefusalRecorded,
}

const CALL: &str = "call kvali.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
     $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38)";

/// Appends `commands` in one call. They are accepted or refused each on its own; an `Err` leaves the fate of
/// all of them unknown.
pub(crate) async fn append(
    connection: &mut PgConnection,
    tenant: TenantId,
    commands: &[&Prepared],
) -> Result<Vec<Verdict>, sqlx::Error> {
    fn numbered<'a, T: 'a>(
        commands: &[&'a Prepared],
        of: impl Fn(&'a Prepared) -> &'a [T],
    ) -> impl Iterator<Item = (i32, &'a Prepared, &'a T)> {
        let numbered = (1..).zip(commands.iter().copied());
        numbered.flat_map(move |(n, command)| of(command).iter().map(move |item| (n, command, item)))
    }
    macro_rules! column {
        ($rows:expr, $value:expr) => {
            $rows.map($value).collect::<Vec<_>>()
        };
    }
    let all = || commands.iter().copied();
    let needs = || numbered(commands, |command| &command.needs);
    let claims = || numbered(commands, |command| &command.claims);
    let events = || numbered(commands, |command| &command.events);
    let row = sqlx::query(CALL)
        .bind(tenant.0)
        .bind(column!(all(), |c| c.command_id.0))
        .bind(column!(all(), |c| c.request_hash.as_slice()))
        .bind(column!(all(), |c| c.command_type.as_str()))
        .bind(column!(all(), |c| c.stream.0))
        .bind(column!(all(), |c| c.actor.0))
        .bind(column!(all(), |c| c.credential.as_deref()))
        .bind(column!(all(), |c| c.request_id.as_deref()))
        .bind(column!(all(), |c| c.source_address.as_deref()))
        .bind(column!(all(), |c| i32::try_from(c.events.len()).expect("a command has few events")))
        .bind(column!(all(), |c| c.refusal.as_ref().map(|refusal| refusal.id)))
        .bind(column!(all(), |c| c.refusal.as_ref().map(|refusal| refusal.code.as_str())))
        .bind(column!(all(), |c| c.refusal.as_ref().map(|refusal| refusal.detail.as_str())))
        .bind(column!(needs(), |(n, _, _)| n))
        .bind(column!(needs(), |(_, _, need)| need.stream.0))
        .bind(column!(needs(), |(_, _, need)| need.version))
        .bind(column!(needs(), |(_, _, need)| need.adds))
        .bind(column!(claims(), |(n, _, _)| n))
        .bind(column!(claims(), |(_, _, claim)| claim.op))
        .bind(column!(claims(), |(_, _, claim)| claim.kind))
        .bind(column!(claims(), |(_, _, claim)| claim.key.as_str()))
        .bind(column!(claims(), |(_, _, claim)| claim.holder.0))
        .bind(column!(events(), |(n, _, _)| n))
        .bind(column!(events(), |(_, _, event)| event.stream.0))
        .bind(column!(events(), |(_, _, event)| event.version))
        .bind(column!(events(), |(_, _, event)| event.id))
        .bind(column!(events(), |(_, _, event)| event.event_type))
        .bind(column!(events(), |(_, _, event)| event.schema_version))
        .bind(column!(events(), |(_, _, event)| event.occurred_at))
        .bind(column!(events(), |(_, _, event)| event.precision))
        .bind(column!(events(), |(_, _, event)| event.zone))
        .bind(column!(events(), |(_, command, _)| command.on_behalf_of.map(|actor| actor.0)))
        .bind(column!(events(), |(_, command, _)| command.channel.as_str()))
        .bind(column!(events(), |(_, command, _)| command.reason_code.as_deref()))
        .bind(column!(events(), |(_, command, _)| command.correlation))
        .bind(column!(events(), |(_, command, _)| command.causation))
        .bind(column!(events(), |(_, _, event)| event.data.as_str()))
        .bind(column!(events(), |(_, _, event)| event.personal.as_deref()))
        .fetch_one(connection)
        .await?;
    verdicts(&row, commands)
}

fn verdicts(row: &sqlx::postgres::PgRow, commands: &[&Prepared]) -> Result<Vec<Verdict>, sqlx::Error> {
    let verdicts: Vec<i16> = row.try_get("r_verdict")?;
    let positions: Vec<Option<i64>> = row.try_get("r_position")?;
    let counts: Vec<i32> = row.try_get("r_count")?;
    let claims: Vec<Option<i32>> = row.try_get("r_claim")?;
    let holders: Vec<Option<Uuid>> = row.try_get("r_holder")?;
    let recorded_at = row.try_get("r_recorded")?;
    let mut claims_before = 0;
    let verdict = |(at, command): (usize, &&Prepared)| {
        let (first_position, event_count) = (positions[at], counts[at]);
        let own_claims_start = claims_before;
        claims_before += command.claims.len();
        match verdicts[at] {
            0 => Verdict::Accepted { first_position, event_count, recorded_at },
            1 => Verdict::Known { first_position, event_count },
            2 => Verdict::IdReused,
            4 => Verdict::Claimed {
                claim: claims[at].map_or(0, |nth| usize::try_from(nth - 1).unwrap_or(0) - own_claims_start),
                holder: holders[at].map(StreamId),
            },
            5 => Verdict::RefusalRecorded,
            _ => Verdict::Conflict,
        }
    };
    Ok(commands.iter().enumerate().map(verdict).collect())
}
