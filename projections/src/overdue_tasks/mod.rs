//! Which tasks are overdue and why, what is due today, what was done late or moved; which deals nobody works at; and
//! how much everybody has to do.
//!
//! `facts` says what events make of the rows, `model` keeps them in tables, `timers` says what the clock calls for, and
//! `query` answers. No row says that something is overdue: rows say from when on it would be.

mod answer;
mod cause;
mod clock;
mod facts;
mod model;
mod query;
mod record;
#[cfg(test)]
mod tests;
mod timers;

pub use answer::{
    Answer, DealAt, Due, DueTask, IdleDeal, LateTask, Listed, OverLimit, OverdueTask, Person, SlippedTask,
    WithoutTask, Workload,
};
pub use kvali_domain::task::{Cause, CauseFacts};
pub use model::OverdueTasks;
pub use query::{Asked, NotAWord, Place, QueryError, Section, Sorting, overdue};
