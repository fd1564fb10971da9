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
    /// The event's stream holds the key from now on, beside others.
    Join,
    /// The event's stream lets go of the key.
    Release,
    /// Nobody may hold the key.
    Free,
    /// The event's stream must hold the key before the command; that the command lets go of it is no hindrance.
    Own,
    /// The event's stream is one more of those that the key counts. Who they are is not kept, so that the cost does not
    /// grow with their number; a stream counts itself once and is uncounted once.
    Count,
    /// The event's stream is no longer one of those that the key counts.
    Uncount,
    /// The key must count some, or another key of the kind that the command names so.
    Some,
    /// The key must count none, once the command has been carried out.
    None,
}

impl Condition {
    /// Whether it can be refused.
    pub fn is_demand(self) -> bool {
        matches!(self, Self::Take | Self::Free | Self::Own | Self::Some | Self::None)
    }
}

impl Claim {
    pub fn take(kind: &'static str, key: impl Into<String>) -> Self {
        Self::new(Condition::Take, kind, key)
    }

    pub fn join(kind: &'static str, key: impl Into<String>) -> Self {
        Self::new(Condition::Join, kind, key)
    }

    pub fn release(kind: &'static str, key: impl Into<String>) -> Self {
        Self::new(Condition::Release, kind, key)
    }

    pub fn free(kind: &'static str, key: impl Into<String>) -> Self {
        Self::new(Condition::Free, kind, key)
    }

    pub fn own(kind: &'static str, key: impl Into<String>) -> Self {
        Self::new(Condition::Own, kind, key)
    }

    pub fn count(kind: &'static str, key: impl Into<String>) -> Self {
        Self::new(Condition::Count, kind, key)
    }

    pub fn uncount(kind: &'static str, key: impl Into<String>) -> Self {
        Self::new(Condition::Uncount, kind, key)
    }

    pub fn some(kind: &'static str, key: impl Into<String>) -> Self {
        Self::new(Condition::Some, kind, key)
    }

    pub fn none(kind: &'static str, key: impl Into<String>) -> Self {
        Self::new(Condition::None, kind, key)
    }

    /// The same, of a key that tells something about a person.
    #[must_use]
    pub fn personal(mut self) -> Self {
        self.personal = true;
        self
    }

    fn new(condition: Condition, kind: &'static str, key: impl Into<String>) -> Self {
        Self { kind, key: key.into(), personal: false, condition }
    }
}
