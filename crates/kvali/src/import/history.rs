//! A history file: one row per stage entry, handed on in time order.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::map::{HistoryMap, StageClass};
use super::problem::{ReadError, Reason, RowProblem, Rows};
use super::sort::{Limits, Merged, Sorter};
use super::survey::{Survey, Surveyor};
use super::table::{Column, Row, Table};
use super::when::When;

/// One stage entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The line of the file on which the record starts; the header is line 1.
    pub line: u64,
    pub deal: String,
    /// As the map's outcomes name it.
    pub stage: String,
    pub actor: Option<String>,
    pub owner: Option<String>,
    /// Never unknown: a row without a time is refused.
    pub when: When,
    /// In the map's currency.
    pub value: Option<Decimal>,
    pub account: Option<String>,
    /// The reason code, on every row that enters a failure stage and on no other.
    pub loss_reason: Option<String>,
    /// How many rows with the same deal, stage and time came before it in the file.
    pub nth: u32,
}

impl HistoryRow {
    pub(super) fn text_bytes(&self) -> usize {
        let optional = [&self.actor, &self.owner, &self.account, &self.loss_reason];
        self.deal.len() + self.stage.len() + optional.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// The first pass: fails on what is wrong with the file as a whole, counts the rows that will be refused.
pub fn survey_history(file: &Path, map: &HistoryMap) -> Result<Survey, ReadError> {
    let (mut table, reader) = open(file, map)?;
    let mut surveyor = Surveyor::new(&table);
    while let Some(row) = table.next()? {
        match reader.read(&row) {
            Ok(cells) => {
                let at = cells.when.at();
                surveyor.row_at(at);
                surveyor.stage_at(cells.stage, (at, cells.line));
            }
            Err(_) => surveyor.bad_row(),
        }
    }
    Ok(surveyor.finish(&table))
}

/// The second pass: rows by time, those of one time in the order of the file.
///
/// Bad rows come where they stand in a sorted file, and all before the first good row in one that is sorted first.
pub fn history_rows<'m>(
    file: &Path,
    map: &'m HistoryMap,
    survey: &Survey,
) -> Result<HistoryRows<'m>, ReadError> {
    rows_within(Limits::default(), file, map, survey)
}

fn rows_within<'m>(
    limits: Limits,
    file: &Path,
    map: &'m HistoryMap,
    survey: &Survey,
) -> Result<HistoryRows<'m>, ReadError> {
    let (table, reader) = open(file, map)?;
    let state = if survey.sorted {
        State::Sorted { previous: None }
    } else {
        State::Sorting(Sorter::new(limits, map.dates.zone()))
    };
    Ok(HistoryRows { table, reader, state, repeats: Repeats::default() })
}

fn open<'m>(file: &Path, map: &'m HistoryMap) -> Result<(Table, Reader<'m>), ReadError> {
    let mut table = Table::open(file, map.open())?;
    let reader = Reader::new(&mut table, map)?;
    Ok((table, reader))
}

/// The rows of a history file by time, see [`history_rows`].
pub struct HistoryRows<'m> {
    table: Table,
    reader: Reader<'m>,
    state: State,
    repeats: Repeats,
}

enum State {
    Sorted { previous: Option<DateTime<Utc>> },
    Sorting(Sorter),
    Merging(Merged),
    Done,
}

impl Iterator for HistoryRows<'_> {
    type Item = Rows<HistoryRow>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match self.step() {
            Ok(next) => next.map(Ok),
            Err(error) => Some(Err(error)),
        };
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Done;
        }
        next
    }
}

impl HistoryRows<'_> {
    fn step(&mut self) -> Result<Option<Result<HistoryRow, RowProblem>>, ReadError> {
        loop {
            match &mut self.state {
                State::Sorted { previous } => {
                    let Some(row) = self.table.next()? else { return Ok(None) };
                    let cells = match self.reader.read(&row) {
                        Ok(cells) => cells,
                        Err(problem) => return Ok(Some(Err(problem))),
                    };
                    if cells.when.at() < *previous {
                        let line = cells.line;
                        return Err(ReadError::Changed { file: self.table.file().to_owned(), line });
                    }
                    *previous = cells.when.at();
                    return Ok(Some(Ok(self.repeats.number(cells.into()))));
                }
                State::Sorting(sorter) => {
                    let Some(row) = self.table.next()? else {
                        self.merge()?;
                        continue;
                    };
                    match self.reader.read(&row) {
                        Ok(cells) => sorter.push(cells.into()).map_err(sort_failed)?,
                        Err(problem) => return Ok(Some(Err(problem))),
                    }
                }
                State::Merging(merged) => {
                    let row = merged.next().transpose().map_err(sort_failed)?;
                    return Ok(row.map(|row| Ok(self.repeats.number(row))));
                }
                State::Done => return Ok(None),
            }
        }
    }

    fn merge(&mut self) -> Result<(), ReadError> {
        if let State::Sorting(sorter) = std::mem::replace(&mut self.state, State::Done) {
            self.state = State::Merging(sorter.finish().map_err(sort_failed)?);
        }
        Ok(())
    }
}

