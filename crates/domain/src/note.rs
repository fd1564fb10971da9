//! A note about a lead, contact, company or deal, with files. Its texts have a key of their own, so that one note
//! can be made unreadable and nothing else.

use crate::content_hash::ContentHash;
use crate::decider::{Describe, commands, events, index};
use crate::pipeline::list;
use crate::subject;
use crate::target::{self, NoSuchTarget};
use crate::text::{self, TooLong};
use crate::{
    ActorId, Decider, Given, NoteId, Occurred, Order, Personal, PersonalField, Reads, SubjectId, Target,
    Version,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Characters in a note.
pub const MAX_TEXT: usize = 20_000;
/// Characters in a reason.
pub const MAX_REASON: usize = 1_000;
/// Characters in a file's name.
pub const MAX_FILE_NAME: usize = 255;
/// Bytes in a file: 25 MiB.
pub const MAX_FILE_BYTES: i32 = 25 * 1024 * 1024;
/// What files may be. Nothing that a browser or an office program would run.
pub const MEDIA_TYPES: &[&str] = &[
    "application/pdf",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "audio/mpeg",
    "audio/ogg",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "message/rfc822",
    "text/csv",
    "text/plain",
];

commands! {
    /// The target exists; there is a text.
    "AddNote" = Add { about: Target, text: Personal, visibility: Visibility } => [Added],
    /// The note is not redacted; there is a text; by its author, or by others with a reason. The old text stays in
    /// history.
    "ReviseNote" = Revise {
        text: Personal,
        #[serde(default)]
        reason: Personal,
    } => [Revised],
    /// A reason. The key of the note's texts is destroyed, so that no version of it can be read again.
    "RedactNote" = Redact {
        #[serde(default)]
        reason: Personal,
    } => [Redacted],
    /// The note is there and not redacted.
    "PinNote" = Pin {} => [Pinned],
    /// The note is there.
    "UnpinNote" = Unpin {} => [Unpinned],
    /// The note is not redacted; a name; 1 byte to 25 MiB; a media type from the list; the content's SHA-256.
    "AttachFile" = AttachFile {
        name: Personal,
        media_type: String,
        size_bytes: i32,
        hash: ContentHash,
    } => [FileAttached],
    /// The note has a file of that number.
    "DetachFile" = DetachFile {
        /// From 1.
        file: i32,
    } => [FileDetached],
}

/// Who may read a note.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    Team,
    Private,
    All,
}

events! {
    Added = "note.added",
    Revised = "note.revised",
    Redacted = "note.redacted",
    Pinned = "note.pinned",
    Unpinned = "note.unpinned",
    FileAttached = "note.file_attached",
    FileDetached = "note.file_detached",
}

/// Revision 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["text"]))]
pub struct Added {
    pub about: Target,
    pub author: ActorId,
    pub visibility: Visibility,
    /// Whose key seals the text: the note's own.
    pub subject: SubjectId,
    #[serde(skip)]
    pub text: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["text", "reason"]))]
pub struct Revised {
    /// From 2.
    pub revision: i32,
    /// Whose key seals text and reason: the note's own.
    pub subject: SubjectId,
    #[serde(skip)]
    pub text: Personal,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Redacted {
    /// Whose key is destroyed: the note's own.
    pub destroyed: SubjectId,
    /// Whose key seals the reason: one beside the note's, for the reason outlives the note's text.
    pub subject: SubjectId,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Pinned {}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Unpinned {}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["name"]))]
