//! The node's own ports: wall clock and randomness. With the transport's and
//! the store's they are all that a simulation replaces.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use folkmoot_crdt::hlc::{Drift, Hlc, HlcClock, RESERVE_MS};
use folkmoot_storage::{Store, StoreError, Table};
use folkmoot_wire::{limits, without};
use parking_lot::Mutex;
use rand::RngCore;
use tokio_util::sync::CancellationToken;

/// The wall clock.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970.
    fn wall_ms(&self) -> u64;

    /// The best that is known of the time outside. Where the clock is kept
    /// from following what its owner was set to, this may differ.
    fn civil_ms(&self) -> u64 {
        self.wall_ms()
    }
}

/// Randomness.
pub trait Random: Send + Sync + 'static {
    /// Fills `out`.
    fn fill(&self, out: &mut [u8]);

    /// A random number.
    fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64)
    }
}

/// The system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) {
        rand::rng().fill_bytes(out);
    }
}

/// Randomness from a seed, for simulations and tests.
pub struct SeededRandom(Mutex<rand::rngs::StdRng>);

impl SeededRandom {
    /// The sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(rand::SeedableRng::seed_from_u64(seed)))
    }
}

impl Random for SeededRandom {
    fn fill(&self, out: &mut [u8]) {
        self.0.lock().fill_bytes(out);
    }
}

/// Key, in [`Table::Node`], of the bound that no stamp has passed.
const BOUND_KEY: &[u8] = b"hlc_bound";

/// The node's hybrid logical clock: stamps rise, over restarts too (D2).
pub struct Stamps {
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    hlc: Mutex<HlcClock>,
    begun: CancellationToken,
}

impl Stamps {
    /// Continues behind the bound that the store holds.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(clock: Arc<dyn Clock>, store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let bound = Self::bound(&*store)?;
        Ok(Self {
            clock,
            store,
            hlc: Mutex::new(HlcClock::new(bound)),
            begun: CancellationToken::new(),
        })
    }

    /// The bound that no stamp has passed.
    ///
    /// # Errors
    /// When the store fails.
    pub fn bound(store: &dyn Store) -> Result<Hlc, StoreError> {
        let bytes = store.get(Table::Node, BOUND_KEY)?;
        let bytes = bytes.and_then(|bytes| <[u8; 8]>::try_from(&bytes[..]).ok());
        Ok(bytes.map_or(Hlc::ZERO, |bytes| Hlc::from_u64(u64::from_be_bytes(bytes))))
    }

    /// Waits until the wall clock has about reached the bound of before the
    /// restart. Stamps made earlier would be ahead of everybody's clock, and be
    /// refused; with restarts in a row they would run away. A wall clock that
    /// was set back is not waited for longer than the bound alone explains: the
    /// node starts, says so, and is not ready while its peers disagree.
    pub async fn reach_bound(&self) {
        let mut left = RESERVE_MS;
        loop {
            let ahead = self.ahead_ms();
            let wait = ahead.saturating_sub(limits::CLOCK_OFF_MS);
            if wait == 0 {
                return;
            }
            if left == 0 {
                tracing::warn!(
                    ahead_ms = ahead,
                    "the system's clock is behind where it was before the restart: check time synchronisation"
                );
                return;
            }
            let wait = wait.min(left);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            left -= wait;
        }
    }

    /// The clock is known to be right, or nobody can say.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Waits for [`Stamps::begin`]. What a node with a wrong clock stamps
    /// before is refused by others, and so is what it stamps afterwards, until
    /// that time has come: stamps never go back.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// The next stamp.
    ///
    /// # Errors
    /// When the bound cannot be persisted: a stamp that a restart could give
    /// again is never given.
    pub fn tick(&self) -> Result<Hlc, StoreError> {
        let mut hlc = self.hlc.lock();
        let stamp = hlc.tick(self.clock.wall_ms());
        without!(ClockBound => { return Ok(stamp); });
        if let Some(bound) = hlc.persist_due() {
            let mut batch = folkmoot_storage::Batch::default();
            let bytes = bytes::Bytes::copy_from_slice(&bound.as_u64().to_be_bytes());
            batch.put(Table::Node, bytes::Bytes::from_static(BOUND_KEY), bytes);
            self.store.write(batch)?;
            self.store.sync()?;
            hlc.persisted(bound);
        }
        Ok(stamp)
    }

    /// Learns of a peer's stamp.
    ///
    /// # Errors
    /// When it is further ahead than the drift bound.
    pub fn observe(&self, stamp: Hlc) -> Result<(), Drift> {
        self.hlc
            .lock()
            .observe(stamp, self.clock.wall_ms(), limits::HLC_DRIFT_MS)
    }

    /// How far the last stamp, or the bound of before the restart, is ahead of
    /// the clock, in milliseconds.
    #[must_use]
    pub fn ahead_ms(&self) -> u64 {
        self.hlc.lock().ahead_ms(self.clock.wall_ms())
    }

    /// The time outside, for what was made elsewhere to expire, in
    /// milliseconds since 1970.
    #[must_use]
    pub fn civil_ms(&self) -> u64 {
        self.clock.civil_ms()
    }

    /// The wall clock under it, in milliseconds since 1970.
    #[must_use]
    pub fn wall_ms(&self) -> u64 {
        self.clock.wall_ms()
    }
}

#[cfg(test)]
mod tests;
