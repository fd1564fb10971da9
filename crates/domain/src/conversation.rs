//! A conversation: messages in one thread of one channel, numbered from 1, ours and theirs.

use crate::assignee::{self, AssigneeProblem};
use crate::decider::{Describe, commands, events, index};
use crate::target::{self, NoSuchTarget};
use crate::text::{self, NotACode, NotAnId, TooLong};
use crate::{
    Claim, ContactId, Decider, Given, Occurred, Personal, PersonalField, Reads, SubjectId, Target, UserId,
    Version,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Characters in a message: e-mail is the longest.
pub const MAX_MESSAGE: usize = 100_000;

commands! {
    /// The channel's thread id is unused; the contact, if named, exists.
    "OpenConversation" = Open {
        /// The channel's code, such as `whatsapp`.
        channel: String,
        /// The provider's id of the thread.
        thread_id: String,
        #[serde(default)]
        contact: Option<ContactId>,
    } => [Opened],
    /// The provider's message id is unused in its channel. A message to a closed conversation reopens it.
    "ReceiveMessage" = Receive {
        /// The provider's.
        message_id: String,
        /// Blank where only a file or a picture was sent.
        #[serde(default)]
        text: Personal,
    } => [Reopened, MessageReceived],
    /// The conversation is open; there is a text; marketing names the consent that it rests on; a template, if one
    /// was used, has a version from 1.
    "SendMessage" = Send {
        text: Personal,
        purpose: Purpose,
        /// The id of a consent; marketing needs it.
        #[serde(default)]
        consent: Option<String>,
        #[serde(default)]
        template: Option<Template>,
    } => [MessageSent],
    /// The message was sent by us; delivered, then read, or failed; a report that comes again or late changes nothing.
    "RecordDelivery" = RecordDelivery {
        /// The number of the message, from 1.
        message: i32,
        report: Report,
    } => [MessageDelivered, MessageFailed, MessageRead],
    /// The conversation is open; the assignee is registered, active and not absent, unless forced with a reason.
    "AssignConversation" = Assign {
        assignee: UserId,
        /// Also to an absent user.
        #[serde(default)]
        force: bool,
        #[serde(default)]
        reason: Personal,
    } => [Assigned],
    /// The conversation is there; the contact's next message reopens it.
    "CloseConversation" = Close {} => [Closed],
    /// The target exists. Texts that come after a link to a contact are sealed under that contact's key.
    "LinkConversation" = Link { to: Target } => [Linked],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Service,
    Marketing,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    pub code: String,
    pub version: i32,
}

/// What the provider says has become of a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    Delivered {},
    /// With the provider's code for why.
    Failed {
        code: String,
    },
    Read {},
}

events! {
    Opened = "conversation.opened",
    Reopened = "conversation.reopened",
    MessageReceived = "conversation.message_received",
    MessageSent = "conversation.message_sent",
    MessageDelivered = "conversation.message_delivered",
    MessageFailed = "conversation.message_failed",
    MessageRead = "conversation.message_read",
    Assigned = "conversation.assigned",
    Closed = "conversation.closed",
    Linked = "conversation.linked",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Opened {
    pub channel: String,
    pub thread_id: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contact: Option<ContactId>,
}

/// A message came to a closed conversation; the next event is that message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Reopened {}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["text"]))]
pub struct MessageReceived {
    /// Messages of a conversation are numbered from 1, whoever sent them.
    pub number: i32,
    pub channel: String,
    pub message_id: String,
    /// Whose key seals the text: the contact's, else the conversation's own.
    pub subject: SubjectId,
    #[serde(skip)]
    pub text: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["text"]))]
