//! A table of stages that comes with an export: which there are, in which order, and how they end.

use std::collections::BTreeMap;
use std::path::Path;

use rust_decimal::Decimal;
use serde::Deserialize;

use super::Stages;
use super::written::{self, Unusable};
use crate::import::problem::{ReadError, Reason, RowProblem};
use crate::import::table::{Column, Open, Row, Table};

/// Where the stages stand, and in which columns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageTable {
    /// Beside the file that is imported.
    file: String,
    /// Column with what the rows of the import call the stage.
    stage: String,
    /// Column with its name.
    name: String,
    /// Column with the number of its place.
    order: String,
    /// Column that says whether a deal is over in it: `true` or `false`.
    closed: String,
    /// Column that says whether it is won in it.
    won: String,
    /// Rows whose cell of a column is none of these are passed over, such as the stages of other pipelines.
    #[serde(default)]
    only: BTreeMap<String, Vec<String>>,
}

/// Why a table of stages cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StageTableError {
    #[error("the table of stages cannot be read")]
    Read(#[from] ReadError),
    #[error("the table of stages {file:?} cannot be used: {problem}")]
    Row { file: String, problem: Box<RowProblem> },
    #[error(
        "the table of stages {file:?} has no stage in which a deal is open; look at its [stages.table.only]"
    )]
    NothingOpen { file: String },
}

struct Stage {
    place: Decimal,
    cell: String,
    name: String,
    closed: bool,
    won: bool,
}

impl StageTable {
    pub(super) fn check(self) -> Result<Self, Unusable> {
        let Self { file, stage, name, order, closed, won, .. } = &self;
        let keys = [
            ("file", file),
            ("stage", stage),
            ("name", name),
            ("order", order),
            ("closed", closed),
            ("won", won),
        ];
        for (key, value) in keys {
            written::name(&format!("[stages.table] {key}"), value.clone())?;
        }
        Ok(self)
    }

    fn read(&self, beside: &Path) -> Result<Vec<Stage>, StageTableError> {
        let file = beside.with_file_name(&self.file);
        let mut table = Table::open(&file, Open { delimiter: b',', sheet: None, only: &self.only })?;
        let mut column = |key: &str, name| table.column(&format!("[stages.table] {key}"), name);
        let columns = [
            column("order", &self.order)?,
            column("stage", &self.stage)?,
            column("name", &self.name)?,
            column("closed", &self.closed)?,
            column("won", &self.won)?,
        ];
        let width = table.width();
        let mut stages = Vec::new();
        while let Some(row) = table.next()? {
            let stage = stage(&row, width, &columns);
            stages.push(stage.map_err(|problem| StageTableError::Row {
                file: self.file.clone(),
                problem: Box::new(problem),
            })?);
        }
        stages.sort_by_key(|stage| stage.place);
        Ok(stages)
    }
}

fn stage(
    row: &Row<'_>,
    width: usize,
    [order, cell, name, closed, won]: &[Column; 5],
) -> Result<Stage, RowProblem> {
    row.has_cells(width)?;
    let yes = |column: &Column| match row.required(column)? {
        cell if cell.eq_ignore_ascii_case("true") => Ok(true),
        cell if cell.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(row.problem(column, Reason::Unusable { why: "is neither true nor false".to_owned() })),
    };
    row.required(order)?;
    Ok(Stage {
        place: row.number(Some(order))?.unwrap_or_default(),
        cell: row.required(cell)?.to_owned(),
        name: row.required(name)?.to_owned(),
        closed: yes(closed)?,
        won: yes(won)?,
    })
}

impl Stages {
    /// With the stages of the table that the map names, which lies beside the imported file; they come first.
    pub fn with_table(mut self, imported: &Path) -> Result<Self, StageTableError> {
        let Some(table) = self.table.take() else { return Ok(self) };
        let stages = table.read(imported)?;
        if stages.iter().all(|stage| stage.closed) {
            return Err(StageTableError::NothingOpen { file: table.file });
        }
        let named = std::mem::take(&mut self.order);
        for Stage { cell, name, closed, won, .. } in stages {
            match (closed, won) {
                (true, true) => self.success.push(name.clone()),
                (true, false) => self.failure.push(name.clone()),
                (false, _) => {}
            }
            self.order.push(name.clone());
            self.outcomes.insert(cell, name);
        }
        self.order.extend(named);
        Ok(self)
    }
}
