//! Commands tried out: decided as `handle_all` would decide them, with nothing written.

use crate::batch::PART;
use crate::cache::Folded;
use crate::handle::Plan;
use crate::{Answer, Error, Outcome, Store};
use kvali_domain::{
    Claim, CommandId, Condition, Event, Facts, General, Occurred, Refusal, State, StreamId, TenantId, Version,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What the log would hold if the commands tried out so far had been sent. Grows with the streams they touch.
#[derive(Default)]
pub struct Rehearsal {
    states: HashMap<StreamId, Folded>,
    accepted: HashSet<CommandId>,
    claims: HashMap<(&'static str, String), Option<StreamId>>,
}

impl Rehearsal {
    /// The state and version of a stream that a command tried out has looked at or written; `None` if it has no events.
    pub fn state(&self, stream: StreamId) -> Option<(Version, Arc<State>)> {
        let folded = self.states.get(&stream).filter(|folded| folded.version > 0)?;
        Some((folded.version, folded.state.clone()))
    }
}

impl Store {
    /// The outcomes that `handle_all` would give, after those of `rehearsal`. New events have no position.
    pub async fn rehearse(
        &self,
        tenant: TenantId,
        rehearsal: &mut Rehearsal,
        plans: &[Plan],
    ) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::with_capacity(plans.len());
        for part in plans.chunks(PART) {
            let known = self.known(tenant, part).await?;
            let streams = part.iter().map(|plan| plan.stream);
            let unread: HashSet<_> =
                streams.filter(|stream| !rehearsal.states.contains_key(stream)).collect();
            let unread: Vec<_> = unread.into_iter().collect();
            rehearsal.states.extend(self.fold(tenant, &unread).await?);
            for plan in part {
                let absent = || Folded { version: 0, state: Arc::new(plan.before.clone()) };
                rehearsal.states.entry(plan.stream).or_insert_with(absent);
                let id = plan.envelope.command_id;
                outcomes.push(match known.get(&id) {
                    Some((_, answer)) => Outcome::Accepted(*answer),
                    None if rehearsal.accepted.contains(&id) => accepted(0, true),
                    None => self.try_out(tenant, rehearsal, plan).await?,
                });
            }
        }
        Ok(outcomes)
    }

    async fn try_out(
        &self,
        tenant: TenantId,
        rehearsal: &mut Rehearsal,
        plan: &Plan,
    ) -> Result<Outcome, Error> {
        let mut base = self.look(tenant, rehearsal, plan.stream, || plan.before.clone()).await?;
        let choice = (plan.choose)(&base.state);
        let mut facts = Facts::default();
        for reads in base.state.reads(choice.command()) {
            let read = self.look(tenant, rehearsal, reads.stream(), || reads.before()).await?;
            facts.learn(reads, read.state);
        }
        let events = match plan.answer(&choice, &base, &facts) {
            Ok(events) => events,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        for claim in events.iter().flat_map(Event::claims) {
            if let Some(refusal) = self.claim(tenant, rehearsal, plan.stream, claim).await? {
                return Ok(Outcome::Refused(refusal));
            }
        }
        let occurred = plan.envelope.occurred.unwrap_or(Occurred::Instant { at: plan.envelope.now });
        let state = Arc::make_mut(&mut base.state);
        for event in &events {
            base.version += 1;
            state.evolve(event, base.version, &occurred);
        }
        rehearsal.states.insert(plan.stream, base);
        rehearsal.accepted.insert(plan.envelope.command_id);
        Ok(accepted(i32::try_from(events.len()).expect("a decision is a handful of events"), false))
    }

    async fn look(
        &self,
        tenant: TenantId,
        rehearsal: &mut Rehearsal,
        stream: StreamId,
        before: impl FnOnce() -> State,
    ) -> Result<Folded, Error> {
        if let Some(folded) = rehearsal.states.get(&stream) {
            return Ok(folded.clone());
        }
        let read = self.fold(tenant, &[stream]).await?.remove(&stream);
        let folded = read.unwrap_or_else(|| Folded { version: 0, state: Arc::new(before()) });
        rehearsal.states.insert(stream, folded.clone());
        Ok(folded)
    }

    /// Takes or releases a claim in the rehearsal. Personal ones are hashed with a key and not looked up here.
    async fn claim(
        &self,
        tenant: TenantId,
        rehearsal: &mut Rehearsal,
        stream: StreamId,
        claim: Claim,
    ) -> Result<Option<Refusal>, Error> {
        if claim.personal {
            return Ok(None);
        }
        let Claim { kind, key, condition, .. } = claim;
        let place = (kind, key);
        if !rehearsal.claims.contains_key(&place) {
            let holder = self.holder(tenant, kind, &place.1).await?;
            rehearsal.claims.insert(place.clone(), holder);
        }
        let holder = rehearsal.claims.get(&place).copied().flatten();
        let shown = place.1.replace('\u{1f}', " ");
        Ok(match (condition, holder) {
            (Condition::Take, Some(holder)) if holder != stream => Some(taken(kind, shown, holder)),
            (Condition::Free, Some(holder)) => Some(taken(kind, shown, holder)),
            (Condition::Held, None) => Some(General::NotHeld { kind: kind.to_owned(), key: shown }.into()),
            (Condition::Take, _) => {
                rehearsal.claims.insert(place, Some(stream));
                None
            }
            (Condition::Release, _) => {
                rehearsal.claims.insert(place, None);
                None
            }
            (Condition::Free | Condition::Held, _) => None,
        })
    }
}

fn taken(kind: &str, key: String, holder: StreamId) -> Refusal {
    General::Taken { kind: kind.to_owned(), key, holder }.into()
}

fn accepted(event_count: i32, known: bool) -> Outcome {
    Outcome::Accepted(Answer { first_position: None, event_count, known })
}
