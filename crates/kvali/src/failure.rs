//! Why a command failed, told on stderr with its whole chain of causes and the way out.

use crate::import::{MapError, ReadError, StageTableError};
use std::error::Error;
use std::io;
use std::path::PathBuf;

#[derive(thiserror::Error, Debug)]
pub(crate) enum Failure {
    #[error(transparent)]
    Store(#[from] kvali_eventstore::Error),
    #[error(transparent)]
    Query(#[from] kvali_projections::conversion_funnel::QueryError),
    #[error(transparent)]
    Overdue(#[from] kvali_projections::overdue_tasks::QueryError),
    #[error(transparent)]
    Ask(#[from] kvali_projections::AskError),
    #[error(transparent)]
    Subscription(#[from] kvali_eventstore::subscribe::SubscribeError),
    #[error(transparent)]
    Labelled(#[from] crate::bench::NotReadable),
    #[error(transparent)]
    Postgres(#[from] kvali_pglocal::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Map(#[from] MapError),
    #[error(transparent)]
    Stages(#[from] StageTableError),
    #[error(transparent)]
    Command(#[from] kvali_domain::CommandError),
    #[error(transparent)]
    Archive(#[from] kvali_eventstore::archive::ArchiveError),
    #[error(transparent)]
    Settings(#[from] crate::settings::SettingsError),
    #[cfg(feature = "nats")]
    #[error(transparent)]
    Relay(#[from] crate::relay::RelayError),
    #[error("{filter:?} is no filter of log lines; one looks like info, or kvali_api=debug,warn")]
    LogFilter { filter: String, source: tracing_subscriber::filter::ParseError },
    #[cfg(feature = "otel")]
    #[error("traces cannot be sent as the OTEL_ variables say")]
    Traces(#[source] opentelemetry_otlp::ExporterBuildError),
    #[error("cannot read the command's fields from {place}")]
    Body { place: String, source: io::Error },
    #[error("the command's fields are no JSON; give one object, such as '{{\"to\": \"…\"}}'")]
    Json(#[source] serde_json::Error),
    #[error("{step} is refused: {refusal}")]
    Refused { step: String, refusal: kvali_domain::Refusal },
    /// What was asked for is not there, or cannot be done as asked; the text says what can.
    #[error("{0}")]
    Impossible(String),
    #[error("cannot write the refused rows to {}", .file.display())]
    Refusals { file: PathBuf, source: csv::Error },
    #[error("cannot write the answer")]
    Output(#[source] io::Error),
    #[error("the metrics cannot be served at {address}")]
    Metrics { address: std::net::SocketAddr, source: metrics_exporter_prometheus::BuildError },
    #[error("cannot listen at {address}; choose another with --listen")]
    Listen { address: std::net::SocketAddr, source: io::Error },
    #[error("the operating system gives no random bytes")]
    Random(#[source] getrandom::Error),
    #[error("cannot start the asynchronous runtime")]
    Runtime(#[source] io::Error),
    #[error("a background task ended early")]
    Task(#[source] tokio::task::JoinError),
    #[error("looking something up in the log failed")]
    LookUp(#[source] sqlx::Error),
    /// Of several commands that belong together.
    #[error("done: {done}; left to do: {left}")]
    InPart {
        done: String,
        left: String,
        #[source]
        why: Box<Self>,
    },
    #[error("interrupted; what was acknowledged is in the log")]
    Interrupted,
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } => 3,
            Self::InPart { why, .. } => why.exit_code(),
            Self::Interrupted => 130,
            _ => 1,
        }
    }

    /// Whoever read the answer has seen enough (`kvali log tail | head`).
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// `way_on`: how the command is taken up again when nobody knows how far it came.
    pub(crate) fn report(&self, way_on: Option<&str>) {
        eprintln!("error: {}", self.chain());
        if let Some(way_out) = self.way_out(way_on) {
            eprintln!("{way_out}");
        }
    }

    /// The message and its causes, one a line; a cause that its effect has told already is left out.
    fn chain(&self) -> String {
        let mut told = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let message = error.to_string();
            if !told.contains(&message) {
                told.push_str("\n  because: ");
                told.push_str(&message);
            }
            cause = error.source();
        }
        told
    }

    fn way_out<'a>(&self, way_on: Option<&'a str>) -> Option<&'a str> {
        use kvali_eventstore::Error as Store;
        match self {
            Self::Store(Store::Url(_) | Store::Connect(_)) => Some(
                "Check DATABASE_URL (or --database-url), or leave it out to use Kvali's private Postgres.",
            ),
            Self::Store(Store::ServerTooOld { .. }) => {
                Some("Name a newer server in DATABASE_URL, or leave it out to use Kvali's private Postgres.")
            }
            Self::Store(Store::Append(_) | Store::Read(_)) | Self::Interrupted => way_on,
            _ => None,
        }
    }
}
