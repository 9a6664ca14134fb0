//! Several runs of one measurement as one figure, and many delays as a few.

#[cfg(test)]
mod tests;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Median and extremes of the same figure over all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// In the order they were made.
    pub(crate) runs: Vec<f64>,
}

impl Spread {
    /// `None` when there was no run.
    pub(crate) fn of(runs: &[f64]) -> Option<Self> {
        let mut sorted = runs.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        Some(Self {
            median: median(&sorted),
            min,
            max,
            runs: runs.to_vec(),
        })
    }
}

/// Of an even number: between the two in the middle.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// In milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) most: f64,
}

impl Percentiles {
    /// Of a histogram of microseconds.
    pub(crate) fn of(micros: &Histogram<u64>) -> Self {
        let ms = |micros: u64| micros as f64 / 1_000.0;
        Self {
            p50: ms(micros.value_at_quantile(0.5)),
            p99: ms(micros.value_at_quantile(0.99)),
            p999: ms(micros.value_at_quantile(0.999)),
            most: ms(micros.max()),
        }
    }
}
