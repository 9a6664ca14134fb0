//! What a [`MemStore`](super::MemStore) holds.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::store::Pair;
use crate::{Batch, Direction, Op, StoreError, Table};

/// One table. Shared with snapshots, copied when written while shared.
pub(super) type Map = Arc<BTreeMap<Bytes, Bytes>>;

/// All tables.
#[derive(Clone, Default)]
pub(super) struct Maps([Map; Table::ALL.len()]);

impl Maps {
    pub(super) fn of(&self, table: Table) -> &Map {
        &self.0[table as usize]
    }

    fn of_mut(&mut self, table: Table) -> &mut BTreeMap<Bytes, Bytes> {
        Arc::make_mut(&mut self.0[table as usize])
    }
}

/// What a key held before a write; undone in reverse order.
struct Undo {
    table: Table,
    key: Bytes,
    before: Option<Bytes>,
}

/// Tables, what of them is not synced yet, and the faults asked for.
#[derive(Default)]
pub(super) struct State {
    pub(super) maps: Maps,
    /// Bytes of keys and values in the maps.
    pub(super) bytes: u64,
    pub(super) closed: bool,
    pub(super) fail_write: bool,
    pub(super) fail_sync: bool,
    pub(super) capacity: Option<u64>,
    pub(super) writes: u64,
    pub(super) syncs: u64,
    failed: Option<String>,
    /// One list per batch since the last sync.
    undo: Vec<Vec<Undo>>,
}

fn size(key: &Bytes, value: &Bytes) -> u64 {
    (key.len() + value.len()) as u64
}

impl State {
    /// Whether the store may be used.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.closed {
            return Err(StoreError::Closed);
        }
        match &self.failed {
            Some(cause) => Err(StoreError::Failed {
                cause: cause.clone(),
            }),
            None => Ok(()),
        }
    }

    fn fail(&mut self, error: StoreError) -> StoreError {
        self.failed = Some(error.to_string());
        error
    }

    pub(super) fn unsynced(&self) -> usize {
        self.undo.len()
    }

    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.check()?;
        if std::mem::take(&mut self.fail_write) {
            return Err(self.fail(StoreError::Io {
                action: "write to the store".into(),
                detail: "a fault was asked for".into(),
            }));
        }
        let mut undo = Vec::with_capacity(batch.len());
        for op in batch {
            match op {
                Op::Put { table, key, value } => {
                    self.set(*table, key, Some(value.clone()), &mut undo);
                }
                Op::Delete { table, key } => self.set(*table, key, None, &mut undo),
                Op::DeleteRange { table, from, to } => {
                    let keys: Vec<Bytes> = range(self.maps.of(*table), from, to)
                        .map(|(key, _)| key.clone())
                        .collect();
                    for key in &keys {
                        self.set(*table, key, None, &mut undo);
                    }
                }
            }
        }
        if self.capacity.is_some_and(|capacity| self.bytes > capacity) {
            self.take_back(undo);
            return Err(self.fail(StoreError::NoSpace {
                detail: "the capacity asked for is used up".into(),
            }));
        }
        self.undo.push(undo);
        self.writes += 1;
        Ok(())
    }

    fn set(&mut self, table: Table, key: &Bytes, value: Option<Bytes>, undo: &mut Vec<Undo>) {
        let before = self.replace(table, key, value);
        undo.push(Undo {
            table,
            key: key.clone(),
            before,
        });
    }

    fn replace(&mut self, table: Table, key: &Bytes, value: Option<Bytes>) -> Option<Bytes> {
        let map = self.maps.of_mut(table);
        let before = match value {
            Some(value) => {
                self.bytes += size(key, &value);
                map.insert(key.clone(), value)
            }
            None => map.remove(key),
        };
        if let Some(before) = &before {
            self.bytes -= size(key, before);
        }
        before
    }

    fn take_back(&mut self, undo: Vec<Undo>) {
        for Undo { table, key, before } in undo.into_iter().rev() {
            self.replace(table, &key, before);
        }
    }

    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.check()?;
        if std::mem::take(&mut self.fail_sync) {
            return Err(self.fail(StoreError::Io {
                action: "sync the store".into(),
                detail: "a fault was asked for".into(),
            }));
        }
        self.undo.clear();
        self.syncs += 1;
        Ok(())
    }

    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        if self.closed {
            return Ok(());
        }
        let synced = self.sync();
        self.closed = true;
        synced
    }

    /// Closes this state; gives what survives of it when the first `keep`
    /// unsynced batches do.
    pub(super) fn crash(&mut self, keep: usize) -> Self {
        for undo in self
            .undo
            .split_off(keep.min(self.undo.len()))
            .into_iter()
            .rev()
        {
            self.take_back(undo);
        }
        let survivor = Self {
            maps: self.maps.clone(),
            bytes: self.bytes,
            ..Self::default()
        };
        self.closed = true;
        self.undo.clear();
        survivor
    }
}

pub(super) fn get(map: &Map, key: &[u8]) -> Option<Bytes> {
    map.get(key).cloned()
}

fn range<'a>(
    map: &'a Map,
    from: &[u8],
    to: &[u8],
) -> impl DoubleEndedIterator<Item = (&'a Bytes, &'a Bytes)> {
    // BTreeMap::range panics on a range that ends before it begins.
    let to = to.max(from);
    map.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)))
}

pub(super) fn scan(
    map: &Map,
    from: &[u8],
    to: &[u8],
    limit: usize,
    direction: Direction,
) -> Vec<Pair> {
    let pairs = range(map, from, to);
    let own = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
    match direction {
        Direction::Forward => pairs.take(limit).map(own).collect(),
        Direction::Backward => pairs.rev().take(limit).map(own).collect(),
    }
}