fn sort_failed(source: io::Error) -> ReadError {
    ReadError::Sort { source }
}

/// The cells of one good row, borrowed from it and from the map.
struct Cells<'a> {
    line: u64,
    deal: &'a str,
    stage: &'a str,
    actor: Option<&'a str>,
    owner: Option<&'a str>,
    when: When,
    value: Option<Decimal>,
    account: Option<&'a str>,
    loss_reason: Option<&'a str>,
}

impl From<Cells<'_>> for HistoryRow {
    fn from(cells: Cells<'_>) -> Self {
        Self {
            line: cells.line,
            deal: cells.deal.to_owned(),
            stage: cells.stage.to_owned(),
            actor: cells.actor.map(str::to_owned),
            owner: cells.owner.map(str::to_owned),
            when: cells.when,
            value: cells.value,
            account: cells.account.map(str::to_owned),
            loss_reason: cells.loss_reason.map(str::to_owned),
            nth: 0,
        }
    }
}

/// Knows where in the file the map's columns are.
struct Reader<'m> {
    map: &'m HistoryMap,
    width: usize,
    deal: Column,
    stage: Column,
    occurred_at: Column,
    actor: Option<Column>,
    owner: Option<Column>,
    value: Option<Column>,
    account: Option<Column>,
    loss_reason: Option<Column>,
}

impl<'m> Reader<'m> {
    fn new(table: &mut Table, map: &'m HistoryMap) -> Result<Self, ReadError> {
        let columns = &map.columns;
        Ok(Self {
            map,
            width: table.width(),
            deal: table.column("[columns] deal", &columns.deal)?,
            stage: table.column("[columns] stage", &columns.stage)?,
            occurred_at: table.column("[columns] occurred_at", &columns.occurred_at)?,
            actor: table.optional("[columns] actor", columns.actor.as_deref())?,
            owner: table.optional("[columns] owner", columns.owner.as_deref())?,
            value: table.optional("[columns] value", columns.value.as_deref())?,
            account: table.optional("[columns] account", columns.account.as_deref())?,
            loss_reason: table.optional("[columns] loss_reason", columns.loss_reason.as_deref())?,
        })
    }

    fn read<'a>(&'a self, row: &Row<'a>) -> Result<Cells<'a>, RowProblem> {
        row.has_cells(self.width)?;
        let deal = row.required(&self.deal)?;
        let stage = self.map.stages.named(row.required(&self.stage)?);
        Ok(Cells {
            line: row.line,
            deal,
            stage,
            when: self.when(row)?,
            actor: row.optional(self.actor.as_ref())?,
            owner: row.optional(self.owner.as_ref())?,
            value: row.number(self.value.as_ref())?,
            account: row.optional(self.account.as_ref())?,
            loss_reason: match self.map.stages.class(stage) {
                StageClass::Failure => Some(row.loss_reason(self.loss_reason.as_ref(), &self.map.loss)?),
                StageClass::Process | StageClass::Success => None,
            },
        })
    }

    fn when(&self, row: &Row<'_>) -> Result<When, RowProblem> {
        let when = row.when(&self.occurred_at, &self.map.dates)?;
        if when.is_known() { Ok(when) } else { Err(row.problem(&self.occurred_at, Reason::Undated)) }
    }
}

/// Numbers the rows of one deal, stage and time. Holds the distinct (deal, stage) pairs of a single time.
#[derive(Default)]
struct Repeats {
    at: Option<DateTime<Utc>>,
    seen: HashMap<String, u32>,
    pair: String,
}

impl Repeats {
    /// Expects rows by time.
    fn number(&mut self, row: HistoryRow) -> HistoryRow {
        if self.at != row.when.at() {
            self.at = row.when.at();
            self.forget();
        }
        self.pair.clear();
        // No cell holds a NUL, so two different pairs never read the same.
        self.pair.extend([&row.deal, "\0", &row.stage]);
        let nth = match self.seen.get_mut(&self.pair) {
            Some(nth) => {
                *nth += 1;
                *nth
            }
            None => *self.seen.entry(self.pair.clone()).or_insert(0),
        };
        HistoryRow { nth, ..row }
    }

    /// Clearing costs as much as the table is large, so one crowded time must not slow down all after it.
    fn forget(&mut self) {
        if self.seen.capacity() > 64 { self.seen = HashMap::new() } else { self.seen.clear() }
    }
}

#[cfg(test)]
mod tests;
