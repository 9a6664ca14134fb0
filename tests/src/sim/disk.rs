//! The disk of a machine: the store in memory, with every write taken down
//! and looked at.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_storage::{Batch, Crash, Direction, MemStore, Pair, Read, Store, StoreError, Table};

use super::findings::Findings;
use super::invariants::cursors;
use super::trace::Trace;

/// A machine's store during one life of its process.
pub struct Disk {
    machine: usize,
    mem: MemStore,
    trace: Arc<Trace>,
    findings: Findings,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(machine: usize, trace: Arc<Trace>, findings: Findings) -> Self {
        Self {
            machine,
            mem: MemStore::new(),
            trace,
            findings,
        }
    }

    /// Power is lost. What survived is on the disk that this gives; this one
    /// is closed.
    #[must_use]
    pub fn crash(&self, crash: Crash) -> Self {
        Self {
            machine: self.machine,
            mem: self.mem.crash(crash),
            trace: Arc::clone(&self.trace),
            findings: self.findings.clone(),
        }
    }
}

impl Read for Disk {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.mem.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Pair>, StoreError> {
        self.mem.scan(table, from, to, limit, direction)
    }
}

impl Store for Disk {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        cursors::never_go_back(self.machine, &batch, &self.mem, &self.findings);
        let kept = batch.clone();
        self.mem.write(batch)?;
        self.trace.write(self.machine, &kept);
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.mem.sync()
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
