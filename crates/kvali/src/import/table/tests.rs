use proptest::prelude::*;

use super::*;

const COMMAS: Open<'_> = Open { delimiter: b',', sheet: None, only: &BTreeMap::new() };

/// The records of a file with these bytes: lines and cells.
fn read(bytes: impl AsRef<[u8]>) -> Result<Vec<(u64, Vec<String>)>, ReadError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rows.csv");
    std::fs::write(&file, bytes).unwrap();
    let mut table = Table::open(&file, COMMAS)?;
    let mut rows = vec![(1, table.names.clone())];
    while let Some(row) = table.next()? {
        rows.push((row.line, (0..row.ends.len()).map(|index| row.cell(index).to_owned()).collect()));
    }
    Ok(rows)
}

#[track_caller]
fn lines(text: &str) -> Vec<u64> {
    read(text).unwrap().into_iter().map(|(line, _)| line).collect()
}

fn said(bytes: impl AsRef<[u8]>) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn a_record_has_the_line_it_starts_on_whatever_ends_lines() {
    for line_break in ["\n", "\r\n", "\r"] {
        let text = ["deal,stage", "1,a", "2,\"b", "b\"", "", "3,c", ""].join(line_break);
        assert_eq!(lines(&text), [1, 2, 3, 6], "{line_break:?}");
        assert_eq!(lines(text.trim_end()), [1, 2, 3, 6], "{line_break:?} without a last line break");
    }
}

#[test]
fn lines_are_right_where_a_line_break_straddles_two_buffers() {
    for padding in BUFFER_BYTES - 8..BUFFER_BYTES + 2 {
        let text = format!("deal,stage\r\n{},a\r\n2,b\r\n3,\"c\r\nc\"\r\n4,d", "x".repeat(padding - 12));
        assert_eq!(lines(&text), [1, 2, 3, 4, 6]);
    }
}

#[test]
fn quoted_cells_hold_delimiters_quotes_and_line_breaks() {
    let rows = read("deal,stage\n\"1, or so\",\"a \"\"fine\"\"\r\nstage\"\n").unwrap();
    assert_eq!(rows[1], (2, vec!["1, or so".to_owned(), "a \"fine\"\r\nstage".to_owned()]));
}

#[test]
fn white_space_around_a_cell_is_dropped() {
    let rows = read("deal , stage\n 1,\u{a0}a\t\n").unwrap();
    assert_eq!(
        rows,
        [(1, vec!["deal".to_owned(), "stage".to_owned()]), (2, vec!["1".to_owned(), "a".to_owned()])]
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_name() {
    assert_eq!(read("\u{feff}deal,stage\n1,a\n").unwrap()[0].1[0], "deal");
    assert_eq!(read("\u{feff}\"deal\",stage\n1,a\n").unwrap()[0].1[0], "deal");
    assert!(said(b"\xFF\xFEd\0e\0a\0l\0").contains("UTF-16"));
}

#[test]
fn an_empty_file_is_refused() {
    for text in ["", "\n\r\n", "\u{feff}"] {
        assert!(said(text).contains("is empty"), "{text:?}");
    }
}

#[test]
fn a_quote_that_is_never_closed_is_told_with_its_line() {
    assert!(said("deal,stage\r\n1,a\r\n2,\"b\r\n3,c\r\n").contains("row of line 3 of"));
    assert!(said("deal,\"stage\n1,a\n").contains("row of line 1"));
    assert!(said("deal,stage\n1,\"a").contains("never closed"));
    let endless = format!("deal,stage\n1,\"{}", "endless,\n".repeat(MAX_ROW_BYTES / 8));
    let said = said(endless);
    assert!(said.contains("row of line 2") && said.contains("longer"), "{said}");
}

#[test]
fn bytes_that_are_not_utf8_are_told_with_line_and_column() {
    let said = said(b"deal,stage\n1,a\n2,Gesch\xE4ft\n");
    assert!(said.contains("line 3") && said.contains("column stage"), "{said}");
}

#[test]
fn a_character_cut_in_two_by_a_delimiter_is_not_utf8() {
    let said = said(b"deal,stage\n\xC3,\xA9\n");
    assert!(said.contains("line 2") && said.contains("column deal"), "{said}");
}

#[test]
fn a_row_longer_than_the_first_buffers_is_read_whole() {
    let wide = vec!["cell".repeat(100); 500].join(",");
    let rows = read(format!("{wide}\n{wide}\n")).unwrap();
    assert_eq!((rows[1].1.len(), rows[1].1[499].len()), (500, 400));
}

#[test]
fn a_directory_is_no_file_to_import() {
    assert!(Table::open(&std::env::temp_dir(), COMMAS).err().unwrap().to_string().contains("regular file"));
    let missing = Table::open(Path::new("/nowhere/rows.csv"), COMMAS).err().unwrap();
    assert!(missing.to_string().contains("/nowhere/rows.csv"));
}

proptest! {
    #[test]
    fn any_cells_come_back_with_the_lines_an_editor_shows(
        rows in prop::collection::vec(prop::collection::vec("[a ,;\"\r\nö]{0,6}", 2..4), 1..20),
        line_break in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        blank_lines in 0..3_usize,
    ) {
        let (mut text, mut expected) = ("h\n".to_owned(), vec![(1, vec!["h".to_owned()])]);
        for cells in &rows {
            let breaks = text.replace("\r\n", "\n").matches(['\r', '\n']).count() as u64;
            expected.push((breaks + 1, cells.iter().map(|cell| cell.trim().to_owned()).collect()));
            let quoted: Vec<_> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
            text += &quoted.join(",");
            text += &line_break.repeat(1 + blank_lines);
        }
        prop_assert_eq!(read(text).unwrap(), expected);
    }
}

#[test]
fn a_row_of_delimiters_alone_has_an_end() {
    let said = read(format!("id\n{}\n", ",".repeat(1 << 20))).unwrap_err().to_string();
    assert!(said.contains("line 2") && said.contains("more than 16384 cells"), "{said}");
}
