//! A tenant's stream: made if it is missing, never altered if it is there, and asked how far it has come.

use super::RelayError;
use super::message::{self, MessageId, id_of};
use async_nats::jetstream::context::{Context, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, LastRawMessageErrorKind, RetentionPolicy, StorageType, Stream as Handle,
};
use async_nats::jetstream::{ErrorCode, message::StreamMessage};
use kvali_domain::TenantId;
use kvali_eventstore::Store;
use kvali_eventstore::subscribe::{Alone, Page};
use serde::Deserialize;
use std::time::Duration;

const DAY: u64 = 86_400;

/// How streams are named, and made where they are missing.
#[derive(clap::Args)]
#[command(next_help_heading = "Options of the streams")]
pub(super) struct Wanted {
    /// Streams are named `NAME_TENANT`
    #[arg(long = "stream", value_name = "NAME", value_parser = name, default_value = "KVALI", env = "KVALI_NATS_STREAM")]
    name: String,
    /// Subjects are SUBJECT.TENANT.AGGREGATE.EVENT
    #[arg(long, value_name = "SUBJECT", value_parser = root, default_value = "kvali", env = "KVALI_NATS_SUBJECT")]
    subject: String,
    /// For so long a new stream remembers the ids of its messages; the relay does without, but for moments
    #[arg(long, default_value_t = 120, value_name = "SECONDS", env = "KVALI_NATS_DEDUP_SECONDS",
          value_parser = clap::value_parser!(u32).range(1..))]
    dedup_seconds: u32,
    /// For so long a new stream keeps events; 0: for ever
    #[arg(long, default_value_t = 0, value_name = "DAYS", env = "KVALI_NATS_KEEP_DAYS")]
    keep_days: u32,
    /// As large a new stream may become; a full one takes nothing more, and the relay waits [default: however large]
    #[arg(long, value_name = "BYTES", env = "KVALI_NATS_MAX_BYTES", value_parser = clap::value_parser!(i64).range(1..))]
    max_bytes: Option<i64>,
    /// Servers of a cluster that keep a new stream
    #[arg(long, default_value_t = 1, value_name = "N", env = "KVALI_NATS_REPLICAS", value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: u8,
}

fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !text.is_empty() && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("a stream's name is of letters, digits, _ and -".to_owned())
    }
}

fn root(text: &str) -> Result<String, String> {
    let words = text.split('.').map(name).collect::<Result<Vec<_>, _>>();
    words
        .map(|words| words.join("."))
        .map_err(|_| "a subject is of such words parted by dots as kvali".to_owned())
}

impl Wanted {
    /// The subscription that tells how far each tenant was relayed. A name with a colon is no service's.
    pub(super) fn subscription(&self) -> String {
        format!("nats:{}", self.name)
    }

    fn config(&self, tenant: TenantId) -> Config {
        let keep = Duration::from_secs(DAY * u64::from(self.keep_days));
        let dedup = Duration::from_secs(self.dedup_seconds.into());
        Config {
            name: format!("{}_{tenant}", self.name),
            description: Some(format!("events of Kvali's tenant {tenant}, in the order of its log")),
            subjects: vec![message::subjects(&self.subject, tenant)],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            // An event that a consumer has not seen is not thrown away for a new one.
            discard: DiscardPolicy::New,
            max_age: keep,
            max_bytes: self.max_bytes.unwrap_or(-1),
            num_replicas: self.replicas.into(),
            // The server refuses to remember ids for longer than it keeps messages.
            duplicate_window: if keep.is_zero() { dedup } else { dedup.min(keep) },
            allow_direct: true,
            ..Config::default()
        }
    }
}

/// Where a stream has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The position up to which the log is in the stream.
    pub position: i64,
    /// The stream's last message.
    pub sequence: u64,
}

/// One tenant's stream.
pub(super) struct Stream {
    context: Context,
    handle: Handle<Info>,
    root: String,
    pub(super) name: String,
    tenant: TenantId,
    /// In what it is not as it would be made.
    pub(super) differences: Vec<String>,
}

