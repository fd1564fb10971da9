//! Rows on their way: gathered, sent in one go, and each one's outcome told.

use super::people::People;
use super::reasons::Reasons;
use super::report::{Refusals, Refused, Tally, Why};
use super::sink::Sink;
use crate::failure::Failure;
use crate::import::{RowProblem, When};
use indicatif::ProgressBar;
use kvali_domain::deal::Party;
use kvali_domain::{ActorId, LossReasonId, Personal, StreamId, UserId};
use kvali_eventstore::{Outcome, Plan};
use std::sync::Arc;

/// Rows that travel together.
const ROWS: usize = 2_000;

const OTHER_ACTOR: &str = "is somebody else than when this row was imported, and who did what is kept for good; write \
    the name that stood there, or leave the row out";

/// Where in a row to look when one of its commands is refused.
#[derive(Default)]
pub(crate) struct Cell {
    pub(crate) column: Option<Arc<str>>,
    pub(crate) value: String,
}

/// A row as commands, in the order in which they are sent.
pub(crate) struct RowPlans {
    pub(crate) line: u64,
    pub(crate) record: StreamId,
    /// Pointed at when somebody else did it before.
    pub(crate) actor: Cell,
    /// Pointed at when a time is what is wrong.
    pub(crate) time: (Option<Arc<str>>, When),
    pub(crate) plans: Vec<(Plan, Cell)>,
}

/// An import at work.
pub(crate) struct Loading<'a> {
    pub(crate) sink: Sink<'a>,
    pub(crate) source: String,
    people: People,
    reasons: Reasons,
    /// Registrations of whom the waiting rows name for the first time; they go first.
    registrations: Vec<Plan>,
    waiting: Vec<RowPlans>,
    pub(crate) tally: Tally,
    pub(crate) refusals: Refusals,
    progress: ProgressBar,
}

impl<'a> Loading<'a> {
    pub(crate) fn new(sink: Sink<'a>, source: String, refusals: Refusals, progress: ProgressBar) -> Self {
        Self {
            sink,
            source,
            people: People::default(),
            reasons: Reasons::default(),
            registrations: Vec::new(),
            waiting: Vec::with_capacity(ROWS),
            tally: Tally::default(),
            refusals,
            progress,
        }
    }

    /// Counts events of what the import makes before its rows.
    pub(crate) fn set_up(&mut self, events: &[(i64, i32)]) {
        for (first, count) in events {
            self.tally.events(*first, *count);
        }
    }

    pub(crate) async fn user(&mut self, name: &str) -> Result<UserId, Failure> {
        let (user, registration) = self.people.user(&self.sink, &self.source, name).await?;
        self.registrations.extend(registration);
        Ok(user)
    }

    pub(crate) async fn actor(&mut self, name: Option<&str>) -> Result<ActorId, Failure> {
        match name {
            Some(name) => Ok(self.user(name).await?.into()),
            None => Ok(crate::ids::importer()),
        }
    }

    pub(crate) async fn account(&mut self, name: &str) -> Result<(Party, Personal), Failure> {
        self.people.account(&self.sink, &self.source, name).await
    }

    pub(crate) fn company(&mut self, name: &str) -> kvali_domain::CompanyId {
        let (company, creation) = self.people.company(&self.sink, name);
        self.registrations.extend(creation);
        company
    }

    pub(crate) async fn reason(&mut self, code: &str) -> Result<LossReasonId, Failure> {
        let (reason, defined) = self.reasons.find(&mut self.sink, code).await?;
        if let Some((first, count)) = defined.as_ref().and_then(super::report::new_events) {
            self.tally.events(first, count);
        }
        Ok(reason)
    }

    pub(crate) async fn row(&mut self, row: RowPlans) -> Result<(), Failure> {
        self.waiting.push(row);
        if self.waiting.len() == ROWS { self.flush().await } else { Ok(()) }
    }

    pub(crate) fn unreadable(&mut self, problem: &RowProblem) -> Result<(), Failure> {
        self.tally.rows += 1;
        self.progress.inc(1);
        self.refusals.add(problem.into())
    }

    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
        let mut plans = std::mem::take(&mut self.registrations);
        let registrations = plans.len();
        let mut rows = Vec::with_capacity(self.waiting.len());
        for RowPlans { line, record, actor, time, plans: of_row } in self.waiting.drain(..) {
            let (of_row, cells): (Vec<_>, Vec<_>) = of_row.into_iter().unzip();
            plans.extend(of_row);
            rows.push(Sent { line, record, actor, time, cells });
        }
        let mut outcomes = self.sink.send(&plans).await?.into_iter();
        for outcome in outcomes.by_ref().take(registrations) {
            self.tally.setup(&outcome);
        }
        for row in rows {
            let outcomes: Vec<Outcome> = outcomes.by_ref().take(row.cells.len()).collect();
            if let Some(refused) =
                self.tally.row(row.record, &outcomes).map(|(at, why)| row.refused(at, &why))
            {
                self.refusals.add(refused)?;
            }
            self.progress.inc(1);
        }
        Ok(())
    }

    /// Sends what waits and ends.
    pub(crate) async fn finish(mut self) -> Result<(Tally, Refusals), Failure> {
        self.flush().await?;
        self.progress.finish_and_clear();
        self.refusals.flush()?;
        Ok((self.tally, self.refusals))
    }
}

struct Sent {
    line: u64,
    record: StreamId,
    actor: Cell,
    time: (Option<Arc<str>>, When),
    cells: Vec<Cell>,
}

impl Sent {
    fn refused(&self, at: usize, why: &Why<'_>) -> Refused {
        let refusal = match why {
            Why::Rules(refusal) => refusal,
            Why::OtherActor => return self.of_other_actor(),
        };
        let code = refusal.code();
        let (column, value) = if matches!(code.as_str(), "runs_backwards" | "in_the_future") {
            (self.time.0.clone(), self.time.1.to_string())
        } else {
            (self.cells[at].column.clone(), self.cells[at].value.clone())
        };
        let column = column.map(|column| column.to_string());
        Refused { line: self.line, column, value, reason: refusal.to_string(), code }
    }

    fn of_other_actor(&self) -> Refused {
        let Cell { column, value } = &self.actor;
        Refused {
            line: self.line,
            column: Some(column.as_deref().unwrap_or("actor").to_owned()),
            value: value.clone(),
            reason: OTHER_ACTOR.to_owned(),
            code: "other_actor".to_owned(),
        }
    }
}
