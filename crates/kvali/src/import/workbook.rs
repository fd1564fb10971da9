//! Reads one sheet of an XLSX workbook as a table of texts: dates in ISO form, numbers in plain form.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use calamine::{Data, ExcelDateTime, Reader as _, Xlsx, XlsxCellReader, XlsxError, open_workbook};
use zip::ZipArchive;

use super::problem::ReadError;

#[cfg(test)]
mod tests;

/// What a workbook may unpack to, and its cells hold: it is read into memory.
const MAX_BYTES: u64 = 512 << 20;
/// Cells of the rows that are not empty, each as wide as the widest.
const MAX_CELLS: usize = 50_000_000;
/// The fewest bytes that a text of the workbook takes, written as `<si/>`.
const TEXT_BYTES: u64 = 5;

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
    is_bounded(file, MAX_BYTES)?;
    let read = catch_unwind(AssertUnwindSafe(|| read(file, name)));
    read.unwrap_or_else(|_| Err(ReadError::BrokenWorkbook { file: file.to_owned() }))
}

/// The reader of workbooks unpacks without bounds, and makes room for as many texts as the file claims to have. What an
/// entry says of its own size need not be so.
fn is_bounded(file: &Path, limit: u64) -> Result<(), ReadError> {
    let open = |source| ReadError::Open { file: file.to_owned(), source };
    // What is no archive is told by the reader itself.
    let Ok(mut zip) = ZipArchive::new(BufReader::new(File::open(file).map_err(open)?)) else { return Ok(()) };
    let mut left = limit;
    for index in 0..zip.len() {
        let Ok(entry) = zip.by_index(index) else { continue };
        let holds_texts = entry.name().is_ok_and(|name| name.to_lowercase().ends_with("sharedstrings.xml"));
        let (bytes, claims) = measured(entry, left, holds_texts);
        left = match left.checked_sub(bytes) {
            Some(left) => left,
            None => return Err(ReadError::WorkbookTooLarge { file: file.to_owned(), limit }),
        };
        if claims > bytes / TEXT_BYTES {
            return Err(ReadError::TooManyTexts { file: file.to_owned(), claims });
        }
    }
    Ok(())
}

/// The unpacked bytes of an entry, as far as one beyond `limit`, and the largest `uniqueCount` in it.
fn measured(entry: impl Read, limit: u64, holds_texts: bool) -> (u64, u64) {
    const KEY: &[u8] = b"uniqueCount";
    /// What may stand between the key and the end of its number.
    const REACH: usize = 256;
    let mut entry = entry.take(limit.saturating_add(1));
    let (mut bytes, mut claims) = (0, 0);
    let mut window: Vec<u8> = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    // An entry that cannot be read to its end is told by the reader itself.
    while let Ok(read @ 1..) = entry.read(&mut chunk) {
        bytes += read as u64;
        if holds_texts {
            window.drain(..window.len().saturating_sub(REACH));
            window.extend_from_slice(&chunk[..read]);
            let keys = window.windows(KEY.len()).enumerate().filter(|(_, bytes)| *bytes == KEY);
            let counts = keys.map(|(at, _)| count(&window[at + KEY.len()..]));
            claims = counts.max().unwrap_or_default().max(claims);
        }
    }
    (bytes, claims)
}

/// The number in quotes after an attribute's name.
fn count(text: &[u8]) -> u64 {
    let quoted = text.iter().skip_while(|byte| byte.is_ascii_whitespace() || b"=\"'".contains(byte));
    let digits = quoted.take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: u64, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

fn read(file: &Path, name: Option<&str>) -> Result<Sheet, ReadError> {
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
    let cells = workbook.worksheet_cells_reader(&name).map_err(failed)?;
    let Some(cells) = filled(cells, MAX_BYTES).map_err(failed)? else {
        return Err(ReadError::WorkbookTooLarge { file: file.to_owned(), limit: MAX_BYTES });
    };
    let columns = || cells.values().flat_map(BTreeMap::keys);
    let first = columns().min().copied().unwrap_or(0);
    let width = columns().max().map_or(0, |last| (last - first) as usize + 1);
    if cells.len().saturating_mul(width) > MAX_CELLS {
        let (rows, limit) = (cells.len(), MAX_CELLS);
        return Err(ReadError::TooManyCells { file: file.to_owned(), rows, columns: width, limit });
    }
    let rows = cells.iter().map(|(line, cells)| row(u64::from(*line) + 1, cells, first, width)).collect();
    Ok(Sheet { name, rows })
}

/// The cells of a row that are not empty.
type Filled = BTreeMap<u32, Data>;

/// The rows that are not empty; none where their texts, which many cells may share, are longer than `limit` together.
fn filled<R: Read + Seek>(
    mut cells: XlsxCellReader<'_, R>,
    limit: u64,
) -> Result<Option<BTreeMap<u32, Filled>>, XlsxError> {
    let mut rows: BTreeMap<u32, Filled> = BTreeMap::new();
    let mut bytes = 0;
    while let Some(cell) = cells.next_cell()? {
        let (row, column) = cell.get_position();
        let value = Data::from(cell.get_value().clone());
        if let Data::String(text) = &value {
            bytes += text.len() as u64;
        }
        if bytes > limit {
            return Ok(None);
        }
        if text(&value).is_none_or(|text| !text.trim().is_empty()) {
            rows.entry(row).or_default().insert(column, value);
        }
    }
    Ok(Some(rows))
}

fn row(line: u64, cells: &Filled, first: u32, width: usize) -> SheetRow {
    let mut row = SheetRow { line, text: String::new(), ends: Vec::with_capacity(width), errors: Vec::new() };
    for (index, cell) in (first..).take(width).map(|column| cells.get(&column)).enumerate() {
        match cell.map(|cell| (cell, text(cell))) {
            None => {}
            Some((_, Some(text))) => row.text.push_str(&text),
            Some((error, None)) => {
                row.text.push_str(&error.to_string());
                row.errors.push(index);
            }
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
