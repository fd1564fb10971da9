//! The workload of the benchmarks: what Kvali does, and what raw Postgres does with the same rows on the same
//! server, measured in turns.

pub mod batch;
pub mod cycle;
pub mod duplicates;
pub mod follow;
pub mod ground;
pub mod live;
pub mod measure;
pub mod models;
pub mod open_stream;
pub mod raw;
pub mod rebuild;
pub mod replay;
pub mod sales;
pub mod standing;

/// How long a run may take.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// One turn of one side.
    pub leg: std::time::Duration,
    /// Turns of each side; the median counts.
    pub rounds: usize,
    /// Commands in one turn of the batch append.
    pub batch: usize,
    /// Events replayed.
    pub replay: usize,
    /// Contacts among which duplicates are looked for.
    pub contacts: usize,
}

impl Scale {
    pub const FULL: Self = Self {
        leg: std::time::Duration::from_millis(1_500),
        rounds: 3,
        batch: 100_000,
        replay: 1_000_000,
        contacts: 1_000_000,
    };
    pub const QUICK: Self = Self {
        leg: std::time::Duration::from_millis(700),
        rounds: 1,
        batch: 30_000,
        replay: 100_000,
        contacts: 100_000,
    };
}

/// Commands in flight.
pub const IN_FLIGHT: [usize; 4] = [1, 8, 32, 128];
pub const TENANTS: [usize; 2] = [1, 16];
