//! An event as a message: its subject, its id, and its text as the NATS binding of `CloudEvents` has it (the event in JSON).

use async_nats::header;
use async_nats::jetstream::message::PublishMessage;
use kvali_domain::{Recorded, TenantId};
use std::fmt;
use std::str::FromStr;

/// Names an event within its stream, and so within one tenant. The epoch tells positions apart that were counted anew
/// since the log was restored: without it the server would take other events for those that it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MessageId {
    pub epoch: i32,
    pub position: i64,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.position)
    }
}

/// It is no id that a relay has given.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct NotAnId;

impl FromStr for MessageId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (epoch, position) = text.split_once('-').ok_or(NotAnId)?;
        let (epoch, position) = (epoch.parse().map_err(|_| NotAnId)?, position.parse().map_err(|_| NotAnId)?);
        Ok(Self { epoch, position })
    }
}

/// Such as `kvali.0190d9c6-4a00-7000-8000-000000000001.deal.won`.
pub(super) fn subject(root: &str, event: &Recorded) -> String {
    format!("{root}.{}.{}", event.tenant, event.event_type)
}

/// Every subject of a tenant.
pub(super) fn subjects(root: &str, tenant: TenantId) -> String {
    format!("{root}.{tenant}.>")
}

/// Taken only by that stream, and only as the one that follows the message at `after`: so what was lost on the way leaves
/// no gap behind which others are taken, and of two relays that think they are at work one gets nowhere.
pub(super) fn message(event: &Recorded, epoch: i32, stream: &str, after: u64) -> PublishMessage {
    let id = MessageId { epoch, position: event.position };
    PublishMessage::build()
        .payload(kvali_api::cloud_event(event).into())
        .header("Content-Type", "application/cloudevents+json")
        .message_id(id.to_string())
        .expected_stream(stream)
        .expected_last_sequence(after)
}

/// The id of a message of a stream, if a relay has sent it.
pub(super) fn id_of(headers: &async_nats::HeaderMap) -> Option<MessageId> {
    headers.get(header::NATS_MESSAGE_ID)?.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{MessageId, NotAnId};

    #[test]
    fn an_id_reads_as_it_was_written() {
        for (epoch, position) in [(1, 1), (3, i64::MAX), (i32::MAX, 17)] {
            let id = MessageId { epoch, position };
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn ids_of_others_are_none_of_ours() {
        for text in ["", "-", "17", "1-", "-17", "1-17-3", "a-b", "0190d9c6-4a00-7000-8000-0000000000e1"] {
            assert_eq!(text.parse::<MessageId>(), Err(NotAnId), "{text:?}");
        }
    }
}