pub struct FileAttached {
    /// Files of one note are numbered from 1.
    pub file: i32,
    pub media_type: String,
    pub size_bytes: i32,
    pub hash: ContentHash,
    /// Whose key seals the name: the note's own.
    pub subject: SubjectId,
    #[serde(skip)]
    pub name: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FileDetached {
    pub file: i32,
}

impl Describe for Event {
    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        let (subject, field, value) = match self {
            Self::Added(event) => (event.subject, "text", &mut event.text),
            Self::Revised(Revised { subject, text, reason, .. }) => {
                let subject = *subject;
                return vec![
                    PersonalField { subject, field: "text", value: text },
                    PersonalField { subject, field: "reason", value: reason },
                ];
            }
            Self::Redacted(event) => (event.subject, "reason", &mut event.reason),
            Self::FileAttached(event) => (event.subject, "name", &mut event.name),
            Self::Pinned(_) | Self::Unpinned(_) | Self::FileDetached(_) => return Vec::new(),
        };
        vec![PersonalField { subject, field, value }]
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this note does not exist; add it first")]
    NoSuchNote,
    #[error("this note was added already; change it with ReviseNote, or use another id")]
    AlreadyAdded,
    #[error("this note is redacted and stays so; add a new one with AddNote")]
    Redacted,
    #[error("{field} is empty; give it at least one visible character")]
    Blank { field: &'static str },
    #[error("this note is another's; to revise it give a text in `reason` or a reason code")]
    NotTheAuthor,
    #[error("redacting needs a reason; give a text in `reason` or a reason code")]
    ReasonMissing,
    #[error("a file of {size_bytes} bytes is not accepted; 1 to {MAX_FILE_BYTES} are")]
    FileSize { size_bytes: i32 },
    #[error("this media type is not accepted; accepted: {}", list(.accepted))]
    MediaType { accepted: Vec<String> },
    #[error("this note has no file {file}; it has had {last}, numbered from 1")]
    NoSuchFile { file: i32, last: i32 },
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error(transparent)]
    NoSuchTarget(#[from] NoSuchTarget),
}

/// Texts and file names are no part of the state: they stay sealed in the log.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Note {
    #[default]
    Absent,
    Legible(Record),
    Redacted(Record),
}

/// What a note has become so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub about: Target,
    pub author: ActorId,
    pub visibility: Visibility,
    pub revision: i32,
    pub pinned: bool,
    /// File 1 stands first; detached ones keep their numbers.
    pub files: Vec<File>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum File {
    Attached(ContentHash),
    Detached,
}

impl Record {
    fn last_file(&self) -> i32 {
        i32::try_from(self.files.len()).expect("a stream's versions are i32, so its files are fewer")
    }
}

/// The holder of the key that seals why a note was redacted; it outlives the note's own key.
pub fn redaction_subject(note: NoteId) -> SubjectId {
    SubjectId(Uuid::new_v5(&note.0, b"redaction"))
}

impl Decider for Note {
    const AGGREGATE: &'static str = "note";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Add { .. })
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        match command {
            Command::Add { about, .. } => vec![target::reads(*about)],
            _ => Vec::new(),
        }
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, Command::Add { about, text, visibility }) => add(*about, text, *visibility, given),
            (Self::Absent, _) => Err(Refusal::NoSuchNote),
            (_, Command::Add { .. }) => Err(Refusal::AlreadyAdded),
            (Self::Legible(note), Command::Revise { text, reason }) => revise(note, text, reason, given),
            (Self::Legible(_), Command::Redact { reason }) => redact(reason, given),
            (Self::Legible(note), Command::Pin {}) if note.pinned => Ok(Vec::new()),
            (Self::Legible(_), Command::Pin {}) => Ok(vec![Event::Pinned(Pinned {})]),
            (Self::Legible(note) | Self::Redacted(note), Command::Unpin {}) if note.pinned => {
                Ok(vec![Event::Unpinned(Unpinned {})])
            }
            (Self::Redacted(_), Command::Redact { .. }) | (_, Command::Unpin {}) => Ok(Vec::new()),
            (Self::Legible(note), Command::AttachFile { name, media_type, size_bytes, hash }) => {
                attach(note, name, media_type, *size_bytes, hash, given)
            }
            (Self::Legible(note) | Self::Redacted(note), Command::DetachFile { file }) => detach(note, *file),
            (Self::Redacted(_), Command::Revise { .. } | Command::Pin {} | Command::AttachFile { .. }) => {
                Err(Refusal::Redacted)
            }
        }
    }

    /// A redacted note's key goes the way of every key: by the erasure of its subject, in the same append.
    fn follow(&self, command: &Command, given: &Given<'_>) -> Vec<Order> {
        let subject = SubjectId(given.stream.0);
        match command {
            Command::Redact { .. } => {
                vec![Order { stream: subject.stream(), command: subject::Command::Erase { subject }.into() }]
            }
            _ => Vec::new(),
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        *self = match (std::mem::take(self), event) {
            (_, Event::Added(event)) => Self::Legible(Record {
                about: event.about,
                author: event.author,
                visibility: event.visibility,
                revision: 1,
                pinned: false,
                files: Vec::new(),
            }),
            (Self::Absent, _) => Self::Absent,
            (Self::Legible(note) | Self::Redacted(note), Event::Redacted(_)) => Self::Redacted(note),
            (Self::Legible(note), event) => Self::Legible(note.evolved(event)),
            (Self::Redacted(note), event) => Self::Redacted(note.evolved(event)),
        };
    }
}

