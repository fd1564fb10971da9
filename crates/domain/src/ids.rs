//! Typed identifiers; no bare `Uuid` crosses a module.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map($name)
            }
        }
    )+};
}

ids! {
    /// One organisation; every key in the database leads with it.
    TenantId,
    /// One stream of events: the history of one aggregate.
    StreamId,
    /// What makes a retried command the same command.
    CommandId,
    /// One event (`UUIDv7`; never an order key).
    EventId,
    /// Who acts: a user, or a technical account.
    ActorId,
    DealId,
    PipelineId,
    StageId,
    UserId,
    LossReasonId,
    /// The holder of one personal-data key: a person, an account or a note.
    SubjectId,
}

macro_rules! streams {
    ($($name:ident),+) => {$(
        impl $name {
            /// The stream that holds this aggregate's history.
            pub fn stream(self) -> StreamId {
                StreamId(self.0)
            }
        }
    )+};
}
streams!(DealId, PipelineId, UserId);

impl SubjectId {
    /// A subject's own stream stands apart from the aggregate that bears the same id.
    pub fn stream(self) -> StreamId {
        StreamId(Uuid::new_v5(&self.0, b"subject"))
    }
}

impl From<UserId> for SubjectId {
    fn from(user: UserId) -> Self {
        Self(user.0)
    }
}

impl From<DealId> for SubjectId {
    fn from(deal: DealId) -> Self {
        Self(deal.0)
    }
}

impl From<UserId> for ActorId {
    fn from(user: UserId) -> Self {
        Self(user.0)
    }
}
