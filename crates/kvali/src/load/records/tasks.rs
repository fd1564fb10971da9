//! A task's row.

use super::draft::{Draft, Known, Part, Record, Setting, unless};
use crate::import::records::{RecordRow, RecordRows};
use crate::import::{RowProblem, When};
use chrono_tz::Tz;
use kvali_domain::task::{Command, Create, Edit, Outcome, Priority, Progress, Task};
use kvali_domain::{Due, Personal, State, UserId};
use kvali_eventstore::Choice;

/// How far a task has come, in the words of the column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Open,
    Started,
    Done,
    Cancelled,
}

impl Status {
    fn word(self) -> &'static str {
        STATUSES.iter().find(|(_, known)| *known == self).map_or("", |(word, _)| word)
    }
}

pub(super) fn draft(
    row: RecordRow,
    setting: &Setting,
    file: &mut RecordRows<'_>,
) -> Result<Draft, RowProblem> {
    let subject = row.cells.get("subject").map_or_else(Personal::default, Personal::new);
    let priority = word(&row, file, "priority", &PRIORITIES)?;
    let status = word(&row, file, "status", &STATUSES)?;
    let due = due(row.due, setting.zone).ok_or_else(|| {
        let why = "is empty; a task needs the day or the time by which it is due".to_owned();
        file.problem(row.line, "due", "", why)
    })?;
    let build = move |known: Known<'_>| {
        // The column of the owner is required, so there is one.
        let assignee = known.named.owner.unwrap_or(UserId(known.stream.0));
        let create = Create {
            targets: known.named.about.clone(),
            priority: priority.unwrap_or_default(),
            ..Create::new(subject.clone(), due, assignee)
        };
        let text = subject.as_deref().unwrap_or_default();
        let edit = Edit { subject: subject.clone(), ..Edit::default() };
        // What is done or cancelled takes no change before it is open again.
        let opens = status.filter(|status| matches!(status, Status::Open | Status::Started));
        let mut parts: Vec<Part> = opens.map(reopened).into_iter().collect();
        parts.extend([
            Part::always("subject", &[text], Command::Edit(edit)).carried(),
            Part::new("due", &[&due.to_string()], move |state| {
                let so = open(state).is_some_and(|task| task.due == due);
                unless(so, Command::Reschedule { due, reason: Personal::default() })
            })
            .carried(),
            Part::new("owner", &[&assignee.to_string()], move |state| {
                let so = open(state).is_some_and(|task| task.assignee == assignee);
                unless(so, Command::Reassign { assignee, force: false, reason: Personal::default() })
            })
            .carried(),
        ]);
        parts.extend(priority.map(|priority| {
            let edit = Edit { priority: Some(priority), ..Edit::default() };
            let content =
                PRIORITIES.iter().find(|(_, known)| *known == priority).map_or("", |(word, _)| word);
            Part::always("priority", &[content], Command::Edit(edit)).carried()
        }));
        parts.extend(known.named.about.iter().map(|target| {
            let link = Command::Link { target: *target };
            Part::always("about", &[&target.stream().to_string()], link).carried()
        }));
        parts.extend(
            status
                .filter(|status| *status != Status::Open)
                .map(|status| Part::new("status", &[status.word()], move |state| reach(state, status))),
        );
        Record { before: State::Task(Task::default()), create: Some(Command::Create(create).into()), parts }
    };
    Ok(Draft { row, claims: Vec::new(), build: Box::new(build) })
}

fn reach(state: &State, status: Status) -> Choice {
    let closed = match state {
        State::Task(Task::Closed(_, outcome)) => Some(*outcome),
        _ => None,
    };
    match status {
        Status::Done => {
            unless(closed == Some(Outcome::Done), Command::Complete { result: Personal::default() })
        }
        Status::Cancelled => {
            unless(closed == Some(Outcome::Cancelled), Command::Cancel { reason: Personal::default() })
        }
        Status::Open | Status::Started => {
            let started = open(state).is_some_and(|task| task.progress == Progress::Started);
            unless(started, Command::Start {})
        }
    }
}

/// A task is created open.
fn reopened(status: Status) -> Part {
    let reopen = Command::Reopen { assignee: None, force: false, reason: Personal::default() };
    let choose = move |state: &State| unless(!matches!(state, State::Task(Task::Closed(..))), reopen.clone());
    Part::new("open", &[status.word()], choose).carried().at("status")
}

const PRIORITIES: [(&str, Priority); 4] = [
    ("low", Priority::Low),
    ("normal", Priority::Normal),
    ("high", Priority::High),
    ("urgent", Priority::Urgent),
];

const STATUSES: [(&str, Status); 4] = [
    ("open", Status::Open),
    ("started", Status::Started),
    ("done", Status::Done),
    ("cancelled", Status::Cancelled),
];

/// What a cell says that holds one of a few words.
pub(super) fn word<T: Copy>(
    row: &RecordRow,
    file: &mut RecordRows<'_>,
    key: &str,
    words: &[(&str, T)],
) -> Result<Option<T>, RowProblem> {
    let Some(cell) = row.cells.get(key) else { return Ok(None) };
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(cell));
    if found.is_none() {
        let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let why = format!("is none of {known}; translate it under [values.{key}]");
        file.unusable(row.line, key, cell, why)?;
    }
    Ok(found.map(|(_, meaning)| *meaning))
}

fn due(when: When, zone: Tz) -> Option<Due> {
    match when {
        When::Instant(at) => Some(Due::At(at)),
        When::Day { starts, .. } => Some(Due::Day { date: starts.with_timezone(&zone).date_naive(), zone }),
        When::Unknown => None,
    }
}

fn open(state: &State) -> Option<&kvali_domain::task::OpenTask> {
    match state {
        State::Task(Task::Open(task)) => Some(task),
        _ => None,
    }
}
