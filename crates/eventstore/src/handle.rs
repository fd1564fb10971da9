//! A command carried out: state, decide, append; again from the start when another writer was quicker.

use crate::cache::Folded;
use crate::keyring;
use crate::log::{ClaimRow, EventRow, Need, Prepared, RefusalRow, Verdict};
use crate::{Envelope, Error, Store, writer};
use futures_util::future;
use kvali_domain::{
    Claim, Command, CommandId, Condition, Event, Facts, General, Given, Occurred, Order, Refusal, State,
    StreamId, SubjectId, TenantId,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// Conflicts that one command survives before its sender is told to come again.
const ATTEMPTS: u32 = 200;
/// Commands that `handle_all` sends in one append.
pub(crate) const CHUNK: usize = 1_000;

/// What became of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Accepted(Answer),
    /// Recorded in the audit trail; the command id stays free, so a corrected command may bear it.
    Refused(Refusal),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Position of the first event; `None`: it was already so.
    pub first_position: Option<i64>,
    pub event_count: i32,
    /// The command id was bound before; this is its first outcome.
    pub known: bool,
}

/// A command that is chosen when the state of its stream is known.
pub struct Plan {
    pub stream: StreamId,
    pub envelope: Envelope,
    /// The state before the stream's first event.
    pub before: State,
    /// What makes two requests the same one; hashed with the stream and the business time.
    pub fingerprint: Vec<u8>,
    pub choose: Box<dyn Fn(&State) -> Choice + Send + Sync>,
    /// Whether the stream may be taken for new without looking.
    pub begins: bool,
}

/// What a plan does in the state that it finds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    Do(Command),
    /// Nothing is left to do: accepted without events, as this command.
    AlreadySo(Command),
}

impl Choice {
    pub(crate) fn command(&self) -> &Command {
        match self {
            Self::Do(command) | Self::AlreadySo(command) => command,
        }
    }
}

impl Plan {
    pub fn new(order: Order, envelope: Envelope) -> Self {
        let Order { stream, command } = order;
        Self {
            stream,
            envelope,
            before: State::before(&command),
            fingerprint: serde_json::to_vec(&command).expect("commands hold no fallible values"),
            begins: command.begins(),
            choose: Box::new(move |_| Choice::Do(command.clone())),
        }
    }

    /// What the request is, byte for byte; equal for an honest retry, whoever's version of Kvali sends it.
    fn request(&self) -> Vec<u8> {
        let envelope = &self.envelope;
        let occurred = envelope.occurred.map_or_else(String::new, |occurred| {
            let micros = occurred.at().map(|at| at.timestamp_micros().to_string()).unwrap_or_default();
            format!("{} {micros} {}", occurred.precision(), occurred.zone().unwrap_or_default())
        });
        let reason = envelope.reason_code.as_deref().unwrap_or_default();
        let texts = format!("1\u{1f}{occurred}\u{1f}{reason}\u{1f}");
        [self.stream.0.as_bytes(), envelope.actor.0.as_bytes(), texts.as_bytes(), &self.fingerprint].concat()
    }

    /// What the rules say to `choice` on `base`.
    pub(crate) fn answer(
        &self,
        choice: &Choice,
        base: &Folded,
        facts: &Facts,
    ) -> Result<Vec<Event>, Refusal> {
        let envelope = &self.envelope;
        if let Some(expected) = envelope.expected_version.filter(|expected| *expected != base.version) {
            return Err(General::StaleVersion { expected, actual: base.version }.into());
        }
        let given = Given {
            stream: self.stream,
            now: envelope.now,
            occurred: envelope.occurred.as_ref(),
            reason_code: envelope.reason_code.as_deref(),
            facts,
        };
        match choice {
            Choice::Do(command) => base.state.decide(command, &given),
            Choice::AlreadySo(_) => Ok(Vec::new()),
        }
    }
}

impl Store {
    /// Carries out one command: `Accepted` means committed. A retry with the same id gets the first outcome.
    pub async fn handle(&self, order: Order, envelope: Envelope) -> Result<Outcome, Error> {
        self.carry_out(&Plan::new(order, envelope)).await
    }

