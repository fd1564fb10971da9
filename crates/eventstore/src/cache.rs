//! Folded states by stream, bounded. Always safe to drop: whatever is missing is read again, and the append
//! checks every version, so a stale state costs a retry and never a wrong decision.

use dashmap::DashMap;
use kvali_domain::{Event, Occurred, State, StreamId, TenantId, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(crate) struct Cache {
    states: DashMap<(TenantId, StreamId), Entry>,
    /// Kept apart from the map, whose own count takes every shard's lock.
    count: AtomicUsize,
    capacity: usize,
}

struct Entry {
    folded: Folded,
    used: AtomicBool,
}

/// A state and the version that it stands at.
#[derive(Clone, Debug)]
pub(crate) struct Folded {
    pub version: Version,
    pub state: Arc<State>,
}

impl Folded {
    pub(crate) fn extend<'e>(&mut self, events: impl IntoIterator<Item = &'e Event>, occurred: &Occurred) {
        let state = Arc::make_mut(&mut self.state);
        for event in events {
            self.version += 1;
            state.evolve(event, self.version, occurred);
        }
    }
}

impl Cache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { states: DashMap::new(), count: AtomicUsize::new(0), capacity }
    }

    pub(crate) fn get(&self, tenant: TenantId, stream: StreamId) -> Option<Folded> {
        let entry = self.states.get(&(tenant, stream))?;
        entry.used.store(true, Ordering::Relaxed);
        Some(entry.folded.clone())
    }

    /// Keeps `folded` unless a newer state of the stream is there.
    pub(crate) fn put(&self, tenant: TenantId, stream: StreamId, folded: Folded) {
        let mut entry = self.states.entry((tenant, stream)).or_insert_with(|| {
            self.count.fetch_add(1, Ordering::Relaxed);
            Entry { folded: folded.clone(), used: AtomicBool::new(true) }
        });
        if entry.folded.version < folded.version {
            entry.folded = folded;
        }
        drop(entry);
        if self.count.load(Ordering::Relaxed) > self.capacity {
            self.sweep();
        }
    }

    /// Forgets the state of a stream if it is no newer than `version`.
    pub(crate) fn forget(&self, tenant: TenantId, stream: StreamId, version: Version) {
        let old = self.states.remove_if(&(tenant, stream), |_, entry| entry.folded.version <= version);
        if old.is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn clear(&self) {
        self.states.clear();
        self.count.store(0, Ordering::Relaxed);
    }

    /// Second chance: what was not used since the last sweep goes; if that is too little, any half does.
    fn sweep(&self) {
        self.states.retain(|_, entry| entry.used.swap(false, Ordering::Relaxed));
        if self.states.len() > self.capacity / 2 {
            let mut keep = false;
            self.states.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        self.count.store(self.states.len(), Ordering::Relaxed);
    }
}
