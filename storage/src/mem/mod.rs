//! The store in memory, for simulation and tests: ordered maps, a model of
//! writes that a crash takes back, and faults on demand.

mod state;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::store::Pair;
use crate::{Batch, Direction, Read, Store, StoreError, Table};
use state::{Maps, State, get, scan};

/// What a crash leaves of the writes since the last sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Nothing.
    LoseUnsynced,
    /// The first few of them, as many as the seed says: a system writes its
    /// pages back whenever it likes, and a log is cut at its first hole.
    KeepPrefix {
        /// Equal seeds keep equally many.
        seed: u64,
    },
}

/// A store in memory.
///
/// It outlives its process in a simulation: [`crash`](Self::crash) closes this
/// handle, so that a task of the dead process can do no harm with it, and gives
/// a new one on what survived.
pub struct MemStore {
    state: Arc<Mutex<State>>,
}

impl Default for MemStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::from_state(State::default())
    }

    fn from_state(state: State) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The machine loses power: this handle and its snapshots are closed at
    /// once, and what survived is in the store that this gives. Faults asked
    /// for and the capacity do not carry over.
    #[must_use]
    pub fn crash(&self, crash: Crash) -> Self {
        let mut state = self.state.lock();
        let keep = match crash {
            Crash::LoseUnsynced => 0,
            Crash::KeepPrefix { seed } => {
                let choices = state.unsynced() as u64 + 1;
                // Below 2^32 choices the bias of the remainder is nothing.
                usize::try_from(split_mix(seed) % choices).unwrap_or(0)
            }
        };
        Self::from_state(state.crash(keep))
    }

    /// The same as after a crash right after a sync: for opening a closed
    /// store again.
    #[must_use]
    pub fn reopen(&self) -> Self {
        self.crash(Crash::LoseUnsynced)
    }

    /// The next write fails, and with it the store.
    pub fn fail_next_write(&self) {
        self.state.lock().fail_write = true;
    }

    /// The next sync fails, and with it the store. What was written since the
    /// last one stays unsynced.
    pub fn fail_next_sync(&self) {
        self.state.lock().fail_sync = true;
    }

    /// The disk holds this many bytes of keys and values; `None`: any number.
    /// A write that needs more fails with [`StoreError::NoSpace`], and with it
    /// the store.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// The faults asked for that did not happen yet will not, and the disk
    /// holds any number of bytes.
    pub fn call_off(&self) {
        let mut state = self.state.lock();
        state.fail_write = false;
        state.fail_sync = false;
        state.capacity = None;
    }

    /// Batches written since the last sync.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.state.lock().unsynced()
    }

    /// Syncs done by this handle.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Batches written by this handle.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.state.lock().writes
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): one well-mixed number of a seed.
fn split_mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Read for MemStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let state = self.state.lock();
        state.check()?;
        Ok(get(state.maps.of(table), key))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Pair>, StoreError> {
        let state = self.state.lock();
        state.check()?;
        Ok(scan(state.maps.of(table), from, to, limit, direction))
    }
}

impl Store for MemStore {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        self.state.lock().write(&batch)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.state.lock().sync()
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        Arc::new(MemSnapshot {
            maps: self.state.lock().maps.clone(),
            state: Arc::clone(&self.state),
        })
    }

    fn close(&self) -> Result<(), StoreError> {
        self.state.lock().close()
    }

    fn approximate_bytes(&self) -> u64 {
        let state = self.state.lock();
        if state.closed { 0 } else { state.bytes }
    }
}

/// The maps of one moment; a write copies a map that a snapshot still shares.
struct MemSnapshot {
    maps: Maps,
    state: Arc<Mutex<State>>,
}

impl Read for MemSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.state.lock().check()?;
        Ok(get(self.maps.of(table), key))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Pair>, StoreError> {
        self.state.lock().check()?;
        Ok(scan(self.maps.of(table), from, to, limit, direction))
    }
}

#[cfg(test)]
mod tests;
