//! What comes in as JSON: commands alone and in batches, and events as they are stored, of every shape. A line says which,
//! the rest is the JSON: `command CloseWon`, `event deal.won 1`, `batch`.

#![no_main]

use chrono::{DateTime, Utc};
use kvali_domain::{ActorId, Command, Event, Facts, Given, Occurred, State, StreamId, Version};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

const NOW: DateTime<Utc> = DateTime::from_timestamp(1_775_000_000, 0).expect("an instant of 2026");

fuzz_target!(|text: &str| {
    let (first, json) = text.split_once('\n').unwrap_or((text, ""));
    let words: Vec<&str> = first.split(' ').collect();
    match *words {
        ["command", name] => command(name, json),
        ["event", event_type, version] => {
            if let Ok(version) = version.parse() {
                event(event_type, version, json);
            }
        }
        ["batch"] => drop(kvali_api::fuzz::batch(json.as_bytes())),
        _ => {}
    }
});

/// What is decoded is decided where nothing has happened yet; what comes of it is stored and read again.
fn command(name: &str, json: &str) {
    let Ok(fields) = serde_json::from_str(json) else { return };
    let Ok(command) = Command::decode(name, &fields) else { return };
    let stream = command.home().unwrap_or(StreamId(Uuid::nil()));
    let (actor, facts) = (ActorId(Uuid::nil()), Facts::default());
    let given = Given { stream, actor, now: NOW, occurred: None, reason_code: None, facts: &facts };
    let mut state = State::before(&command);
    let Ok(events) = state.decide(&command, &given) else { return };
    for (version, mut event) in (1..).zip(events) {
        // Sealed on its way into the log.
        for personal in event.personal() {
            personal.value.0 = None;
        }
        assert_eq!(stored(&event), event, "{} comes back another", event.event_type());
        evolve(&mut state, &event, version);
    }
}

fn event(event_type: &str, version: i16, json: &str) {
    if let Ok(event) = Event::decode(event_type, version, json) {
        assert_eq!(stored(&event), event, "{event_type} comes back another");
        evolve(&mut State::before_event(&event), &event, 1);
    }
}

fn evolve(state: &mut State, event: &Event, version: Version) {
    state.evolve(event, version, &Occurred::Instant { at: NOW });
}

fn stored(event: &Event) -> Event {
    let again = Event::decode(event.event_type(), event.schema_version(), &event.data());
    again.unwrap_or_else(|error| panic!("{} cannot be read again: {error}", event.event_type()))
}