impl Stream {
    /// As it is, or made as it is wanted.
    pub(super) async fn open(
        context: Context,
        wanted: &Wanted,
        tenant: TenantId,
    ) -> Result<Self, RelayError> {
        let config = wanted.config(tenant);
        let (name, mut differences) = (config.name.clone(), Vec::new());
        let handle = match context.get_stream(&name).await {
            Ok(there) => {
                differences = compare(&there.cached_info().config, &config)?;
                there
            }
            Err(error) if is_missing(&error.kind()) => {
                let subject = config.subjects.concat();
                let made = context.create_stream(config).await;
                let made = made.map_err(|source| RelayError::of_making(name.clone(), subject, source))?;
                tracing::info!(stream = name, "a stream is made");
                made
            }
            Err(source) => return Err(RelayError::Look { stream: name, source }),
        };
        Ok(Self { context, handle, root: wanted.subject.clone(), name, tenant, differences })
    }

    /// Where to go on. The stream's last message says it, if it is the stream's newest: whatever the checkpoint, and
    /// however long ago it was, nothing is sent twice and nothing left out. Where the newest was removed, the checkpoint
    /// says it. A stream that nothing was ever in gets everything after `begin`.
    pub(super) async fn place(&self, store: &Store, alone: &Alone, begin: i64) -> Result<Place, RelayError> {
        let info = self.handle.get_info().await;
        let info = info.map_err(|source| RelayError::State { stream: self.name.clone(), source })?;
        let sequence = info.state.last_sequence;
        let checkpoint = alone.checkpoint;
        let position = match self.last().await? {
            _ if sequence == 0 => checkpoint.min(begin),
            Some((id, last)) if id.epoch == alone.epoch => {
                self.check_history(store, id, &last).await?;
                if last.sequence == sequence { id.position } else { id.position.max(checkpoint) }
            }
            _ => checkpoint,
        };
        if position < checkpoint {
            let stream = &self.name;
            tracing::warn!(stream, position, checkpoint, "the stream lacks what it had; it is sent again");
        }
        Ok(Place { position, sequence })
    }

