//! What fuzzers reach (`tests/fuzz`), and nobody else: the rows of a file up to the commands that they become.

use super::custom::Fields;
use super::draft::{Known, Setting, draft};
use super::held::Held;
use super::refer::Named;
use crate::import::records::RecordRows;
use crate::import::{Kind, RecordsMap};
use kvali_domain::StreamId;
use kvali_domain::deal::External;
use kvali_eventstore::Choice;
use std::path::Path;
use uuid::Uuid;

/// The number of commands that the rows of a file become where nothing is known yet. Refused rows become none.
pub fn drafts(kind: Kind, map: &RecordsMap, file: &Path) -> usize {
    let Ok(setting) = Setting::new(map, Fields::default()) else { return 0 };
    let Ok(mut rows) = RecordRows::open(file, kind, map) else { return 0 };
    let mut commands = 0;
    while let Some(Ok(row)) = rows.next() {
        let Ok(draft) = row.and_then(|row| draft(kind, row, &setting, &mut rows)) else { continue };
        let external = External { source: map.source.clone(), id: draft.row.id.clone() };
        let (held, named, stream) = (Held::default(), Named::default(), StreamId(Uuid::nil()));
        let record = (draft.build)(Known { stream, external, named, keep: false, held: &held });
        commands += usize::from(record.create.is_some() && !record.says_not_who());
        let does = |choice: Choice| matches!(choice, Choice::Do(_));
        commands += record.parts.iter().filter(|part| does((part.choose)(&record.before))).count();
    }
    commands
}