pub struct MessageSent {
    pub number: i32,
    pub purpose: Purpose,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub consent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub template: Option<Template>,
    /// Whose key seals the text: the contact's, else the conversation's own.
    pub subject: SubjectId,
    #[serde(skip)]
    pub text: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MessageDelivered {
    pub message: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MessageFailed {
    pub message: i32,
    pub code: String,
}

/// Read, and hence delivered, whether or not that was reported.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MessageRead {
    pub message: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Assigned {
    pub from: Option<UserId>,
    pub to: UserId,
    /// Given to an absent user, with a reason.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub forced: bool,
    /// Whose key seals the reason: the conversation's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<SubjectId>,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Closed {}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Linked {
    pub to: Target,
}

/// The claim that keeps a thread of a channel to one conversation.
pub const THREAD_CLAIM: &str = "conversation.thread_id";
/// The claim that keeps a received message from coming in twice.
pub const MESSAGE_CLAIM: &str = "conversation.message_id";

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Opened(Opened { channel, thread_id, .. }) => {
                vec![Claim::take(THREAD_CLAIM, format!("{channel}\u{1f}{thread_id}"))]
            }
            Self::MessageReceived(MessageReceived { channel, message_id, .. }) => {
                vec![Claim::take(MESSAGE_CLAIM, format!("{channel}\u{1f}{message_id}"))]
            }
            _ => Vec::new(),
        }
    }

    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        let (subject, value) = match self {
            Self::MessageReceived(event) => (event.subject, &mut event.text),
            Self::MessageSent(event) => (event.subject, &mut event.text),
            Self::Assigned(Assigned { subject: Some(subject), reason, .. }) => {
                return vec![PersonalField { subject: *subject, field: "reason", value: reason }];
            }
            _ => return Vec::new(),
        };
        vec![PersonalField { subject, field: "text", value }]
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this conversation does not exist; open it first")]
    NoSuchConversation,
    #[error("this conversation was opened already; an id is used once")]
    AlreadyOpened,
    #[error(
        "this conversation is closed; open another with OpenConversation, or wait for the contact's next message, which reopens it"
    )]
    Closed,
    #[error("the message is empty; give it at least one visible character in `text`")]
    BlankMessage,
    #[error("marketing needs consent; name it in `consent`, or send no marketing")]
    ConsentMissing,
    #[error("template version {version} does not exist; versions count from 1")]
    NoSuchTemplateVersion { version: i32 },
    #[error("this conversation has no message {message}; its last one is {last}")]
    NoSuchMessage { message: i32, last: i32 },
    #[error("message {message} was received, not sent by us; only a sent one is delivered")]
    NotSentByUs { message: i32 },
    #[error("message {message} {was} already, which is final; report on a new message")]
    OutOfOrder { message: i32, was: &'static str },
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error(transparent)]
    NotACode(#[from] NotACode),
    #[error(transparent)]
    NotAnId(#[from] NotAnId),
    #[error(transparent)]
    NoSuchTarget(#[from] NoSuchTarget),
    #[error(transparent)]
    #[serde(untagged)]
    Owner(#[from] AssigneeProblem),
}

/// Texts are no part of the state: they stay sealed in the log.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Conversation {
    #[default]
    Absent,
    Open(Thread),
    Closed(Thread),
}

/// What a conversation has become so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Thread {
    pub channel: String,
    /// Whose messages they are: from the opening, or the contact linked last.
    pub contact: Option<ContactId>,
    pub assignee: Option<UserId>,
    pub links: Vec<Target>,
    /// Message 1 stands first.
    pub messages: Vec<Message>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    Received,
    Sent,
    Delivered,
    Failed,
    Read,
}

impl Thread {
    fn last(&self) -> i32 {
        i32::try_from(self.messages.len()).expect("a stream's versions are i32, so its messages are fewer")
    }

    fn subject(&self, given: &Given<'_>) -> SubjectId {
        self.contact.map_or(SubjectId(given.stream.0), SubjectId::from)
    }
}

impl Decider for Conversation {
    const AGGREGATE: &'static str = "conversation";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Open { .. })
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        let target = match command {
            Command::Assign { assignee, .. } => return vec![Reads::User(assignee.stream())],
            Command::Open { contact, .. } => contact.map(Target::Contact),
            Command::Link { to } => Some(*to),
            _ => None,
        };
        target.map(target::reads).into_iter().collect()
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, Command::Open { channel, thread_id, contact }) => {
                open(channel, thread_id, *contact, given)
            }
            (Self::Absent, _) => Err(Refusal::NoSuchConversation),
            (_, Command::Open { .. }) => Err(Refusal::AlreadyOpened),
            (Self::Open(thread), Command::Receive { message_id, text }) => {
                Ok(vec![receive(thread, message_id, text, given)?])
            }
            (Self::Closed(thread), Command::Receive { message_id, text }) => {
                let message = receive(thread, message_id, text, given)?;
                Ok(vec![Event::Reopened(Reopened {}), message])
            }
            (Self::Open(thread), Command::Send { text, purpose, consent, template }) => {
                send(thread, text, *purpose, consent.as_deref(), template.as_ref(), given)
            }
            (Self::Open(thread) | Self::Closed(thread), Command::RecordDelivery { message, report }) => {
                record_delivery(thread, *message, report)
            }
            (Self::Open(thread), Command::Assign { assignee, force, reason }) => {
                assign(thread, *assignee, force.then_some(reason), reason, given)
            }
            (Self::Closed(_), Command::Send { .. } | Command::Assign { .. }) => Err(Refusal::Closed),
            (Self::Open(_), Command::Close {}) => Ok(vec![Event::Closed(Closed {})]),
            (Self::Closed(_), Command::Close {}) => Ok(Vec::new()),
            (Self::Open(thread) | Self::Closed(thread), Command::Link { to }) => link(thread, *to, given),
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        *self = match (std::mem::take(self), event) {
            (_, Event::Opened(event)) => Self::Open(Thread {
                channel: event.channel.clone(),
                contact: event.contact,
                assignee: None,
                links: Vec::new(),
                messages: Vec::new(),
            }),
            (Self::Absent, _) => Self::Absent,
            (Self::Open(thread) | Self::Closed(thread), Event::Reopened(_)) => Self::Open(thread),
            (Self::Open(thread) | Self::Closed(thread), Event::Closed(_)) => Self::Closed(thread),
            (Self::Open(thread), event) => Self::Open(thread.evolved(event)),
            (Self::Closed(thread), event) => Self::Closed(thread.evolved(event)),
        };
    }
}

