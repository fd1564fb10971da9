//! Asking a read model, with a progress bar where it must be brought up to the log first.

use crate::connect::Session;
use crate::edge;
use crate::failure::Failure;
use crate::progress;
use kvali_eventstore::project::{Answered, AsOf, Projection, Query};
use kvali_projections::AskError;
use std::sync::Arc;

pub(crate) async fn ask<Q: Query<Error = AskError>>(
    session: &Session,
    model: impl Projection + 'static,
    as_of: AsOf,
    query: Q,
) -> Result<Answered<Q::Answer>, Failure> {
    let bar = progress::bar("folding events", 0);
    let progress = |at: i64, head: i64| {
        bar.set_length(head.unsigned_abs());
        bar.set_position(at.unsigned_abs());
    };
    let answered =
        session.store.ask(Arc::new(model), session.tenant, as_of, edge::now(), &progress, query).await;
    bar.finish_and_clear();
    Ok(answered?)
}

/// What an answer rests on, for people.
pub(crate) fn stands<A>(answered: &Answered<A>) -> Vec<String> {
    let at = answered.at.format("%F %T");
    [format!("position {}, at {at} (UTC)", answered.position)]
        .into_iter()
        .chain(missing(answered.parked))
        .collect()
}

/// That the answer is not whole, if it is not.
pub(crate) fn missing(parked: i64) -> Option<String> {
    (parked > 0).then(|| {
        format!(
            "{parked} streams are missing, since an event of theirs could not be folded; see `kvali projections parked`"
        )
    })
}