    /// Carries out commands in order, many in one append. Each is accepted or refused on its own.
    pub async fn handle_all(&self, tenant: TenantId, plans: &[Plan]) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::with_capacity(plans.len());
        for chunk in plans.chunks(CHUNK) {
            outcomes.extend(Chunk::new(self, tenant, chunk).await?.carry_out().await?);
        }
        Ok(outcomes)
    }

    /// Destroys the key of a subject's personal data for good, after the log has recorded it.
    pub async fn erase(&self, subject: SubjectId, envelope: Envelope) -> Result<Outcome, Error> {
        let tenant = envelope.tenant;
        let command = kvali_domain::subject::Command::Erase { subject }.into();
        let store = self.clone();
        // Both steps or, after a crash between them, the same command again: it destroys what it finds.
        let both = tokio::spawn(async move {
            let outcome = store.handle(Order { stream: subject.stream(), command }, envelope).await?;
            if let Outcome::Accepted(_) = outcome {
                store.inner.keyring.destroy(tenant, subject).await?;
            }
            Ok(outcome)
        });
        both.await.map_err(Error::Task)?
    }

    async fn carry_out(&self, plan: &Plan) -> Result<Outcome, Error> {
        let tenant = plan.envelope.tenant;
        let mut reread = false;
        for _ in 0..ATTEMPTS {
            let mut view = View { store: self, tenant, overlay: HashMap::new(), reread, guessed: false };
            let mut decided = self.decide(plan, &mut view).await?;
            if decided.refusal.is_some() && view.guessed {
                reread = true;
                continue;
            }
            self.seal(tenant, &mut [&mut decided]).await?;
            match self.append(tenant, vec![decided.prepared.clone()]).await?.remove(0) {
                Verdict::Conflict => {
                    for need in &decided.prepared.needs {
                        self.inner.cache.forget(tenant, need.stream, need.version);
                    }
                    reread = self.inner.cache.get(tenant, plan.stream).is_none();
                }
                Verdict::Claimed { claim, holder } => return self.claimed(decided, claim, holder).await,
                verdict => return self.settle(tenant, plan, &decided, &verdict),
            }
        }
        Err(Error::Contended { attempts: ATTEMPTS })
    }

    /// The outcome of a verdict that is final.
    fn settle(
        &self,
        tenant: TenantId,
        plan: &Plan,
        decided: &Decided,
        verdict: &Verdict,
    ) -> Result<Outcome, Error> {
        match *verdict {
            Verdict::Accepted { first_position, event_count, recorded_at } => {
                let occurred = plan.envelope.occurred.unwrap_or(Occurred::Instant { at: recorded_at });
                self.inner.cache.put(tenant, plan.stream, decided.after(&occurred));
                Ok(Outcome::Accepted(Answer { first_position, event_count, known: false }))
            }
            Verdict::Known { first_position, event_count } => {
                Ok(Outcome::Accepted(Answer { first_position, event_count, known: true }))
            }
            Verdict::IdReused => Err(Error::CommandIdReused(plan.envelope.command_id)),
            Verdict::RefusalRecorded => Ok(Outcome::Refused(
                decided.refusal.clone().expect("only commands that the rules refuse are recorded as refused"),
            )),
            Verdict::Conflict | Verdict::Claimed { .. } => {
                unreachable!("callers decide conflicts again and answer claims before they settle")
            }
        }
    }

    /// A claim stands in the way: the command is refused, and the refusal recorded.
    async fn claimed(
        &self,
        mut decided: Decided,
        claim: usize,
        holder: Option<StreamId>,
    ) -> Result<Outcome, Error> {
        let (kind, key) = decided.claims.get(claim).map_or_else(Default::default, |claim| {
            let key = if claim.personal { "(personal)".to_owned() } else { claim.key.replace('\u{1f}', " ") };
            (claim.kind.to_owned(), key)
        });
        let refusal: Refusal = match holder {
            Some(holder) => General::Taken { kind, key, holder }.into(),
            None => General::NotHeld { kind, key }.into(),
        };
        let (tenant, command_id) = (decided.tenant, decided.prepared.command_id);
        decided.prepared.refuse(&refusal);
        match self.append(tenant, vec![decided.prepared]).await?.remove(0) {
            Verdict::Known { first_position, event_count } => {
                Ok(Outcome::Accepted(Answer { first_position, event_count, known: true }))
            }
            Verdict::IdReused => Err(Error::CommandIdReused(command_id)),
            _ => Ok(Outcome::Refused(refusal)),
        }
    }

    async fn append(&self, tenant: TenantId, commands: Vec<Prepared>) -> Result<Vec<Verdict>, Error> {
        self.inner.writers.append(tenant, commands).await.map_err(|error| {
            if writer::is_answer(&error) { Error::Rejected(error) } else { Error::Append(error) }
        })
    }

    async fn decide(&self, plan: &Plan, view: &mut View<'_>) -> Result<Decided, Error> {
        let tenant = plan.envelope.tenant;
        let base = view.get(plan.stream, || plan.before.clone(), plan.begins).await?;
        let choice = (plan.choose)(&base.state);
        let command = choice.command();
        let mut facts = Facts::default();
        let mut needs = vec![Need { stream: plan.stream, version: base.version, adds: 0 }];
        for reads in base.state.reads(command) {
            let read = view.get(reads.stream(), || reads.before(), false).await?;
            needs.push(Need { stream: reads.stream(), version: read.version, adds: 0 });
            facts.learn(reads, read.state);
        }
        let answer = plan.answer(&choice, &base, &facts);
        let key = self.inner.keyring.tenant(tenant).await?;
        let mut decided = Decided {
            tenant,
            base,
            prepared: prepare(plan, command, *key.hash(&plan.request()).as_bytes()),
            events: Vec::new(),
            claims: Vec::new(),
            refusal: None,
        };
        match answer {
            Ok(events) => decided.accept(events, needs, plan),
            Err(refusal) => decided.refuse(refusal),
        }
        Ok(decided)
    }

    /// Makes decisions ready to be appended. The keys of all of them are fetched at once.
    async fn seal(&self, tenant: TenantId, decisions: &mut [&mut Decided]) -> Result<(), Error> {
        let key = self.inner.keyring.tenant(tenant).await?;
        let events = decisions.iter_mut().flat_map(|decided| &mut decided.events);
        let subjects: HashSet<SubjectId> = events.flat_map(keyring::subjects).collect();
        let keys = if subjects.is_empty() {
            keyring::SubjectKeys::new()
        } else {
            self.inner.keyring.make(&key, &subjects.into_iter().collect::<Vec<_>>()).await?
        };
        for decided in decisions {
            decided.seal(&key, &keys);
        }
        Ok(())
    }
}

