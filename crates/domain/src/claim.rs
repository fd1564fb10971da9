//! Keys that must be unique, or must exist, across streams.

/// What an event demands of, and does to, the claims on one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// What is claimed, such as `pipeline.name`.
    pub kind: &'static str,
    pub key: String,
    /// A personal key is stored as a keyed hash, never in clear.
    pub personal: bool,
    pub condition: Condition,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// None may hold the key; the event's stream holds it from now on.
    Take,
    /// The event's stream lets go of the key.
    Release,
    /// Somebody must hold the key.
    Held,
    /// Nobody may hold the key.
    Free,
}

impl Claim {
    pub fn take(kind: &'static str, key: impl Into<String>) -> Self {
        Self { kind, key: key.into(), personal: false, condition: Condition::Take }
    }

    pub fn release(kind: &'static str, key: impl Into<String>) -> Self {
        Self { kind, key: key.into(), personal: false, condition: Condition::Release }
    }
}
