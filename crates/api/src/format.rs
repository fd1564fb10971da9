//! Answers of many rows in the format that the reader asks for with `Accept`: JSON, NDJSON, CSV.

use crate::error::Problem;
use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::borrow::Cow;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// One object with everything.
    Json,
    /// An object a line.
    Ndjson,
    /// A header and rows.
    Csv,
}

/// In the order in which they are chosen where the reader does not mind.
const TYPES: [(&str, Format); 4] = [
    ("application/json", Format::Json),
    ("application/x-ndjson", Format::Ndjson),
    ("application/ndjson", Format::Ndjson),
    ("text/csv", Format::Csv),
];

impl Format {
    /// What the reader would like best of what there is; JSON, if nothing is said.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let said: Vec<&str> = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|accept| accept.to_str().ok())
            .flat_map(|accept| accept.split(','))
            .filter(|range| !range.trim().is_empty())
            .collect();
        if said.is_empty() {
            return Ok(Self::Json);
        }
        // Of those that are liked alike, the one named first; ranges, which come first nowhere, by the order of the table.
        let liked = said.iter().enumerate().filter_map(|(place, range)| Some((chosen(range)?, place)));
        let best = liked
            .max_by(|((_, one), place), ((_, other), after)| one.total_cmp(other).then(after.cmp(place)));
        best.map(|((format, _), _)| format).ok_or_else(|| {
            let types = TYPES.map(|(name, _)| name).join(", ");
            let detail = format!("there is no such format; Accept may name {types}");
            Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
        })
    }
}

/// The format of a media range, and how much it is liked.
fn chosen(range: &str) -> Option<(Format, f64)> {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?;
    let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
    let fits = |known: &str| match name.strip_suffix("/*") {
        Some("*") => true,
        Some(kind) => known.split_once('/').is_some_and(|(of, _)| of.eq_ignore_ascii_case(kind)),
        None => known.eq_ignore_ascii_case(name),
    };
    let known = TYPES.iter().find(|(known, _)| fits(known));
    known.filter(|_| quality > 0.0).map(|(_, format)| (*format, quality))
}

/// Rows under named columns, for CSV.
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
}

/// One answer in each format; only the one that is asked for is made.
pub(crate) trait Listed {
    fn whole(&self) -> Value;
    fn items(&self) -> Vec<Value>;
    fn table(&self) -> Table;

    fn told(&self, format: Format) -> Response {
        match format {
            Format::Json => Json(self.whole()).into_response(),
            Format::Ndjson => {
                let lines: String = self.items().iter().map(|item| item.to_string() + "\n").collect();
                typed("application/x-ndjson", lines.into_bytes())
            }
            Format::Csv => typed("text/csv; charset=utf-8", csv(&self.table())),
        }
    }
}

/// An answer that rests on a state of a read model, and where in it the rows are.
pub(crate) struct Answered {
    pub(crate) answer: Value,
    pub(crate) stands: Value,
    /// A JSON pointer to a list of rows, or to lists of them by name.
    pub(crate) rows: &'static str,
    /// Where the next page begins.
    pub(crate) cursor: Option<String>,
}

impl Listed for Answered {
    fn whole(&self) -> Value {
        json!({ "answer": self.answer, "stands": self.stands, "cursor": self.cursor })
    }

