//! How complete the records are: per kind and field how many fill it, which fields nobody fills, completeness per owner.
//!
//! `fillings` says what events fill, `facts` which fields each record fills, and `model` keeps counts of them, exact through
//! merges, archives and erasures: what a record counts for is written with it, and taken back when that changes.

mod facts;
mod fillings;
mod model;
mod query;

pub use model::FieldCompleteness;
pub use query::{Ask, OfEntity, OfField, OfOwner, Standing};
