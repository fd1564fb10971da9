//! Whoever is shown personal texts leaves a record of it, before they are sent.

use crate::error::Problem;
use crate::principal::Principal;
use crate::{Api, edge};
use kvali_domain::access::Permission;
use kvali_eventstore::{Opened, PersonalRead};
use std::collections::BTreeSet;
use uuid::Uuid;

impl Api {
    /// What an answer shows of which records: nothing to be recorded, if it shows none.
    pub(crate) async fn shows(
        &self,
        principal: &Principal,
        what: &'static str,
        records: impl IntoIterator<Item = Uuid>,
    ) -> Result<(), Problem> {
        self.record(principal, what, records.into_iter().collect(), None).await
    }

    /// The texts of these events. One record for all of them, with the positions that they lie between.
    pub(crate) async fn shows_events(
        &self,
        principal: &Principal,
        what: &'static str,
        events: &[Opened],
    ) -> Result<(), Problem> {
        if !principal.may(Permission::ReadPersonal) {
            return Ok(());
        }
        let shown = events.iter().flat_map(Opened::told_of).collect();
        let position = |event: &Opened| event.recorded.position;
        let positions = events.first().map(position).zip(events.last().map(position));
        self.record(principal, what, shown, positions).await
    }

    async fn record(
        &self,
        principal: &Principal,
        what: &'static str,
        shown: BTreeSet<Uuid>,
        positions: Option<(i64, i64)>,
    ) -> Result<(), Problem> {
        if shown.is_empty() {
            return Ok(());
        }
        let read = PersonalRead {
            tenant: principal.tenant,
            id: edge::new_id(),
            actor: principal.actor,
            credential: principal.credential(),
            request_id: principal.request_id.clone(),
            source_address: principal.peer.map(|peer| peer.ip().to_string()),
            what,
            shown,
            positions,
        };
        Ok(self.store().record_personal_read(&read).await?)
    }
}
