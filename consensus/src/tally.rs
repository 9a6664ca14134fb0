//! What became of snapshots, for those who watch.

use std::sync::atomic::{AtomicU64, Ordering};

/// Snapshots of one replica since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshots {
    /// Sent, and installed there.
    pub sent: u64,
    /// Received, and installed here.
    pub installed: u64,
    /// Received and not taken, or not sent, because what was in it did not hold.
    pub refused: u64,
    /// Bytes sent of them, of chunks and manifests.
    pub bytes_sent: u64,
    /// Bytes of chunks that came.
    pub bytes_received: u64,
    /// Bytes of chunks that did not have to come, since they were here.
    pub bytes_spared: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: AtomicU64,
    pub(crate) installed: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) bytes_spared: AtomicU64,
}

pub(crate) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

impl Tally {
    pub(crate) fn read(&self) -> Snapshots {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Snapshots {
            sent: read(&self.sent),
            installed: read(&self.installed),
            refused: read(&self.refused),
            bytes_sent: read(&self.bytes_sent),
            bytes_received: read(&self.bytes_received),
            bytes_spared: read(&self.bytes_spared),
        }
    }
}
