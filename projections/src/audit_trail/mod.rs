//! Who did what, for whom, when, why and by which path, and what it changed: events, refused commands, denials, and reads of
//! personal texts in one order of time.
//!
//! No tables of its own: the log, the table of commands and those beside them hold all of it, so that nothing an auditor is
//! shown lags behind or can be parked. Only what names a record is looked up in the timeline's tables. What a change left
//! behind it is said by the event, or folded from the events before it in its stream.

mod changes;
mod entry;
mod fields;
mod filter;
mod part;
mod place;
#[cfg(test)]
mod tests;
mod trail;

pub use changes::{Change, Held, of_history, standing};
pub use entry::{COLUMNS, Entry, Happened, Particulars, Sees};
pub use filter::{Category, Filter, Kind, NotAWord};
pub use place::{NotAPlace, Place};
pub use trail::{Ask, Trail, trail};
