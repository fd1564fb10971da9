//! A row of a job: as it was sent, and what is kept of a problem with it.

use crate::batch::Item;
use crate::commands::word;
use crate::error::Problem;
use crate::fields::Field;
use axum::http::StatusCode;
use kvali_domain::{Command, CommandError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Bytes of one row, at most.
pub(super) const LARGEST: usize = 1024 * 1024;

#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    /// From 1.
    pub(super) number: i32,
    /// Where it begins in what was sent, from 1.
    pub(super) line: i32,
    pub(super) said: Said,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    Item(Item),
    /// The problem that keeps it from being one.
    Malformed(Value),
}

/// What was read of a line, or of a row of a table.
pub(super) struct Read {
    pub(super) line: i32,
    pub(super) item: Result<Item, Problem>,
}

impl Read {
    pub(super) fn numbered(self, number: i32) -> Row {
        let line = self.line;
        let said = match self.item {
            Ok(item) => Said::Item(item),
            Err(problem) => Said::Malformed(located(problem, line).body()),
        };
        Row { number, line, said }
    }
}

/// A problem that says on which line it is.
pub(super) fn located(mut problem: Problem, line: i32) -> Problem {
    problem.detail = format!("line {line}: {}", problem.detail);
    problem.more.insert("line".to_owned(), json!(line));
    problem
}

pub(super) fn too_long() -> Problem {
    Problem::malformed("row", format!("the row is longer than {LARGEST} bytes; its quotes may be unbalanced"))
}

/// What is kept of a problem with `item`: nothing of what its sender wrote into it.
pub(super) fn without_texts(problem: Problem, item: &Item) -> Problem {
    if problem.status == StatusCode::BAD_REQUEST
        && let Some(misfit) = misfit(item)
    {
        return misfit;
    }
    let texts = [Some(&item.aggregate), Some(&item.command), Some(&item.id), item.occurred_at.as_ref()];
    let quoted = texts.into_iter().flatten().map(|text| format!("{text:?}"));
    let detail = quoted.fold(problem.detail, |detail, text| detail.replace(&text, "(what is given)"));
    Problem { detail, ..problem }
}

/// The field whose value its command does not take, and what it takes.
fn misfit(item: &Item) -> Option<Problem> {
    let name = word(&item.aggregate, &item.command).ok()?;
    let nothing = json!({});
    let Err(CommandError::Malformed { field, .. }) =
        Command::decode(name, item.body.as_ref().unwrap_or(&nothing))
    else {
        return None;
    };
    let (known, at) = known_part(name, &field);
    let is_missing = || at_way(item.body.as_ref(), &known).is_none();
    let detail = if known.is_empty() {
        let fields = Field::of_command(name);
        let list = |words: Vec<String>| words.join(", ");
        let required = list(fields.required().into_iter().map(str::to_owned).collect());
        format!("these are not the fields of {name}; required: {required}; accepted: {}", list(fields.ways()))
    } else if is_missing() {
        format!("`{known}` is missing; it takes {}", at.takes())
    } else {
        format!("`{known}` does not take this; it takes {}", at.takes())
    };
    let field = if known.is_empty() { "body".to_owned() } else { known };
    Some(Problem::malformed(field, detail))
}

/// As much of the way to a field as is of the command's own words: the rest, its sender made up.
fn known_part(name: &str, field: &str) -> (String, Field<'static>) {
    let (mut known, mut at) = (String::new(), Field::of_command(name));
    let field = field.replace('[', ".").replace(']', "");
    for step in field.split('.').filter(|step| !step.is_empty()) {
        let Some(next) = at.own(step) else { break };
        at = next;
        known = if known.is_empty() { step.to_owned() } else { format!("{known}.{step}") };
    }
    (known, at)
}

/// What stands at a dotted way.
fn at_way<'a>(body: Option<&'a Value>, way: &str) -> Option<&'a Value> {
    way.split('.').fold(body, |at, step| match at? {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        at => at.get(step),
    })
}

#[cfg(test)]
mod tests {
    use super::{Item, without_texts};
    use crate::error::Problem;
    use kvali_domain::Command;
    use serde_json::{Value, json};

    fn item(aggregate: &str, command: &str, body: &Value) -> Item {
        let told = json!({ "aggregate": aggregate, "command": command, "id": "Nino Secret", "body": body });
        serde_json::from_value(told).expect("an item")
    }

    #[track_caller]
    fn kept(item: &Item, problem: Problem) -> String {
        let kept = without_texts(problem, item);
        let told = kept.body().to_string();
        assert!(!told.contains("Secret"), "{told}");
        format!("{}: {}", kept.field.unwrap_or_default(), kept.detail)
    }

    #[test]
    fn a_problem_is_told_without_the_values_that_were_sent() {
        let cases = [
            ("company", "create-company", json!({ "name": "Acme", "owner": "Nino Secret" }), "owner: "),
            ("company", "create-company", json!({ "name": ["Nino Secret"] }), "name: "),
            ("company", "create-company", json!({ "name": "Acme", "Secret": 1 }), "body: "),
            ("company", "create-company", json!("Nino Secret"), "body: "),
            ("deal", "move-deal", json!({ "pipeline_version": 1 }), "to: `to` is missing; it takes a text"),
            (
                "contact",
                "create-contact",
                json!({ "points": [{ "kind": "Secret", "value": "x" }] }),
                "points",
            ),
            (
                "task",
                "create-task",
                json!({ "subject": "S", "assignee": null, "due": { "day": "Secret" } }),
                "",
            ),
        ];
        for (aggregate, command, body, begins) in cases {
            let item = item(aggregate, command, &body);
            let name = crate::commands::word(aggregate, command).expect("a command");
            let error = Command::decode(name, item.body.as_ref().expect("a body")).expect_err("malformed");
            let told = kept(&item, Problem::from(error));
            assert!(told.starts_with(begins), "{told}");
        }
    }

    #[test]
    fn unknown_words_and_ids_are_told_without_repeating_them() {
        for (aggregate, command) in [("Secret", "create-company"), ("company", "Secret")] {
            let item = item(aggregate, command, &json!({}));
            let told = kept(&item, crate::commands::word(aggregate, command).expect_err("no such command"));
            assert!(told.contains("company"), "{told}");
        }
        let item = item("company", "archive-company", &json!({}));
        let told = kept(&item, Problem::malformed("id", format!("{:?} is no UUID", "Nino Secret")));
        assert_eq!(told, "id: (what is given) is no UUID");
    }
}
