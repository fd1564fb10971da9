//! `given([...]).when(command).then([...])`: the log so far, a command, what it leads to.

use chrono::{DateTime, Utc};
use kvali_domain::{
    ActorId, Command, CommandType, Event, Facts, Given as Circumstances, Occurred, Order, Refusal, State,
    StreamId, Version, command_types,
};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock};

/// An event that stands in the log.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Happened {
    pub(crate) stream: StreamId,
    pub(crate) event: Event,
    pub(crate) occurred: Occurred,
}

impl Happened {
    pub(crate) fn on(mut self, occurred: Occurred) -> Self {
        self.occurred = occurred;
        self
    }
}

/// The folded states of all streams.
#[derive(Clone, Default)]
pub(crate) struct World(HashMap<StreamId, (Arc<State>, Version)>);

impl World {
    pub(crate) fn apply(&mut self, happened: &Happened) {
        let before = || (Arc::new(State::before_event(&happened.event)), 0);
        let (state, version) = self.0.entry(happened.stream).or_insert_with(before);
        *version += 1;
        Arc::make_mut(state).evolve(&happened.event, *version, &happened.occurred);
    }

    pub(crate) fn state(&self, stream: StreamId) -> Option<&State> {
        self.0.get(&stream).map(|(state, _)| &**state)
    }

    /// The record that this one has become part of.
    pub(crate) fn survivor(&self, mut stream: StreamId) -> StreamId {
        while let Some(into) = self.state(stream).and_then(State::merged_into) {
            stream = into;
        }
        stream
    }

    pub(crate) fn decide(
        &self,
        order: &Order,
        now: DateTime<Utc>,
        occurred: Option<&Occurred>,
        reason_code: Option<&str>,
    ) -> Result<Vec<Event>, Refusal> {
        let sender = Sender { actor: crate::sales::ACTOR, now, occurred, reason_code };
        let happened = self.carry_out(order, &sender)?;
        Ok(happened.into_iter().map(|(_, event)| event).collect())
    }

    /// The events of a command and of the orders that follow from it, each in its stream.
    pub(crate) fn carry_out(
        &self,
        order: &Order,
        sender: &Sender<'_>,
    ) -> Result<Vec<(StreamId, Event)>, Refusal> {
        let Sender { actor, now, occurred, reason_code } = *sender;
        let mut world = self.clone();
        let mut happened = Vec::new();
        let mut orders = VecDeque::from([order.clone()]);
        while let Some(Order { stream, command }) = orders.pop_front() {
            let stream = if command.is_own() { stream } else { world.survivor(stream) };
            let state = world.state(stream).cloned().unwrap_or_else(|| State::before(&command));
            let mut facts = Facts::default();
            for reads in state.reads(&command) {
                let mut next = Some(reads.stream());
                while let Some((at, (read, _))) = next.and_then(|at| Some((at, world.0.get(&at)?))) {
                    facts.learn(at, Arc::clone(read));
                    next = read.merged_into();
                }
            }
            let given = Circumstances { stream, actor, now, occurred, reason_code, facts: &facts };
            let events = state.decide(&command, &given)?;
            declared(&command, &events);
            if !events.is_empty() {
                orders.extend(state.follow(&command, &given));
            }
            for event in events {
                let occurred = occurred.copied().unwrap_or(Occurred::Instant { at: now });
                world.apply(&Happened { stream, event: event.clone(), occurred });
                happened.push((stream, event));
            }
        }
        Ok(happened)
    }
}

/// The table of commands says of each what may come of it; nothing else may.
fn declared(command: &Command, events: &[Event]) {
    static TYPES: LazyLock<Vec<CommandType>> = LazyLock::new(command_types);
    let known = TYPES.iter().find(|known| known.name == command.command_type()).expect("it is in the table");
    for event in events {
        let event_type = event.event_type();
        assert!(known.events.contains(&event_type), "{} does not declare {event_type}", known.name);
    }
}

/// Who sends a command, and when.
pub(crate) struct Sender<'a> {
    pub(crate) actor: ActorId,
    pub(crate) now: DateTime<Utc>,
    pub(crate) occurred: Option<&'a Occurred>,
    pub(crate) reason_code: Option<&'a str>,
}

pub(crate) struct Given {
    world: World,
    actor: ActorId,
    now: DateTime<Utc>,
    occurred: Option<Occurred>,
    reason_code: Option<&'static str>,
}

