//! Commands tried out: decided as `handle_all` would decide them, with nothing written.

use crate::batch::PART;
use crate::cache::Folded;
use crate::decided::{Decided, Look};
use crate::handle::Plan;
use crate::{Answer, Error, Outcome, Store};
use kvali_domain::{Claim, CommandId, Condition, General, Refusal, State, StreamId, TenantId, Version};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What the log would hold if the commands tried out so far had been sent. Grows with the streams they touch.
#[derive(Default)]
pub struct Rehearsal {
    states: HashMap<StreamId, Folded>,
    accepted: HashSet<CommandId>,
    claims: HashMap<(&'static str, String), Vec<StreamId>>,
    tallies: HashMap<(&'static str, String), i64>,
}

/// A key, who held it, and how many it counted, as far as was known.
type Before = (Option<Vec<StreamId>>, Option<i64>, (&'static str, String));

impl Rehearsal {
    /// The state and version of a stream that a command tried out has looked at or written; `None` if it has no events.
    pub fn state(&self, stream: StreamId) -> Option<(Version, Arc<State>)> {
        let folded = self.states.get(&stream).filter(|folded| folded.version > 0)?;
        Some((folded.version, folded.state.clone()))
    }

    fn restore(&mut self, before: Vec<Before>) {
        for (holders, count, place) in before {
            match holders {
                Some(holders) => drop(self.claims.insert(place.clone(), holders)),
                None => drop(self.claims.remove(&place)),
            }
            match count {
                Some(count) => drop(self.tallies.insert(place, count)),
                None => drop(self.tallies.remove(&place)),
            }
        }
    }

    /// The streams that hold a claim's key, if a command tried out has looked at it.
    pub fn holders(&self, claim: &Claim) -> Option<&[StreamId]> {
        self.claims.get(&(claim.kind, claim.key.clone())).map(Vec::as_slice)
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
                    Some((hash, answer)) => self.answered(tenant, plan, hash, answer.clone()).await?,
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
        let decided = Decided::on(plan, [0; 32], &mut Stage { store: self, tenant, rehearsal }).await?;
        if let Some(refusal) = decided.refusal {
            return Ok(Outcome::Refused(refusal));
        }
        let claims: Vec<(StreamId, Claim)> = decided
            .events
            .iter()
            .flat_map(|(stream, event)| event.claims().into_iter().map(move |claim| (*stream, claim)))
            .collect();
        let let_go = |claim: &Claim| {
            let same = |other: &Claim| (other.kind, &other.key) == (claim.kind, &claim.key);
            claims.iter().any(|(_, other)| other.condition == Condition::Release && same(other))
        };
        // What the command itself lets go of is not in its way, and what it counts is counted before it is asked.
        let asked = claims.iter().filter(|(_, claim)| claim.condition != Condition::Free || !let_go(claim));
        let (last, first): (Vec<_>, Vec<_>) =
            asked.partition(|(_, claim)| claim.condition == Condition::None);
        let wanted: Vec<&Claim> = claims
            .iter()
            .map(|(_, claim)| claim)
            .filter(|claim| claim.condition == Condition::Some)
            .collect();
        if let Some(refusal) = self.some_of(tenant, rehearsal, &wanted).await? {
            return Ok(Outcome::Refused(refusal));
        }
        // What a refused command would have claimed and counted, it has not.
        let places = claims.iter().map(|(_, claim)| (claim.kind, claim.key.clone()));
        let before: Vec<Before> = places
            .map(|place| {
                let (holders, count) = (rehearsal.claims.get(&place), rehearsal.tallies.get(&place));
                (holders.cloned(), count.copied(), place)
            })
            .collect();
        for (stream, claim) in first.into_iter().chain(last) {
            let refusal = self.claim(tenant, rehearsal, *stream, claim.clone()).await?;
            if let Some(refusal) = refusal {
                rehearsal.restore(before);
                return Ok(Outcome::Refused(refusal));
            }
        }
        rehearsal.states.extend(decided.after(&plan.envelope.occurred_by(plan.envelope.now)));
        rehearsal.accepted.insert(plan.envelope.command_id);
        let event_count = decided.events.len();
        Ok(accepted(i32::try_from(event_count).expect("a decision is a handful of events"), false))
    }

    /// Takes or releases a claim in the rehearsal.
    async fn claim(
        &self,
        tenant: TenantId,
        rehearsal: &mut Rehearsal,
        stream: StreamId,
        claim: Claim,
    ) -> Result<Option<Refusal>, Error> {
        if matches!(
            claim.condition,
            Condition::Count | Condition::Uncount | Condition::Some | Condition::None
        ) {
            return self.tally(tenant, rehearsal, claim).await;
        }
        let place = (claim.kind, claim.key.clone());
        if !rehearsal.claims.contains_key(&place) {
            let holders = self.holders(tenant, std::slice::from_ref(&claim)).await?.remove(0);
            rehearsal.claims.insert(place.clone(), holders);
        }
        let holders = rehearsal.claims.entry(place).or_default();
        let Claim { kind, key, personal, condition } = claim;
        let shown = if personal { "(personal)".to_owned() } else { key.replace('\u{1f}', " ") };
        Ok(match condition {
            Condition::Take | Condition::Free => match holders.iter().find(|holder| **holder != stream) {
                Some(holder) => Some(taken(kind, shown, *holder)),
                None if condition == Condition::Free && !holders.is_empty() => {
                    Some(taken(kind, shown, stream))
                }
                None => {
                    if condition == Condition::Take && holders.is_empty() {
                        holders.push(stream);
                    }
                    None
                }
            },
            Condition::Own if !holders.contains(&stream) => {
                Some(General::NotOwn { kind: kind.to_owned() }.into())
            }
            Condition::Join if !holders.contains(&stream) => {
                holders.push(stream);
                None
            }
            Condition::Release => {
                holders.retain(|holder| *holder != stream);
                None
            }
            _ => None,
        })
    }

    /// One of the keys is enough.
    async fn some_of(
        &self,
        tenant: TenantId,
        rehearsal: &mut Rehearsal,
        wanted: &[&Claim],
    ) -> Result<Option<Refusal>, Error> {
        let Some(first) = wanted.first() else { return Ok(None) };
        for claim in wanted {
            if self.count(tenant, rehearsal, &(claim.kind, claim.key.clone())).await? > 0 {
                return Ok(None);
            }
        }
        let (kind, key) = (first.kind.to_owned(), first.key.clone());
        Ok(Some(General::NoneLeft { kind, key }.into()))
    }

    async fn count(
        &self,
        tenant: TenantId,
        rehearsal: &mut Rehearsal,
        place: &(&'static str, String),
    ) -> Result<i64, Error> {
        if let Some(count) = rehearsal.tallies.get(place) {
            return Ok(*count);
        }
        let count = self.counted(tenant, place.0, &place.1).await?;
        rehearsal.tallies.insert(place.clone(), count);
        Ok(count)
    }

    async fn tally(
        &self,
        tenant: TenantId,
        rehearsal: &mut Rehearsal,
        claim: Claim,
    ) -> Result<Option<Refusal>, Error> {
        let Claim { kind, key, condition, .. } = claim;
        let place = (kind, key);
        self.count(tenant, rehearsal, &place).await?;
        let count = rehearsal.tallies.entry(place.clone()).or_default();
        let (kind, key) = (kind.to_owned(), place.1);
        match condition {
            Condition::Count => *count += 1,
            Condition::Uncount => *count -= 1,
            Condition::None if *count > 0 => {
                return Ok(Some(General::SomeLeft { kind, key, count: *count }.into()));
            }
            _ => {}
        }
        Ok(None)
    }
}

/// A rehearsal, and the store behind it.
struct Stage<'a> {
    store: &'a Store,
    tenant: TenantId,
    rehearsal: &'a mut Rehearsal,
}

impl Look for Stage<'_> {
    async fn look(
        &mut self,
        stream: StreamId,
        before: impl FnOnce() -> State + Send,
        _begins: bool,
    ) -> Result<Folded, Error> {
        if let Some(folded) = self.rehearsal.states.get(&stream) {
            return Ok(folded.clone());
        }
        let read = self.store.fold(self.tenant, &[stream]).await?.remove(&stream);
        let folded = read.unwrap_or_else(|| Folded { version: 0, state: Arc::new(before()) });
        self.rehearsal.states.insert(stream, folded.clone());
        Ok(folded)
    }
}

fn taken(kind: &str, key: String, holder: StreamId) -> Refusal {
    General::Taken { kind: kind.to_owned(), key, holder }.into()
}

fn accepted(event_count: i32, known: bool) -> Outcome {
    Outcome::Accepted(Answer { first_position: None, event_count, known, events: Vec::new() })
}
