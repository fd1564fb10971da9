//! Where a table's rows come from.

use std::path::{Path, PathBuf};

use super::{Only, Open, Records, Row};
use crate::import::problem::ReadError;
use crate::import::workbook::{Sheet, SheetRow, is_workbook, sheet};

pub(super) enum Source {
    Csv(Box<Records>),
    Sheet(Pages),
}

impl Source {
    pub(super) fn open(file: &Path, Open { delimiter, sheet, .. }: Open<'_>) -> Result<Self, ReadError> {
        match sheet {
            _ if is_workbook(file) => Pages::open(file, sheet).map(Self::Sheet),
            Some(name) => Err(ReadError::NoWorkbook { file: file.to_owned(), name: name.to_owned() }),
            None => Records::open(file, delimiter).map(Box::new).map(Self::Csv),
        }
    }

    pub(super) fn next(&mut self, names: &[String], only: &[Only]) -> Result<Option<Row<'_>>, ReadError> {
        match self {
            Self::Csv(records) => records.next(names, only),
            Self::Sheet(pages) => Ok(pages.next(only)),
        }
    }

    pub(super) fn file(&self) -> &Path {
        match self {
            Self::Csv(records) => &records.file,
            Self::Sheet(pages) => &pages.file,
        }
    }
}

/// The rows of a sheet.
pub(super) struct Pages {
    /// As messages name it: with the sheet.
    file: PathBuf,
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) passed_over: u64,
    rows: std::vec::IntoIter<SheetRow>,
    current: Option<SheetRow>,
}

impl Pages {
    fn open(file: &Path, name: Option<&str>) -> Result<Self, ReadError> {
        let metadata = regular(file)?;
        let Sheet { name, rows } = sheet(file, name)?;
        let file = PathBuf::from(format!("{} (sheet {name:?})", file.display()));
        Ok(Self { file, name, bytes: metadata.len(), passed_over: 0, rows: rows.into_iter(), current: None })
    }

    fn next(&mut self, only: &[Only]) -> Option<Row<'_>> {
        let passed_over = &mut self.passed_over;
        self.current = self.rows.find(|row| {
            let passes = borrowed(row).is_passed_over(only);
            *passed_over += u64::from(passes);
            !passes
        });
        self.current.as_ref().map(borrowed)
    }
}

fn borrowed(SheetRow { line, text, ends, errors }: &SheetRow) -> Row<'_> {
    Row { line: *line, text, ends, errors }
}

pub(super) fn regular(file: &Path) -> Result<std::fs::Metadata, ReadError> {
    let open = |source| ReadError::Open { file: file.to_owned(), source };
    let metadata = std::fs::metadata(file).map_err(open)?;
    if metadata.is_file() { Ok(metadata) } else { Err(ReadError::NotAFile { file: file.to_owned() }) }
}
