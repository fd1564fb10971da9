//! Reading CSV and XLSX files for import: from a file and a map to validated rows.
//!
//! A file is read twice: a *survey* finds what is wrong with the file as a whole before anything is written, then
//! the rows stream by. Leaves out: what becomes of a row (commands, ids, the database).
//!
//! Memory stays bounded however long the file is: one record (4 MiB at most), the names of the stages, the (deal,
//! stage) pairs of a single time; of an unsorted history one run of the sort (100,000 rows or 32 MiB of text); of a
//! deals file a hash and a line per deal; of a file of records the ids. A sheet of a workbook is read whole. Peaks with a million history rows: 5 MB sorted, 33 MB unsorted.

pub mod deals;
pub mod history;
pub mod map;
mod problem;
pub mod records;
mod sort;
mod survey;
mod table;
pub mod when;
mod workbook;

#[cfg(test)]
mod reference_data;

pub use deals::{DealRow, DealRows, deal_rows, survey_deals};
pub use history::{HistoryRow, HistoryRows, history_rows, survey_history};
pub use map::records::{Duplicates, RecordsMap};
pub use map::stage_table::StageTableError;
pub use map::{DealsMap, HistoryMap, MapError};
pub use problem::{ReadError, Reason, RowProblem, Rows};
pub use records::{Kind, RecordRow, RecordRows};
pub use survey::Survey;
pub use when::When;
