//! A batch: changes that are written all or none.

use bytes::Bytes;

use crate::Table;

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets a value.
    Put {
        /// Where.
        table: Table,
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
    },
    /// Removes a key.
    Delete {
        /// Where.
        table: Table,
        /// The key.
        key: Bytes,
    },
    /// Removes the keys of `[from, to)`.
    DeleteRange {
        /// Where.
        table: Table,
        /// First key.
        from: Bytes,
        /// The key after the last; greater than `from`.
        to: Bytes,
    },
}

impl Op {
    fn len_bytes(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete { key, .. } => key.len(),
            Self::DeleteRange { from, to, .. } => from.len() + to.len(),
        }
    }
}

/// Changes that are written all or none, in the order they were added: of two
/// changes of one key the later stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<Op>,
    bytes: usize,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push(&mut self, op: Op) {
        self.bytes += op.len_bytes();
        self.ops.push(op);
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, table: Table, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.push(Op::Put {
            table,
            key: key.into(),
            value: value.into(),
        });
    }

    /// Removes `key`, if it is there.
    pub fn delete(&mut self, table: Table, key: impl Into<Bytes>) {
        self.push(Op::Delete {
            table,
            key: key.into(),
        });
    }

    /// Removes the keys of `[from, to)`. A range that ends before it begins
    /// is empty.
    pub fn delete_range(&mut self, table: Table, from: impl Into<Bytes>, to: impl Into<Bytes>) {
        let (from, to) = (from.into(), to.into());
        // RocksDB refuses a whole batch for one range that ends before it begins.
        if from < to {
            self.push(Op::DeleteRange { table, from, to });
        }
    }

    /// Adds the changes of `other` behind these.
    pub fn extend(&mut self, other: Self) {
        self.bytes += other.bytes;
        if self.ops.is_empty() {
            self.ops = other.ops;
        } else {
            self.ops.extend(other.ops);
        }
    }

    /// Whether there is no change in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Changes in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Bytes of keys and values in it.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.bytes
    }

    /// The changes in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Op> {
        self.ops.iter()
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a Op;
    type IntoIter = std::slice::Iter<'a, Op>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Batch {
    type Item = Op;
    type IntoIter = std::vec::IntoIter<Op>;

    fn into_iter(self) -> Self::IntoIter {
        self.ops.into_iter()
    }
}
