//! The clock of this program, its new ids and its secrets; everything else takes them as arguments.

use crate::failure::Failure;
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

/// What nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(Failure::Random)?;
    Ok(bytes)
}
