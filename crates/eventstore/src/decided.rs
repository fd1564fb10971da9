//! What a command comes to before it is appended: its events or its refusal, sealed, and what it rests on.

use crate::cache::Folded;
use crate::handle::{Choice, Plan};
use crate::log::{ClaimRow, EventRow, Need, Prepared, RefusalRow, TallyStep};
use crate::{Error, keyring};
use kvali_domain::access::Reach;
use kvali_domain::{
    Claim, Command, Condition, Event, Facts, General, Given, Occurred, Order, Refusal, State, StreamId,
    TenantId, UserId, Version,
};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use uuid::Uuid;

/// Where a decision finds the states that it rests on.
pub(crate) trait Look {
    /// `begins`: the stream may be taken for new without looking.
    async fn look(
        &mut self,
        stream: StreamId,
        before: impl FnOnce() -> State + Send,
        begins: bool,
    ) -> Result<Folded, Error>;
}

/// A decision and what it rests on.
pub(crate) struct Decided {
    pub tenant: TenantId,
    pub prepared: Prepared,
    /// Each in its stream, without their personal values once sealed, so no cached state holds any.
    pub events: Vec<(StreamId, Event)>,
    /// Without those that merely count.
    pub claims: Vec<Claim>,
    pub refusal: Option<Refusal>,
    /// The states of the written streams before it.
    before: Vec<(StreamId, Folded)>,
}

impl Decided {
    /// Decides the command of `plan`, and then, one by one, the orders to other streams that follow from it.
    pub(crate) async fn on(plan: &Plan, request_hash: [u8; 32], look: &mut impl Look) -> Result<Self, Error> {
        let mut sight = Sight { look, seen: Vec::new() };
        let mut base = sight.look(plan.stream, || plan.before.clone(), plan.begins).await?;
        let mut stream = plan.stream;
        let mut choice = (plan.choose)(&base.state);
        if !matches!(&choice, Choice::Do(command) if command.is_own()) && base.state.merged_into().is_some() {
            (stream, base) = sight.survivor(stream, base).await?;
            choice = (plan.choose)(&base.state);
        }
        let envelope = &plan.envelope;
        let reaches = &envelope.reaches;
        if !choice.command().begins() && !reaches.seeing.covers(base.state.owner()) {
            base = sight.hide(stream, State::before(choice.command()));
            choice = (plan.choose)(&base.state);
        }
        let mut decided = Self {
            tenant: envelope.tenant,
            prepared: prepare(plan, choice.command(), request_hash),
            events: Vec::new(),
            claims: Vec::new(),
            refusal: None,
            before: Vec::new(),
        };
        let stale = envelope.expected_version.filter(|expected| *expected != base.version);
        if let Some(expected) = stale {
            decided.refuse(General::StaleVersion { expected, actual: base.version }.into());
            return Ok(decided);
        }
        let mut orders = VecDeque::new();
        if let Choice::Do(command) = choice {
            orders.push_back(Order { stream, command });
        }
        while let Some(Order { stream, command }) = orders.pop_front() {
            let base = sight.look(stream, || State::before(&command), command.begins()).await?;
            let (stream, base) =
                if command.is_own() { (stream, base) } else { sight.survivor(stream, base).await? };
            if let Some(owner) = beyond(&reaches.doing, &base, &command, plan) {
                decided.refuse(General::NotYours { owner }.into());
                return Ok(decided);
            }
            let mut facts = Facts::default();
            for reads in base.state.reads(&command) {
                let read = sight.look(reads.stream(), || reads.before(), false).await?;
                for (stream, folded) in sight.way(reads.stream(), read).await? {
                    facts.learn(stream, folded.state);
                }
            }
            let given = Given {
                stream,
                actor: envelope.actor,
                now: envelope.now,
                occurred: envelope.occurred.as_ref(),
                reason_code: envelope.reason_code.as_deref(),
                facts: &facts,
            };
            match base.state.decide(&command, &given) {
                Err(refusal) => {
                    decided.refuse(refusal);
                    return Ok(decided);
                }
                // Already so, and with it whatever once followed.
                Ok(events) if events.is_empty() => {}
                Ok(events) => {
                    orders.extend(base.state.follow(&command, &given));
                    sight.happened(stream, &events, &envelope.occurred_by(envelope.now));
                    decided.events.extend(events.into_iter().map(|event| (stream, event)));
                }
            }
        }
        decided.accept(&sight.seen, plan);
        Ok(decided)
    }

    fn accept(&mut self, seen: &[Seen], plan: &Plan) {
        let (mut claims, mut steps, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        let mut reached: HashMap<StreamId, Version> =
            seen.iter().map(|seen| (seen.stream, seen.before.version)).collect();
        for (stream, event) in &self.events {
            for claim in event.claims() {
                let op = match claim.condition {
                    Condition::Count | Condition::Uncount => {
                        let adds = if claim.condition == Condition::Count { 1 } else { -1 };
                        steps.push(TallyStep { kind: claim.kind, key: claim.key, adds });
                        continue;
                    }
                    Condition::Take => "take",
                    Condition::Own => "own",
                    Condition::Join => "join",
                    Condition::Release => "release",
                    Condition::Free => "free",
                    Condition::Some => "some",
                    Condition::None => "none",
                };
                claims.push(ClaimRow {
                    demand: claim.condition.is_demand(),
                    op,
                    kind: claim.kind,
                    key: claim.key.clone(),
                    holder: *stream,
                });
                self.claims.push(claim);
            }
            let version = reached.entry(*stream).or_default();
            *version += 1;
            rows.push(event_row(event, *stream, *version, plan));
        }
        self.prepared.claims = claims;
        self.prepared.steps = steps;
        self.prepared.events = rows;
        self.prepared.needs = seen.iter().map(Seen::need).collect();
        let written = seen.iter().filter(|seen| seen.now.version > seen.before.version);
        self.before = written.map(|seen| (seen.stream, seen.before.clone())).collect();
    }

    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.prepared.refuse(&refusal);
        self.events.clear();
        self.claims.clear();
        self.before.clear();
        self.refusal = Some(refusal);
    }

