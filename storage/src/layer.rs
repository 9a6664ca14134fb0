//! Stores above other stores.

use bytes::Bytes;

use crate::{Direction, Pair, Read, StoreError, Table};

/// A store above another one: what it reads is what lies below. It says itself
/// how it writes.
pub trait Layer: Send + Sync {
    /// What lies below.
    fn below(&self) -> &dyn Read;
}

impl<L: Layer> Read for L {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.below().get(table, key)
    }

    fn get_many(&self, table: Table, keys: &[Bytes]) -> Vec<Result<Option<Bytes>, StoreError>> {
        self.below().get_many(table, keys)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Pair>, StoreError> {
        self.below().scan(table, from, to, limit, direction)
    }
}
