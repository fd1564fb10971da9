//! A user's row: whom other files name as owner by an id.

use super::draft::{Draft, Known, Record};
use crate::import::RowProblem;
use crate::import::records::{RecordRow, RecordRows};
use kvali_domain::user::{Command, User};
use kvali_domain::{Personal, State, UserId};

pub(super) fn draft(row: RecordRow, file: &mut RecordRows<'_>) -> Result<Draft, RowProblem> {
    let parts = ["given", "family"].iter().filter_map(|key| row.cells.get(*key)).cloned();
    let whole = || parts.collect::<Vec<_>>().join(" ");
    let name = row.cells.get("name").cloned().unwrap_or_else(whole);
    if name.is_empty() {
        file.unusable(row.line, "name", "", "is empty; a user needs a name".to_owned())?;
    }
    let build = move |known: Known<'_>| Record {
        before: State::User(User::default()),
        create: Some(Command::Register { user: UserId(known.stream.0), name: Personal::new(name) }.into()),
        parts: Vec::new(),
    };
    Ok(Draft { row, claims: Vec::new(), build: Box::new(build) })
}
