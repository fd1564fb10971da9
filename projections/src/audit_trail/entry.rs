//! One entry of the trail, and how it is told: as an object, or as rows of a table.

use super::changes::{Change, Held};
use super::filter::Kind;
use chrono::{DateTime, Utc};
use kvali_domain::{FieldId, Recorded};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: Kind,
    pub recorded_at: DateTime<Utc>,
    /// Of the event, the refusal, the denial, the read.
    pub id: Uuid,
    pub actor: Uuid,
    /// What was ordered, or was to be read.
    pub what: Option<String>,
    pub credential: Option<String>,
    pub request_id: Option<String>,
    pub source_address: Option<String>,
    pub particulars: Particulars,
}

#[derive(Clone, Debug)]
pub enum Particulars {
    Event(Box<Happened>),
    /// A command that the rules refused. It changed nothing.
    Refused {
        command_id: Uuid,
        stream: Uuid,
        code: String,
        detail: Value,
    },
    /// What somebody did not have the right to. It was not done.
    Denied {
        permission: String,
    },
    /// Personal texts were shown.
    Read {
        shown: Vec<Uuid>,
        count: i32,
        positions: Option<(i64, i64)>,
    },
}

#[derive(Clone, Debug)]
pub struct Happened {
    pub recorded: Recorded,
    /// Why, in words.
    pub comment: Option<Held>,
    pub changes: Vec<Change>,
    /// The records whose texts can be read in the entry.
    pub told_of: BTreeSet<Uuid>,
}

/// Which personal texts a reader is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sees<'a> {
    All,
    /// Of custom fields, the values of these alone.
    Fields(&'a BTreeSet<FieldId>),
    /// That there are some.
    Masked,
}

impl Sees<'_> {
    /// Whether the value of a custom field, or of what is none, is told.
    pub fn tells(self, custom: Option<FieldId>) -> bool {
        match self {
            Self::All => true,
            Self::Fields(told) => custom.is_none_or(|field| told.contains(&field)),
            Self::Masked => false,
        }
    }
}

/// Of a table with one row per changed field, or one for an entry that changed none.
pub const COLUMNS: [&str; 28] = [
    "kind",
    "recorded_at",
    "occurred_at",
    "position",
    "stream",
    "version",
    "type",
    "actor",
    "on_behalf_of",
    "channel",
    "what",
    "reason_code",
    "comment",
    "field",
    "before",
    "after",
    "withheld",
    "code",
    "detail",
    "permission",
    "shown",
    "count",
    "command_id",
    "correlation_id",
    "causation_id",
    "credential",
    "request_id",
    "source_address",
];

impl Entry {
    /// The records whose texts a reader of it is shown.
    pub fn told_of(&self, sees: Sees) -> impl Iterator<Item = Uuid> {
        let told = match &self.particulars {
            Particulars::Event(happened) if sees != Sees::Masked => Some(&happened.told_of),
            _ => None,
        };
        told.into_iter().flatten().copied()
    }

    pub fn json(&self, sees: Sees) -> Value {
        let mut told = json!({
            "kind": self.kind.word(),
            "recorded_at": self.recorded_at,
            "id": self.id,
            "actor": self.actor,
            "what": self.what,
            "credential": self.credential,
            "request_id": self.request_id,
            "source_address": self.source_address,
        });
        if let (Some(members), Value::Object(more)) = (told.as_object_mut(), self.particulars.json(sees)) {
            members.extend(more);
        }
        told
    }

    /// In the order of [`COLUMNS`].
    pub fn rows(&self, sees: Sees) -> Vec<Vec<Value>> {
        let Value::Object(mut entry) = self.json(sees) else { return Vec::new() };
        let changes = match entry.remove("changes") {
            Some(Value::Array(changes)) if !changes.is_empty() => changes,
            _ => vec![json!({})],
        };
        let row = |change: &Value| COLUMNS.map(|column| cell(column, change, &entry)).to_vec();
        changes.iter().map(row).collect()
    }
}

fn cell(column: &str, change: &Value, entry: &Map<String, Value>) -> Value {
    change.get(column).or_else(|| entry.get(column)).cloned().unwrap_or(Value::Null)
}

impl Particulars {
    fn json(&self, sees: Sees) -> Value {
        match self {
            Self::Event(happened) => happened.json(sees),
            Self::Refused { command_id, stream, code, detail } => {
                json!({ "command_id": command_id, "stream": stream, "code": code, "detail": detail })
            }
            Self::Denied { permission } => json!({ "permission": permission }),
            Self::Read { shown, count, positions } => json!({
                "shown": shown, "count": count, "from_position": positions.map(|(from, _)| from),
                "to_position": positions.map(|(_, to)| to),
            }),
        }
    }
}

impl Happened {
    fn json(&self, sees: Sees) -> Value {
        let Recorded { occurred, .. } = &self.recorded;
        let (comment, _) = told(self.comment.as_ref(), sees.tells(None));
        json!({
            "occurred_at": occurred.at(),
            "occurred": occurred,
            "position": self.recorded.position,
            "stream": self.recorded.stream,
            "version": self.recorded.version,
            "type": self.recorded.event_type,
            "on_behalf_of": self.recorded.on_behalf_of,
            "channel": self.recorded.channel.to_string(),
            "reason_code": self.recorded.reason_code,
            "comment": comment,
            "command_id": self.recorded.command,
            "correlation_id": self.recorded.correlation,
            "causation_id": self.recorded.causation,
            "changes": self.changes.iter().map(|change| change.json(sees)).collect::<Vec<_>>(),
        })
    }
}

impl Change {
    pub fn json(&self, sees: Sees) -> Value {
        let custom = self.field.strip_prefix("fields.").and_then(|id| id.parse().ok().map(FieldId));
        let sees = sees.tells(custom);
        let ((before, one), (after, other)) =
            (told(self.before.as_ref(), sees), told(self.after.as_ref(), sees));
        let mut change = json!({ "field": self.field, "before": before, "after": after });
        if let (Some(withheld), Some(members)) = (other.or(one), change.as_object_mut()) {
            members.insert("withheld".to_owned(), withheld.into());
        }
        change
    }
}

/// The value, and why it is withheld if it is.
fn told(held: Option<&Held>, sees: bool) -> (Value, Option<&'static str>) {
    match (held, sees) {
        (None, _) => (Value::Null, None),
        (Some(Held::Clear(value)), _) | (Some(Held::Personal(value)), true) => (value.clone(), None),
        (Some(Held::Personal(_)), false) => (Value::Null, Some("masked")),
        (Some(Held::Erased), _) => (Value::Null, Some("erased")),
    }
}
