//! Many commands in order. While one part of them is appended, the next is looked up and decided.

use crate::cache::Folded;
use crate::decided::Decided;
use crate::handle::{Answer, Outcome, Plan, View};
use crate::log::Verdict;
use crate::{Error, Store};
use futures_util::future;
use kvali_domain::{CommandId, StreamId, TenantId};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Commands that travel in one append, at most.
pub(crate) const PART: usize = 500;

impl Store {
    /// Carries out commands in order, many in one append. Each is accepted or refused on its own.
    pub async fn handle_all(&self, tenant: TenantId, plans: &[Plan]) -> Result<Vec<Outcome>, Error> {
        let mut batch = Batch::new(self, tenant, plans);
        for start in (0..plans.len()).step_by(PART) {
            Box::pin(batch.part(start..plans.len().min(start + PART))).await?;
        }
        Box::pin(batch.finish()).await
    }
}

/// Commands carried out in order, each decided on what the ones before it leave.
struct Batch<'a> {
    view: View<'a>,
    plans: &'a [Plan],
    outcomes: Vec<Option<Outcome>>,
    /// Ids of the commands so far.
    ids: HashSet<CommandId>,
    /// Decided, and not yet sent.
    pending: Vec<(usize, Decided)>,
    /// The keys that pending commands claim or count.
    claimed: Claimed,
    sent: Option<Sent>,
}

