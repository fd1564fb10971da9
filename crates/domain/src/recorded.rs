//! An event as it stands in the log.

use crate::{ActorId, CommandId, EventId, Occurred, StreamId, TenantId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// One row of the log: the envelope, the exact bytes of `data`, and the sealed personal part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    pub tenant: TenantId,
    /// Place in the tenant's log: 1, 2, 3, … without gap, in commit order.
    pub position: i64,
    pub stream: StreamId,
    /// Place in the stream: 1, 2, 3, …
    pub version: i32,
    pub event_id: EventId,
    /// Permanent wire name, such as `deal.stage_changed`.
    pub event_type: String,
    pub schema_version: i16,
    pub occurred: Occurred,
    pub recorded_at: DateTime<Utc>,
    pub actor: ActorId,
    pub on_behalf_of: Option<ActorId>,
    pub channel: Channel,
    pub reason_code: Option<String>,
    pub command: CommandId,
    pub correlation: Uuid,
    pub causation: Option<EventId>,
    pub data: String,
    pub personal: Option<Vec<u8>>,
}

/// The path a command came in by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Channel {
    Ui,
    Api,
    Cli,
    Import,
    Timer,
    Automation { rule: String, version: u32 },
}

impl std::fmt::Display for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ui => f.write_str("ui"),
            Self::Api => f.write_str("api"),
            Self::Cli => f.write_str("cli"),
            Self::Import => f.write_str("import"),
            Self::Timer => f.write_str("timer"),
            Self::Automation { rule, version } => write!(f, "automation:{rule}@{version}"),
        }
    }
}

#[derive(thiserror::Error, Debug, PartialEq, Eq)]
#[error("channel {0:?} is none of ui, api, cli, import, timer, automation:RULE@VERSION")]
pub struct NotAChannel(String);

impl std::str::FromStr for Channel {
    type Err = NotAChannel;
    fn from_str(text: &str) -> Result<Self, NotAChannel> {
        Ok(match text {
            "ui" => Self::Ui,
            "api" => Self::Api,
            "cli" => Self::Cli,
            "import" => Self::Import,
            "timer" => Self::Timer,
            _ => {
                return text
                    .strip_prefix("automation:")
                    .and_then(|rest| rest.rsplit_once('@'))
                    .and_then(|(rule, version)| Some((rule, version.parse().ok()?)))
                    .map(|(rule, version)| Self::Automation { rule: rule.to_owned(), version })
                    .ok_or_else(|| NotAChannel(text.to_owned()));
            }
        })
    }
}