pub(crate) fn given(log: impl IntoIterator<Item = Happened>) -> Given {
    let mut world = World::default();
    for happened in log {
        world.apply(&happened);
    }
    Given { world, actor: crate::sales::ACTOR, now: crate::sales::NOW, occurred: None, reason_code: None }
}

impl Given {
    /// The command says when it really happened.
    pub(crate) fn back_dated(mut self, occurred: Occurred) -> Self {
        self.occurred = Some(occurred);
        self
    }

    pub(crate) fn because(mut self, reason_code: &'static str) -> Self {
        self.reason_code = Some(reason_code);
        self
    }

    /// Sent by someone else than usual.
    pub(crate) fn sent_by(mut self, actor: impl Into<ActorId>) -> Self {
        self.actor = actor.into();
        self
    }

    /// At another time than usual.
    pub(crate) fn at(mut self, now: DateTime<Utc>) -> Self {
        self.now = now;
        self
    }

    /// Answers with the command's events and those of the orders that follow from it.
    pub(crate) fn when(self, asked: impl Asks) -> Answer {
        let Self { world, actor, now, occurred, reason_code } = self;
        let sender = Sender { actor, now, occurred: occurred.as_ref(), reason_code };
        let happened = world.carry_out(&asked.order(), &sender);
        Answer(happened.map(|happened| happened.into_iter().map(|(_, event)| event).collect()))
    }
}

/// What the domain answered.
pub(crate) struct Answer(Result<Vec<Event>, Refusal>);

impl Answer {
    #[track_caller]
    pub(crate) fn then<E: Tells>(self, expected: impl IntoIterator<Item = E>) {
        let expected: Vec<Event> = expected.into_iter().map(Tells::event).collect();
        match self.0 {
            Ok(events) => assert_eq!(exposed(&events), exposed(&expected)),
            Err(refusal) => panic!("refused: {refusal}"),
        }
    }

    /// The last of what happened.
    #[track_caller]
    pub(crate) fn then_last(self, expected: Event) {
        match self.0 {
            Ok(events) => {
                assert_eq!(exposed(&events[events.len().saturating_sub(1)..]), exposed(&[expected]));
            }
            Err(refusal) => panic!("refused: {refusal}"),
        }
    }

    #[track_caller]
    pub(crate) fn then_it_is_already_so(self) {
        assert_eq!(self.0, Ok(Vec::new()));
    }

    /// Refused, and `is` knows the refusal.
    #[track_caller]
    pub(crate) fn refused(self, is: impl FnOnce(&Refusal) -> bool) -> Said {
        match self.0 {
            Ok(events) => panic!("accepted: {events:?}"),
            Err(refusal) => {
                assert!(is(&refusal), "refused otherwise: {refusal:?}");
                Said(refusal.to_string())
            }
        }
    }
}

/// The refusal in words.
pub(crate) struct Said(String);

impl Said {
    /// The message names each of these.
    #[track_caller]
    pub(crate) fn naming<'a>(self, words: impl IntoIterator<Item = &'a str>) -> Self {
        for word in words {
            assert!(self.0.contains(word), "{:?} does not name {word:?}", self.0);
        }
        self
    }

    #[track_caller]
    pub(crate) fn not_naming<'a>(self, words: impl IntoIterator<Item = &'a str>) -> Self {
        for word in words {
            assert!(!self.0.contains(word), "{:?} names {word:?}", self.0);
        }
        self
    }
}

/// Events beside their personal texts, because `Debug` would print two different texts alike.
fn exposed(events: &[Event]) -> Vec<(Event, Vec<String>)> {
    let texts = |mut event: Event| {
        event.personal().into_iter().map(|found| format!("{}: {:?}", found.field, found.value.0)).collect()
    };
    events.iter().map(|event| (event.clone(), texts(event.clone()))).collect()
}

/// A command of an aggregate that knows its stream, or one with a stream.
pub(crate) trait Asks {
    fn order(self) -> Order;
}

impl Asks for Order {
    fn order(self) -> Order {
        self
    }
}

/// An event of an aggregate, or one of any where several are told.
pub(crate) trait Tells {
    fn event(self) -> Event;
}

impl Tells for Event {
    fn event(self) -> Event {
        self
    }
}

/// A command for a named stream.
pub(crate) fn on(stream: StreamId, command: impl Into<Command>) -> Order {
    Order { stream, command: command.into() }
}