impl Thread {
    fn evolved(mut self, event: &Event) -> Self {
        match event {
            Event::MessageReceived(_) => self.messages.push(Message::Received),
            Event::MessageSent(_) => self.messages.push(Message::Sent),
            Event::MessageDelivered(event) => self.mark(event.message, Message::Delivered),
            Event::MessageFailed(event) => self.mark(event.message, Message::Failed),
            Event::MessageRead(event) => self.mark(event.message, Message::Read),
            Event::Assigned(event) => self.assignee = Some(event.to),
            Event::Linked(event) => {
                self.links.retain(|link| *link != event.to);
                self.links.push(event.to);
                if let Target::Contact(contact) = event.to {
                    self.contact = Some(contact);
                }
            }
            Event::Opened(_) | Event::Reopened(_) | Event::Closed(_) => {}
        }
        self
    }

    fn mark(&mut self, message: i32, as_what: Message) {
        if let Some(known) = index(message).and_then(|at| self.messages.get_mut(at)) {
            *known = as_what;
        }
    }
}

fn open(
    channel: &str,
    thread_id: &str,
    contact: Option<ContactId>,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    text::code("channel", channel)?;
    text::foreign_id("thread_id", thread_id)?;
    if let Some(contact) = contact {
        target::exists(Target::Contact(contact), given)?;
    }
    Ok(vec![Event::Opened(Opened { channel: channel.to_owned(), thread_id: thread_id.to_owned(), contact })])
}

fn receive(thread: &Thread, message_id: &str, text: &Personal, given: &Given<'_>) -> Result<Event, Refusal> {
    text::foreign_id("message_id", message_id)?;
    text::within("text", text, MAX_MESSAGE)?;
    Ok(Event::MessageReceived(MessageReceived {
        number: thread.last() + 1,
        channel: thread.channel.clone(),
        message_id: message_id.to_owned(),
        subject: thread.subject(given),
        text: text.unless_blank(),
    }))
}

fn send(
    thread: &Thread,
    text: &Personal,
    purpose: Purpose,
    consent: Option<&str>,
    template: Option<&Template>,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    text::within("text", text, MAX_MESSAGE)?;
    if text.is_blank() {
        return Err(Refusal::BlankMessage);
    }
    match (purpose, consent) {
        (Purpose::Marketing, None) => return Err(Refusal::ConsentMissing),
        (_, Some(consent)) => text::foreign_id("consent", consent)?,
        (Purpose::Service, None) => {}
    }
    if let Some(Template { code, version }) = template {
        text::code("template.code", code)?;
        if *version < 1 {
            return Err(Refusal::NoSuchTemplateVersion { version: *version });
        }
    }
    Ok(vec![Event::MessageSent(MessageSent {
        number: thread.last() + 1,
        purpose,
        consent: consent.map(str::to_owned),
        template: template.cloned(),
        subject: thread.subject(given),
        text: text.clone(),
    })])
}

fn record_delivery(thread: &Thread, message: i32, report: &Report) -> Result<Vec<Event>, Refusal> {
    if let Report::Failed { code } = report {
        text::code("code", code)?;
    }
    let Some(known) = index(message).and_then(|at| thread.messages.get(at)) else {
        return Err(Refusal::NoSuchMessage { message, last: thread.last() });
    };
    let final_as = |was| Err(Refusal::OutOfOrder { message, was });
    let event = match (known, report) {
        (Message::Received, _) => return Err(Refusal::NotSentByUs { message }),
        (Message::Delivered | Message::Read, Report::Delivered {})
        | (Message::Read, Report::Read {})
        | (Message::Failed, Report::Failed { .. }) => return Ok(Vec::new()),
        (Message::Sent, Report::Delivered {}) => Event::MessageDelivered(MessageDelivered { message }),
        (Message::Sent | Message::Delivered, Report::Read {}) => Event::MessageRead(MessageRead { message }),
        (Message::Sent, Report::Failed { code }) => {
            Event::MessageFailed(MessageFailed { message, code: code.clone() })
        }
        (Message::Delivered, Report::Failed { .. }) => return final_as("was delivered"),
        (Message::Read, Report::Failed { .. }) => return final_as("was read"),
        (Message::Failed, Report::Delivered {} | Report::Read {}) => return final_as("failed"),
    };
    Ok(vec![event])
}

fn assign(
    thread: &Thread,
    assignee: UserId,
    force: Option<&Personal>,
    reason: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    if thread.assignee == Some(assignee) {
        return Ok(Vec::new());
    }
    let forced = assignee::check(assignee, given, force)?.forced;
    let subject = (!reason.is_blank()).then_some(SubjectId(given.stream.0));
    let (from, reason) = (thread.assignee, reason.unless_blank());
    Ok(vec![Event::Assigned(Assigned { from, to: assignee, forced, subject, reason })])
}

fn link(thread: &Thread, to: Target, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    // A contact that another has replaced since is linked anew.
    let stands = match to {
        Target::Contact(contact) => thread.contact == Some(contact),
        _ => true,
    };
    if stands && thread.links.contains(&to) {
        return Ok(Vec::new());
    }
    target::exists(to, given)?;
    Ok(vec![Event::Linked(Linked { to })])
}
