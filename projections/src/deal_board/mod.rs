//! What stands where: the open deals of a pipeline, with owner, age and next task.
//!
//! `facts` says what events make of cards, `model` keeps them in tables, `query` answers.

mod facts;
mod model;
mod query;

pub use model::DealBoard;
pub use query::{Ask, Board, Card, Column, NextTask, NotAPlace, NotASort, Place, Sort};
