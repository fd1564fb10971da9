//! `kvali task`: one task as it stands; its forms are in `forms::task`.

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::forms::{self, Directory, Filled, directory};
use crate::names::Names;
use crate::output::{Answer, Table};
use clap::Subcommand;
use kvali_domain::task::{self, Event, OpenTask, Progress};
use kvali_domain::{StreamId, Target, TaskId};
use serde_json::{Value, json};

#[derive(Subcommand)]
pub(crate) enum Task {
    /// How a task stands
    Show { task: String },
    #[command(flatten)]
    Form(Box<Filled<forms::task::Task>>),
}

impl Task {
    pub(crate) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        match self {
            Self::Form(form) => form.run(global).await,
            Self::Show { task } => {
                let session = Session::open(global, "default").await?;
                show(&session, task).await?.print(global.format)?;
                Ok(Done::Well)
            }
        }
    }
}

async fn show(session: &Session, said: &str) -> Result<Answer, Failure> {
    let directory = Directory::new(session);
    let id = directory::task(said)?;
    let state: Option<task::Task> = directory.of(id.stream()).await?;
    let known = state.as_ref().and_then(|task| Some((task.record()?, standing(task))));
    let (record, standing) = known.ok_or_else(|| Failure::Impossible(format!("there is no task {id}")))?;
    let mut fields = vec![("task", json!(id)), ("subject", json!(subject(&directory, id).await?))];
    fields.extend([
        ("state", json!(standing)),
        ("due", json!(record.due.to_string())),
        ("assignee", json!(Names::new(session).user(record.assignee).await?)),
        ("about", about(record)),
        ("priority", json!(record.priority)),
        ("rescheduled", json!(record.slips)),
        ("snoozed", json!(record.snoozes)),
        ("became_overdue", json!(record.overdue.len())),
        ("version", json!(record.version)),
    ]);
    let mut table = Table::new("Task", &["field", "value"]);
    for (name, value) in &fields {
        table.row([json!(name), value.clone()]);
    }
    let json = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Answer { tables: vec![table], notes: Vec::new(), json: Value::Object(json) })
}

fn standing(task: &task::Task) -> String {
    match task {
        task::Task::Absent => "absent".to_owned(),
        task::Task::Closed(_, outcome) => outcome.as_str().to_owned(),
        task::Task::Open(open) => match open.progress {
            Progress::Waiting => "open".to_owned(),
            Progress::Started => "started".to_owned(),
            Progress::Deferred { until } => format!("deferred until {until}"),
        },
    }
}

fn about(record: &OpenTask) -> Value {
    let targets = record.targets.iter().map(|target| {
        let kind = match target {
            Target::Lead(_) => "lead",
            Target::Contact(_) => "contact",
            Target::Company(_) => "company",
            Target::Deal(_) => "deal",
        };
        let StreamId(id) = target.stream();
        format!("{kind} {id}")
    });
    json!(targets.collect::<Vec<_>>())
}

/// The last one it was given; nothing once its key is destroyed.
async fn subject(directory: &Directory<'_>, id: TaskId) -> Result<Option<String>, Failure> {
    let events = directory.history(id.stream()).await?;
    Ok(events.into_iter().rev().find_map(|event| match event {
        kvali_domain::Event::Task(Event::Created(event)) => event.subject.0,
        kvali_domain::Event::Task(Event::Edited(event)) => event.subject.0,
        _ => None,
    }))
}
