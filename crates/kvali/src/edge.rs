//! The clock of this program; everything else takes the time as an argument.

use chrono::{DateTime, Utc};

#[expect(clippy::disallowed_methods, reason = "the program is the edge where the clock is read")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
