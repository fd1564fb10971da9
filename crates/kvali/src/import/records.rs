//! A file of companies, contacts, leads, tasks or users: one row per record as it stands, or per version of it; or of the
//! contacts of deals, one row each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::map::records::{RecordsMap, Unusable};
use super::problem::{ReadError, Reason, RowProblem, Rows};
use super::table::{Column, Row, Table};
use super::when::When;
pub use known::{Kind, Known};

mod known;

/// The cells of one record by the keys of [`Known`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// The line of the file on which the record starts; the header is line 1.
    pub line: u64,
    /// The record's id in its system.
    pub id: String,
    /// What is filled, translated by the map's values.
    pub cells: BTreeMap<&'static str, String>,
    /// What is filled of the tenant's own fields, by their keys.
    pub fields: BTreeMap<String, String>,
    /// When the record was created.
    pub created_at: When,
    /// When the record became as the row says; unknown in a file with one row per record.
    pub occurred_at: When,
    /// The due of a task.
    pub due: When,
}

/// Which column of the file holds what.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    by_key: BTreeMap<&'static str, Arc<str>>,
    by_field: BTreeMap<String, Arc<str>>,
}

impl Columns {
    /// The name of the column for a key of [`Known`].
    pub fn of(&self, key: &str) -> Option<Arc<str>> {
        self.by_key.get(key).cloned()
    }

    /// The name of the column for one of the tenant's own fields.
    pub fn of_field(&self, key: &str) -> Option<Arc<str>> {
        self.by_field.get(key).cloned()
    }
}

/// The records in the order of the file.
pub struct RecordRows<'m> {
    table: Table,
    reader: Reader<'m>,
    failed: bool,
}

impl<'m> RecordRows<'m> {
    pub fn open(file: &Path, kind: Kind, map: &'m RecordsMap) -> Result<Self, ReadError> {
        let mut table = Table::open(file, map.open())?;
        let reader = Reader::new(&mut table, kind, map)?;
        Ok(Self { table, reader, failed: false })
    }

    /// Reads the whole file, so that what is wrong with it as a whole is known before anything is written. The number
    /// of its rows.
    pub fn survey(file: &Path, kind: Kind, map: &'m RecordsMap) -> Result<u64, ReadError> {
        let mut table = Self::open(file, kind, map)?.table;
        let mut rows = 0;
        while table.next()?.is_some() {
            rows += 1;
        }
        Ok(rows)
    }

    pub fn columns(&self) -> &Columns {
        &self.reader.names
    }

    /// Rows so far that `[only]` passed over.
    pub fn passed_over(&self) -> u64 {
        self.table.passed_over()
    }

    /// The sheet of a workbook.
    pub fn sheet(&self) -> Option<&str> {
        self.table.sheet()
    }

    /// Columns of the file that the import does not read.
    pub fn unused_columns(&self) -> Vec<String> {
        self.table.unused()
    }

    /// Cells that were left out so far, by column.
    pub fn left_out(&self) -> &BTreeMap<String, u64> {
        &self.reader.left_out
    }

    /// Counts a filled cell with which nothing can be done, because of what the row lacks besides.
    pub fn leave_out(&mut self, key: &str) {
        self.reader.leave_out(key);
    }

    /// What is wrong with a cell.
    pub fn problem(&self, line: u64, key: &str, value: &str, why: String) -> RowProblem {
        let column = self.reader.names.of(key);
        RowProblem::new(line, Some(column.as_deref().unwrap_or(key)), value, Reason::Unusable { why })
    }

    /// Leaves a cell out that turned out to be unusable, if the map says so; else the row is refused.
    pub fn unusable(&mut self, line: u64, key: &str, value: &str, why: String) -> Result<(), RowProblem> {
        self.reader.unusable(line, key, value, why)
    }
}

