//! Exponential backoff with full jitter: a delay is drawn evenly from zero to
//! the exponential bound, which spreads clients that failed together best.
//! After Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture
//! Blog, 2015.

#[cfg(test)]
mod tests;

use std::time::Duration;

use rand::{Rng, RngCore};

/// The bounds of a backoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first delay.
    pub base: Duration,
    /// No delay is drawn from more than this.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            cap: Duration::from_secs(20),
        }
    }
}

impl Backoff {
    /// The most that the delay after `failures` failures in a row can be.
    #[must_use]
    pub fn bound(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }

    /// Draws the delay after `failures` failures in a row (1: the first).
    /// `at_least`, what the server asked for, comes before the jitter, so
    /// that clients told the same time do not come back together.
    pub fn delay(&self, failures: u32, at_least: Duration, rng: &mut dyn RngCore) -> Duration {
        let bound = u64::try_from(self.bound(failures).as_micros()).unwrap_or(u64::MAX);
        at_least.saturating_add(Duration::from_micros(rng.random_range(0..=bound)))
    }
}
