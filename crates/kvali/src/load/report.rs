//! What an import did: counts, and every row that was refused.

use super::Common;
use crate::cli::{Done, Global};
use crate::failure::Failure;
use crate::import::RowProblem;
use crate::output::{Answer, Format, Table};
use kvali_domain::{Refusal, StreamId};
use kvali_eventstore::Outcome;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// Refused rows that a table shows; the rest is counted.
const SHOWN: usize = 20;

/// First position and number of the events that a command added; `None`: none. A dry run has no positions.
pub(crate) fn new_events(answer: &kvali_eventstore::Answer) -> Option<(i64, i32)> {
    (!answer.known && answer.event_count > 0)
        .then(|| (answer.first_position.unwrap_or(0), answer.event_count))
}

/// Why a command of a row is not in the log.
pub(crate) enum Why<'o> {
    Rules(&'o Refusal),
    /// It is, by somebody else: all else that makes up a request is part of its id.
    OtherActor,
}

/// Every row counts once: refused if any of its commands is (partly in if others of them are in the log), else known if all are, else accepted if it added events.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    pub(crate) accepted: u64,
    pub(crate) already_known: u64,
    pub(crate) already_so: u64,
    /// Of the refused rows.
    pub(crate) partly_in: u64,
    /// 16 bytes each.
    records: HashSet<StreamId>,
    events: i64,
    first_position: Option<i64>,
    last_position: Option<i64>,
}

impl Tally {
    pub(crate) fn events(&mut self, first: i64, count: i32) {
        self.events += i64::from(count);
        if first > 0 {
            let last = first + i64::from(count) - 1;
            self.first_position = Some(self.first_position.map_or(first, |earlier| earlier.min(first)));
            self.last_position = self.last_position.max(Some(last));
        }
    }

    pub(crate) fn setup(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted(answer) => {
                if let Some((first, count)) = new_events(answer) {
                    self.events(first, count);
                }
            }
            // Somebody else registered the same user in the meantime; if not, the rows that name them are refused.
            Outcome::Refused(refusal) => tracing::debug!(code = refusal.code(), "registration refused"),
            Outcome::Reused => tracing::debug!("registration known otherwise"),
        }
    }

    /// Counts a row; if it is refused, says by which of its commands and why.
    pub(crate) fn row<'o>(&mut self, record: StreamId, outcomes: &'o [Outcome]) -> Option<(usize, Why<'o>)> {
        self.rows += 1;
        let (mut refused, mut all_known, mut any_event, mut any_in) = (None, true, false, false);
        for (at, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Outcome::Refused(refusal) => refused = refused.or(Some((at, Why::Rules(refusal)))),
                Outcome::Reused => refused = refused.or(Some((at, Why::OtherActor))),
                Outcome::Accepted(answer) => {
                    all_known &= answer.known;
                    any_in |= answer.event_count > 0;
                    if let Some((first, count)) = new_events(answer) {
                        any_event = true;
                        self.events(first, count);
                    }
                }
            }
        }
        if refused.is_some() {
            self.partly_in += u64::from(any_in);
            return refused;
        }
        self.records.insert(record);
        match (all_known, any_event) {
            (true, _) => self.already_known += 1,
            (false, true) => self.accepted += 1,
            (false, false) => self.already_so += 1,
        }
        None
    }
}

/// A row that is not in the log, or not wholly, and why.
#[derive(Clone, Serialize)]
pub(crate) struct Refused {
    pub(crate) line: u64,
    pub(crate) column: Option<String>,
    pub(crate) value: String,
    pub(crate) reason: String,
    /// The permanent word for the reason; `unreadable` before the rules were asked.
    pub(crate) code: String,
}

impl From<&RowProblem> for Refused {
    fn from(problem: &RowProblem) -> Self {
        Self {
            line: problem.line,
            column: problem.column.clone(),
            value: problem.value.clone(),
            reason: problem.reason.to_string(),
            code: "unreadable".to_owned(),
        }
    }
}

