//! A snapshot that owns its database, and ends when the store closes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use self_cell::self_cell;

use super::Health;
use super::read::{self, Db, Snapshot};
use crate::store::Pair;
use crate::{Direction, Read, StoreError, Table};

self_cell!(
    struct Held {
        owner: Arc<Db>,

        #[covariant]
        dependent: Snapshot,
    }
);

type Slot = Arc<RwLock<Option<Held>>>;

#[derive(Default)]
struct Alive {
    next: u64,
    slots: BTreeMap<u64, Slot>,
}

/// The snapshots that are alive. They hold the database open, so closing the
/// store ends them first.
#[derive(Default)]
pub(super) struct Snapshots(Mutex<Alive>);

impl Snapshots {
    /// Takes a snapshot; an ended one when the store has no database.
    pub(super) fn take(
        self: &Arc<Self>,
        db: Option<&Arc<Db>>,
        health: &Arc<Health>,
    ) -> Arc<RocksSnapshot> {
        let held = db.map(|db| Held::new(Arc::clone(db), |db| db.snapshot()));
        let slot: Slot = Arc::new(RwLock::new(held));
        let mut alive = self.0.lock();
        let id = alive.next;
        alive.next += 1;
        alive.slots.insert(id, Arc::clone(&slot));
        Arc::new(RocksSnapshot {
            id,
            held: slot,
            health: Arc::clone(health),
            all: Arc::clone(self),
        })
    }

    /// Ends all of them; waits for reads that are under way. No snapshot
    /// holds the database when this returns.
    pub(super) fn end(&self) {
        let slots = std::mem::take(&mut self.0.lock().slots);
        for slot in slots.values() {
            *slot.write() = None;
        }
    }
}

/// A consistent view of one moment.
pub(super) struct RocksSnapshot {
    id: u64,
    held: Slot,
    health: Arc<Health>,
    all: Arc<Snapshots>,
}

impl Drop for RocksSnapshot {
    fn drop(&mut self) {
        // First let go of the database, then of the list: whoever does not
        // find this in the list may rely on it.
        *self.held.write() = None;
        self.all.0.lock().slots.remove(&self.id);
    }
}

impl Read for RocksSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let held = self.held.read();
        let held = held.as_ref().ok_or(StoreError::Closed)?;
        self.health.check()?;
        read::get(
            held.borrow_owner(),
            Some(held.borrow_dependent()),
            table,
            key,
        )
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Pair>, StoreError> {
        let held = self.held.read();
        let held = held.as_ref().ok_or(StoreError::Closed)?;
        self.health.check()?;
        let snapshot = Some(held.borrow_dependent());
        read::scan(
            held.borrow_owner(),
            snapshot,
            table,
            (from, to),
            limit,
            direction,
        )
    }
}
