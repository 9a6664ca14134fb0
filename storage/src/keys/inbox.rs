//! Table Inbox: group (16), source shard (4): the last delivery of that
//! shard's outbox which the group has taken.

use bytes::Bytes;
use folkmoot_wire::{GroupId, ShardId};

use super::reader::Reader;
use crate::{StoreError, Table};

/// The key of one mark.
#[must_use]
pub fn key(group: &GroupId, source: ShardId) -> Bytes {
    let mut key = Vec::with_capacity(20);
    key.extend_from_slice(group.as_bytes());
    key.extend_from_slice(&source.0.to_be_bytes());
    Bytes::from(key)
}

/// The keys of all marks of a group.
#[must_use]
pub fn group_range(group: &GroupId) -> (Bytes, Bytes) {
    super::prefix_range(group.as_bytes())
}

/// Reads a key.
///
/// # Errors
/// When it is not a key of this table.
pub fn parse(key: &[u8]) -> Result<(GroupId, ShardId), StoreError> {
    let mut reader = Reader::new(Table::Inbox, key);
    let group = reader.group()?;
    let shard = reader.shard()?;
    reader.end()?;
    Ok((group, shard))
}
