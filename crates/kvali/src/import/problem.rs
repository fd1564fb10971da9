//! What can go wrong while reading: a row that is refused, and a file that cannot be read at all.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::when::NotATime;

/// Outer: reading failed and nothing more will come. Inner: this row is refused, the next one may be fine.
pub type Rows<Row> = Result<Result<Row, RowProblem>, ReadError>;

/// A row that cannot be imported: the first thing wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// The line of the file on which the record starts; the header is line 1.
    pub line: u64,
    /// The column's name in the file; none when the row as a whole is at fault.
    pub column: Option<String>,
    /// The cell as it stands, cut after [`RowProblem::SHOWN`] characters.
    pub value: String,
    pub reason: Reason,
}

impl RowProblem {
    pub const SHOWN: usize = 120;

    pub(super) fn new(line: u64, column: Option<&str>, value: &str, reason: Reason) -> Self {
        let value = match value.char_indices().nth(Self::SHOWN) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value.to_owned(),
        };
        Self { line, column: column.map(str::to_owned), value, reason }
    }
}

impl fmt::Display for RowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", {column}")?;
        }
        if !self.value.is_empty() {
            write!(f, " {:?}", self.value)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Why a row is refused; reads on from "column value: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("is empty")]
    Empty,
    #[error("the row has {found} cells, the header has {expected}; quote a cell that holds the delimiter")]
    Ragged { found: usize, expected: usize },
    #[error("holds a NUL character")]
    Nul,
    #[error("is an error of the spreadsheet; correct the formula, or empty the cell")]
    ErrorCell,
    #[error(transparent)]
    NotATime(#[from] NotATime),
    #[error(
        "is empty; a history needs the time of every row, since without it the order of stages is unknown"
    )]
    Undated,
    #[error(
        "is not a plain number such as 1054.00 (no currency sign, no thousands separator, a point for decimals)"
    )]
    NotANumber,
    #[error("is none of the map's stages ({known}); add it under [stages], or map it under [outcomes]")]
    UnknownStage { known: String },
    #[error("is no reason code; give it one under [loss.codes]")]
    UnknownLossReason,
    #[error("is empty, but the deal stands in {stage}: a closed deal needs its date")]
    ClosedWithoutDate { stage: String },
    #[error("lies before the entry into {stage} on {entered}")]
    ClosedBeforeEntry { stage: String, entered: String },
    #[error(
        "is filled, but the deal stands open in {stage}; if it is the expected close, set [closed] of_open_deals = \"expected_close\""
    )]
    OpenWithCloseDate { stage: String },
    #[error(
        "is the record of line {first} again; a file has one row per record, or names the time of each version under [columns] occurred_at"
    )]
    RecordRepeated { first: u64 },
    #[error("is older than the version of line {first}; sort the file by time, oldest first")]
    OlderVersion { first: u64 },
    /// What the cell is held against says why.
    #[error("{why}")]
    Unusable { why: String },
    #[error("is the deal of line {first} again; a deals file has one row per deal")]
    Repeated { first: u64 },
}

/// Why a file cannot be read. Nothing after it is trustworthy, so nothing more is read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot open {}", .file.display())]
    Open { file: PathBuf, source: io::Error },
    #[error("{} is not a regular file; the import reads it twice, so save a pipe's content to a file first", .file.display())]
    NotAFile { file: PathBuf },
    #[error("cannot read the workbook {}", .file.display())]
    Workbook { file: PathBuf, source: Box<calamine::XlsxError> },
    #[error("{} unpacks to more than {} MiB; save the sheet as CSV and import that", .file.display(), .limit >> 20)]
    WorkbookTooLarge { file: PathBuf, limit: u64 },
    #[error("{} claims to hold {claims} texts, more than its bytes could; save it anew in a spreadsheet, or as CSV", .file.display())]
    TooManyTexts { file: PathBuf, claims: u64 },
    #[error("{} has {rows} rows in {columns} columns, more than {limit} cells; empty the cells beside the table, or save the sheet as CSV", .file.display())]
    TooManyCells { file: PathBuf, rows: usize, columns: usize, limit: usize },
    #[error("{} is no workbook that can be read; save it anew in a spreadsheet, or as CSV", .file.display())]
    BrokenWorkbook { file: PathBuf },
    #[error("{} has several sheets; say with --sheet which of {}", .file.display(), .has.join(", "))]
    WhichSheet { file: PathBuf, has: Vec<String> },
    #[error("{} has no sheet {name:?}; it has {}", .file.display(), .has.join(", "))]
    NoSuchSheet { file: PathBuf, name: String, has: Vec<String> },
    #[error("{} is no workbook (.xlsx), so it has no sheet {name:?}; leave --sheet out", .file.display())]
    NoWorkbook { file: PathBuf, name: String },
    #[error("{} is empty; its first line must name the columns", .file.display())]
    Empty { file: PathBuf },
    #[error("{} has no column {name:?}; it has: {}. {way_out}", .file.display(), .has.join(", "))]
    MissingColumn { file: PathBuf, name: String, has: Vec<String>, way_out: String },
    #[error("{} has several columns {name:?}; rename all but the one to import", .file.display())]
    RepeatedColumn { file: PathBuf, name: String },
    #[error("{} is in UTF-16; save it as UTF-8 (\"CSV UTF-8\" in spreadsheets)", .file.display())]
    Utf16 { file: PathBuf },
    #[error("line {line} of {}, column {column}, is not UTF-8; save the file as UTF-8 (\"CSV UTF-8\" in spreadsheets)", .file.display())]
    NotUtf8 { file: PathBuf, line: u64, column: String },
    #[error("a quote opened in the row of line {line} of {} is never closed; close it, or double a quote that belongs to the text", .file.display())]
    OpenQuote { file: PathBuf, line: u64 },
    #[error("the row of line {line} of {} is longer than {limit} bytes; look for a quote that is not closed", .file.display())]
    RowTooLong { file: PathBuf, line: u64, limit: usize },
    #[error("the row of line {line} of {} has more than {limit} cells; the delimiter may be another one", .file.display())]
    TooManyColumns { file: PathBuf, line: u64, limit: usize },
    #[error("cannot read {} after line {line}", .file.display())]
    Read { file: PathBuf, line: u64, source: io::Error },
    #[error("{} changed while it was read: line {line} is earlier than the row before it; import it again", .file.display())]
    Changed { file: PathBuf, line: u64 },
    #[error("cannot sort the rows by time in temporary files (in TMPDIR)")]
    Sort { source: io::Error },
}