    /// The last message that a relay has sent, as far as the stream still has it.
    async fn last(&self) -> Result<Option<(MessageId, StreamMessage)>, RelayError> {
        let subjects = message::subjects(&self.root, self.tenant);
        match self.handle.get_last_raw_message_by_subject(&subjects).await {
            Ok(last) => Ok(id_of(&last.headers).map(|id| (id, last))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(source) => Err(RelayError::Last { stream: self.name.clone(), source }),
        }
    }

    /// The message must be the event that the log has at its position: a database that was restored to a moment before has
    /// another one there, or will have.
    async fn check_history(
        &self,
        store: &Store,
        id: MessageId,
        last: &StreamMessage,
    ) -> Result<(), RelayError> {
        #[derive(Deserialize)]
        struct Told {
            id: String,
        }
        let told: Option<Told> = serde_json::from_slice(&last.payload).ok();
        let told = told.map(|told| told.id).unwrap_or_default();
        let there = store.at(self.tenant, &[id.position]).await?;
        if there.first().is_some_and(|event| event.event_id.0.to_string() == told) {
            return Ok(());
        }
        Err(RelayError::AnotherHistory { stream: self.name.clone(), id: told, position: id.position })
    }

    /// Sends a page, all of it before the first acknowledgement is waited for. `place` moves with each acknowledgement.
    pub(super) async fn publish(&self, page: &Page, epoch: i32, place: &mut Place) -> Result<(), RelayError> {
        let mut waiting = Vec::with_capacity(page.events.len());
        let mut broken_off = None;
        for (after, event) in (place.sequence..).zip(&page.events) {
            let subject = message::subject(&self.root, event);
            let message = message::message(event, epoch, &self.name, after);
            match self.context.send_publish(subject, message).await {
                Ok(sent) => waiting.push((event.position, sent)),
                Err(source) => {
                    broken_off = Some(self.not_taken(event.position, source));
                    break;
                }
            }
        }
        for (position, sent) in waiting {
            let taken = sent.await.map_err(|source| self.not_taken(position, source))?;
            let (found, expected) = (taken.sequence, place.sequence + 1);
            if found != expected {
                return Err(RelayError::OutOfPlace { stream: self.name.clone(), position, found, expected });
            }
            *place = Place { position, sequence: found };
        }
        broken_off.map_or(Ok(()), Err)?;
        place.position = page.through;
        Ok(())
    }

    fn not_taken(&self, position: i64, source: async_nats::jetstream::context::PublishError) -> RelayError {
        RelayError::NotTaken { stream: self.name.clone(), position, source }
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// In what a stream that was there differs from one that would be made. It must take the tenant's subjects; all else is
/// its owner's.
fn compare(there: &Config, wanted: &Config) -> Result<Vec<String>, RelayError> {
    let (stream, subject) = (there.name.clone(), wanted.subjects.concat());
    if !there.subjects.iter().any(|pattern| covers(pattern, &subject)) {
        let subjects = there.subjects.join(", ");
        return Err(RelayError::OtherSubjects { stream, subjects, subject });
    }
    Ok(differences(there, wanted))
}

fn differences(there: &Config, wanted: &Config) -> Vec<String> {
    let told = |what: &str, there: String, wanted: String| {
        (there != wanted).then(|| format!("{what} is {there} and not {wanted}"))
    };
    let seconds = |duration: Duration| format!("{} s", duration.as_secs_f64());
    let limit = |limit: i64| if limit > 0 { limit.to_string() } else { "unlimited".to_owned() };
    let all = [
        told("retention", format!("{:?}", there.retention), format!("{:?}", wanted.retention)),
        told("storage", format!("{:?}", there.storage), format!("{:?}", wanted.storage)),
        told("discard", format!("{:?}", there.discard), format!("{:?}", wanted.discard)),
        told("max_age", seconds(there.max_age), seconds(wanted.max_age)),
        told("max_bytes", limit(there.max_bytes), limit(wanted.max_bytes)),
        told("max_msgs", limit(there.max_messages), limit(wanted.max_messages)),
        told("num_replicas", there.num_replicas.to_string(), wanted.num_replicas.to_string()),
        told("duplicate_window", seconds(there.duplicate_window), seconds(wanted.duplicate_window)),
    ];
    all.into_iter().flatten().collect()
}

/// Whether a pattern takes every subject that another takes.
fn covers(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(word)) if word != ">" => {}
            (Some(asked), Some(word)) if asked == word => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, Wanted, covers, differences, name, root};
    use kvali_domain::TenantId;
    use std::time::Duration;
    use uuid::Uuid;

    fn wanted(keep_days: u32) -> Config {
        let (name, subject) = ("KVALI".to_owned(), "kvali".to_owned());
        let wanted = Wanted { name, subject, dedup_seconds: 120, keep_days, max_bytes: None, replicas: 1 };
        wanted.config(TenantId(Uuid::nil()))
    }

    #[test]
    fn a_pattern_covers_what_it_takes_all_of() {
        for (pattern, covered) in [
            ("kvali.t.>", true),
            ("kvali.>", true),
            ("kvali.*.>", true),
            (">", true),
            ("kvali.t.*", false),
            ("kvali.t", false),
            ("kvali.u.>", false),
            ("kvali.t.deal.>", false),
            ("other.>", false),
        ] {
            assert_eq!(covers(pattern, "kvali.t.>"), covered, "{pattern}");
        }
    }

    #[test]
    fn a_stream_that_differs_is_told_in_words() {
        let mut there = wanted(0);
        assert!(differences(&there, &wanted(0)).is_empty());
        there.max_age = Duration::from_secs(3_600);
        there.max_bytes = 1_000;
        let told = ["max_age is 3600 s and not 0 s", "max_bytes is 1000 and not unlimited"];
        assert_eq!(differences(&there, &wanted(0)), told);
    }

    #[test]
    fn ids_are_remembered_no_longer_than_messages_are_kept() {
        assert_eq!(wanted(1).max_age, Duration::from_secs(86_400));
        assert!(wanted(1).duplicate_window <= wanted(1).max_age);
        assert_eq!(wanted(0).duplicate_window, Duration::from_secs(120));
    }

    #[test]
    fn names_that_nats_would_refuse_are_refused_first() {
        for text in ["", "a b", "a.b", "a*", ">", "ა"] {
            assert!(name(text).is_err(), "{text:?}");
        }
        assert_eq!(root("crm.kvali").as_deref(), Ok("crm.kvali"));
        for text in ["", ".", "a..b", "a.*", "a.>"] {
            assert!(root(text).is_err(), "{text:?}");
        }
    }
}
