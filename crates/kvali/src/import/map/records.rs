//! The map of a file of companies, contacts, leads, tasks or users.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::written::{self, WrittenDates};
use super::{MapError, syntax, text_of};
use crate::import::records::Kind;
use crate::import::table::Open;
use crate::import::when::Dates;

/// How to read a file with one row per record.
#[derive(Debug, Clone)]
pub struct RecordsMap {
    /// Names the system the rows come from; part of every command id and external id.
    pub source: String,
    pub delimiter: u8,
    /// The sheet of a workbook that holds the rows; the only one if absent.
    pub sheet: Option<String>,
    /// By key; without a map the headers are recognised.
    pub columns: Option<BTreeMap<String, String>>,
    /// Columns that fill the tenant's own fields, by the fields' keys.
    pub fields: BTreeMap<String, String>,
    pub dates: Dates,
    /// The country in which phone numbers without a country code are dialled.
    pub region: Option<String>,
    pub duplicates: Duplicates,
    /// Rows whose cell of a column is none of these are left out.
    pub only: BTreeMap<String, Vec<String>>,
    /// What the cells of a column mean, by key.
    values: BTreeMap<String, BTreeMap<String, String>>,
    /// Keys whose cells are left out where they cannot be used.
    leave_out: Vec<String>,
}

/// What happens to a row whose e-mail, phone, domain or legal id another record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// The row is refused and listed with the holder
    #[default]
    Refuse,
    /// The row is taken for the holder and updates it
    Link,
    /// The row becomes a record of its own beside the holder, as a duplicate that is meant
    Keep,
}

/// What happens to a cell that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    Refused,
    LeftOut,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    source: String,
    delimiter: Option<String>,
    sheet: Option<String>,
    region: Option<String>,
    #[serde(default)]
    duplicates: Duplicates,
    #[serde(default)]
    leave_out: Vec<String>,
    columns: BTreeMap<String, String>,
    #[serde(default)]
    fields: BTreeMap<String, String>,
    #[serde(default)]
    values: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    only: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    dates: WrittenDates,
}

impl Default for RecordsMap {
    /// Headers are recognised, ISO dates in UTC.
    fn default() -> Self {
        Self {
            source: "csv".to_owned(),
            delimiter: b',',
            sheet: None,
            columns: None,
            fields: BTreeMap::new(),
            dates: Dates::default(),
            region: None,
            duplicates: Duplicates::default(),
            only: BTreeMap::new(),
            values: BTreeMap::new(),
            leave_out: Vec::new(),
        }
    }
}

impl RecordsMap {
    pub(in crate::import) fn open(&self) -> Open<'_> {
        Open { delimiter: self.delimiter, sheet: self.sheet.as_deref(), only: &self.only }
    }

    pub fn load(file: &Path, kind: Kind) -> Result<Self, MapError> {
        Self::parse(&text_of(file)?, kind, file)
    }

    /// `file` only serves the messages.
    pub fn parse(text: &str, kind: Kind, file: &Path) -> Result<Self, MapError> {
        let written: Written = toml::from_str(text).map_err(|error| syntax(file, error))?;
        written.check(kind).map_err(|unusable| unusable.of(file))
    }

    /// What a cell means.
    pub(in crate::import) fn translated<'a>(&'a self, key: &str, cell: &'a str) -> &'a str {
        self.values.get(key).and_then(|values| values.get(cell)).map_or(cell, String::as_str)
    }

    pub(in crate::import) fn unusable(&self, key: &str) -> Unusable {
        if self.leave_out.iter().any(|left_out| left_out == key) {
            Unusable::LeftOut
        } else {
            Unusable::Refused
        }
    }
}

impl Written {
    fn check(self, kind: Kind) -> Result<RecordsMap, written::Unusable> {
        let known = || kind.columns().iter().map(|known| known.key);
        let list = || format!("{} have {}", kind.plural(), known().collect::<Vec<_>>().join(", "));
        let is_key = |key: &str| known().any(|known| known == key) || self.fields.contains_key(key);
        for (key, column) in &self.columns {
            let place = format!("[columns] {key}");
            if !known().any(|known| known == key) {
                return Err(written::Unusable::new(place, column, format!("is no such column; {}", list())));
            }
            written::name(&place, column.clone())?;
        }
        for (key, column) in &self.fields {
            written::name(&format!("[fields] {key}"), column.clone())?;
        }
        if let Some(key) = self.values.keys().chain(&self.leave_out).find(|key| !is_key(key)) {
            let place = if self.values.contains_key(key) { "[values]" } else { "leave_out" };
            return Err(written::Unusable::new(place, key, format!("is no key of the map; {}", list())));
        }
        Ok(RecordsMap {
            source: written::name("source", self.source)?,
            delimiter: written::delimiter(self.delimiter)?,
            sheet: self.sheet,
            columns: Some(self.columns),
            fields: self.fields,
            dates: self.dates.check()?,
            region: self.region,
            duplicates: self.duplicates,
            only: self.only,
            values: self.values,
            leave_out: self.leave_out,
        })
    }
}
