//! The questions: which lists, of whom, as of when.

mod deals;
mod tasks;
mod who;
mod workload;

use super::answer::{Answer, Listed};
use super::model::OverdueTasks;
use crate::rows::Tables;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use kvali_domain::TenantId;
use kvali_domain::access::Reach;
use kvali_domain::task::Cause;
use kvali_eventstore::Store;
use kvali_eventstore::project::{Answered, AsOf, Look, Query};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;
use who::Who;

/// One list of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    Overdue,
    DueToday,
    DoneLate,
    Slipped,
    WithoutTask,
    OverLimit,
    Idle,
    Workload,
}

impl Section {
    pub const ALL: [Self; 8] = [
        Self::Overdue,
        Self::DueToday,
        Self::DoneLate,
        Self::Slipped,
        Self::WithoutTask,
        Self::OverLimit,
        Self::Idle,
        Self::Workload,
    ];
}

const SECTIONS: [(Section, &str); 8] = [
    (Section::Overdue, "overdue"),
    (Section::DueToday, "due_today"),
    (Section::DoneLate, "done_late"),
    (Section::Slipped, "slipped"),
    (Section::WithoutTask, "deals_without_task"),
    (Section::OverLimit, "over_stage_limit"),
    (Section::Idle, "idle_deals"),
    (Section::Workload, "workload"),
];

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("{word:?} is none of {}", .known.join(", "))]
pub struct NotAWord {
    word: String,
    known: Vec<&'static str>,
}

fn find<T: Copy>(word: &str, table: &[(T, &'static str)]) -> Result<T, NotAWord> {
    let found = table.iter().find(|(_, known)| *known == word);
    let none = || NotAWord { word: word.to_owned(), known: table.iter().map(|(_, known)| *known).collect() };
    found.map(|(value, _)| *value).ok_or_else(none)
}

impl std::str::FromStr for Section {
    type Err = NotAWord;

    fn from_str(word: &str) -> Result<Self, NotAWord> {
        find(word, &SECTIONS)
    }
}

impl std::str::FromStr for Sorting {
    type Err = NotAWord;

    fn from_str(word: &str) -> Result<Self, NotAWord> {
        find(word, &[(Self::Due, "due"), (Self::Assignee, "assignee"), (Self::Slips, "slips")])
    }
}

/// What overdue tasks are sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Sorting {
    /// The longest overdue first.
    #[default]
    Due,
    Assignee,
    /// The most often moved first.
    Slips,
}

/// Where a page of a list ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Of the last row, by its task, deal or person.
    row: Uuid,
    /// How many rows there were up to it, in case that it is gone by now.
    shown: usize,
}

impl Asked {
    /// The page of a list's rows that is asked for, how many there are, and where the next page begins.
    fn page<T>(&self, mut rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> Listed<T> {
        let total = rows.len();
        let from = self.after.map_or(0, |after| {
            rows.iter().position(|row| id(row) == after.row).map_or(after.shown.min(total), |at| at + 1)
        });
        rows.drain(..from);
        rows.truncate(self.limit);
        let shown = from + rows.len();
        let next = rows.last().filter(|_| shown < total).map(|last| Place { row: id(last), shown });
        Listed { total, rows, next }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    pub sections: Vec<Section>,
    /// A person by name or id: their tasks and deals alone.
    pub of: Option<String>,
    /// A team by name or id: its members, and those of the teams below it.
    pub team: Option<String>,
    /// Overdue tasks of this cause alone.
    pub cause: Option<Cause>,
    pub sorting: Sorting,
    /// Rows of each list at most.
    pub limit: usize,
    /// Go on after this row, where one list is asked for.
    pub after: Option<Place>,
    /// Whose tasks and deals there are at all.
    pub reach: Reach,
    /// The zone of instants where their person has none.
    pub zone: Tz,
    /// When what was done late was done: [from, to).
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            sections: Section::ALL.to_vec(),
            of: None,
            team: None,
            cause: None,
            sorting: Sorting::default(),
            limit: usize::MAX,
            after: None,
            reach: Reach::All,
            zone: Tz::UTC,
            from: None,
            to: None,
        }
    }
}

#[derive(thiserror::Error, Debug)]
pub enum QueryError {
    #[error("there is no user {name:?}; there are {}", list(.known))]
    NoSuchUser { name: String, known: Vec<String> },
    #[error("several users are called {name:?}; name one by id: {}", list(.ids))]
    SeveralUsers { name: String, ids: Vec<String> },
    #[error("there is no team {name:?}; there are {}", list(.known))]
    NoSuchTeam { name: String, known: Vec<String> },
    #[error(transparent)]
    Store(#[from] kvali_eventstore::Error),
    #[error("reading the facts of overdue tasks failed")]
    Read(#[from] sqlx::Error),
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// Answers as of `as_of`; `now` is T when nothing else sets it.
pub async fn overdue(
    store: &Store,
    tenant: TenantId,
    as_of: AsOf,
    now: DateTime<Utc>,
    progress: &(dyn Fn(i64, i64) + Sync),
    asked: Asked,
) -> Result<Answered<Answer>, QueryError> {
    store.ask(Arc::new(OverdueTasks), tenant, as_of, now, progress, asked).await
}

#[async_trait]
impl Query for Asked {
    type Answer = Answer;
    type Error = QueryError;

    async fn ask(self, look: &mut Look<'_>) -> Result<Answer, QueryError> {
        let (tenant, schema, at) = (look.tenant, look.schema, look.at);
        let mut tables = Tables { tenant, schema, connection: &mut *look.connection };
        let who = Who::load(&mut tables, &self).await?;
        let mut answer = Answer::default();
        for section in &self.sections {
            section.answer(&mut tables, Question { asked: &self, who: &who, at }, &mut answer).await?;
        }
        Ok(answer)
    }
}

/// What every list goes by.
#[derive(Clone, Copy)]
struct Question<'a> {
    asked: &'a Asked,
    who: &'a Who,
    /// T.
    at: DateTime<Utc>,
}

impl Section {
    async fn answer(
        self,
        tables: &mut Tables<'_>,
        question: Question<'_>,
        into: &mut Answer,
    ) -> Result<(), sqlx::Error> {
        match self {
            Self::Overdue => into.overdue = Some(tasks::overdue(tables, question).await?),
            Self::DueToday => into.due_today = Some(tasks::due_today(tables, question).await?),
            Self::DoneLate => into.done_late = Some(tasks::done_late(tables, question).await?),
            Self::Slipped => into.slipped = Some(tasks::slipped(tables, question).await?),
            Self::WithoutTask => into.deals_without_task = Some(deals::without_task(tables, question).await?),
            Self::OverLimit => into.over_stage_limit = Some(deals::over_limit(tables, question).await?),
            Self::Idle => into.idle_deals = Some(deals::idle(tables, question).await?),
            Self::Workload => into.workload = Some(workload::workload(tables, question).await?),
        }
        Ok(())
    }
}
