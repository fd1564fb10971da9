//! What identifies the content of a file or a recording that is kept elsewhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// SHA-256 as 64 hexadecimal digits; written in lower case.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash(String);

impl ContentHash {
    /// `None` unless `text` is 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let sound = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        sound.then(|| Self(text.to_ascii_lowercase()))
    }
}

#[derive(thiserror::Error, Debug)]
#[error("{0:?} is not a SHA-256 hash of 64 hexadecimal digits")]
pub struct NotAHash(String);

impl TryFrom<String> for ContentHash {
    type Error = NotAHash;
    fn try_from(text: String) -> Result<Self, NotAHash> {
        Self::parse(&text).ok_or(NotAHash(text))
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.0
    }
}

impl JsonSchema for ContentHash {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ContentHash".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9A-Fa-f]{64}$", "description": "SHA-256" })
    }
}