    fn items(&self) -> Vec<Value> {
        match self.answer.pointer(self.rows) {
            Some(Value::Array(rows)) => rows.clone(),
            Some(Value::Object(lists)) => {
                let of = |(name, list): (&String, &Value)| {
                    let rows = list["rows"].as_array().cloned().unwrap_or_default();
                    let name = name.clone();
                    rows.into_iter().map(move |mut row| {
                        row["list"] = json!(name);
                        row
                    })
                };
                lists.iter().flat_map(of).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What is nested is named by its way, such as `value.amount`; lists stand as JSON.
    fn table(&self) -> Table {
        let rows: Vec<Vec<(String, Value)>> = self.items().into_iter().map(flat).collect();
        let mut columns: Vec<String> = Vec::new();
        for (name, _) in rows.iter().flatten() {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        // What is nested in one row may be null in another, which has no column of its own.
        let nested = columns.clone();
        columns.retain(|column| !nested.iter().any(|other| is_within(other, column)));
        let cell = |row: &[(String, Value)], column: &String| {
            row.iter().find(|(name, _)| name == column).map_or(Value::Null, |(_, value)| value.clone())
        };
        let rows = rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect());
        Table { rows: rows.collect(), columns }
    }
}

fn is_within(column: &str, outer: &str) -> bool {
    column.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

fn flat(row: Value) -> Vec<(String, Value)> {
    let mut cells = Vec::new();
    let mut open = vec![(String::new(), row)];
    while let Some((name, value)) = open.pop() {
        match value {
            Value::Object(members) => open.extend(members.into_iter().rev().map(|(member, value)| {
                let name = if name.is_empty() { member } else { format!("{name}.{member}") };
                (name, value)
            })),
            value => cells.push((name, value)),
        }
    }
    cells
}

fn typed(content_type: &'static str, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}

fn csv(table: &Table) -> Vec<u8> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let texts = table.rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>());
    for row in std::iter::once(table.columns.clone()).chain(texts) {
        csv.write_record(row).expect("rows are as long as the header, and memory takes them");
    }
    csv.into_inner().expect("memory is never closed")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => no_formula(text).into_owned(),
        other => other.to_string(),
    }
}

/// A text that a spreadsheet would take for a formula, with an apostrophe before it, so that it stays a text: what strangers
/// write into a web form shall not run on the desk of whoever opens an export. Numbers and phone numbers are none.
pub fn no_formula(text: &str) -> Cow<'_, str> {
    let is_formula = match text.as_bytes() {
        [b'=' | b'@' | b'\t' | b'\r' | b'\n', ..] => true,
        [b'+' | b'-', rest @ ..] => {
            !rest.iter().all(|byte| byte.is_ascii_digit() || b" .,()-".contains(byte)) || rest.is_empty()
        }
        _ => false,
    };
    if is_formula { format!("'{text}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::{Answered, Format, Listed, Table, csv, no_formula};
    use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
    use serde_json::{Value, json};

    fn accepted(accept: &'static str) -> Result<Format, StatusCode> {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        Format::of(&headers).map_err(|problem| problem.status)
    }

    #[test]
    fn the_format_liked_best_is_told() {
        assert_eq!(Format::of(&HeaderMap::new()).unwrap(), Format::Json);
        for (accept, format) in [
            ("*/*", Format::Json),
            ("application/*", Format::Json),
            ("text/*", Format::Csv),
            ("text/csv", Format::Csv),
            ("Text/CSV; header=present", Format::Csv),
            ("application/x-ndjson", Format::Ndjson),
            ("text/csv;q=0.5, application/x-ndjson;q=0.9", Format::Ndjson),
            ("text/csv, application/json", Format::Csv),
            ("text/html, */*;q=0.1", Format::Json),
            ("", Format::Json),
        ] {
            assert_eq!(accepted(accept), Ok(format), "{accept}");
        }
        for accept in ["text/html", "application/json;q=0", "nonsense"] {
            assert_eq!(accepted(accept), Err(StatusCode::NOT_ACCEPTABLE), "{accept}");
        }
    }

    #[test]
    fn what_is_null_in_one_row_and_nested_in_another_has_no_column_of_its_own() {
        let rows =
            json!([{ "id": 1, "value": null }, { "id": 2, "value": { "amount": "5", "currency": "GEL" } }]);
        let answered = Answered { answer: rows, stands: Value::Null, rows: "", cursor: None };
        assert_eq!(answered.table().columns, ["id", "value.amount", "value.currency"]);
        assert_eq!(String::from_utf8(csv(&answered.table())).unwrap().lines().nth(1), Some("1,,"));
    }

    #[test]
    fn what_looks_like_a_formula_stays_a_text() {
        for text in ["=1+1", "@SUM(A1)", "+A1", "-2+cmd|' /C calc'!A0", "\t=1", "-", "+1+1"] {
            assert_eq!(no_formula(text), format!("'{text}"));
        }
        for text in ["", "Nino", "+995 (32) 2-123-456", "-7.50", "1=1", "a@b.ge", "–"] {
            assert_eq!(no_formula(text), text);
        }
        let rows = vec![
            vec![json!("=A1"), json!(-7), Value::Null],
            vec![json!("a, \"b\""), json!({ "a": 1 }), json!(true)],
        ];
        let table = Table { columns: ["one", "two", "three"].map(str::to_owned).to_vec(), rows };
        let text = String::from_utf8(csv(&table)).unwrap();
        assert_eq!(text, "one,two,three\n'=A1,-7,\n\"a, \"\"b\"\"\",\"{\"\"a\"\":1}\",true\n");
    }
}
