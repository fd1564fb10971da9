//! Texts of the configuration: codes, labels, names. They belong to no person.

use schemars::JsonSchema;
use serde::Serialize;

/// The longest code, label or name, in characters.
pub const LONGEST: usize = 200;

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum LabelProblem {
    #[error("{field} is empty; give it at least one visible character")]
    Blank { field: &'static str },
    #[error("{field} has {length} characters; up to {most} are accepted")]
    TooLong { field: &'static str, length: usize, most: usize },
}

/// Whether a text may say why something is done: codes are kept in the clear, so none may be a text about somebody.
pub fn is_reason_code(text: &str) -> bool {
    const LONGEST: usize = 64;
    (1..=LONGEST).contains(&text.chars().count())
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The text without outer white space, if it says something in at most [`LONGEST`] characters.
pub(crate) fn label(field: &'static str, text: &str) -> Result<String, LabelProblem> {
    let text = text.trim();
    let length = text.chars().count();
    match length {
        0 => Err(LabelProblem::Blank { field }),
        1..=LONGEST => Ok(text.to_owned()),
        _ => Err(LabelProblem::TooLong { field, length, most: LONGEST }),
    }
}