/// The refused rows: counted, written to a file if one is named, and as many kept as will be shown.
pub(crate) struct Refusals {
    count: u64,
    of_other_pipelines: u64,
    keep: usize,
    kept: Vec<Refused>,
    file: Option<(PathBuf, csv::Writer<File>)>,
}

impl Refusals {
    pub(crate) fn new(format: Format, file: Option<&Path>) -> Result<Self, Failure> {
        let keep = if format == Format::Table { SHOWN } else { usize::MAX };
        let mut refusals = Self { count: 0, of_other_pipelines: 0, keep, kept: Vec::new(), file: None };
        if let Some(path) = file {
            let failed = |source| Failure::Refusals { file: path.to_owned(), source };
            let mut writer = csv::Writer::from_path(path).map_err(failed)?;
            writer.write_record(COLUMNS).map_err(failed)?;
            refusals.file = Some((path.to_owned(), writer));
        }
        Ok(refusals)
    }

    pub(crate) fn add(&mut self, refused: Refused) -> Result<(), Failure> {
        self.count += 1;
        self.of_other_pipelines += u64::from(refused.code == "already_opened");
        if let Some((path, writer)) = &mut self.file {
            let failed = |source| Failure::Refusals { file: path.clone(), source };
            let line = refused.line.to_string();
            let column = refused.column.as_deref().unwrap_or_default();
            let record = [&line, column, &refused.value, &refused.reason, &refused.code];
            writer.write_record(record).map_err(failed)?;
        }
        if self.kept.len() < self.keep {
            self.kept.push(refused);
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        match &mut self.file {
            Some((path, writer)) => {
                writer.flush().map_err(|error| Failure::Refusals { file: path.clone(), source: error.into() })
            }
            None => Ok(()),
        }
    }

    fn table(&self, sheet: Option<&str>) -> Table {
        let sheet = sheet.map_or_else(String::new, |sheet| format!(" of sheet {sheet:?}"));
        let title = format!("Refused rows{sheet} ({} of {} shown)", self.kept.len(), self.count);
        let mut table = Table::new(title, &COLUMNS);
        for refused in &self.kept {
            table.row([
                json!(refused.line),
                json!(refused.column),
                json!(refused.value),
                json!(refused.reason),
                json!(refused.code),
            ]);
        }
        table
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match &self.file {
            Some((path, _)) => notes.push(format!("All refused rows are in {}.", path.display())),
            None if self.count > self.kept.len() as u64 => notes.push(format!(
                "{} more were refused; --refusals FILE lists them all.",
                self.count - self.kept.len() as u64
            )),
            None => {}
        }
        if self.of_other_pipelines > 0 {
            notes.push(
                "Some rows name deals that another pipeline holds already; if they are other deals, tell their \
                 source apart with --source NAME."
                    .to_owned(),
            );
        }
        notes
    }
}

const COLUMNS: [&str; 5] = ["line", "column", "value", "reason", "code"];

/// What a file held.
pub(crate) struct Of<'a> {
    /// The id of the run.
    pub(crate) import: Uuid,
    /// What one record of it is, in the plural.
    pub(crate) records: &'static str,
    /// Of a workbook.
    pub(crate) sheet: Option<String>,
    pub(crate) pipeline: Option<&'a str>,
    pub(crate) unused_columns: Vec<String>,
    /// Rows besides that the map's `[only]` passes over.
    pub(crate) passed_over: u64,
    /// Cells that were left out, because the map says so or because of what their rows lack besides, by column.
    pub(crate) left_out: BTreeMap<String, u64>,
}

/// What was imported, as the closing summary names it.
pub(crate) struct Report<'a> {
    pub(crate) common: &'a Common,
    pub(crate) of: Of<'a>,
    pub(crate) tally: &'a Tally,
    pub(crate) refusals: &'a Refusals,
    pub(crate) took: Duration,
}