    /// The streams that it writes.
    pub(crate) fn written(&self) -> impl Iterator<Item = StreamId> {
        self.before.iter().map(|(stream, _)| *stream)
    }

    /// The states that its events lead to.
    pub(crate) fn after(&self, occurred: &Occurred) -> Vec<(StreamId, Folded)> {
        let mut states = self.before.clone();
        for (stream, folded) in &mut states {
            folded
                .extend(self.events.iter().filter(|(of, _)| of == stream).map(|(_, event)| event), occurred);
        }
        states
    }

    /// Takes personal values out of the events, seals them, and writes the rest as `data`.
    pub(crate) fn seal(&mut self, key: &keyring::TenantKey, keys: &keyring::SubjectKeys) {
        let mut refusal = None;
        for ((_, event), row) in self.events.iter_mut().zip(&mut self.prepared.events) {
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
}

/// What one command has seen, and what its own events have made of it so far.
struct Sight<'a, L> {
    look: &'a mut L,
    /// In the order of the first look.
    seen: Vec<Seen>,
}

struct Seen {
    stream: StreamId,
    before: Folded,
    now: Folded,
}

impl Seen {
    fn need(&self) -> Need {
        let version = self.before.version;
        Need { stream: self.stream, version, adds: self.now.version - version }
    }
}

impl<L: Look> Sight<'_, L> {
    /// From here on the stream looks as if it had no events.
    fn hide(&mut self, stream: StreamId, before: State) -> Folded {
        let hidden = Folded { version: 0, state: Arc::new(before) };
        for seen in self.seen.iter_mut().filter(|seen| seen.stream == stream) {
            (seen.before, seen.now) = (hidden.clone(), hidden.clone());
        }
        hidden
    }

    async fn look(
        &mut self,
        stream: StreamId,
        before: impl FnOnce() -> State + Send,
        begins: bool,
    ) -> Result<Folded, Error> {
        if let Some(seen) = self.seen.iter().find(|seen| seen.stream == stream) {
            return Ok(seen.now.clone());
        }
        let found = self.look.look(stream, before, begins).await?;
        self.seen.push(Seen { stream, before: found.clone(), now: found.clone() });
        Ok(found)
    }

    /// The record that this one has become part of; itself, if it was not merged.
    async fn survivor(&mut self, stream: StreamId, folded: Folded) -> Result<(StreamId, Folded), Error> {
        let mut way = self.way(stream, folded).await?;
        Ok(way.pop().expect("it begins with the record itself"))
    }

    /// The record, what it was merged into, what that was merged into, and so on.
    async fn way(&mut self, stream: StreamId, folded: Folded) -> Result<Vec<(StreamId, Folded)>, Error> {
        let mut way = vec![(stream, folded)];
        while let Some((into, like)) =
            way.last().and_then(|(_, last)| Some((last.state.merged_into()?, last.clone())))
        {
            // In the log a way has an end; one that has none was put together from before and after a change.
            if way.iter().any(|(known, _)| *known == into) {
                return Err(Error::Overtaken);
            }
            let folded = self.look(into, || State::clone(&like.state), false).await?;
            way.push((into, folded));
        }
        Ok(way)
    }

    fn happened(&mut self, stream: StreamId, events: &[Event], occurred: &Occurred) {
        for seen in self.seen.iter_mut().filter(|seen| seen.stream == stream) {
            seen.now.extend(events, occurred);
        }
    }
}

/// Whose the record is, if the sender may not change it: the one that the command is for, and whoever is merged with it. What
/// else follows from a command follows by the rules, not by the sender's right.
fn beyond(doing: &Reach, base: &Folded, command: &Command, plan: &Plan) -> Option<UserId> {
    let is_meant = base.state.aggregate() == plan.before.aggregate();
    base.state.owner().filter(|owner| is_meant && !command.begins() && !doing.covers(Some(*owner)))
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
        self.steps.clear();
        self.events.clear();
    }
}

pub(crate) fn prepare(plan: &Plan, command: &Command, request_hash: [u8; 32]) -> Prepared {
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
        steps: Vec::new(),
        events: Vec::new(),
    }
}

fn event_row(event: &Event, stream: StreamId, version: Version, plan: &Plan) -> EventRow {
    let occurred = plan.envelope.occurred;
    EventRow {
        stream,
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

#[expect(clippy::disallowed_methods, reason = "the store is the edge where event ids are drawn")]
fn new_id() -> Uuid {
    Uuid::now_v7()
}
