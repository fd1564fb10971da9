//! Reads a table record by record, from a CSV file or from a sheet of a workbook: the header, physical line numbers, and every way a file can be malformed.
//!
//! Built on `csv-core` rather than `csv`, whose `Position::line` is one short on CRLF files and after blank lines
//! (BurntSushi/rust-csv#395, #208), and which ends a quote left open in silence.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use rust_decimal::Decimal;

use super::map::Loss;
use super::problem::{ReadError, Reason, RowProblem};
use super::when::{Dates, When};
use source::{Source, regular};

mod source;

/// A record longer than this is taken for a quote left open, so that one cannot swallow the memory.
const MAX_ROW_BYTES: usize = 4 << 20;
/// As many as a sheet of a spreadsheet has columns: cells without text take memory, too.
const MAX_ROW_CELLS: usize = 16_384;
/// Columns that a message about a missing one names.
const SHOWN_COLUMNS: usize = 100;
const BUFFER_BYTES: usize = 1 << 16;

/// How a file is to be opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open<'a> {
    pub(super) delimiter: u8,
    /// Of a workbook.
    pub(super) sheet: Option<&'a str>,
    /// Rows whose cell of a column is none of these are passed over.
    pub(super) only: &'a BTreeMap<String, Vec<String>>,
}

/// Rows whose cell of the column is none of these are passed over.
#[derive(Debug)]
struct Only {
    column: Column,
    cells: Vec<String>,
}

/// An open table, past its header.
pub(super) struct Table {
    source: Source,
    names: Vec<String>,
    used: Vec<bool>,
    only: Vec<Only>,
}

/// A column the import reads.
#[derive(Debug, Clone)]
pub(super) struct Column {
    index: usize,
    pub(super) name: String,
}

/// One record, borrowed until the next is read.
#[derive(Clone, Copy)]
pub(super) struct Row<'r> {
    /// The line on which the record starts; the header is line 1.
    pub(super) line: u64,
    text: &'r str,
    ends: &'r [usize],
    /// Cells that hold an error of the spreadsheet.
    errors: &'r [usize],
}

impl Table {
    pub(super) fn open(file: &Path, how: Open<'_>) -> Result<Self, ReadError> {
        let mut source = Source::open(file, how)?;
        let Some(header) = source.next(&[], &[])? else {
            return Err(ReadError::Empty { file: source.file().to_owned() });
        };
        let names: Vec<String> = (0..header.ends.len()).map(|index| header.cell(index).to_owned()).collect();
        let mut table = Self { source, used: vec![false; names.len()], names, only: Vec::new() };
        for (name, cells) in how.only {
            let column = table.column(&format!("[only] {name:?}"), name)?;
            table.only.push(Only { column, cells: cells.clone() });
        }
        Ok(table)
    }

    /// Finds a column by its name; `key` is where the map would name another.
    pub(super) fn column(&mut self, key: &str, name: &str) -> Result<Column, ReadError> {
        let mut found = self.names.iter().enumerate().filter(|(_, has)| *has == name).map(|(index, _)| index);
        match (found.next(), found.next()) {
            (Some(index), None) => {
                self.used[index] = true;
                Ok(Column { index, name: name.to_owned() })
            }
            (Some(_), Some(_)) => {
                Err(ReadError::RepeatedColumn { file: self.file().to_owned(), name: name.to_owned() })
            }
            (None, _) => Err(self.missing(key, name)),
        }
    }

    pub(super) fn optional(&mut self, key: &str, name: Option<&str>) -> Result<Option<Column>, ReadError> {
        name.map(|name| self.column(key, name)).transpose()
    }

    /// The columns nobody asked for, by name or, where the header leaves it empty, by place.
    pub(super) fn unused(&self) -> Vec<String> {
        let columns = self.names.iter().zip(&self.used).enumerate();
        columns.filter(|(_, (_, used))| !**used).map(|(index, (name, _))| shown(index, name)).collect()
    }

    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, ReadError> {
        self.source.next(&self.names, &self.only)
    }

    /// The number of columns the header names.
    pub(super) fn width(&self) -> usize {
        self.names.len()
    }

    pub(super) fn file(&self) -> &Path {
        self.source.file()
    }

    pub(super) fn bytes(&self) -> u64 {
        match &self.source {
            Source::Csv(records) => records.bytes,
            Source::Sheet(pages) => pages.bytes,
        }
    }

    /// Rows so far that `[only]` passed over.
    pub(super) fn passed_over(&self) -> u64 {
        match &self.source {
            Source::Csv(records) => records.passed_over,
            Source::Sheet(pages) => pages.passed_over,
        }
    }