impl Iterator for RecordRows<'_> {
    type Item = Rows<RecordRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.table.next() {
            Ok(row) => row.map(|row| Ok(self.reader.read(&row))),
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

/// Knows where in the file the columns are, and which records it has met.
struct Reader<'m> {
    kind: Kind,
    map: &'m RecordsMap,
    width: usize,
    columns: Vec<(&'static Known, Column)>,
    fields: Vec<(&'m str, Column)>,
    names: Columns,
    met: BTreeMap<String, (u64, Option<DateTime<Utc>>)>,
    left_out: BTreeMap<String, u64>,
}

impl<'m> Reader<'m> {
    fn new(table: &mut Table, kind: Kind, map: &'m RecordsMap) -> Result<Self, ReadError> {
        let mut columns = Vec::new();
        for known in kind.columns() {
            let key = format!("[columns] {}", known.key);
            let named = match &map.columns {
                Some(columns) => columns.get(known.key).cloned(),
                None => known.among(table.names()),
            };
            match named {
                Some(name) => columns.push((known, table.column(&key, &name)?)),
                None if known.required => return Err(table.missing(&key, known.key)),
                None => {}
            }
        }
        let mut fields = Vec::new();
        for (key, name) in &map.fields {
            fields.push((key.as_str(), table.column(&format!("[fields] {key}"), name)?));
        }
        let names = Columns {
            by_key: columns.iter().map(|(known, column)| (known.key, column.name.as_str().into())).collect(),
            by_field: fields
                .iter()
                .map(|(key, column)| ((*key).to_owned(), column.name.as_str().into()))
                .collect(),
        };
        let (met, left_out) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { kind, map, width: table.width(), columns, fields, names, met, left_out })
    }

    fn read(&mut self, row: &Row<'_>) -> Result<RecordRow, RowProblem> {
        row.has_cells(self.width)?;
        let mut record = RecordRow {
            line: row.line,
            id: String::new(),
            cells: BTreeMap::new(),
            fields: BTreeMap::new(),
            created_at: When::Unknown,
            occurred_at: When::Unknown,
            due: When::Unknown,
        };
        for (known, column) in &self.columns {
            match known.key {
                "id" => row.required(column)?.clone_into(&mut record.id),
                "created_at" => record.created_at = row.when(column, &self.map.dates)?,
                "occurred_at" => record.occurred_at = row.when(column, &self.map.dates)?,
                "due" => record.due = row.when(column, &self.map.dates)?,
                key => {
                    let Some(cell) = row.optional(Some(column))? else { continue };
                    record.cells.insert(key, self.map.translated(key, cell).to_owned());
                }
            }
            if known.required {
                row.required(column)?;
            }
        }
        for (key, column) in &self.fields {
            if let Some(cell) = row.optional(Some(column))? {
                record.fields.insert((*key).to_owned(), self.map.translated(key, cell).to_owned());
            }
        }
        self.meet(row, &record)?;
        Ok(record)
    }

    /// A record comes once, or with its versions in the order of time; a deal as often as it has contacts.
    fn meet(&mut self, row: &Row<'_>, record: &RecordRow) -> Result<(), RowProblem> {
        if self.kind == Kind::DealContacts {
            return Ok(());
        }
        let now = (row.line, record.occurred_at.at());
        let column = self.columns.iter().find(|(known, _)| known.key == "id").map(|(_, column)| column);
        let Some((first, before)) = self.met.insert(record.id.clone(), now) else { return Ok(()) };
        let reason = match (before, now.1) {
            (Some(before), Some(now)) if before <= now => return Ok(()),
            (Some(_), Some(_)) => Reason::OlderVersion { first },
            _ => Reason::RecordRepeated { first },
        };
        self.met.insert(record.id.clone(), (first, before));
        Err(match column {
            Some(column) => row.problem(column, reason),
            None => RowProblem::new(row.line, None, &record.id, reason),
        })
    }

    fn unusable(&mut self, line: u64, key: &str, value: &str, why: String) -> Result<(), RowProblem> {
        match self.map.unusable(key) {
            Unusable::LeftOut => {
                self.leave_out(key);
                Ok(())
            }
            Unusable::Refused => {
                Err(RowProblem::new(line, Some(&self.column(key)), value, Reason::Unusable { why }))
            }
        }
    }

    fn leave_out(&mut self, key: &str) {
        *self.left_out.entry(self.column(key)).or_default() += 1;
    }

    fn column(&self, key: &str) -> String {
        let column = self.names.of(key).or_else(|| self.names.of_field(key));
        column.as_deref().unwrap_or(key).to_owned()
    }
}
