//! The store as one shard sees it: keys begin with the group, wherever the
//! group was born; where they really lie is told in [`keys::guests`].

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_wire::RegionId;

use crate::keys::{guests, slots};
use crate::{Batch, Direction, Op, Pair, Read, StoreError, Table};

/// A store through the eyes of a shard. Tables whose keys do not begin with a
/// group are as they are.
pub struct Seat<R = Arc<dyn Read>> {
    store: R,
    region: RegionId,
}

impl<R> Seat<R> {
    /// The eyes of a shard of `region`.
    #[must_use]
    pub fn new(store: R, region: RegionId) -> Self {
        Self { store, region }
    }

    fn key<'a>(&self, table: Table, key: &'a [u8]) -> Cow<'a, [u8]> {
        if slots::TABLES.contains(&table) {
            guests::seated(self.region, key)
        } else {
            Cow::Borrowed(key)
        }
    }

    fn owned(&self, table: Table, key: Bytes) -> Bytes {
        match self.key(table, &key) {
            Cow::Borrowed(_) => key,
            Cow::Owned(seated) => Bytes::from(seated),
        }
    }

    /// What the shard writes, with the keys under which it really lies.
    #[must_use]
    pub fn batch(&self, batch: Batch) -> Batch {
        let mut seated = Batch::new();
        for op in batch {
            match op {
                Op::Put { table, key, value } => seated.put(table, self.owned(table, key), value),
                Op::Delete { table, key } => seated.delete(table, self.owned(table, key)),
                Op::DeleteRange { table, from, to } => {
                    seated.delete_range(table, self.owned(table, from), self.owned(table, to));
                }
            }
        }
        seated
    }
}

impl<R: Deref<Target: Read> + Send + Sync> Read for Seat<R> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.store.get(table, &self.key(table, key))
    }

    fn get_many(&self, table: Table, keys: &[Bytes]) -> Vec<Result<Option<Bytes>, StoreError>> {
        let seated = keys.iter().map(|key| self.owned(table, key.clone()));
        self.store.get_many(table, &seated.collect::<Vec<_>>())
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Pair>, StoreError> {
        let (from, to) = (self.key(table, from), self.key(table, to));
        let mut pairs = self.store.scan(table, &from, &to, limit, direction)?;
        if slots::TABLES.contains(&table) {
            for (key, _) in &mut pairs {
                *key = guests::plain(key);
            }
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests;
