//! The composite types of `schemas/sql/0004_append.sql`, field by field in their order.

use super::{ClaimRow, EventRow, Prepared, event_count};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::{Oid, PgRecordEncoder};
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo};
use sqlx::{Encode, Postgres, Type};

pub(super) struct NewCommand<'a>(pub &'a Prepared);

pub(super) struct NewEvent<'a> {
    pub cmd: i32,
    pub command: &'a Prepared,
    pub event: &'a EventRow,
}

pub(super) struct ClaimStep<'a> {
    pub cmd: i32,
    pub claim: &'a ClaimRow,
}

macro_rules! composite {
    ($rust:ty = $sql:literal, $row:ident => $($field:expr),+ $(,)?) => {
        impl Type<Postgres> for $rust {
            fn type_info() -> PgTypeInfo {
                PgTypeInfo::with_name($sql)
            }
        }

        impl PgHasArrayType for $rust {
            fn array_type_info() -> PgTypeInfo {
                PgTypeInfo::array_of($sql)
            }
        }

        impl Encode<'_, Postgres> for $rust {
            fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
                let $row = self;
                let mut record = PgRecordEncoder::new(buffer);
                $(record.encode($field)?;)+
                record.finish();
                Ok(IsNull::No)
            }
        }
    };
}

composite!(NewCommand<'_> = "kvali.new_command", row =>
    row.0.command_id.0,
    row.0.request_hash.as_slice(),
    row.0.command_type,
    row.0.stream.0,
    row.0.actor.0,
    row.0.credential.as_deref(),
    row.0.request_id.as_deref(),
    row.0.source_address.as_deref(),
    event_count(row.0),
    row.0.refusal.as_ref().map(|refusal| refusal.id),
    row.0.refusal.as_ref().map(|refusal| refusal.code.as_str()),
    row.0.refusal.as_ref().map(|refusal| Json(&refusal.detail)),
);

composite!(NewEvent<'_> = "kvali.new_event", row =>
    row.cmd,
    row.command.command_id.0,
    row.command.actor.0,
    row.event.stream.0,
    row.event.version,
    row.event.id,
    row.event.event_type,
    row.event.schema_version,
    row.event.occurred_at,
    row.event.precision,
    row.event.zone,
    row.command.on_behalf_of.map(|actor| actor.0),
    row.command.channel.as_str(),
    row.command.reason_code.as_deref(),
    row.command.correlation,
    row.command.causation,
    Json(&row.event.data),
    row.event.personal.as_deref(),
);

composite!(ClaimStep<'_> = "kvali.claim_step", row =>
    row.cmd,
    row.claim.op,
    row.claim.kind,
    row.claim.key.as_str(),
    row.claim.holder.0,
);

/// A text that is sent as `json`, byte for byte.
struct Json<'a>(&'a str);

impl Type<Postgres> for Json<'_> {
    fn type_info() -> PgTypeInfo {
        const JSON: Oid = Oid(114);
        PgTypeInfo::with_oid(JSON)
    }
}

impl Encode<'_, Postgres> for Json<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}