/// A decision and what it rests on.
struct Decided {
    tenant: TenantId,
    base: Folded,
    prepared: Prepared,
    /// Without their personal values once sealed, so no cached state holds any.
    events: Vec<Event>,
    claims: Vec<Claim>,
    refusal: Option<Refusal>,
}

impl Decided {
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

    fn refuse(&mut self, refusal: Refusal) {
        self.prepared.refuse(&refusal);
        self.events.clear();
        self.claims.clear();
        self.refusal = Some(refusal);
    }

    /// Takes personal values out of the events, seals them, and writes the rest as `data`.
    fn seal(&mut self, key: &keyring::TenantKey, keys: &keyring::SubjectKeys) {
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
    fn after(&self, occurred: &Occurred) -> Folded {
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
    fn refuse(&mut self, refusal: &Refusal) {
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

/// The states that a decision may rest on: those of this chunk, then the cache, then the log.
struct View<'a> {
    store: &'a Store,
    tenant: TenantId,
    overlay: HashMap<StreamId, Folded>,
    /// Pass by the cache.
    reread: bool,
    /// Whether a state came from the cache, or was taken for new, and may be out of date.
    guessed: bool,
}

impl View<'_> {
    async fn get(
        &mut self,
        stream: StreamId,
        before: impl FnOnce() -> State,
        begins: bool,
    ) -> Result<Folded, Error> {
        if let Some(folded) = self.overlay.get(&stream) {
            return Ok(folded.clone());
        }
        let cache = &self.store.inner.cache;
        if !self.reread {
            let cached = cache.get(self.tenant, stream);
            if cached.is_some() || begins {
                self.guessed = true;
                return Ok(cached.unwrap_or_else(|| Folded { version: 0, state: Arc::new(before()) }));
            }
        }
        let read = self.store.fold(self.tenant, &[stream]).await?.remove(&stream);
        if let Some(folded) = &read {
            cache.put(self.tenant, stream, folded.clone());
        }
        Ok(read.unwrap_or_else(|| Folded { version: 0, state: Arc::new(before()) }))
    }
}

/// A run of commands that travels in one append, decided in order, each on what the ones before it leave.
struct Chunk<'a> {
    view: View<'a>,
    plans: &'a [Plan],
    known: HashMap<CommandId, (Vec<u8>, Answer)>,
    outcomes: Vec<Option<Outcome>>,
    pending: Vec<(usize, Decided)>,
    /// The claims of pending commands.
    claimed: HashSet<(&'static str, String)>,
}

impl<'a> Chunk<'a> {
    async fn new(store: &'a Store, tenant: TenantId, plans: &'a [Plan]) -> Result<Self, Error> {
        // A stream that a command begins is taken for new; if it is not, the append says so.
        let read = plans.iter().filter(|plan| !plan.begins);
        let streams: HashSet<StreamId> = read.map(|plan| plan.stream).collect();
        let streams: Vec<_> = streams.into_iter().collect();
        let (known, mut overlay) =
            future::try_join(store.known(tenant, plans), store.fold(tenant, &streams)).await?;
        for plan in plans {
            let absent = || Folded { version: 0, state: Arc::new(plan.before.clone()) };
            overlay.entry(plan.stream).or_insert_with(absent);
        }
        let view = View { store, tenant, overlay, reread: false, guessed: false };
        Ok(Self {
            view,
            plans,
            known,
            outcomes: vec![None; plans.len()],
            pending: Vec::new(),
            claimed: HashSet::new(),
        })
    }

    async fn carry_out(mut self) -> Result<Vec<Outcome>, Error> {
        let mut ids = HashSet::new();
        for at in 0..self.plans.len() {
            let plan = &self.plans[at];
            let command_id = plan.envelope.command_id;
            if let Some((hash, answer)) = self.known.get(&command_id) {
                let key = self.view.store.inner.keyring.tenant(self.view.tenant).await?;
                if key.hash(&plan.request()).as_bytes() != hash.as_slice() {
                    return Err(Error::CommandIdReused(command_id));
                }
                self.outcomes[at] = Some(Outcome::Accepted(*answer));
                continue;
            }
            if !ids.insert(command_id) {
                self.alone(at).await?;
                continue;
            }
            self.view.guessed = false;
            let decided = self.view.store.decide(plan, &mut self.view).await?;
            // A refusal may rest on a state that is out of date, or on one that pending commands are yet to make; a
            // claim may meet one of theirs.
            let unsure = decided.refusal.is_some() && (self.view.guessed || !self.pending.is_empty());
            if unsure || self.meets_pending_claims(&decided) {
                self.alone(at).await?;
                continue;
            }
            let occurred = plan.envelope.occurred.unwrap_or(Occurred::Instant { at: plan.envelope.now });
            self.view.overlay.insert(plan.stream, decided.after(&occurred));
            self.claimed.extend(decided.claims.iter().map(|claim| (claim.kind, claim.key.clone())));
            self.pending.push((at, decided));
        }
        self.flush().await?;
        let outcomes = self.outcomes.into_iter();
        Ok(outcomes.map(|outcome| outcome.expect("every plan was settled, alone or by a flush")).collect())
    }

    fn meets_pending_claims(&self, decided: &Decided) -> bool {
        let mut claims = decided.claims.iter();
        claims.any(|claim| self.claimed.contains(&(claim.kind, claim.key.clone())))
    }

    /// Carries out one command by itself, after those before it.
    async fn alone(&mut self, at: usize) -> Result<(), Error> {
        self.flush().await?;
        self.outcomes[at] = Some(self.view.store.carry_out(&self.plans[at]).await?);
        self.view.overlay.remove(&self.plans[at].stream);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let mut pending = std::mem::take(&mut self.pending);
        self.claimed.clear();
        if pending.is_empty() {
            return Ok(());
        }
        let (store, tenant) = (self.view.store, self.view.tenant);
        store.seal(tenant, &mut pending.iter_mut().map(|(_, decided)| decided).collect::<Vec<_>>()).await?;
        // What follows a command that could not be sealed may build on it, and is decided again.
        let sound =
            pending.iter().position(|(_, decided)| decided.refusal.is_some()).unwrap_or(pending.len());
        let prepared = pending[..sound].iter().map(|(_, decided)| decided.prepared.clone()).collect();
        let verdicts = match store.append(tenant, prepared).await {
            // One command spoils the call: find out which.
            Err(Error::Rejected(_)) if pending.len() > 1 => Vec::new(),
            verdicts => verdicts?,
        };
        let verdicts = verdicts.into_iter().chain(std::iter::repeat(Verdict::Conflict));
        for ((at, decided), verdict) in pending.iter().zip(verdicts) {
            let plan = &self.plans[*at];
            let outcome = match verdict {
                Verdict::Conflict | Verdict::Claimed { .. } => {
                    self.view.overlay.remove(&plan.stream);
                    store.carry_out(plan).await?
                }
                verdict => store.settle(tenant, plan, decided, &verdict)?,
            };
            self.outcomes[*at] = Some(outcome);
        }
        Ok(())
    }
}

impl Store {
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
        .fetch_all(&self.inner.pool)
        .await
        .map_err(Error::Read)?;
        let known = rows.into_iter().map(|(id, hash, first_position, event_count)| {
            (CommandId(id), (hash, Answer { first_position, event_count, known: true }))
        });
        Ok(known.collect())
    }
}
