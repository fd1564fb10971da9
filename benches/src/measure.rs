//! Turns of concurrent workers, and what they add up to.

use std::time::{Duration, Instant};

/// Someone who does one thing after another, each to its end.
pub trait Worker: Send + 'static {
    fn step(&mut self) -> impl Future<Output = ()> + Send;
}

/// One turn: how many steps in what time, and how long each took.
#[derive(Clone, Default, Debug)]
pub struct Leg {
    pub count: usize,
    pub elapsed: Duration,
    pub latencies: Vec<Duration>,
}

impl Leg {
    pub fn of(count: usize, elapsed: Duration) -> Self {
        Self { count, elapsed, latencies: Vec::new() }
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of events is far below 2^52")]
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }
}

/// Lets all workers go on until `time` is over.
pub async fn drive<W: Worker>(workers: Vec<W>, time: Duration) -> Leg {
    let start = Instant::now();
    let tasks: Vec<_> = workers.into_iter().map(|worker| tokio::spawn(work(worker, start + time))).collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("no worker panics"));
    }
    Leg { count: latencies.len(), elapsed: start.elapsed(), latencies }
}

async fn work<W: Worker>(mut worker: W, until: Instant) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let mut before = Instant::now();
    while before < until {
        worker.step().await;
        let after = Instant::now();
        latencies.push(after - before);
        before = after;
    }
    latencies
}

/// The turns of both sides, taken alternately.
#[derive(Default, Debug)]
pub struct Pair {
    pub raw: Vec<Leg>,
    pub ours: Vec<Leg>,
}

impl Pair {
    pub fn push(&mut self, raw: Leg, ours: Leg) {
        self.raw.push(raw);
        self.ours.push(ours);
    }

    /// The median, over the rounds, of our rate by the raw rate right before it.
    pub fn ratio(&self) -> f64 {
        median(self.raw.iter().zip(&self.ours).map(|(raw, ours)| ours.rate() / raw.rate()))
    }

    pub fn print(&self, label: &str) {
        let side = |legs: &[Leg]| {
            let rate = median(legs.iter().map(Leg::rate));
            let mut all: Vec<_> = legs.iter().flat_map(|leg| &leg.latencies).copied().collect();
            all.sort_unstable();
            match (percentile(&all, 50), percentile(&all, 99)) {
                (Some(p50), Some(p99)) => {
                    format!("{rate:>8.0}/s p50 {:>7.2} p99 {:>7.2} ms", millis(p50), millis(p99))
                }
                _ => format!("{rate:>8.0}/s"),
            }
        };
        println!(
            "{label:<34} raw {}   kvali {}   ratio {:.2}",
            side(&self.raw),
            side(&self.ours),
            self.ratio()
        );
    }
}

/// Of durations in order; none of none.
pub fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().checked_sub(1)?)).copied()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Starts the peak of memory anew, where the system can.
pub fn reset_peak_memory() {
    // Without it the peaks of earlier measurements count too; `peak_memory` is then an upper bound.
    let _unsupported = std::fs::write("/proc/self/clear_refs", "5");
}

/// The peak resident memory of this process, in words.
pub fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.map_or_else(
        || "peak memory unknown: this system does not tell VmHWM".to_owned(),
        |peak| format!("peak resident memory of this process: {}", peak.trim()),
    )
}
