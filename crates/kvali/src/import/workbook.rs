//! Reads one sheet of an XLSX workbook as a table of texts: dates in ISO form, numbers in plain form.

use std::path::Path;

use calamine::{Data, ExcelDateTime, Reader as _, Xlsx, open_workbook};

use super::problem::ReadError;

/// A sheet, read whole.
pub(super) struct Sheet {
    pub(super) name: String,
    pub(super) rows: Vec<SheetRow>,
}

/// A row of a sheet that is not empty.
pub(super) struct SheetRow {
    /// Its number in the sheet.
    pub(super) line: u64,
    pub(super) text: String,
    /// Where in the text each cell ends.
    pub(super) ends: Vec<usize>,
    /// Cells that hold an error instead of a value.
    pub(super) errors: Vec<usize>,
}

pub(super) fn is_workbook(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xlsx"))
}

/// The sheet called `name`, or the only one.
pub(super) fn sheet(file: &Path, name: Option<&str>) -> Result<Sheet, ReadError> {
    let failed = |source| ReadError::Workbook { file: file.to_owned(), source: Box::new(source) };
    let mut workbook: Xlsx<_> = open_workbook(file).map_err(failed)?;
    let has = workbook.sheet_names();
    let name = match (name, has.as_slice()) {
        (Some(name), has) if has.iter().any(|sheet| sheet == name) => name.to_owned(),
        (None, [only]) => only.clone(),
        (Some(name), _) => {
            return Err(ReadError::NoSuchSheet { file: file.to_owned(), name: name.to_owned(), has });
        }
        (None, _) => return Err(ReadError::WhichSheet { file: file.to_owned(), has }),
    };
    let range = workbook.worksheet_range(&name).map_err(failed)?;
    let first = range.start().map_or(0, |(row, _)| u64::from(row)) + 1;
    let rows = (first..).zip(range.rows()).map(|(line, cells)| row(line, cells));
    let rows = rows.filter(|row| !row.text.trim().is_empty() || !row.errors.is_empty()).collect();
    Ok(Sheet { name, rows })
}

fn row(line: u64, cells: &[Data]) -> SheetRow {
    let mut row =
        SheetRow { line, text: String::new(), ends: Vec::with_capacity(cells.len()), errors: Vec::new() };
    for (index, cell) in cells.iter().enumerate() {
        if let Some(text) = text(cell) {
            row.text.push_str(&text);
        } else {
            row.text.push_str(&cell.to_string());
            row.errors.push(index);
        }
        row.ends.push(row.text.len());
    }
    row
}

/// None of an error.
fn text(cell: &Data) -> Option<String> {
    Some(match cell {
        Data::Empty => String::new(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text.clone(),
        Data::Bool(yes) => yes.to_string(),
        Data::Int(number) => number.to_string(),
        Data::Float(number) => number.to_string(),
        Data::DateTime(at) if at.is_datetime() => iso(at),
        Data::DateTime(duration) => duration.as_f64().to_string(),
        Data::Error(_) => return None,
    })
}

/// A day where the time is midnight, as spreadsheets keep days.
fn iso(at: &ExcelDateTime) -> String {
    match at.to_ymd_hms_milli() {
        (year, month, day, 0, 0, 0, 0) => format!("{year:04}-{month:02}-{day:02}"),
        (year, month, day, hour, minute, second, milli) => {
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}")
        }
    }
}
