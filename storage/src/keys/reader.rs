//! Takes a key apart.

use folkmoot_wire::{GroupId, NodeId, ShardId};

use crate::{StoreError, Table};

/// What is left to read of a key.
pub(super) struct Reader<'a> {
    table: Table,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(table: Table, key: &'a [u8]) -> Self {
        Self { table, rest: key }
    }

    pub(super) fn error(&self, detail: impl ToString) -> StoreError {
        StoreError::Key {
            table: self.table.name(),
            detail: detail.to_string(),
        }
    }

    pub(super) fn take<const N: usize>(&mut self, what: &str) -> Result<[u8; N], StoreError> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.error(format_args!(
                "{what} takes {N} bytes, {} are left",
                self.rest.len()
            )));
        };
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn u16(&mut self, what: &str) -> Result<u16, StoreError> {
        self.take(what).map(u16::from_be_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, StoreError> {
        self.take(what).map(u64::from_be_bytes)
    }

    pub(super) fn shard(&mut self) -> Result<ShardId, StoreError> {
        self.take("a shard").map(u32::from_be_bytes).map(ShardId)
    }

    pub(super) fn node(&mut self) -> Result<NodeId, StoreError> {
        self.take("a node").map(u32::from_be_bytes).map(NodeId)
    }

    pub(super) fn group(&mut self) -> Result<GroupId, StoreError> {
        let id: [u8; GroupId::LEN] = self.take("a group")?;
        GroupId::from_slice(&id).map_err(|error| self.error(error))
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn end(self) -> Result<(), StoreError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.error(format_args!("{} bytes too many", self.rest.len())))
        }
    }
}
