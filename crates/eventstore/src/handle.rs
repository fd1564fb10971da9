//! A command carried out: state, decide, append; again from the start when another writer was quicker.

use crate::cache::Folded;
use crate::decided::{self, Decided, Look};
use crate::keyring;
use crate::log::{EventRow, Prepared, Verdict};
use crate::{Envelope, Error, Store, writer};
use kvali_domain::{
    Command, Event, EventId, General, Order, Refusal, State, StreamId, SubjectId, TenantId, Version, note,
    subject,
};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// Conflicts that one command survives before its sender is told to come again.
const ATTEMPTS: u32 = 200;

/// What became of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Accepted(Answer),
    /// Recorded in the audit trail; the command id stays free, so a corrected command may bear it.
    Refused(Refusal),
    /// The command id was accepted before, for another request; nothing was done.
    Reused,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Position of the first event; `None`: it was already so.
    pub first_position: Option<i64>,
    pub event_count: i32,
    /// The command id was bound before; this is its first outcome.
    pub known: bool,
    /// What was appended now, in the order of the positions; what a known command appended, the log has.
    pub events: Vec<Appended>,
}

/// An event as it went into the log, without what is sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Appended {
    pub event_id: EventId,
    pub event_type: &'static str,
    pub stream: StreamId,
    pub version: Version,
    pub data: String,
}

impl Answer {
    /// Of a command that was carried out before.
    pub fn known(first_position: Option<i64>, event_count: i32) -> Self {
        Self { first_position, event_count, known: true, events: Vec::new() }
    }

    /// Where its events are in the log.
    pub fn positions(&self) -> Range<i64> {
        self.first_position.map_or(0..0, |first| first..first + i64::from(self.event_count))
    }
}

impl From<EventRow> for Appended {
    fn from(row: EventRow) -> Self {
        let EventRow { stream, version, id, event_type, data, .. } = row;
        Self { event_id: EventId(id), event_type, stream, version, data }
    }
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
    /// Whose key goes when it is accepted.
    pub erases: Option<SubjectId>,
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
            erases: erased_by(stream, &command),
            choose: Box::new(move |_| Choice::Do(command.clone())),
        }
    }

    /// What the request is, byte for byte; equal for an honest retry, whoever's version of Kvali sends it.
    pub(crate) fn request(&self) -> Vec<u8> {
        let envelope = &self.envelope;
        let occurred = envelope.occurred.map_or_else(String::new, |occurred| {
            let micros = occurred.at().map(|at| at.timestamp_micros().to_string()).unwrap_or_default();
            format!("{} {micros} {}", occurred.precision(), occurred.zone().unwrap_or_default())
        });
        let reason = envelope.reason_code.as_deref().unwrap_or_default();
        let texts = format!("1\u{1f}{occurred}\u{1f}{reason}\u{1f}");
        [self.stream.0.as_bytes(), envelope.actor.0.as_bytes(), texts.as_bytes(), &self.fingerprint].concat()
    }
}

impl Store {
    /// Carries out one command: `Accepted` means committed. A retry with the same id gets the first outcome.
    ///
    /// A command that erases destroys the key of the subject's personal data for good, after the log has recorded it.
    pub async fn handle(&self, order: Order, envelope: Envelope) -> Result<Outcome, Error> {
        let plan = Plan::new(order, envelope);
        if plan.erases.is_none() {
            // On the heap, for every caller's future would be as large.
            return Box::pin(self.carry_out(&plan)).await;
        }
        // Both steps, even if the caller stops waiting.
        let store = self.clone();
        tokio::spawn(async move { store.carry_out(&plan).await }).await.map_err(Error::Task)?
    }

    /// `EraseSubject`.
    pub async fn erase(&self, subject: SubjectId, envelope: Envelope) -> Result<Outcome, Error> {
        let command = subject::Command::Erase { subject }.into();
        self.handle(Order { stream: subject.stream(), command }, envelope).await
    }

    /// Records that a command is refused, as a rehearsal told, without deciding it again.
    pub async fn refuse(&self, plan: &Plan, refusal: &Refusal) -> Result<(), Error> {
        let tenant = plan.envelope.tenant;
        let key = self.inner.keyring.tenant(tenant).await?;
        let choice = (plan.choose)(&plan.before);
        let mut prepared = decided::prepare(plan, choice.command(), *key.hash(&plan.request()).as_bytes());
        prepared.refuse(refusal);
        self.append(tenant, vec![prepared]).await.map(drop)
    }

