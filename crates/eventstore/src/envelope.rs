//! Who sends a command, by which path, and when it happened.

use chrono::{DateTime, Utc};
use kvali_domain::access::Reaches;
use kvali_domain::{ActorId, Channel, CommandId, EventId, Occurred, TenantId, Version};
use uuid::Uuid;

/// Everything about a command that is not the order itself.
#[derive(Clone, Debug)]
pub struct Envelope {
    pub tenant: TenantId,
    /// A retry bears the same id and gets the first outcome.
    pub command_id: CommandId,
    pub actor: ActorId,
    pub on_behalf_of: Option<ActorId>,
    pub channel: Channel,
    pub reason_code: Option<String>,
    pub correlation: Uuid,
    pub causation: Option<EventId>,
    /// The edge's clock when the command came in.
    pub now: DateTime<Utc>,
    /// Back-dated business time; `None` means now, by the log's clock.
    pub occurred: Option<Occurred>,
    /// Refuse unless the stream is at this version.
    pub expected_version: Option<Version>,
    /// What proved the sender's identity; kept for the audit trail with the two below.
    pub credential: Option<String>,
    pub request_id: Option<String>,
    pub source_address: Option<String>,
    /// Whose records the sender may see and change.
    pub reaches: Reaches,
}

impl Envelope {
    /// A command sent now, in its own name.
    pub fn new(
        tenant: TenantId,
        command_id: CommandId,
        actor: ActorId,
        channel: Channel,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            tenant,
            command_id,
            actor,
            on_behalf_of: None,
            channel,
            reason_code: None,
            correlation: command_id.0,
            causation: None,
            now,
            occurred: None,
            expected_version: None,
            credential: None,
            request_id: None,
            source_address: None,
            reaches: Reaches::default(),
        }
    }

    /// The same, at a past business time.
    #[must_use]
    pub fn occurred(mut self, occurred: Occurred) -> Self {
        self.occurred = Some(occurred);
        self
    }

    /// When it happened; `recorded_at` unless it is back-dated.
    pub(crate) fn occurred_by(&self, recorded_at: DateTime<Utc>) -> Occurred {
        self.occurred.unwrap_or(Occurred::Instant { at: recorded_at })
    }
}
