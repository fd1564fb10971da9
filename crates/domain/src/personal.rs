//! Values that belong to a person: sealed in the log, never printed, gone when the key is.

use crate::SubjectId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A personal text, or nothing once its key has been destroyed.
///
/// In a command it is a plain JSON string; in an event it is left out of `data` (`#[serde(skip)]`) and
/// travels sealed. `Debug` hides it, so no log line can show it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    description = "A personal text. It is sealed on its way into the log and is never part of `data`."
)]
pub struct Personal(pub Option<String>);

impl Personal {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Some(text.into()))
    }

    pub fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The text, or nothing where there is only white space: an event seals what says something.
    #[must_use]
    pub fn unless_blank(&self) -> Self {
        if self.is_blank() { Self(None) } else { self.clone() }
    }

    /// Whether there is no text but white space.
    pub fn is_blank(&self) -> bool {
        self.0.as_deref().is_none_or(|text| text.trim().is_empty())
    }
}

impl std::fmt::Debug for Personal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Personal(…)" } else { "Personal(none)" })
    }
}

/// One personal value inside an event: whose it is, what it is called, where it stands.
pub struct PersonalField<'a> {
    pub subject: SubjectId,
    pub field: &'static str,
    pub value: &'a mut Personal,
}
