//! Rows as lines: each is an item, in JSON. They are read as they come, in pieces of any size.

use super::row::{LARGEST, Read, too_long};
use crate::batch::Item;
use crate::error::Problem;
use serde_json::error::Category;
use serde_json::json;

const ITEM: &str = "an item has aggregate, id and command, and may have body, idempotency_key, if_version, reason \
    and occurred_at";

#[derive(Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// Whether that was too long, and was thrown away.
    is_too_long: bool,
    /// Lines so far.
    count: i32,
}

impl Lines {
    pub(super) fn feed(&mut self, mut bytes: &[u8], read: &mut Vec<Read>) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.end_line(read);
        }
        self.keep(bytes);
    }

    pub(super) fn end(&mut self, read: &mut Vec<Read>) {
        if !self.begun.is_empty() || self.is_too_long {
            self.end_line(read);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.begun.len() + bytes.len() > LARGEST {
            self.is_too_long = true;
        }
        if self.is_too_long {
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self, read: &mut Vec<Read>) {
        self.count = self.count.saturating_add(1);
        let line = std::mem::take(&mut self.begun);
        let is_too_long = std::mem::take(&mut self.is_too_long);
        let text = if self.count == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line) } else { &line };
        if is_too_long {
            read.push(Read { line: self.count, item: Err(too_long()) });
        } else if !text.trim_ascii().is_empty() {
            read.push(Read { line: self.count, item: item(text) });
        }
    }
}

fn item(text: &[u8]) -> Result<Item, Problem> {
    serde_json::from_slice(text).map_err(|error| {
        let told = error.to_string();
        let what = match error.classify() {
            // What does not fit is repeated in the error's own words.
            Category::Data => ITEM,
            _ => told.rsplit_once(" at line ").map_or(told.as_str(), |(what, _)| what),
        };
        let mut problem = Problem::malformed("row", format!("column {}: {what}", error.column()));
        problem.more.insert("column".to_owned(), json!(error.column()));
        problem
    })
}

#[cfg(test)]
mod tests {
    use super::{ITEM, LARGEST, Lines};

    fn read(pieces: &[&[u8]]) -> Vec<(i32, Result<String, String>)> {
        let (mut lines, mut read) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece, &mut read);
        }
        lines.end(&mut read);
        let told = read.into_iter().map(|read| (read.line, read.item.map(|item| item.id)));
        told.map(|(line, item)| (line, item.map_err(|problem| problem.detail))).collect()
    }

    fn line(id: &str) -> String {
        format!(r#"{{"aggregate":"deal","command":"close-won","id":"{id}"}}"#)
    }

    #[test]
    fn lines_are_the_same_in_pieces_of_any_size() {
        let text = format!("\u{feff}{}\r\n\n  \n{{\"aggregate\":\n{}", line("ა"), line("2"));
        for size in [1, 2, 3, 7, text.len()] {
            let told = read(&text.as_bytes().chunks(size).collect::<Vec<_>>());
            let column = "column 13: EOF while parsing a value".to_owned();
            assert_eq!(told, [(1, Ok("ა".to_owned())), (4, Err(column)), (5, Ok("2".to_owned()))]);
        }
    }

    #[test]
    fn a_broken_line_is_named_without_its_words() {
        let told = read(&[b"{\"aggregate\": \"deal\" \"Nino Secret\"}\n{\"Nino Secret\": 1}\n7"]);
        let words: Vec<String> = told.into_iter().filter_map(|(_, item)| item.err()).collect();
        assert_eq!(words.len(), 3);
        assert!(
            words.iter().all(|word| word.starts_with("column ") && !word.contains("Secret")),
            "{words:?}"
        );
        assert!(words[1].ends_with(ITEM) && words[2].ends_with(ITEM), "{words:?}");
    }

    #[test]
    fn a_line_that_is_too_long_is_thrown_away_and_the_next_is_read() {
        let text = format!("{}\n{}", "x".repeat(LARGEST + 1), line("2"));
        let told = read(&text.as_bytes().chunks(LARGEST / 3).collect::<Vec<_>>());
        assert!(told[0].1.as_ref().is_err_and(|word| word.contains("longer than")), "{told:?}");
        assert_eq!(told[1], (2, Ok("2".to_owned())));
    }
}
