//! Ids that follow from names, so that the same import, run twice, names the same things.

use kvali_domain::pipeline::folded;
use kvali_domain::{
    ActorId, CommandId, DealId, LossReasonId, PipelineId, StageId, StreamId, TenantId, UserId,
};
use uuid::Uuid;

/// Drawn once, never to change: every id below hangs on it.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f3c_52d6_1b0e_4c57_9a64_d2c1_7e90_ab35);

fn named(kind: &str, name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{kind}\u{1f}{name}").as_bytes())
}

/// A UUID is taken as it is, any other name maps to one.
pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId(Uuid::parse_str(name).unwrap_or_else(|_| named("tenant", name)))
}

pub(crate) fn pipeline(name: &str) -> PipelineId {
    PipelineId(named("pipeline", &folded(name)))
}

/// Names that differ in case or outer white space only are one stage, as in the pipeline's own rules.
pub(crate) fn stage(pipeline: PipelineId, name: &str) -> StageId {
    StageId(Uuid::new_v5(&pipeline.0, folded(name).as_bytes()))
}

pub(crate) fn deal(source: &str, external_id: &str) -> DealId {
    DealId(Uuid::new_v5(&named("source", source), external_id.as_bytes()))
}

/// A company, contact, lead or task that its source knows by that id.
pub(crate) fn record(kind: &str, source: &str, external_id: &str) -> Uuid {
    Uuid::new_v5(&named(kind, source), external_id.as_bytes())
}

pub(crate) fn loss_reason(code: &str) -> LossReasonId {
    LossReasonId(named("loss_reason", &folded(code)))
}

/// A user or account whose name is nobody's secret.
pub(crate) fn invented(kind: &str, name: &str) -> Uuid {
    named(kind, name)
}

pub(crate) fn invented_user(name: &str) -> UserId {
    UserId(invented("user", name))
}

/// Who acts where a file names nobody.
pub(crate) fn importer() -> ActorId {
    ActorId(named("actor", "import"))
}

/// The person at the terminal, as long as nobody logs in.
pub(crate) fn operator() -> ActorId {
    ActorId(named("actor", "cli"))
}

/// What a command with that id makes.
pub(crate) fn made_by(command: Uuid, what: &str) -> Uuid {
    Uuid::new_v5(&command, what.as_bytes())
}

/// What makes a command the same command when it comes again.
pub(crate) struct Fingerprint(blake3::Hash);

impl Fingerprint {
    /// Each part is hashed with its length, so that no two lists of parts read the same.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize())
    }

    /// Of a command that has no natural identity: the same command on the same version of its stream is the same.
    pub(crate) fn of_command(stream: StreamId, version: i32, command: &kvali_domain::Command) -> Self {
        let json = serde_json::to_vec(command).expect("commands hold no fallible values");
        Self::of(&[b"command", stream.0.as_bytes(), &version.to_be_bytes(), &json])
    }

    /// An id that can be guessed from the parts: for what holds nothing personal.
    pub(crate) fn id(&self) -> Uuid {
        let bytes = self.0.as_bytes().first_chunk::<16>().expect("a hash has 32 bytes");
        uuid::Builder::from_custom_bytes(*bytes).into_uuid()
    }

    pub(crate) fn command_id(&self) -> CommandId {
        CommandId(self.id())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What undoes the run of an import.
pub(crate) fn revert(import: Uuid) -> Uuid {
    named("revert", &import.to_string())
}
