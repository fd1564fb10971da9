//! MAP.toml: how a file names its columns, stages, dates and reasons. `docs/maps/README.md` documents every key.
//!
//! A history and a deals file have maps of their own, since they say different things.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use self::written::{WrittenDeals, WrittenHistory};
use super::table::Open;
use super::when::Dates;

pub mod records;
pub mod stage_table;
mod written;

/// How to read a history: one row per stage entry.
#[derive(Debug, Clone)]
pub struct HistoryMap {
    /// Names the system the rows come from; part of every command id and external id.
    pub source: String,
    pub delimiter: u8,
    /// The sheet of a workbook that holds the rows; the only one if absent.
    pub sheet: Option<String>,
    /// Rows whose cell of a column is none of these are passed over.
    pub only: BTreeMap<String, Vec<String>>,
    pub columns: HistoryColumns,
    pub dates: Dates,
    pub stages: Stages,
    pub loss: Loss,
    pub currency: Option<Currency>,
}

/// How to read a deals file: one row per deal.
#[derive(Debug, Clone)]
pub struct DealsMap {
    /// Names the system the rows come from; part of every command id and external id.
    pub source: String,
    pub delimiter: u8,
    /// The sheet of a workbook that holds the rows; the only one if absent.
    pub sheet: Option<String>,
    /// Rows whose cell of a column is none of these are passed over.
    pub only: BTreeMap<String, Vec<String>>,
    pub columns: DealColumns,
    pub dates: Dates,
    pub stages: Stages,
    /// Which column dates the entry into which stage, in the order of the stages.
    pub entered: Vec<EnteredColumn>,
    pub closed: Option<ClosedColumn>,
    pub loss: Loss,
    pub currency: Option<Currency>,
}

/// The columns of a history by their names in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryColumns {
    pub deal: String,
    pub stage: String,
    pub actor: Option<String>,
    pub occurred_at: String,
    pub owner: Option<String>,
    pub value: Option<String>,
    pub account: Option<String>,
    pub loss_reason: Option<String>,
}

/// The columns of a deals file by their names in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DealColumns {
    pub deal: String,
    pub stage: String,
    pub owner: Option<String>,
    pub account: Option<String>,
    pub value: Option<String>,
    pub loss_reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnteredColumn {
    pub stage: String,
    pub column: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedColumn {
    pub column: String,
    pub of_open_deals: OfOpenDeals,
}

/// What a filled close column means on a deal that is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfOpenDeals {
    #[default]
    Refused,
    ExpectedClose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageClass {
    Process,
    Success,
    Failure,
}

/// The stages a map names, and what the file calls them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stages {
    /// Every stage the map names: `order`, then the closing stages missing from it.
    order: Vec<String>,
    success: Vec<String>,
    failure: Vec<String>,
    outcomes: BTreeMap<String, String>,
    /// Where more of them stand, with [`Stages::with_table`].
    table: Option<stage_table::StageTable>,
}

/// Reason codes of lost deals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The code of a loss for which the file gives none.
    pub reason: String,
    codes: BTreeMap<String, String>,
}

/// An ISO 4217 code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Currency(String);

/// Why a map cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    #[error("cannot read the map {}", .file.display())]
    Read { file: PathBuf, source: std::io::Error },
    /// The cause names line, key and what may stand there.
    #[error("the map {} is not understood", .file.display())]
    Syntax { file: PathBuf, source: Box<toml::de::Error> },
    #[error("the map {} says {key} = {value:?}: {way_out}", .file.display())]
    Value { file: PathBuf, key: String, value: String, way_out: String },
}

impl Default for HistoryMap {
    /// The default columns, ISO dates in UTC, every stage a process stage.
    fn default() -> Self {
        Self {
            source: "csv".to_owned(),
            delimiter: b',',
            sheet: None,
            only: BTreeMap::new(),
            columns: HistoryColumns::default(),
            dates: Dates::default(),
            stages: Stages::default(),
            loss: Loss::default(),
            currency: None,
        }
    }
}

impl HistoryMap {
    pub(super) fn open(&self) -> Open<'_> {
        Open { delimiter: self.delimiter, sheet: self.sheet.as_deref(), only: &self.only }
    }

    pub fn load(file: &Path) -> Result<Self, MapError> {
        Self::parse(&text_of(file)?, file)
    }

    /// `file` only serves the messages.
    pub fn parse(text: &str, file: &Path) -> Result<Self, MapError> {
        let written: WrittenHistory = toml::from_str(text).map_err(|error| syntax(file, error))?;
        written.check().map_err(|unusable| unusable.of(file))
    }
}

impl DealsMap {
    pub(super) fn open(&self) -> Open<'_> {
        Open { delimiter: self.delimiter, sheet: self.sheet.as_deref(), only: &self.only }
    }

    pub fn load(file: &Path) -> Result<Self, MapError> {
        Self::parse(&text_of(file)?, file)
    }

    /// `file` only serves the messages.
    pub fn parse(text: &str, file: &Path) -> Result<Self, MapError> {
        let written: WrittenDeals = toml::from_str(text).map_err(|error| syntax(file, error))?;
        written.check().map_err(|unusable| unusable.of(file))
    }
}

impl Default for HistoryColumns {
    fn default() -> Self {
        Self {
            deal: "deal".to_owned(),
            stage: "stage".to_owned(),
            actor: Some("actor".to_owned()),
            occurred_at: "occurred_at".to_owned(),
            owner: None,
            value: None,
            account: None,
            loss_reason: None,
        }
    }
}

impl Stages {
    /// What a cell of the stage column stands for.
    pub fn named<'a>(&'a self, cell: &'a str) -> &'a str {
        self.outcomes.get(cell).map_or(cell, String::as_str)
    }

    /// A stage the map does not name is a process stage.
    pub fn class(&self, stage: &str) -> StageClass {
        match stage {
            _ if self.success.iter().any(|success| success == stage) => StageClass::Success,
            _ if self.failure.iter().any(|failure| failure == stage) => StageClass::Failure,
            _ => StageClass::Process,
        }
    }

    /// Every stage the map names, in its order; closing stages missing from `order` come last.
    pub fn order(&self) -> &[String] {
        &self.order
    }

    pub fn success(&self) -> &[String] {
        &self.success
    }

    pub fn failure(&self) -> &[String] {
        &self.failure
    }

    /// The place of a stage in the order.
    pub fn place(&self, stage: &str) -> Option<usize> {
        self.order.iter().position(|known| known == stage)
    }

    /// The first stage in which a deal can be open.
    pub fn first_open(&self) -> Option<&str> {
        self.order.iter().map(String::as_str).find(|stage| self.class(stage) == StageClass::Process)
    }
}

impl Default for Loss {
    fn default() -> Self {
        Self { reason: "not_recorded".to_owned(), codes: BTreeMap::new() }
    }
}

impl Loss {
    /// The reason code of a cell: as mapped, or the cell itself where it already is a code.
    pub fn code<'a>(&'a self, cell: &'a str) -> Option<&'a str> {
        self.codes.get(cell).map(String::as_str).or_else(|| is_code(cell).then_some(cell))
    }
}

impl Currency {
    pub fn parse(text: &str) -> Option<Self> {
        let is_iso = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        is_iso.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_code(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn text_of(file: &Path) -> Result<String, MapError> {
    std::fs::read_to_string(file).map_err(|source| MapError::Read { file: file.to_owned(), source })
}

fn syntax(file: &Path, error: toml::de::Error) -> MapError {
    MapError::Syntax { file: file.to_owned(), source: Box::new(error) }
}

#[cfg(test)]
mod tests;
