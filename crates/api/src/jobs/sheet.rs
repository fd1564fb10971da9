//! Rows as a table, in CSV: the header says which column is which field. They are read as they come, in pieces of any size.

use super::columns::Columns;
use super::row::{LARGEST, Read, too_long};
use crate::batch::Item;
use crate::error::Problem;
use csv_core::{ReadRecordResult, Reader};

/// Columns, at most.
const MOST_CELLS: usize = 4_096;

pub(super) struct Sheet {
    /// As paths have them, and the command's permanent word.
    words: (String, String, &'static str),
    csv: Box<Reader>,
    /// The texts of the record so far, one after the other, and where each of them ends.
    text: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    cells: usize,
    is_too_long: bool,
    /// Ends of lines in what was thrown away of it.
    thrown: usize,
    columns: Option<Columns>,
}

impl Sheet {
    pub(super) fn new(aggregate: &str, command: &str, name: &'static str) -> Self {
        Self {
            words: (aggregate.to_owned(), command.to_owned(), name),
            csv: Box::new(Reader::new()),
            text: vec![0; 4_096],
            filled: 0,
            ends: vec![0; 64],
            cells: 0,
            is_too_long: false,
            thrown: 0,
            columns: None,
        }
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], read: &mut Vec<Read>) -> Result<(), Problem> {
        while !bytes.is_empty() {
            let (result, taken) = self.step(bytes);
            let ends_with_line = taken > 0 && bytes[taken - 1] == b'\n';
            bytes = &bytes[taken..];
            if result == ReadRecordResult::Record {
                self.end_record(ends_with_line, read)?;
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self, read: &mut Vec<Read>) -> Result<(), Problem> {
        loop {
            // No bytes: there are no more.
            match self.step(&[]).0 {
                ReadRecordResult::Record => self.end_record(false, read)?,
                ReadRecordResult::End => break,
                _ => {}
            }
        }
        if self.columns.is_some() { Ok(()) } else { Err(Problem::malformed("body", "there is no header")) }
    }

    fn step(&mut self, bytes: &[u8]) -> (ReadRecordResult, usize) {
        let (text, ends) = (&mut self.text[self.filled..], &mut self.ends[self.cells..]);
        let (result, taken, filled, cells) = self.csv.read_record(bytes, text, ends);
        self.filled += filled;
        self.cells += cells;
        match result {
            ReadRecordResult::OutputFull if self.text.len() < LARGEST => {
                self.text.resize(self.text.len() * 2, 0);
            }
            ReadRecordResult::OutputEndsFull if self.ends.len() < MOST_CELLS => {
                self.ends.resize(self.ends.len() * 2, 0);
            }
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                self.thrown += lines_in(&self.text[..self.filled]);
                (self.is_too_long, self.filled, self.cells) = (true, 0, 0);
            }
            _ => {}
        }
        (result, taken)
    }

    /// The line where a record begins follows from the one where it ends: empty lines before it are passed over.
    fn end_record(&mut self, ends_with_line: bool, read: &mut Vec<Read>) -> Result<(), Problem> {
        let within = std::mem::take(&mut self.thrown) + lines_in(&self.text[..self.filled]);
        let ended = usize::try_from(self.csv.line()).unwrap_or(usize::MAX);
        let line = ended.saturating_sub(within + usize::from(ends_with_line));
        let line = i32::try_from(line).unwrap_or(i32::MAX);
        let is_too_long = std::mem::take(&mut self.is_too_long);
        let (filled, cells) = (std::mem::take(&mut self.filled), std::mem::take(&mut self.cells));
        let cells =
            if is_too_long { Err(too_long()) } else { texts(&self.text[..filled], &self.ends[..cells]) };
        let Some(columns) = &self.columns else {
            let (aggregate, command, name) = &self.words;
            let names: Vec<&str> = cells?;
            let names: Vec<&str> = names.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
            self.columns = Some(Columns::of(aggregate, command, name, &names)?);
            return Ok(());
        };
        let item: Result<Item, Problem> = cells.and_then(|cells| columns.item(&cells));
        read.push(Read { line, item });
        Ok(())
    }
}

fn texts<'a>(text: &'a [u8], ends: &[usize]) -> Result<Vec<&'a str>, Problem> {
    let starts = std::iter::once(&0).chain(ends);
    let cells = starts.zip(ends).map(|(start, end)| std::str::from_utf8(&text[*start..*end]));
    cells.collect::<Result<_, _>>().map_err(|_| Problem::malformed("row", "the row is not written in UTF-8"))
}

fn lines_in(text: &[u8]) -> usize {
    text.iter().map(|byte| usize::from(*byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use super::{LARGEST, Sheet};
    use serde_json::Value;

    type Told = Vec<(i32, Result<Value, String>)>;

    fn read(pieces: &[&[u8]]) -> Result<Told, String> {
        let (mut sheet, mut read) = (Sheet::new("company", "create-company", "CreateCompany"), Vec::new());
        for piece in pieces {
            sheet.feed(piece, &mut read).map_err(|problem| problem.detail)?;
        }
        sheet.end(&mut read).map_err(|problem| problem.detail)?;
        let told = read.into_iter().map(|read| {
            let item = read.item.map(|item| item.body.unwrap_or_default()["name"].clone());
            (read.line, item.map_err(|problem| problem.detail))
        });
        Ok(told.collect())
    }

    #[test]
    fn a_table_is_the_same_in_pieces_of_any_size() {
        for end in ["\n", "\r\n"] {
            let text =
                ["name,owner", "\"A, \"\"B\"\"\r\nC\",x", "", "Next,", "Short", "Last,\"o\""].join(end);
            for size in [1, 2, 3, 5, text.len()] {
                let told = read(&text.as_bytes().chunks(size).collect::<Vec<_>>()).expect("a table");
                let few = "the row has 1 cells and the header 2".to_owned();
                let expected = [
                    (2, Ok("A, \"B\"\r\nC".into())),
                    (5, Ok("Next".into())),
                    (6, Err(few)),
                    (7, Ok("Last".into())),
                ];
                assert_eq!(told, expected, "{end:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_mark_of_byte_order_is_passed_over() {
        for size in [1, 3, 40] {
            let told =
                read(&"\u{feff}name\nAcme\n".as_bytes().chunks(size).collect::<Vec<_>>()).expect("a table");
            assert_eq!(told, [(2, Ok("Acme".into()))]);
        }
    }

    #[test]
    fn an_open_quote_swallows_no_more_memory_than_a_row_may_have() {
        let text = format!("name\nAcme\n\"{}", "x\n".repeat(LARGEST));
        let told = read(&text.as_bytes().chunks(65_536).collect::<Vec<_>>()).expect("a table");
        assert_eq!((told.len(), told[0].0, told[1].0), (2, 2, 3));
        assert!(told[1].1.as_ref().is_err_and(|word| word.contains("longer than")), "{told:?}");
    }

    #[test]
    fn bytes_that_are_no_text_spoil_their_row_alone() {
        let told = read(&[b"name\nAcme\n\xff\xfe\nLast\n"]).expect("a table");
        assert_eq!(told[1], (3, Err("the row is not written in UTF-8".to_owned())));
        assert_eq!(told.len(), 3);
        assert_eq!(read(&[b""]), Err("there is no header".to_owned()));
    }
}
