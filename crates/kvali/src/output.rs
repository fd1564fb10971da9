//! How every command prints its answer: titled tables, JSON, or CSV, on stdout.

use crate::failure::Failure;
use comfy_table::{CellAlignment, ContentArrangement, presets};
use serde_json::{Map, Value};
use std::io::{self, Write};

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    #[default]
    Table,
    /// One JSON value.
    Json,
    /// A header and rows; several tables are parted by an empty line.
    Csv,
}

/// Rows under named columns. Numbers stand right, absent values as "–".
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) title: String,
    /// `snake_case`: the keys in JSON and CSV, with spaces for underscores in tables.
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [Value; N]) {
        self.rows.push(cells.into());
    }

    fn objects(&self) -> Value {
        self.rows.iter().map(|row| self.object(row)).collect()
    }

    fn object(&self, row: &[Value]) -> Value {
        let cells = self.columns.iter().zip(row);
        Value::Object(cells.map(|(key, cell)| ((*key).to_owned(), cell.clone())).collect::<Map<_, _>>())
    }

    fn drawn(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(self.columns.iter().map(|key| key.replace("_seconds", "").replace('_', " ")));
        for row in &self.rows {
            table.add_row(self.columns.iter().zip(row).map(|(key, cell)| shown(key, cell)));
        }
        for (at, column) in table.column_iter_mut().enumerate() {
            let cells = || self.rows.iter().filter_map(|row| row.get(at)).filter(|cell| !cell.is_null());
            if cells().all(Value::is_number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        format!("{}\n{table}\n", self.title)
    }

    /// As CSV without the header, for what goes on after it.
    pub(crate) fn print_rows(&self) -> Result<(), Failure> {
        write(&self.csv(None).map_err(Failure::Output)?)
    }

    fn written(&self) -> Result<Vec<u8>, io::Error> {
        self.csv(Some(&self.columns))
    }

    fn csv(&self, header: Option<&[&str]>) -> Result<Vec<u8>, io::Error> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        if let Some(header) = header {
            csv.write_record(header)?;
        }
        for row in &self.rows {
            csv.write_record(row.iter().map(written))?;
        }
        csv.into_inner().map_err(|error| io::Error::other(error.to_string()))
    }
}

/// What a command answers.
pub(crate) struct Answer {
    pub(crate) tables: Vec<Table>,
    /// Said below the tables, for people only.
    pub(crate) notes: Vec<String>,
    pub(crate) json: Value,
}

impl Answer {
    /// A table whose JSON is the list of its rows.
    pub(crate) fn of(table: Table) -> Self {
        Self { json: table.objects(), tables: vec![table], notes: Vec::new() }
    }

    /// Several tables, each under a name of its own in JSON.
    pub(crate) fn of_tables<const N: usize>(tables: [(&str, Table); N], notes: Vec<String>) -> Self {
        let json = tables.iter().map(|(name, table)| ((*name).to_owned(), table.objects()));
        let json = Value::Object(json.collect::<Map<_, _>>());
        Self { json, tables: tables.map(|(_, table)| table).into(), notes }
    }

    pub(crate) fn print(&self, format: Format) -> Result<(), Failure> {
        let text = match format {
            Format::Table => {
                let tables = self.tables.iter().map(Table::drawn);
                tables
                    .chain(self.notes.iter().map(|note| format!("{note}\n")))
                    .collect::<String>()
                    .into_bytes()
            }
            Format::Json => format!("{:#}\n", self.json).into_bytes(),
            Format::Csv => {
                let tables: Result<Vec<_>, _> = self.tables.iter().map(Table::written).collect();
                tables.map_err(Failure::Output)?.join(&b'\n')
            }
        };
        write(&text)
    }
}

/// Writes to stdout; a closed pipe is an error like any other, never a panic.
pub(crate) fn write(text: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Text from a log or a file may hold control characters, which a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// For people: the column's name tells durations and shares, which JSON and CSV hold as plain numbers.
fn shown(key: &str, cell: &Value) -> String {
    match (cell, cell.as_f64()) {
        (Value::Null, _) => "–".to_owned(),
        (_, Some(seconds)) if key.contains("_seconds") => duration(seconds),
        (_, Some(share)) if key.ends_with("conversion") || key.ends_with("rate") => {
            format!("{:.1} %", share * 100.0)
        }
        (cell, _) => harmless(&plain(cell)),
    }
}

/// In the two largest units that say something.
fn duration(seconds: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s")];
    let Some(at) = UNITS.iter().position(|(size, _)| seconds >= *size) else {
        return format!("{seconds:.3} s");
    };
    let (size, name) = UNITS[at];
    match UNITS.get(at + 1) {
        Some((small, small_name)) if seconds / size < 10.0 => {
            format!(
                "{:.0} {name} {:.0} {small_name}",
                (seconds / size).floor(),
                (seconds % size / small).floor()
            )
        }
        _ => format!("{:.1} {name}", seconds / size),
    }
}

/// For CSV, which a spreadsheet may open.
fn written(cell: &Value) -> String {
    match cell {
        Value::String(text) => kvali_api::no_formula(text).into_owned(),
        other => plain(other),
    }
}

fn plain(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
