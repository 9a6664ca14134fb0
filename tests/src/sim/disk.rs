//! The disk of a machine: the store in memory, with every write taken down
//! and looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use folkmoot_storage::{Batch, Crash, Layer, MemStore, Op, Read, Store, StoreError, Table};

use super::faults::DiskFault;
use super::invariants::clocks;
use super::oracle::Oracle;
use super::sometimes::State;

/// Bytes that a disk that is almost full still takes.
const ROOM_LEFT: u64 = 2_000;

/// A machine's store during one life of its process.
pub struct Disk {
    machine: usize,
    mem: MemStore,
    /// Something of a Raft log is written and not synced.
    mid_write: AtomicBool,
    oracle: Oracle,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(machine: usize, oracle: Oracle) -> Self {
        Self {
            machine,
            mem: MemStore::new(),
            mid_write: AtomicBool::new(false),
            oracle,
        }
    }

    /// Whether something of a Raft log is written and not synced: the moment
    /// at which nothing of it may have been acknowledged yet.
    #[must_use]
    pub fn is_mid_write(&self) -> bool {
        self.mid_write.load(Ordering::Relaxed)
    }

    /// The disk fails from now on, or a little later.
    pub fn fail(&self, how: DiskFault) {
        match how {
            DiskFault::Write => self.mem.fail_next_write(),
            DiskFault::Sync => self.mem.fail_next_sync(),
            DiskFault::Full => {
                let full = self.mem.approximate_bytes() + ROOM_LEFT;
                self.mem.set_capacity(Some(full));
            }
        }
    }

    /// What was to fail and has not yet will not. Gives whether it has failed:
    /// then only a new process can use what is on it.
    pub fn mend(&self) -> bool {
        self.mem.call_off();
        matches!(
            self.mem.get(Table::Node, b"any"),
            Err(StoreError::Failed { .. })
        )
    }

    /// From now on the disk has this value, as if it had been written.
    ///
    /// # Errors
    /// When the disk has failed.
    pub fn change(&self, table: Table, key: &Bytes, value: &Bytes) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put(table, key.clone(), value.clone());
        self.oracle.trace.write(self.machine, &batch);
        self.mem.write(batch)?;
        self.mem.sync()
    }

    /// Batches that a crash may lose.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.mem.unsynced()
    }

    /// Power is lost. What survived is on the disk that this gives; this one
    /// is closed.
    #[must_use]
    pub fn crash(&self, crash: Crash) -> Self {
        Self {
            machine: self.machine,
            mem: self.mem.crash(crash),
            mid_write: AtomicBool::new(false),
            oracle: self.oracle.clone(),
        }
    }
}

impl Layer for Disk {
    fn below(&self) -> &dyn Read {
        &self.mem
    }
}

impl Store for Disk {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let of_clocks = self.oracle.findings.under("clocks");
        self.oracle
            .cursors
            .never_go_back(self.machine, &batch, &self.mem);
        clocks::never_go_back(self.machine, &batch, &self.mem, &of_clocks);
        let kept = batch.clone();
        self.mem.write(batch)?;
        self.oracle.trace.write(self.machine, &kept);
        self.oracle.appenders.look(self.machine, &kept);
        let raft = |op: &Op| {
            matches!(
                op,
                Op::Put {
                    table: Table::Raft,
                    ..
                }
            )
        };
        let deletes = |op: &Op| matches!(op, Op::Delete { table, .. } if *table == Table::Rows);
        if kept.iter().any(deletes) {
            self.oracle.sometimes.saw(State::Collected);
        }
        if kept.iter().any(raft) {
            self.mid_write.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.mem.sync()?;
        self.mid_write.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        self.mem.snapshot()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.mem.close()
    }

    fn approximate_bytes(&self) -> u64 {
        self.mem.approximate_bytes()
    }
}