    /// The name of the sheet, in a workbook.
    pub(super) fn sheet(&self) -> Option<&str> {
        match &self.source {
            Source::Csv(_) => None,
            Source::Sheet(pages) => Some(&pages.name),
        }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn missing(&self, key: &str, name: &str) -> ReadError {
        let way_out = match self.names.as_slice() {
            [only] if only.contains([';', '\t', '|', ',']) => {
                let sign = only.chars().find(|sign| ";\t|,".contains(*sign)).unwrap_or(';');
                format!(
                    "Its cells seem to be separated by {sign:?}: set delimiter = {:?} in the map",
                    sign.to_string()
                )
            }
            names => match names.iter().find(|has| has.to_lowercase() == name.to_lowercase()) {
                Some(near) => format!("Capitals count: set {key} = {near:?} in the map"),
                None => format!("Name the right one in the map: {key} = \"…\""),
            },
        };
        let names = self.names.iter().enumerate().take(SHOWN_COLUMNS);
        let mut has: Vec<_> = names.map(|(index, name)| shown(index, name)).collect();
        if let Some(more @ 1..) = self.names.len().checked_sub(SHOWN_COLUMNS) {
            has.push(format!("and {more} more"));
        }
        ReadError::MissingColumn { file: self.file().to_owned(), name: name.to_owned(), has, way_out }
    }
}

impl<'r> Row<'r> {
    /// The cell without surrounding white space.
    pub(super) fn text(&self, column: &Column) -> Result<&'r str, RowProblem> {
        let cell = self.cell(column.index);
        if self.errors.contains(&column.index) {
            return Err(self.problem(column, Reason::ErrorCell));
        }
        if cell.contains('\0') { Err(self.problem(column, Reason::Nul)) } else { Ok(cell) }
    }

    pub(super) fn required(&self, column: &Column) -> Result<&'r str, RowProblem> {
        let cell = self.text(column)?;
        if cell.is_empty() { Err(self.problem(column, Reason::Empty)) } else { Ok(cell) }
    }

    /// None for a column the map does not name, and for an empty cell.
    pub(super) fn optional(&self, column: Option<&Column>) -> Result<Option<&'r str>, RowProblem> {
        let cell = column.map(|column| self.text(column)).transpose()?;
        Ok(cell.filter(|cell| !cell.is_empty()))
    }

    pub(super) fn problem(&self, column: &Column, reason: Reason) -> RowProblem {
        RowProblem::new(self.line, Some(&column.name), self.cell(column.index), reason)
    }

    /// Unknown where the cell is empty.
    pub(super) fn when(&self, column: &Column, dates: &Dates) -> Result<When, RowProblem> {
        dates.read(self.text(column)?).map_err(|reason| self.problem(column, reason.into()))
    }

    pub(super) fn number(&self, column: Option<&Column>) -> Result<Option<Decimal>, RowProblem> {
        let (Some(column), Some(cell)) = (column, self.optional(column)?) else { return Ok(None) };
        // `Decimal` would read 1_000 as a thousand.
        let plain = cell.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
        match Decimal::from_str_exact(cell) {
            Ok(number) if plain => Ok(Some(number)),
            _ => Err(self.problem(column, Reason::NotANumber)),
        }
    }

    /// The reason code of a lost deal.
    pub(super) fn loss_reason<'a>(
        &self,
        column: Option<&Column>,
        loss: &'a Loss,
    ) -> Result<&'a str, RowProblem>
    where
        'r: 'a,
    {
        let (Some(column), Some(cell)) = (column, self.optional(column)?) else { return Ok(&loss.reason) };
        loss.code(cell).ok_or_else(|| self.problem(column, Reason::UnknownLossReason))
    }

    /// Every later look at a cell relies on this check.
    pub(super) fn has_cells(&self, expected: usize) -> Result<(), RowProblem> {
        let found = self.ends.len();
        if found == expected {
            return Ok(());
        }
        Err(RowProblem::new(self.line, None, self.text, Reason::Ragged { found, expected }))
    }

    /// A row without the cell is not, so that its reader refuses it.
    fn is_passed_over(&self, only: &[Only]) -> bool {
        only.iter().any(|Only { column, cells }| {
            column.index < self.ends.len() && !cells.iter().any(|cell| cell == self.cell(column.index))
        })
    }

    fn cell(&self, index: usize) -> &'r str {
        let start = if index == 0 { 0 } else { self.ends.get(index - 1).copied().unwrap_or(0) };
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.text.get(start..end).unwrap_or("").trim()
    }
}

