//! What shape texts must have: how long they may be, and what codes and foreign ids look like.

use crate::Personal;
use schemars::JsonSchema;
use serde::Serialize;

/// Characters in a code.
pub const MAX_CODE: usize = 64;
/// Characters in an id that another system gave.
pub const MAX_FOREIGN_ID: usize = 255;

#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[error("{field} has {length} characters; at most {limit} are accepted")]
pub struct TooLong {
    pub field: &'static str,
    pub length: usize,
    pub limit: usize,
}

#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[error(
    "{field} is not a code; accepted are 1 to {MAX_CODE} of a-z, 0-9, '.', '_' and '-', such as no_answer"
)]
pub struct NotACode {
    pub field: &'static str,
}

#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[error("{field} is not an id; accepted are 1 to {MAX_FOREIGN_ID} characters without white space")]
pub struct NotAnId {
    pub field: &'static str,
}

pub(crate) fn within(field: &'static str, text: &Personal, limit: usize) -> Result<(), TooLong> {
    let length = text.as_deref().map_or(0, |text| text.chars().count());
    if length > limit { Err(TooLong { field, length, limit }) } else { Ok(()) }
}

pub(crate) fn code(field: &'static str, text: &str) -> Result<(), NotACode> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let sound = !text.is_empty() && text.len() <= MAX_CODE && text.chars().all(fits);
    if sound { Ok(()) } else { Err(NotACode { field }) }
}

pub(crate) fn foreign_id(field: &'static str, text: &str) -> Result<(), NotAnId> {
    // Control characters include the one that separates the parts of a claim's key.
    let odd = |c: char| c.is_whitespace() || c.is_control();
    let sound = !text.is_empty() && text.chars().count() <= MAX_FOREIGN_ID && !text.chars().any(odd);
    if sound { Ok(()) } else { Err(NotAnId { field }) }
}
