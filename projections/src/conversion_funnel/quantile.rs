//! Durations summed up as SQL does, and ratios that know when they are undefined.

use schemars::JsonSchema;
use serde::Serialize;

/// Seconds, to the microsecond. Percentiles interpolate linearly (SQL `percentile_cont`); all are null when `n` is 0.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, JsonSchema)]
pub struct Durations {
    pub n: usize,
    pub mean_seconds: Option<f64>,
    pub median_seconds: Option<f64>,
    pub p75_seconds: Option<f64>,
    pub p90_seconds: Option<f64>,
}

impl Durations {
    /// Sorts what it sums up.
    pub(super) fn of(micros: &mut [i64]) -> Self {
        micros.sort_unstable();
        Self {
            n: micros.len(),
            mean_seconds: mean(micros).map(seconds),
            median_seconds: percentile(micros, 50).map(seconds),
            p75_seconds: percentile(micros, 75).map(seconds),
            p90_seconds: percentile(micros, 90).map(seconds),
        }
    }
}

/// `None` where either end has no date.
pub(super) fn span(from_micros: Option<i64>, to_micros: Option<i64>) -> Option<i64> {
    Some(to_micros?.saturating_sub(from_micros?))
}

pub(super) fn median_seconds(micros: &mut [i64]) -> Option<f64> {
    micros.sort_unstable();
    percentile(micros, 50).map(seconds)
}

pub(super) fn sum(micros: &[i64]) -> i128 {
    micros.iter().copied().map(i128::from).sum()
}

fn mean(micros: &[i64]) -> Option<i128> {
    rounded(sum(micros), i128::try_from(micros.len()).ok()?)
}

/// The mean of `n` durations by their sum in microseconds.
pub(super) fn mean_seconds(sum: i128, n: i64) -> Option<f64> {
    rounded(sum, i128::from(n)).map(seconds)
}

/// The value at `percent` of the way from the first to the last, between its two neighbours.
fn percentile(sorted: &[i64], percent: usize) -> Option<i128> {
    let rank = sorted.len().checked_sub(1)? * percent;
    let (at, beyond) = (rank / 100, i128::try_from(rank % 100).ok()?);
    let low = i128::from(*sorted.get(at)?);
    let high = sorted.get(at + 1).copied().map_or(low, i128::from);
    Some(low + rounded((high - low) * beyond, 100)?)
}

/// The nearest whole number; halves go up. `None` for a zero divisor.
fn rounded(number: i128, by: i128) -> Option<i128> {
    (number * 2 + by).checked_div_euclid(by * 2)
}

#[expect(clippy::cast_precision_loss, reason = "a span of centuries in microseconds has fewer than 53 bits")]
fn seconds(micros: i128) -> f64 {
    micros as f64 / 1e6
}

/// `None` on a zero denominator, never 0 or `NaN`.
#[expect(clippy::cast_precision_loss, reason = "counts of cases have fewer than 53 bits")]
pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
