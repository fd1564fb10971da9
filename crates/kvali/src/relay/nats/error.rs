//! Why nothing goes on to NATS.

use async_nats::ConnectError;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, PublishError,
};
use async_nats::jetstream::stream::{InfoError, LastRawMessageError};
use kvali_eventstore::subscribe::SubscribeError;
use std::io;
use std::path::PathBuf;

#[derive(thiserror::Error, Debug)]
pub(crate) enum RelayError {
    #[error(
        "cannot connect to NATS at {servers}; look at the address and, with TLS, at --tls-ca, --tls-cert and --tls-key"
    )]
    Connect { servers: String, source: ConnectError },
    #[error(
        "NATS at {servers} does not let Kvali in; check --creds, or --user with KVALI_NATS_PASSWORD, or KVALI_NATS_TOKEN"
    )]
    Denied { servers: String, source: ConnectError },
    #[error("cannot read {what} from {}", .file.display())]
    File { what: &'static str, file: PathBuf, source: io::Error },
    #[error("user {user:?} has no password; give it in KVALI_NATS_PASSWORD, or in a file by --password-file")]
    NoPassword { user: String },
    #[error("stream {stream} cannot be looked at")]
    Look { stream: String, source: GetStreamError },
    #[error("the state of stream {stream} cannot be read")]
    State { stream: String, source: InfoError },
    #[error("the last message of stream {stream} cannot be read")]
    Last { stream: String, source: LastRawMessageError },
    #[error(
        "stream {stream} for {subject} cannot be made; choose others with --stream and --subject, or make it by hand"
    )]
    Make { stream: String, subject: String, source: CreateStreamError },
    #[error(
        "the NATS server has no room for stream {stream}; give it more storage, or ask for a smaller stream with --max-bytes"
    )]
    NoRoom { stream: String, source: CreateStreamError },
    #[error(
        "stream {stream} takes {subjects} and not {subject}; choose another with --stream, or other subjects with --subject"
    )]
    OtherSubjects { stream: String, subjects: String, subject: String },
    #[error(
        "stream {stream} ends with the event {id} of position {position}, where the log has another one or none: the log was \
         restored to a moment before; delete the stream to have everything sent anew"
    )]
    AnotherHistory { stream: String, id: String, position: i64 },
    #[error("the event at position {position} was not taken by stream {stream}")]
    NotTaken { stream: String, position: i64, source: PublishError },
    #[error(
        "stream {stream} put the event at position {position} into place {found} instead of {expected}: somebody else \
         writes to it"
    )]
    OutOfPlace { stream: String, position: i64, found: u64, expected: u64 },
    #[error("another relay has taken over")]
    TakenOver,
    #[error(transparent)]
    Subscription(#[from] SubscribeError),
    #[error(transparent)]
    Store(#[from] kvali_eventstore::Error),
}

impl RelayError {
    /// Why a stream was not made.
    pub(super) fn of_making(stream: String, subject: String, source: CreateStreamError) -> Self {
        const NO_ROOM: [ErrorCode; 2] =
            [ErrorCode::STORAGE_RESOURCES_EXCEEDED, ErrorCode::INSUFFICIENT_RESOURCES];
        match source.kind() {
            CreateStreamErrorKind::JetStream(error) if NO_ROOM.contains(&error.error_code()) => {
                Self::NoRoom { stream, source }
            }
            _ => Self::Make { stream, subject, source },
        }
    }

    /// Why a checkpoint was not moved.
    pub(super) fn of_settling(error: SubscribeError) -> Self {
        match error {
            SubscribeError::OldToken => Self::TakenOver,
            other => other.into(),
        }
    }

    /// Whether it stays so until somebody does something about it.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::Make { .. }
                | Self::NoRoom { .. }
                | Self::OtherSubjects { .. }
                | Self::AnotherHistory { .. }
                | Self::Subscription(SubscribeError::Exists { .. } | SubscribeError::AnotherLog)
        )
    }
}
