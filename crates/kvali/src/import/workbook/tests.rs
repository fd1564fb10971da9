use std::io::Write as _;

use tempfile::NamedTempFile;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const PACKAGE: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const WORKBOOK: &str = r#"<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>"#;
const SHEETS: &str = r#"<Relationships><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;

fn book(texts: &str, cells: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    let mut zip = ZipWriter::new(file.reopen().unwrap());
    let sheet = format!("<worksheet><sheetData>{cells}</sheetData></worksheet>");
    for (name, text) in [
        ("_rels/.rels", PACKAGE),
        ("xl/workbook.xml", WORKBOOK),
        ("xl/_rels/workbook.xml.rels", SHEETS),
        ("xl/sharedStrings.xml", texts),
        ("xl/worksheets/sheet1.xml", &sheet),
    ] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    file
}

const TEXTS: &str = r#"<sst uniqueCount="2"><si><t>id</t></si><si><t>name</t></si></sst>"#;
const CELLS: &str = r#"<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>"#;

fn told(book: &NamedTempFile) -> String {
    sheet(book.path(), None).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn cells_far_apart_take_the_room_of_their_rows_alone() {
    let far = [CELLS, r#"<row r="1048576"><c r="XFD1048576"><v>7</v></c></row>"#].concat();
    let sheet = sheet(book(TEXTS, &far).path(), None).unwrap();
    let rows: Vec<_> = sheet.rows.iter().map(|row| (row.line, row.ends.len(), row.text.as_str())).collect();
    assert_eq!(rows, [(1, 16_384, "idname"), (1_048_576, 16_384, "7")]);
}

#[test]
fn many_rows_as_wide_as_one_far_cell_are_refused() {
    let rows = (2..4_000)
        .map(|row| format!(r#"<row r="{row}"><c r="A{row}"><v>1</v></c></row>"#))
        .collect::<Vec<_>>()
        .concat();
    let wide = [CELLS, &rows, r#"<row r="9999"><c r="XFD9999"><v>7</v></c></row>"#].concat();
    let said = told(&book(TEXTS, &wide));
    assert!(said.contains("4000 rows in 16384 columns") && said.contains("save the sheet as CSV"), "{said}");
}

#[test]
fn a_claim_of_more_texts_than_there_can_be_is_refused() {
    for claim in
        [r#"uniqueCount="18446744073709551615""#, "uniqueCount = '99999999999'", r#"uniqueCount="1000""#]
    {
        let said = told(&book(&TEXTS.replace(r#"uniqueCount="2""#, claim), CELLS));
        assert!(said.contains("claims to hold") && said.contains("save it anew"), "{claim}: {said}");
    }
    assert_eq!(told(&book(TEXTS, CELLS)), "");
}

#[test]
fn what_unpacks_to_more_than_the_limit_is_refused() {
    let bomb = book(TEXTS, &" ".repeat(1 << 20));
    assert!(bomb.path().metadata().unwrap().len() < 10_000);
    let said = is_bounded(bomb.path(), 1 << 20).unwrap_err().to_string();
    assert!(said.contains("unpacks to more than 1 MiB") && said.contains("CSV"), "{said}");
    assert!(is_bounded(bomb.path(), 2 << 20).is_ok());
}

#[test]
fn a_text_that_many_cells_share_counts_for_each() {
    let cells = (1..=100)
        .map(|row| format!(r#"<row r="{row}"><c r="A{row}" t="s"><v>1</v></c></row>"#))
        .collect::<Vec<_>>()
        .concat();
    let book = book(TEXTS, &cells);
    let mut workbook: Xlsx<_> = open_workbook(book.path()).unwrap();
    assert!(filled(workbook.worksheet_cells_reader("S").unwrap(), 400).unwrap().is_some());
    assert!(filled(workbook.worksheet_cells_reader("S").unwrap(), 399).unwrap().is_none());
}
