//! The server's clock and its new ids.

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

/// To the microsecond, as the log keeps it.
#[expect(clippy::disallowed_methods, reason = "a request comes in at the edge")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

#[expect(clippy::disallowed_methods, reason = "a request comes in at the edge")]
pub(crate) fn new_id() -> Uuid {
    Uuid::now_v7()
}