impl Record {
    fn evolved(mut self, event: &Event) -> Self {
        match event {
            Event::Revised(event) => self.revision = event.revision,
            Event::Pinned(_) => self.pinned = true,
            Event::Unpinned(_) => self.pinned = false,
            Event::FileAttached(event) => self.files.push(File::Attached(event.hash.clone())),
            Event::FileDetached(event) => {
                if let Some(file) = index(event.file).and_then(|at| self.files.get_mut(at)) {
                    *file = File::Detached;
                }
            }
            Event::Added(_) | Event::Redacted(_) => {}
        }
        self
    }
}

fn add(
    about: Target,
    text: &Personal,
    visibility: Visibility,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    says_something("text", text, MAX_TEXT)?;
    target::exists(about, given)?;
    Ok(vec![Event::Added(Added {
        about,
        author: given.actor,
        visibility,
        subject: SubjectId(given.stream.0),
        text: text.clone(),
    })])
}

fn revise(
    note: &Record,
    text: &Personal,
    reason: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    says_something("text", text, MAX_TEXT)?;
    text::within("reason", reason, MAX_REASON)?;
    if given.actor != note.author && !given.has_reason(reason) {
        return Err(Refusal::NotTheAuthor);
    }
    Ok(vec![Event::Revised(Revised {
        revision: note.revision.saturating_add(1),
        subject: SubjectId(given.stream.0),
        text: text.clone(),
        reason: reason.unless_blank(),
    })])
}

fn redact(reason: &Personal, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    text::within("reason", reason, MAX_REASON)?;
    if !given.has_reason(reason) {
        return Err(Refusal::ReasonMissing);
    }
    Ok(vec![Event::Redacted(Redacted {
        destroyed: SubjectId(given.stream.0),
        subject: redaction_subject(NoteId(given.stream.0)),
        reason: reason.unless_blank(),
    })])
}

fn attach(
    note: &Record,
    name: &Personal,
    media_type: &str,
    size_bytes: i32,
    hash: &ContentHash,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    says_something("name", name, MAX_FILE_NAME)?;
    if !(1..=MAX_FILE_BYTES).contains(&size_bytes) {
        return Err(Refusal::FileSize { size_bytes });
    }
    let Some(media_type) = MEDIA_TYPES.iter().find(|known| known.eq_ignore_ascii_case(media_type)) else {
        return Err(Refusal::MediaType {
            accepted: MEDIA_TYPES.iter().map(|known| (*known).to_owned()).collect(),
        });
    };
    if note.files.contains(&File::Attached(hash.clone())) {
        return Ok(Vec::new());
    }
    Ok(vec![Event::FileAttached(FileAttached {
        file: note.last_file() + 1,
        media_type: (*media_type).to_owned(),
        size_bytes,
        hash: hash.clone(),
        subject: SubjectId(given.stream.0),
        name: name.clone(),
    })])
}

fn detach(note: &Record, file: i32) -> Result<Vec<Event>, Refusal> {
    match index(file).and_then(|at| note.files.get(at)) {
        None => Err(Refusal::NoSuchFile { file, last: note.last_file() }),
        Some(File::Detached) => Ok(Vec::new()),
        Some(File::Attached(_)) => Ok(vec![Event::FileDetached(FileDetached { file })]),
    }
}

fn says_something(field: &'static str, text: &Personal, limit: usize) -> Result<(), Refusal> {
    if text.is_blank() {
        return Err(Refusal::Blank { field });
    }
    Ok(text::within(field, text, limit)?)
}
