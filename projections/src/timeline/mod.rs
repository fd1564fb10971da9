//! Everything about one customer, across streams and aliases: a contact, company, lead or deal, with what is linked to it.
//!
//! No text is kept here. Whoever shows an entry reads its event from the log, where an erasure has taken what is personal.

mod facts;
mod links;
mod model;
mod query;

pub use model::Timeline;
pub(crate) use query::aliases;
pub use query::{Ask, CUSTOMER_KINDS, Entry, Kind, NotAKind, Page};