    pub(crate) async fn carry_out(&self, plan: &Plan) -> Result<Outcome, Error> {
        let tenant = plan.envelope.tenant;
        let mut reread = false;
        for _ in 0..ATTEMPTS {
            let mut view = View { store: self, tenant, overlay: HashMap::new(), reread, guessed: false };
            let mut decided = match self.decide(plan, &mut view).await {
                Err(Error::Overtaken) => {
                    reread = true;
                    continue;
                }
                decided => decided?,
            };
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
                Verdict::Claimed { claim, holder, counted } => {
                    return self.claimed(decided, claim, holder, counted).await;
                }
                verdict => {
                    let outcome = self.settle(tenant, plan, &mut decided, &verdict);
                    self.destroy_erased(plan, &decided.events, &outcome).await?;
                    return Ok(outcome);
                }
            }
        }
        Err(Error::Contended { attempts: ATTEMPTS })
    }

    /// Destroys the keys of everyone whom an accepted command has erased: by `events` or, if it was accepted before, by
    /// those of then, so that after a crash between the append and this the same command again makes it good.
    pub(crate) async fn destroy_erased(
        &self,
        plan: &Plan,
        events: &[(StreamId, Event)],
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let Outcome::Accepted(answer) = outcome else { return Ok(()) };
        let mut gone: BTreeSet<SubjectId> = plan.erases.into_iter().collect();
        gone.extend(events.iter().filter_map(|(_, event)| erased(event)));
        if gone.is_empty() {
            return Ok(());
        }
        // Seldom, so not every command's future carries it along.
        Box::pin(self.destroy_keys(plan.envelope.tenant, gone, answer)).await
    }

    async fn destroy_keys(
        &self,
        tenant: TenantId,
        mut gone: BTreeSet<SubjectId>,
        answer: &Answer,
    ) -> Result<(), Error> {
        if let Some(first) = answer.first_position.filter(|_| answer.known) {
            let then = self.read(tenant, first - 1, answer.event_count.into()).await?;
            gone.extend(self.open(tenant, then).await?.iter().filter_map(|opened| erased(&opened.event)));
        }
        for subject in gone {
            self.inner.keyring.destroy(tenant, subject).await?;
        }
        Ok(())
    }

    /// The outcome of a verdict that is final.
    pub(crate) fn settle(
        &self,
        tenant: TenantId,
        plan: &Plan,
        decided: &mut Decided,
        verdict: &Verdict,
    ) -> Outcome {
        match *verdict {
            Verdict::Accepted { first_position, event_count, recorded_at } => {
                let occurred = plan.envelope.occurred_by(recorded_at);
                for (stream, folded) in decided.after(&occurred) {
                    self.inner.cache.put(tenant, stream, folded);
                }
                let events = std::mem::take(&mut decided.prepared.events);
                let events = events.into_iter().map(Appended::from).collect();
                Outcome::Accepted(Answer { first_position, event_count, known: false, events })
            }
            Verdict::Known { first_position, event_count } => {
                Outcome::Accepted(Answer::known(first_position, event_count))
            }
            Verdict::IdReused => Outcome::Reused,
            Verdict::RefusalRecorded => Outcome::Refused(
                decided.refusal.clone().expect("only commands that the rules refuse are recorded as refused"),
            ),
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
        counted: Option<i64>,
    ) -> Result<Outcome, Error> {
        let (kind, key) = decided.claims.get(claim).map_or_else(Default::default, |claim| {
            let key = if claim.personal { "(personal)".to_owned() } else { claim.key.replace('\u{1f}', " ") };
            (claim.kind.to_owned(), key)
        });
        let refusal: Refusal = match (holder, counted) {
            (Some(holder), _) => General::Taken { kind, key, holder }.into(),
            (None, None) => General::NotOwn { kind }.into(),
            (None, Some(0)) => General::NoneLeft { kind, key }.into(),
            (None, Some(count)) => General::SomeLeft { kind, key, count }.into(),
        };
        decided.prepared.refuse(&refusal);
        match self.append(decided.tenant, vec![decided.prepared]).await?.remove(0) {
            Verdict::Known { first_position, event_count } => {
                Ok(Outcome::Accepted(Answer::known(first_position, event_count)))
            }
            Verdict::IdReused => Ok(Outcome::Reused),
            _ => Ok(Outcome::Refused(refusal)),
        }
    }

    pub(crate) async fn append(
        &self,
        tenant: TenantId,
        commands: Vec<Prepared>,
    ) -> Result<Vec<Verdict>, Error> {
        self.inner.writers.append(tenant, commands).await.map_err(|error| {
            if writer::is_answer(&error) { Error::Rejected(error) } else { Error::Append(error) }
        })
    }

    pub(crate) async fn decide(&self, plan: &Plan, view: &mut View<'_>) -> Result<Decided, Error> {
        let key = self.inner.keyring.tenant(plan.envelope.tenant).await?;
        Decided::on(plan, *key.hash(&plan.request()).as_bytes(), view).await
    }

    /// Makes decisions ready to be appended. The keys of all of them are fetched at once.
    pub(crate) async fn seal(&self, tenant: TenantId, decisions: &mut [&mut Decided]) -> Result<(), Error> {
        let key = self.inner.keyring.tenant(tenant).await?;
        let events = decisions.iter_mut().flat_map(|decided| &mut decided.events);
        let subjects: HashSet<SubjectId> = events.flat_map(|(_, event)| keyring::subjects(event)).collect();
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

/// Whose key goes when the command is accepted.
fn erased_by(stream: StreamId, command: &Command) -> Option<SubjectId> {
    match command {
        Command::Subject(subject::Command::Erase { subject }) => Some(*subject),
        Command::Note(note::Command::Redact { .. }) => Some(SubjectId(stream.0)),
        _ => None,
    }
}

fn erased(event: &Event) -> Option<SubjectId> {
    match event {
        Event::Subject(subject::Event::Erased(erased)) => Some(erased.subject),
        _ => None,
    }
}

/// The states that a decision may rest on: those of this batch, then the cache, then the log.
pub(crate) struct View<'a> {
    pub store: &'a Store,
    pub tenant: TenantId,
    pub overlay: HashMap<StreamId, Folded>,
    /// Pass by the cache.
    pub reread: bool,
    /// Whether a state came from the cache, or was taken for new, and may be out of date.
    pub guessed: bool,
}

impl Look for View<'_> {
    async fn look(
        &mut self,
        stream: StreamId,
        before: impl FnOnce() -> State + Send,
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
