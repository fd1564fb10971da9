//! `given([...]).when(command).then([...])`: the log so far, a command, what it leads to.

use chrono::{DateTime, Utc};
use kvali_domain::{
    Command, Event, Facts, Given as Circumstances, Occurred, Order, Refusal, State, StreamId, Version,
};
use std::collections::HashMap;
use std::sync::Arc;

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

    pub(crate) fn decide(
        &self,
        order: &Order,
        now: DateTime<Utc>,
        occurred: Option<&Occurred>,
        reason_code: Option<&str>,
    ) -> Result<Vec<Event>, Refusal> {
        let known = self.state(order.stream).cloned();
        let state = known.unwrap_or_else(|| State::before(&order.command));
        let mut facts = Facts::default();
        for reads in state.reads(&order.command) {
            if let Some((read, _)) = self.0.get(&reads.stream()) {
                facts.learn(reads, Arc::clone(read));
            }
        }
        let stream = order.stream;
        state.decide(&order.command, &Circumstances { stream, now, occurred, reason_code, facts: &facts })
    }
}

pub(crate) struct Given {
    world: World,
    now: DateTime<Utc>,
    occurred: Option<Occurred>,
    reason_code: Option<&'static str>,
}

pub(crate) fn given(log: impl IntoIterator<Item = Happened>) -> Given {
    let mut world = World::default();
    for happened in log {
        world.apply(&happened);
    }
    Given { world, now: crate::sales::NOW, occurred: None, reason_code: None }
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

    pub(crate) fn when(self, asked: impl Asks) -> Answer {
        let order = asked.order();
        Answer(self.world.decide(&order, self.now, self.occurred.as_ref(), self.reason_code))
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

/// An event of an aggregate.
pub(crate) trait Tells {
    fn event(self) -> Event;
}

/// A command for a named stream.
pub(crate) fn on(stream: StreamId, command: impl Into<Command>) -> Order {
    Order { stream, command: command.into() }
}
