//! What a command comes to before it is appended: its events or its refusal, sealed, and what it rests on.

use crate::cache::Folded;
use crate::handle::Plan;
use crate::keyring;
use crate::log::{ClaimRow, EventRow, Need, Prepared, RefusalRow};
use kvali_domain::{Claim, Command, Condition, Event, General, Occurred, Refusal, TenantId};
use std::sync::Arc;
use uuid::Uuid;

/// A decision and what it rests on.
pub(crate) struct Decided {
    pub tenant: TenantId,
    base: Folded,
    pub prepared: Prepared,
    /// Without their personal values once sealed, so no cached state holds any.
    pub events: Vec<Event>,
    pub claims: Vec<Claim>,
    pub refusal: Option<Refusal>,
}

impl Decided {
    /// `needs` are the streams that the decision looked at, the one that it is for first.
    pub(crate) fn new(
        plan: &Plan,
        command: &Command,
        request_hash: [u8; 32],
        base: Folded,
        needs: Vec<Need>,
        answer: Result<Vec<Event>, Refusal>,
    ) -> Self {
        let mut decided = Self {
            tenant: plan.envelope.tenant,
            base,
            prepared: prepare(plan, command, request_hash),
            events: Vec::new(),
            claims: Vec::new(),
            refusal: None,
        };
        match answer {
            Ok(events) => decided.accept(events, needs, plan),
            Err(refusal) => decided.refuse(refusal),
        }
        decided
    }

    fn accept(&mut self, events: Vec<Event>, mut needs: Vec<Need>, plan: &Plan) {
        needs[0].adds = i32::try_from(events.len()).expect("a decision is a handful of events");
        self.claims = events.iter().flat_map(Event::claims).collect();
        let holder = plan.stream;
        let claim = |claim: &Claim| ClaimRow {
            op: op(claim.condition),
            kind: claim.kind,
            key: claim.key.clone(),
            holder,
        };
        self.prepared.claims = self.claims.iter().map(claim).collect();
        let versions = self.base.version + 1..;
        let rows = versions.zip(&events).map(|(version, event)| event_row(event, version, plan));
        self.prepared.events = rows.collect();
        self.prepared.needs = needs;
        self.events = events;
    }

    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.prepared.refuse(&refusal);
        self.events.clear();
        self.claims.clear();
        self.refusal = Some(refusal);
    }

    /// Takes personal values out of the events, seals them, and writes the rest as `data`.
    pub(crate) fn seal(&mut self, key: &keyring::TenantKey, keys: &keyring::SubjectKeys) {
        let mut refusal = None;
        for (event, row) in self.events.iter_mut().zip(&mut self.prepared.events) {
            if keyring::holds_nul(event) {
                refusal = Some(General::NulCharacter);
            }
            match keyring::seal(event, keys, (self.tenant, row.stream, row.version)) {
                Ok(personal) => row.personal = personal,
                Err(subject) => refusal = Some(General::SubjectErased { subject }),
            }
            row.data = event.data();
            if row.data.contains("\\u0000") {
                refusal = Some(General::NulCharacter);
            }
        }
        for (claim, row) in self.claims.iter().zip(&mut self.prepared.claims) {
            if claim.personal {
                row.key = key.hash(claim.key.as_bytes()).to_hex().to_string();
            }
        }
        if let Some(refusal) = refusal {
            self.refuse(refusal.into());
        }
    }

    /// The state that the events lead to.
    pub(crate) fn after(&self, occurred: &Occurred) -> Folded {
        let mut folded = self.base.clone();
        if !self.events.is_empty() {
            let state = Arc::make_mut(&mut folded.state);
            for event in &self.events {
                folded.version += 1;
                state.evolve(event, folded.version, occurred);
            }
        }
        folded
    }
}

impl Prepared {
    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        self.refusal = Some(RefusalRow {
            id: new_id(),
            code: refusal.code(),
            detail: serde_json::to_string(refusal).expect("refusals hold no fallible values"),
        });
        self.needs.clear();
        self.claims.clear();
        self.events.clear();
    }
}

fn prepare(plan: &Plan, command: &Command, request_hash: [u8; 32]) -> Prepared {
    let envelope = &plan.envelope;
    Prepared {
        command_id: envelope.command_id,
        request_hash,
        command_type: command.command_type(),
        stream: plan.stream,
        actor: envelope.actor,
        on_behalf_of: envelope.on_behalf_of,
        channel: envelope.channel.to_string(),
        reason_code: envelope.reason_code.clone(),
        correlation: envelope.correlation,
        causation: envelope.causation.map(|event| event.0),
        credential: envelope.credential.clone(),
        request_id: envelope.request_id.clone(),
        source_address: envelope.source_address.clone(),
        refusal: None,
        needs: Vec::new(),
        claims: Vec::new(),
        events: Vec::new(),
    }
}

fn event_row(event: &Event, version: i32, plan: &Plan) -> EventRow {
    let occurred = plan.envelope.occurred;
    EventRow {
        stream: plan.stream,
        version,
        id: new_id(),
        event_type: event.event_type(),
        schema_version: event.schema_version(),
        occurred_at: occurred.and_then(|occurred| occurred.at()),
        precision: occurred.map_or("instant", |occurred| occurred.precision()),
        zone: occurred.and_then(|occurred| occurred.zone()),
        // Written when the personal values are out of the event.
        data: String::new(),
        personal: None,
    }
}

fn op(condition: Condition) -> &'static str {
    match condition {
        Condition::Take => "take",
        Condition::Release => "release",
        Condition::Held => "held",
        Condition::Free => "free",
    }
}

#[expect(clippy::disallowed_methods, reason = "the store is the edge where event ids are drawn")]
fn new_id() -> Uuid {
    Uuid::now_v7()
}
