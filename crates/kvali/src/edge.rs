//! The clock of this program and its new ids; everything else takes both as arguments.

use chrono::{DateTime, Utc};
use uuid::Uuid;

#[expect(clippy::disallowed_methods, reason = "the program is the edge where the clock is read")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

#[expect(clippy::disallowed_methods, reason = "the program is the edge where new ids are drawn")]
pub(crate) fn new_id() -> Uuid {
    Uuid::now_v7()
}
