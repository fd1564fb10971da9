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

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
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
    LeadId,
    ContactId,
    CompanyId,
    DealId,
    TaskId,
    MeetingId,
    CallId,
    ConversationId,
    NoteId,
    ProductId,
    PipelineId,
    StageId,
    UserId,
    TeamId,
    LossReasonId,
    FieldId,
    SourceId,
    TagId,
    ActivityTypeId,
    TaskTemplateId,
    CalendarId,
    HandoverId,
    FunnelId,
    ApiKeyId,
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
streams!(
    LeadId,
    ContactId,
    CompanyId,
    DealId,
    TaskId,
    MeetingId,
    CallId,
    ConversationId,
    NoteId,
    ProductId,
    PipelineId,
    UserId,
    TeamId,
    CalendarId,
    HandoverId,
    FunnelId
);

impl SubjectId {
    /// A subject's own stream stands apart from the aggregate that bears the same id.
    pub fn stream(self) -> StreamId {
        StreamId(Uuid::new_v5(&self.0, b"subject"))
    }
}

macro_rules! subjects {
    ($($name:ident),+) => {$(
        impl From<$name> for SubjectId {
            fn from(id: $name) -> Self {
                Self(id.0)
            }
        }
    )+};
}
subjects!(
    UserId,
    LeadId,
    ContactId,
    CompanyId,
    DealId,
    TaskId,
    MeetingId,
    CallId,
    ConversationId,
    NoteId,
    HandoverId
);

/// What a task, a call or a note is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Lead(LeadId),
    Contact(ContactId),
    Company(CompanyId),
    Deal(DealId),
}

impl Target {
    pub fn stream(self) -> StreamId {
        match self {
            Self::Lead(id) => id.stream(),
            Self::Contact(id) => id.stream(),
            Self::Company(id) => id.stream(),
            Self::Deal(id) => id.stream(),
        }
    }
}

impl From<UserId> for ActorId {
    fn from(user: UserId) -> Self {
        Self(user.0)
    }
}