impl Report<'_> {
    pub(crate) fn print(&self, global: &Global) -> Result<Done, Failure> {
        let mut tables = vec![self.summary(global.format)];
        if self.refusals.count > 0 {
            tables.push(self.refusals.table(self.of.sheet.as_deref()));
        }
        Answer { tables, notes: self.notes(), json: self.json() }.print(global.format)?;
        Ok(if self.refusals.count > 0 { Done::RowsRefused } else { Done::Well })
    }

    fn figures(&self) -> Vec<(&'static str, Value)> {
        let tally = self.tally;
        vec![
            ("rows", json!(tally.rows)),
            ("accepted", json!(tally.accepted)),
            ("already_known", json!(tally.already_known)),
            ("already_so", json!(tally.already_so)),
            ("refused", json!(self.refusals.count)),
            ("partly_in", json!(tally.partly_in)),
            (self.of.records, json!(tally.records.len())),
            ("events", json!(tally.events)),
            ("first_position", json!(tally.first_position)),
            ("last_position", json!(tally.last_position)),
            ("seconds", json!((self.took.as_secs_f64() * 1000.0).round() / 1000.0)),
        ]
    }

    /// Downwards for people, one row for programs.
    fn summary(&self, format: Format) -> Table {
        let figures = self.figures();
        if format == Format::Csv {
            let columns: Vec<_> = figures.iter().map(|(name, _)| *name).collect();
            let mut table = Table::new("", &columns);
            table.rows.push(figures.into_iter().map(|(_, value)| value).collect());
            return table;
        }
        let file = self.common.file.display();
        let into = self.of.pipeline.map_or_else(String::new, |pipeline| format!(" into {pipeline:?}"));
        let title = if self.common.dry_run {
            format!("Dry run of {file}{into}: nothing was written; this is what would happen")
        } else {
            format!("Imported {file}{into}")
        };
        let mut table = Table::new(title, &["what", "count"]);
        for (name, value) in figures {
            table.row([json!(name.replace('_', " ")), value]);
        }
        table
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.refusals.notes();
        if self.tally.rows == 0 && self.of.passed_over > 0 {
            notes.push(format!(
                "[only] of the map passed over all {} rows; if some are meant, write their cells there as they stand in \
                 the file.",
                self.of.passed_over
            ));
        }
        if self.tally.partly_in > 0 {
            notes.push(format!(
                "Refused rows that are partly in: {}, all but the cell that is listed and what hangs on it. Correct the \
                 cell and import the file again.",
                self.tally.partly_in
            ));
        }
        if !self.common.dry_run {
            notes.push(format!("This import is {0}; kvali import revert {0} undoes it.", self.of.import));
        }
        if !self.of.unused_columns.is_empty() {
            notes.push(format!("Columns not read: {}.", self.of.unused_columns.join(", ")));
        }
        if !self.of.left_out.is_empty() {
            let cells = self.of.left_out.iter().map(|(column, count)| format!("{count} in {column}"));
            let cells = cells.collect::<Vec<_>>().join(", ");
            notes.push(format!("Cells that were left out: {cells}; docs/maps/README.md tells why."));
        }
        notes
    }

    fn json(&self) -> Value {
        let mut json: serde_json::Map<_, _> =
            self.figures().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        json.insert("file".to_owned(), json!(self.common.file.display().to_string()));
        json.insert("import".to_owned(), json!(self.of.import));
        json.insert("sheet".to_owned(), json!(self.of.sheet));
        json.insert("pipeline".to_owned(), json!(self.of.pipeline));
        json.insert("left_out".to_owned(), json!(self.of.left_out));
        json.insert("passed_over".to_owned(), json!(self.of.passed_over));
        json.insert("dry_run".to_owned(), json!(self.common.dry_run));
        json.insert("unused_columns".to_owned(), json!(self.of.unused_columns));
        json.insert("refusals".to_owned(), json!(self.refusals.kept));
        Value::Object(json)
    }
}
