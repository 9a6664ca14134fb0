//! The wall clock of a machine: virtual time, and what it is off by.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use folkmoot_node::ports::Clock;
use tokio::time::Instant;

/// When every history begins, in milliseconds since 1970.
pub const EPOCH_MS: u64 = 1_800_000_000_000;

/// A machine's clock.
pub struct SimClock {
    start: Instant,
    off_ms: AtomicI64,
}

impl SimClock {
    /// A clock that is off by so many milliseconds.
    #[must_use]
    pub fn new(start: Instant, off_ms: i64) -> Self {
        Self {
            start,
            off_ms: AtomicI64::new(off_ms),
        }
    }

    /// Sets it forward or back.
    pub fn step(&self, by_ms: i64) {
        self.off_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> u64 {
        let since: Duration = self.start.elapsed();
        let now = EPOCH_MS + since.as_millis() as u64;
        now.saturating_add_signed(self.off_ms.load(Ordering::Relaxed))
    }
}
