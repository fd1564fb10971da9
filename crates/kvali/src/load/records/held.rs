//! Who holds the keys that rows name: as the log has it, and as the rows before them will leave it.

use kvali_domain::{Claim, StreamId};
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Held {
    by_key: HashMap<(&'static str, String), Vec<StreamId>>,
}

impl Held {
    pub(super) fn new(claims: &[Claim], holders: Vec<Vec<StreamId>>) -> Self {
        let keys = claims.iter().map(|claim| (claim.kind, claim.key.clone()));
        Self { by_key: keys.zip(holders).filter(|(_, holders)| !holders.is_empty()).collect() }
    }

    pub(super) fn first(&self, claim: &Claim) -> Option<StreamId> {
        self.of(claim).first().copied()
    }

    pub(super) fn has(&self, stream: StreamId, claim: &Claim) -> bool {
        self.of(claim).contains(&stream)
    }

    /// Somebody else who holds it.
    pub(super) fn other(&self, claim: &Claim, stream: StreamId) -> Option<StreamId> {
        self.of(claim).iter().copied().find(|holder| *holder != stream)
    }

    /// A row on its way will claim it.
    pub(super) fn expect(&mut self, claim: &Claim, stream: StreamId) {
        let holders = self.by_key.entry((claim.kind, claim.key.clone())).or_default();
        if !holders.contains(&stream) {
            holders.push(stream);
        }
    }

    fn of(&self, claim: &Claim) -> &[StreamId] {
        self.by_key.get(&(claim.kind, claim.key.clone())).map_or(&[], Vec::as_slice)
    }
}
