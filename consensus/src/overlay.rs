//! The state as a snapshot would leave it: the chunks that came, over what was
//! here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use folkmoot_storage::keys::{raft as keys, successor};
use folkmoot_storage::{Direction, Pair, Read, Store, StoreError, Table};
use folkmoot_wire::ShardId;

use crate::pages::staged_pairs;
use crate::port::Range;

/// The ranges that came, each with the number under which it lies on disk. In
/// memory a hundredth of what they are on disk.
#[derive(Debug, Default, Clone)]
pub(crate) struct Fetched(BTreeMap<Table, BTreeMap<Bytes, (Bytes, u64)>>);

impl Fetched {
    pub(crate) fn insert(&mut self, (table, from, to): Range, number: u64) {
        self.0.entry(table).or_default().insert(from, (to, number));
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range> {
        self.0.iter().flat_map(|(table, of)| {
            of.iter()
                .map(|(from, (to, _))| (*table, from.clone(), to.clone()))
        })
    }

    /// The last that begins before `key`, or at it.
    fn at(&self, table: Table, key: &[u8]) -> Option<Part> {
        let of = self.0.get(&table)?;
        let key = Bytes::copy_from_slice(key);
        of.range(..=key).next_back().map(part)
    }

    /// The last that begins before `key`.
    fn before(&self, table: Table, key: &[u8]) -> Option<Part> {
        let of = self.0.get(&table)?;
        let key = Bytes::copy_from_slice(key);
        of.range(..key).next_back().map(part)
    }

    /// The first that begins behind `key`.
    fn behind(&self, table: Table, key: &[u8]) -> Option<Part> {
        let of = self.0.get(&table)?;
        of.range(successor(key)..).next().map(part)
    }
}

struct Part {
    from: Bytes,
    to: Bytes,
    number: u64,
}

fn part((from, (to, number)): (&Bytes, &(Bytes, u64))) -> Part {
    Part {
        from: from.clone(),
        to: to.clone(),
        number: *number,
    }
}

/// Reads through the chunks that came.
pub(crate) struct Overlay {
    pub(crate) shard: ShardId,
    /// What was here.
    pub(crate) view: Arc<dyn Read>,
    /// Where the chunks lie.
    pub(crate) store: Arc<dyn Store>,
    pub(crate) fetched: Arc<Fetched>,
    /// The chunk read last of each table.
    last: Mutex<BTreeMap<Table, Held>>,
}

type Held = (u64, Arc<Vec<Pair>>);

impl Overlay {
    pub(crate) fn new(
        shard: ShardId,
        view: Arc<dyn Read>,
        store: Arc<dyn Store>,
        fetched: Arc<Fetched>,
    ) -> Self {
        Self {
            shard,
            view,
            store,
            fetched,
            last: Mutex::default(),
        }
    }

    fn pairs(&self, table: Table, number: u64) -> Result<Arc<Vec<Pair>>, StoreError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pairs)) = last.get(&table).filter(|(held, _)| *held == number) {
            return Ok(Arc::clone(pairs));
        }
        let broken = |detail: String| StoreError::Corrupt { detail };
        let key = keys::key(self.shard, keys::Kind::Stage, number);
        let staged = self.store.get(Table::Raft, &key)?;
        let staged = staged.ok_or_else(|| broken(format!("chunk {number} is gone")))?;
        let pairs = staged_pairs(staged).map_err(|error| broken(error.to_string()))?;
        let pairs = Arc::new(pairs);
        last.insert(table, (number, Arc::clone(&pairs)));
        Ok(pairs)
    }

    /// The pairs of `[from, to)` of a chunk.
    fn of_chunk(
        &self,
        table: Table,
        number: u64,
        (from, to): (&[u8], &[u8]),
    ) -> Result<Vec<Pair>, StoreError> {
        let pairs = self.pairs(table, number)?;
        let first = pairs.partition_point(|(key, _)| &key[..] < from);
        let end = pairs.partition_point(|(key, _)| &key[..] < to);
        Ok(pairs.get(first..end).unwrap_or_default().to_vec())
    }

    fn forward(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let (mut at, mut found) = (Bytes::copy_from_slice(from), Vec::new());
        while found.len() < limit && at[..] < *to {
            let left = limit - found.len();
            let inside = self.fetched.at(table, &at).filter(|part| at < part.to);
            if let Some(part) = inside {
                let end = to.min(&part.to);
                let pairs = self.of_chunk(table, part.number, (&at, end))?;
                found.extend(pairs.into_iter().take(left));
                at = part.to;
                continue;
            }
            let next = self.fetched.behind(table, &at).map(|part| part.from);
            let end = next.filter(|next| next[..] < *to);
            let end = end.unwrap_or_else(|| Bytes::copy_from_slice(to));
            let pairs = self.view.scan(table, &at, &end, left, Direction::Forward)?;
            found.extend(pairs);
            at = end;
        }
        Ok(found)
    }

    fn backward(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let (mut at, mut found) = (Bytes::copy_from_slice(to), Vec::new());
        while found.len() < limit && *from < at[..] {
            let left = limit - found.len();
            let last = self.fetched.before(table, &at);
            let (begin, pairs) = match last {
                Some(part) if at <= part.to => {
                    let begin = from.max(&part.from);
                    let pairs = self.of_chunk(table, part.number, (begin, &at))?;
                    (part.from, pairs.into_iter().rev().take(left).collect())
                }
                last => {
                    let begin = last.map_or_else(Bytes::new, |part| part.to);
                    let first = from.max(&begin);
                    let scan = self.view.scan(table, first, &at, left, Direction::Backward);
                    (begin, scan?)
                }
            };
            found.extend::<Vec<Pair>>(pairs);
            at = begin;
        }
        Ok(found)
    }
}

impl Read for Overlay {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let inside = self
            .fetched
            .at(table, key)
            .filter(|part| *key < part.to[..]);
        let Some(part) = inside else {
            return self.view.get(table, key);
        };
        let pairs = self.pairs(table, part.number)?;
        let found = pairs.binary_search_by(|(at, _)| at[..].cmp(key));
        Ok(found.ok().and_then(|at| Some(pairs.get(at)?.1.clone())))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Pair>, StoreError> {
        match direction {
            Direction::Forward => self.forward(table, from, to, limit),
            Direction::Backward => self.backward(table, from, to, limit),
        }
    }
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
