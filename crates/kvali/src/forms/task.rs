//! `kvali task`: what is to be done, by whom and until when. How a task stands is told in `crate::task`.

use super::given::{About, from_word, words};
use super::{By, Directory, Form, directory, order};
use crate::failure::Failure;
use clap::{Args, Subcommand};
use kvali_domain::task::{Command, Create, Kind, Priority};
use kvali_domain::{Order, TaskId};

#[derive(Subcommand)]
pub(crate) enum Task {
    /// Add a task
    Add(Added),
    /// Say that a task is done
    Done {
        task: String,
        /// What came of it
        #[arg(long, value_name = "TEXT")]
        result: Option<String>,
    },
    /// Be reminded later
    Snooze {
        task: String,
        /// 30min, 2h or 3d from now, or a time
        until: String,
    },
    /// Let a task be due at another time
    Reschedule {
        task: String,
        /// A day, or a time
        #[arg(long, value_name = "DAY")]
        due: String,
        /// Why, in words
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// Give a task to another user; needs a --reason or --comment
    Assign {
        task: String,
        user: String,
        /// Also to somebody absent; needs a --reason or --comment
        #[arg(long)]
        force: bool,
        /// Why, in words
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// Give a task up; needs a --reason or --comment
    Cancel {
        task: String,
        /// Why, in words
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
}

#[derive(Args)]
pub(crate) struct Added {
    /// What is to be done
    subject: String,
    /// A day, or a time
    #[arg(long, value_name = "DAY")]
    due: String,
    /// Who does it [default: the user of --as]
    #[arg(long = "for", value_name = "USER", required_unless_present = "actor")]
    assignee: Option<String>,
    #[command(flatten)]
    about: About,
    #[arg(long, value_parser = from_word::<Kind>, value_name = "to_do|call|message|visit")]
    kind: Option<Kind>,
    #[arg(long, value_parser = from_word::<Priority>, value_name = "low|normal|high|urgent")]
    priority: Option<Priority>,
    /// The code of an activity type
    #[arg(long = "type", value_name = "CODE")]
    activity_type: Option<String>,
    /// It is done only with a result in words
    #[arg(long)]
    result_required: bool,
}

impl Form for Task {
    async fn orders(&self, directory: &Directory<'_>, by: &By) -> Result<Vec<Order>, Failure> {
        let (task, command) = match self {
            Self::Add(added) => (TaskId(by.id("task")), Command::Create(added.create(directory, by).await?)),
            Self::Done { task, result } => {
                (directory::task(task)?, Command::Complete { result: words(result.as_ref()) })
            }
            Self::Snooze { task, until } => {
                (directory::task(task)?, Command::Snooze { until: by.later(until)? })
            }
            Self::Reschedule { task, due, comment } => {
                let reason = words(comment.as_ref());
                (directory::task(task)?, Command::Reschedule { due: by.due(due)?, reason })
            }
            Self::Assign { task, user, force, comment } => {
                let (assignee, reason) = (directory.user(user).await?, words(comment.as_ref()));
                (directory::task(task)?, Command::Reassign { assignee, force: *force, reason })
            }
            Self::Cancel { task, comment } => {
                (directory::task(task)?, Command::Cancel { reason: words(comment.as_ref()) })
            }
        };
        Ok(vec![order(task.stream(), command)])
    }
}

impl Added {
    async fn create(&self, directory: &Directory<'_>, by: &By) -> Result<Create, Failure> {
        let assignee = self.assignee.as_deref().or(by.actor.as_deref()).unwrap_or_default();
        let assignee = directory.user(assignee).await?;
        Ok(Create {
            activity_type: directory::maybe(self.activity_type.as_deref(), |code| {
                directory.activity_type(code)
            })
            .await?,
            kind: self.kind.unwrap_or_default(),
            result_required: self.result_required,
            targets: self.about.targets(directory).await?,
            priority: self.priority.unwrap_or_default(),
            ..Create::new(words(Some(&self.subject)), by.due(&self.due)?, assignee)
        })
    }
}
