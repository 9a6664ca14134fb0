//! The port: what the rest of the system asks of a store.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Batch, StoreError, Table};

/// In which order a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the least key up.
    Forward,
    /// From the greatest key down.
    Backward,
}

/// A key and its value.
pub type Pair = (Bytes, Bytes);

/// Reads, of a store or of a snapshot of one.
pub trait Read: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// When the store is closed or failed, or its bytes are damaged.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// The values of many keys, each as [`get`](Self::get) would tell it.
    fn get_many(&self, table: Table, keys: &[Bytes]) -> Vec<Result<Option<Bytes>, StoreError>> {
        keys.iter().map(|key| self.get(table, key)).collect()
    }

    /// At most `limit` pairs with keys in `[from, to)`, in `direction`. A
    /// range that ends before it begins is empty.
    ///
    /// # Errors
    /// When the store is closed or failed, or its bytes are damaged.
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Pair>, StoreError>;
}

/// A store. All calls may block on a disk: async code calls them from
/// dedicated threads where that matters.
pub trait Store: Read + 'static {
    /// Writes a batch whole or not at all. Visible to reads when this
    /// returns; durable after the next [`sync`](Self::sync).
    ///
    /// # Errors
    /// When the store is closed or read only, or the write failed; a failed
    /// write stops the store for good.
    fn write(&self, batch: Batch) -> Result<(), StoreError>;

    /// Returns when all writes so far are durable.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    fn sync(&self) -> Result<(), StoreError>;

    /// A consistent view of this moment. Short-lived: it keeps what was
    /// overwritten since from being freed. Closing the store ends it.
    fn snapshot(&self) -> Arc<dyn Read>;

    /// Makes everything durable and closes; later calls fail with
    /// [`StoreError::Closed`]. Closing a closed store does nothing.
    ///
    /// # Errors
    /// When the last writes could not be made durable. The store is closed
    /// all the same.
    fn close(&self) -> Result<(), StoreError>;

    /// About how many bytes the store takes; 0 when it is closed.
    fn approximate_bytes(&self) -> u64;
}
