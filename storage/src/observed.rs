//! A store that tells what was written to one table.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Batch, Layer, Op, Read, Store, StoreError, Table};

/// What a write changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The value of this key, or whether there is one.
    Key(Bytes),
    /// Any keys in `[from, to)`.
    Range(Bytes, Bytes),
}

/// Told after each write, in the thread that wrote.
pub type Told = Box<dyn Fn(&[Changed]) + Send + Sync>;

/// A store, and who is told of its table.
pub struct Observed {
    store: Arc<dyn Store>,
    table: Table,
    told: Told,
}

impl Observed {
    /// Tells `told` of every write to `table` that is done through this.
    pub fn new(store: Arc<dyn Store>, table: Table, told: Told) -> Self {
        Self { store, table, told }
    }

    fn changes(&self, batch: &Batch) -> Vec<Changed> {
        let change = |op: &Op| match op {
            Op::Put { table, key, .. } | Op::Delete { table, key } if *table == self.table => {
                Some(Changed::Key(key.clone()))
            }
            Op::DeleteRange { table, from, to } if *table == self.table => {
                Some(Changed::Range(from.clone(), to.clone()))
            }
            _ => None,
        };
        batch.iter().filter_map(change).collect()
    }
}

impl Layer for Observed {
    fn below(&self) -> &dyn Read {
        &*self.store
    }
}

impl Store for Observed {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let changes = self.changes(&batch);
        self.store.write(batch)?;
        if !changes.is_empty() {
            (self.told)(&changes);
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.store.sync()
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        self.store.snapshot()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.store.close()
    }

    fn approximate_bytes(&self) -> u64 {
        self.store.approximate_bytes()
    }
}

#[cfg(test)]
mod tests;
