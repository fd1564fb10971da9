//! Finding people, companies and deals by name, e-mail and phone: across scripts, while typing, in spite of typos.
//!
//! `terms` says by which words a value is found, `facts` which values records have, `model` keeps an index of the words,
//! `query` finds candidates in it, and `score` judges them. Every value is personal and goes when its subject is erased.

mod facts;
mod model;
mod query;
mod score;
mod terms;

pub use facts::Entity;
pub use model::Search;
pub use query::{Ask, Hit, NotAnEntity, Place, next};
