//! What became of a row: as it is written down, and as it is told.

use super::row::Row;
use crate::Api;
use crate::answer::Asked;
use crate::error::Problem;
use crate::fields::permanent;
use crate::format::{Listed, Table};
use axum::http::StatusCode;
use kvali_domain::{Recorded, TenantId};
use kvali_eventstore::job::{CommandOfRow, RowVerdict, Verdict};
use kvali_eventstore::{Answer, Error, Outcome};
use serde_json::{Value, json};

/// Of a row that was carried out, or that the rules refuse.
pub(super) fn of(row: &Row, asked: Asked, outcome: &Outcome) -> RowVerdict {
    let answer = match outcome {
        Outcome::Accepted(answer) => answer,
        Outcome::Refused(refusal) => {
            return refused(row, Some(asked), &Problem::of_refusal(refusal, asked.command));
        }
        Outcome::Reused => {
            return refused(row, Some(asked), &Problem::from(Error::CommandIdReused(asked.command_id)));
        }
    };
    let verdict = if answer.event_count == 0 { Verdict::AlreadySo } else { Verdict::Accepted };
    RowVerdict {
        number: row.number,
        line: row.line,
        verdict,
        status: 200,
        command: Some(command(asked)),
        first_position: answer.first_position,
        event_count: answer.event_count,
        problem: None,
    }
}

/// Of a row that is no command that anybody could carry out, or not for its sender.
pub(super) fn refused(row: &Row, asked: Option<Asked>, problem: &Problem) -> RowVerdict {
    let is_malformed = problem.status == StatusCode::BAD_REQUEST || problem.code == "unknown_command";
    let verdict = if is_malformed { Verdict::Malformed } else { Verdict::Refused };
    RowVerdict {
        command: asked.map(command),
        verdict,
        status: i16::try_from(problem.status.as_u16()).unwrap_or(i16::MAX),
        ..malformed(row, &problem.body())
    }
}

/// Of a row that could not even be read.
pub(super) fn malformed(row: &Row, problem: &Value) -> RowVerdict {
    RowVerdict {
        number: row.number,
        line: row.line,
        verdict: Verdict::Malformed,
        status: 400,
        command: None,
        first_position: None,
        event_count: 0,
        problem: Some(problem.to_string()),
    }
}

fn command(asked: Asked) -> CommandOfRow {
    CommandOfRow { name: asked.command.to_owned(), id: asked.command_id, stream: asked.stream }
}

/// Rows in the order of their numbers, as they are told.
pub(super) struct Page {
    rows: Vec<Value>,
    after: i32,
    more: bool,
}

impl Page {
    /// With the events of those that were accepted.
    pub(super) async fn of(
        api: &Api,
        tenant: TenantId,
        rows: Vec<RowVerdict>,
        after: i32,
        more: bool,
    ) -> Result<Self, Error> {
        let positions: Vec<i64> = rows.iter().flat_map(|row| answer(row).positions()).collect();
        let events =
            if positions.is_empty() { Vec::new() } else { api.store().at(tenant, &positions).await? };
        let rows = rows.iter().map(|row| told(row, &events)).collect();
        Ok(Self { rows, after, more })
    }
}

fn answer(row: &RowVerdict) -> Answer {
    Answer::known(row.first_position, row.event_count)
}

fn told(row: &RowVerdict, events: &[Recorded]) -> Value {
    let mut told = json!({
        "row": row.number,
        "line": row.line,
        "verdict": row.verdict.as_str(),
        "status": row.status,
    });
    let problem = row.problem.as_ref().map(|problem| serde_json::from_str(problem).unwrap_or_default());
    let told_of_it = || {
        let command = row.command.as_ref()?;
        let (word, stream) = (permanent(&command.name)?, command.stream);
        let asked = Asked { command: word, command_id: command.id, stream };
        Some(asked.carried_out(&answer(row), events).body)
    };
    match problem {
        Some(problem) => told["problem"] = problem,
        None => told["answer"] = told_of_it().unwrap_or_default(),
    }
    told
}

/// Of a table: a column, and where in what is told of a row it stands.
const COLUMNS: [(&str, &str); 13] = [
    ("row", "/row"),
    ("line", "/line"),
    ("verdict", "/verdict"),
    ("status", "/status"),
    ("command", "/answer/command"),
    ("id", "/answer/id"),
    ("command_id", "/answer/command_id"),
    ("version", "/answer/version"),
    ("position", "/answer/position"),
    ("events", "/answer/events"),
    ("code", "/problem/code"),
    ("field", "/problem/field"),
    ("detail", "/problem/detail"),
];

impl Listed for Page {
    fn whole(&self) -> Value {
        json!({ "rows": self.rows, "after": self.after, "more": self.more })
    }

    fn items(&self) -> Vec<Value> {
        self.rows.clone()
    }

    fn table(&self) -> Table {
        let cells = |row: &Value| COLUMNS.map(|(_, way)| cell(row.pointer(way))).to_vec();
        let columns = COLUMNS.map(|(name, _)| name.to_owned()).to_vec();
        Table { columns, rows: self.rows.iter().map(cells).collect() }
    }
}

/// Of events, their types.
fn cell(value: Option<&Value>) -> Value {
    match value {
        Some(Value::Array(events)) => {
            let types: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
            json!(types.join(" "))
        }
        value => value.cloned().unwrap_or_default(),
    }
}