type Claimed = HashSet<(&'static str, String)>;

/// A part on its way into the log.
struct Sent {
    decisions: Vec<(usize, Decided)>,
    claimed: Claimed,
    verdicts: JoinHandle<Result<Vec<Verdict>, Error>>,
}

type Landed = (usize, Decided, Verdict);

impl<'a> Batch<'a> {
    fn new(store: &'a Store, tenant: TenantId, plans: &'a [Plan]) -> Self {
        Self {
            view: View { store, tenant, overlay: HashMap::new(), reread: false, guessed: false },
            plans,
            outcomes: vec![None; plans.len()],
            ids: HashSet::new(),
            pending: Vec::new(),
            claimed: Claimed::new(),
            sent: None,
        }
    }

    /// Decides the commands of `range` and sends them on their way.
    async fn part(&mut self, range: Range<usize>) -> Result<(), Error> {
        let known = self.look_up(range.clone()).await?;
        for at in range {
            let plan = &self.plans[at];
            let command_id = plan.envelope.command_id;
            if let Some((hash, answer)) = known.get(&command_id) {
                let View { store, tenant, .. } = self.view;
                let outcome = store.answered(tenant, plan, hash, answer.clone()).await?;
                store.destroy_erased(plan, &[], &outcome).await?;
                self.outcomes[at] = Some(outcome);
                continue;
            }
            if !self.ids.insert(command_id) {
                self.alone(at).await?;
                continue;
            }
            self.view.guessed = false;
            let decided = match self.view.store.decide(plan, &mut self.view).await {
                Err(Error::Overtaken) => {
                    self.alone(at).await?;
                    continue;
                }
                decided => decided?,
            };
            // A refusal may rest on a state that is out of date, or on one that commands before it are yet to make; a
            // claim may meet one of theirs.
            let waits = !self.pending.is_empty() || self.sent.is_some();
            let unsure = decided.refusal.is_some() && (self.view.guessed || waits);
            if unsure || self.meets_claims(&decided) {
                self.alone(at).await?;
                continue;
            }
            self.view.overlay.extend(decided.after(&plan.envelope.occurred_by(plan.envelope.now)));
            self.claimed.extend(decided.claims.iter().map(|claim| (claim.kind, claim.key.clone())));
            self.claimed.extend(decided.prepared.steps.iter().map(|step| (step.kind, step.key.clone())));
            self.pending.push((at, decided));
        }
        self.send().await
    }

    /// Which commands were accepted before, and the states of their streams: as the part on its way will leave them,
    /// or from the log.
    async fn look_up(&mut self, range: Range<usize>) -> Result<HashMap<CommandId, (Vec<u8>, Answer)>, Error> {
        let View { store, tenant, overlay, .. } = &mut self.view;
        let plans = &self.plans[range];
        let sent = self.sent.iter().flat_map(|sent| &sent.decisions);
        let sent: HashSet<StreamId> = sent.flat_map(|(_, decided)| decided.written()).collect();
        overlay.retain(|stream, _| sent.contains(stream));
        // A stream that a command begins is taken for new; if it is not, the append says so.
        let read = plans.iter().filter(|plan| !plan.begins && !overlay.contains_key(&plan.stream));
        let streams: HashSet<StreamId> = read.map(|plan| plan.stream).collect();
        let streams: Vec<_> = streams.into_iter().collect();
        let (known, folded) =
            future::try_join(store.known(*tenant, plans), store.fold(*tenant, &streams)).await?;
        overlay.extend(folded);
        for plan in plans {
            let absent = || Folded { version: 0, state: Arc::new(plan.before.clone()) };
            overlay.entry(plan.stream).or_insert_with(absent);
        }
        Ok(known)
    }

    fn meets_claims(&self, decided: &Decided) -> bool {
        let mut claims = decided.claims.iter().filter(|claim| claim.condition.is_demand());
        let sent = self.sent.as_ref().map(|sent| &sent.claimed);
        claims.any(|claim| {
            let claim = (claim.kind, claim.key.clone());
            self.claimed.contains(&claim) || sent.is_some_and(|sent| sent.contains(&claim))
        })
    }

    /// Carries out one command by itself, after those before it.
    async fn alone(&mut self, at: usize) -> Result<(), Error> {
        self.send().await?;
        self.land().await?;
        self.again(at).await
    }

    async fn land(&mut self) -> Result<(), Error> {
        let landed = self.wait().await?;
        self.settle(landed).await?;
        Ok(())
    }

    /// Carries out one command by itself, whatever was decided about it before.
    async fn again(&mut self, at: usize) -> Result<(), Error> {
        self.outcomes[at] = Some(self.view.store.carry_out(&self.plans[at]).await?);
        // It may have written other streams than foreseen.
        self.view.overlay.clear();
        Ok(())
    }

    /// Sends what is pending, once the part before it has landed.
    async fn send(&mut self) -> Result<(), Error> {
        let mut decisions = std::mem::take(&mut self.pending);
        let claimed = std::mem::take(&mut self.claimed);
        let (store, tenant) = (self.view.store.clone(), self.view.tenant);
        store.seal(tenant, &mut decisions.iter_mut().map(|(_, decided)| decided).collect::<Vec<_>>()).await?;
        let mut landed = self.wait().await?;
        if !landed.iter().all(|(.., verdict)| verdict.is_final()) {
            let spoilt = self.settle(std::mem::take(&mut landed)).await?;
            decisions = self.redo(decisions, &spoilt).await?;
        }
        if !decisions.is_empty() {
            // What follows a command that could not be sealed may build on it, and is decided again.
            let sound = decisions.iter().position(|(_, decided)| decided.refusal.is_some());
            let sound = &decisions[..sound.unwrap_or(decisions.len())];
            let prepared = sound.iter().map(|(_, decided)| decided.prepared.clone()).collect();
            let verdicts = tokio::spawn(async move { store.append(tenant, prepared).await });
            self.sent = Some(Sent { decisions, claimed, verdicts });
        }
        self.settle(landed).await?;
        Ok(())
    }

    /// Waits for the part on its way.
    async fn wait(&mut self) -> Result<Vec<Landed>, Error> {
        let Some(Sent { decisions, verdicts, .. }) = self.sent.take() else { return Ok(Vec::new()) };
        let verdicts = match verdicts.await.map_err(Error::Task)? {
            // One command spoils the call: find out which.
            Err(Error::Rejected(_)) if decisions.len() > 1 => Vec::new(),
            verdicts => verdicts?,
        };
        let verdicts = verdicts.into_iter().chain(std::iter::repeat(Verdict::Conflict));
        Ok(decisions
            .into_iter()
            .zip(verdicts)
            .map(|((at, decided), verdict)| (at, decided, verdict))
            .collect())
    }

    /// Settles what has landed. Returns the streams that are not as they were foreseen.
    async fn settle(&mut self, landed: Vec<Landed>) -> Result<HashSet<StreamId>, Error> {
        let mut spoilt = HashSet::new();
        for (at, mut decided, verdict) in landed {
            let plan = &self.plans[at];
            if verdict.is_final() {
                let (store, tenant) = (self.view.store, self.view.tenant);
                let outcome = store.settle(tenant, plan, &mut decided, &verdict);
                store.destroy_erased(plan, &decided.events, &outcome).await?;
                self.outcomes[at] = Some(outcome);
            } else {
                spoilt.extend(decided.written().chain([plan.stream]));
                self.again(at).await?;
            }
        }
        Ok(spoilt)
    }

    /// Carries out those of `decisions` that were made on a state that did not come to be; returns the others.
    async fn redo(
        &mut self,
        decisions: Vec<(usize, Decided)>,
        spoilt: &HashSet<StreamId>,
    ) -> Result<Vec<(usize, Decided)>, Error> {
        let mut sound = Vec::with_capacity(decisions.len());
        for (at, decided) in decisions {
            if decided.prepared.needs.iter().any(|need| spoilt.contains(&need.stream)) {
                self.again(at).await?;
            } else {
                sound.push((at, decided));
            }
        }
        Ok(sound)
    }

    async fn finish(mut self) -> Result<Vec<Outcome>, Error> {
        self.land().await?;
        let outcomes = self.outcomes.into_iter();
        Ok(outcomes.map(|outcome| outcome.expect("every plan was settled, alone or in a part")).collect())
    }
}

impl Store {
    /// The outcome of a command whose id was accepted before, for the request with that hash.
    pub(crate) async fn answered(
        &self,
        tenant: TenantId,
        plan: &Plan,
        hash: &[u8],
        answer: Answer,
    ) -> Result<Outcome, Error> {
        let key = self.inner.keyring.tenant(tenant).await?;
        let same = key.hash(&plan.request()).as_bytes() == hash;
        Ok(if same { Outcome::Accepted(answer) } else { Outcome::Reused })
    }

    /// Which of these commands were accepted before, with request hash and first outcome.
    pub(crate) async fn known(
        &self,
        tenant: TenantId,
        plans: &[Plan],
    ) -> Result<HashMap<CommandId, (Vec<u8>, Answer)>, Error> {
        let ids: Vec<Uuid> = plans.iter().map(|plan| plan.envelope.command_id.0).collect();
        let rows: Vec<(Uuid, Vec<u8>, Option<i64>, i32)> = sqlx::query_as(
            // `command_id = any($2)` would do, but of a tenant unknown to its statistics the planner expects one
            // row, reads all of them, and filters.
            "select c.command_id, c.request_hash, c.first_position, c.event_count from unnest($2::uuid[]) x (id) \
             cross join lateral (select * from kvali.command where tenant_id = $1 and command_id = x.id limit 1) c",
        )
        .bind(tenant.0)
        .bind(&ids)
        .fetch_all(&mut *self.connection(tenant).await?)
        .await
        .map_err(Error::Read)?;
        let known = rows.into_iter().map(|(id, hash, first_position, event_count)| {
            (CommandId(id), (hash, Answer::known(first_position, event_count)))
        });
        Ok(known.collect())
    }
}