/// The records of a file, framed and checked to be UTF-8, the header among them.
struct Records {
    file: PathBuf,
    bytes: u64,
    passed_over: u64,
    input: BufReader<File>,
    core: csv_core::Reader,
    /// The physical line of the next byte.
    line: u64,
    /// The byte before it: CRLF is one line break, not two.
    previous: u8,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Records {
    fn open(file: &Path, delimiter: u8) -> Result<Self, ReadError> {
        let open = |source| ReadError::Open { file: file.to_owned(), source };
        let metadata = regular(file)?;
        let mut records = Self {
            file: file.to_owned(),
            bytes: metadata.len(),
            passed_over: 0,
            input: BufReader::with_capacity(BUFFER_BYTES, File::open(file).map_err(open)?),
            core: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            line: 1,
            previous: 0,
            text: vec![0; 1024],
            ends: vec![0; 32],
        };
        records.skip_byte_order_mark()?;
        Ok(records)
    }

    fn skip_byte_order_mark(&mut self) -> Result<(), ReadError> {
        let mut head = Vec::with_capacity(3);
        self.input.get_mut().take(3).read_to_end(&mut head).map_err(|source| self.failed(source))?;
        match head.as_slice() {
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Err(ReadError::Utf16 { file: self.file.clone() }),
            [0xEF, 0xBB, 0xBF] => Ok(()),
            _ => {
                use std::io::Seek as _;
                self.input.rewind().map_err(|source| self.failed(source))
            }
        }
    }

    /// The next record that is not passed over; `names` only serve the message about a cell that is not UTF-8.
    fn next(&mut self, names: &[String], only: &[Only]) -> Result<Option<Row<'_>>, ReadError> {
        let (line, length, cells) = loop {
            if !self.skip_line_breaks().map_err(|source| self.failed(source))? {
                return Ok(None);
            }
            let line = self.line;
            let (length, cells) = self.frame(line)?;
            let (text, ends) = (&self.text[..length], &self.ends[..cells]);
            let row = |text| Row { line, text, ends, errors: &[] };
            if only.is_empty() || !utf8(text, ends).is_ok_and(|text| row(text).is_passed_over(only)) {
                break (line, length, cells);
            }
            self.passed_over += 1;
        };
        let (text, ends) = (&self.text[..length], &self.ends[..cells]);
        match utf8(text, ends) {
            Ok(text) => Ok(Some(Row { line, text, ends, errors: &[] })),
            Err(index) => {
                let column = shown(index, names.get(index).map_or("", String::as_str));
                Err(ReadError::NotUtf8 { file: self.file.clone(), line, column })
            }
        }
    }

    /// Reads up to the end of the record into `text` and `ends`: its bytes and the number of its cells.
    fn frame(&mut self, line: u64) -> Result<(usize, usize), ReadError> {
        use csv_core::ReadRecordResult::{End, InputEmpty, OutputEndsFull, OutputFull, Record};
        let (mut length, mut cells) = (0, 0);
        loop {
            let input = match self.input.fill_buf() {
                Ok(input) => input,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(self.failed(source)),
            };
            let at_end = input.is_empty();
            // A line break at the end of the file ends the last record, unless a quote is still open.
            let input = if at_end { b"\n" } else { input };
            let (result, read, written, ended) =
                self.core.read_record(input, &mut self.text[length..], &mut self.ends[cells..]);
            length += written;
            cells += ended;
            if !at_end {
                (self.line, self.previous) = count_lines(&input[..read], self.line, self.previous);
                self.input.consume(read);
            }
            match result {
                Record | End => return Ok((length, cells)),
                InputEmpty if at_end => return Err(ReadError::OpenQuote { file: self.file.clone(), line }),
                InputEmpty => {}
                OutputFull if length >= MAX_ROW_BYTES => {
                    return Err(ReadError::RowTooLong {
                        file: self.file.clone(),
                        line,
                        limit: MAX_ROW_BYTES,
                    });
                }
                OutputFull => self.text.resize(self.text.len() * 2, 0),
                OutputEndsFull if cells >= MAX_ROW_CELLS => {
                    let limit = MAX_ROW_CELLS;
                    return Err(ReadError::TooManyColumns { file: self.file.clone(), line, limit });
                }
                OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            }
        }
    }

    /// Moves to the first byte of a record, past the rest of a CRLF and blank lines; false at the end of the file.
    fn skip_line_breaks(&mut self) -> io::Result<bool> {
        loop {
            let input = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                input => input?,
            };
            let breaks = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let (has_more, at_end) = (breaks < input.len(), input.is_empty());
            (self.line, self.previous) = count_lines(&input[..breaks], self.line, self.previous);
            self.input.consume(breaks);
            if has_more || at_end {
                return Ok(has_more);
            }
        }
    }

    fn failed(&self, source: io::Error) -> ReadError {
        ReadError::Read { file: self.file.clone(), line: self.line, source }
    }
}

fn count_lines(bytes: &[u8], mut line: u64, mut previous: u8) -> (u64, u8) {
    for &byte in bytes {
        line += u64::from(byte == b'\r' || (byte == b'\n' && previous != b'\r'));
        previous = byte;
    }
    (line, previous)
}

/// The record as text, or the index of the first cell that is not UTF-8. A character may not straddle two cells,
/// though the bytes of both together might make one.
fn utf8<'r>(bytes: &'r [u8], ends: &[usize]) -> Result<&'r str, usize> {
    let broken = match std::str::from_utf8(bytes) {
        Ok(text) => match ends.iter().position(|end| !text.is_char_boundary(*end)) {
            Some(index) => return Err(index),
            None => return Ok(text),
        },
        Err(error) => error.valid_up_to(),
    };
    Err(ends.iter().take_while(|end| **end <= broken).count())
}

fn shown(index: usize, name: &str) -> String {
    if name.is_empty() { format!("number {}", index + 1) } else { name.to_owned() }
}

#[cfg(test)]
mod tests;
