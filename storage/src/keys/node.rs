//! Table Node: what concerns this node alone, under ASCII names.

use bytes::Bytes;
use folkmoot_wire::{GroupId, MessageId, RegionId, ShardId, Slot};

use super::reader::Reader;
use crate::{StoreError, Table};

const FOLLOW: &[u8] = b"follow/";
const COPY: &[u8] = b"copy/";
const TENTATIVE: &[u8] = b"tentative/";
const REPLICA: &[u8] = b"replica/";

/// The node's identity, a `StoredIdentity`.
pub const IDENTITY: &[u8] = b"identity";
/// Format of the values, in case it changes without the store's format.
pub const FORMAT: &[u8] = b"format";

/// How far this node follows a shard, a `StoredFollow`.
#[must_use]
pub fn follow(shard: ShardId) -> Bytes {
    let mut key = FOLLOW.to_vec();
    key.extend_from_slice(&shard.0.to_be_bytes());
    Bytes::from(key)
}

/// The keys of all follow marks.
#[must_use]
pub fn follows() -> (Bytes, Bytes) {
    super::prefix_range(FOLLOW)
}

/// Reads the key of a follow mark.
///
/// # Errors
/// When it is the key of something else.
pub fn parse_follow(key: &[u8]) -> Result<ShardId, StoreError> {
    let mut reader = Reader::new(Table::Node, key);
    if reader.take("a name")? != *b"follow/" {
        return Err(reader.error("it is not the key of a follow mark"));
    }
    let shard = reader.shard()?;
    reader.end()?;
    Ok(shard)
}

/// At which count of changes this node got its replica of a shard: u64.
#[must_use]
pub fn replica(shard: ShardId) -> Bytes {
    let mut key = REPLICA.to_vec();
    key.extend_from_slice(&shard.0.to_be_bytes());
    Bytes::from(key)
}

/// The keys of the copies of all groups in slots `first..=last` of `region`.
#[must_use]
pub fn copies_of(region: RegionId, first: Slot, last: Slot) -> (Bytes, Bytes) {
    let (from, to) = super::slots::range(region, first, last);
    let key = |slots: Bytes| Bytes::from([COPY, &slots[..]].concat());
    (key(from), key(to))
}

/// How far this node, as a follower, holds a group: a `StoredCopy`.
#[must_use]
pub fn copy(group: &GroupId) -> Bytes {
    let mut key = COPY.to_vec();
    key.extend_from_slice(group.as_bytes());
    Bytes::from(key)
}

/// The keys of all copies.
#[must_use]
pub fn copies() -> (Bytes, Bytes) {
    super::prefix_range(COPY)
}

/// Reads the key of a copy.
///
/// # Errors
/// When it is the key of something else.
pub fn parse_copy(key: &[u8]) -> Result<GroupId, StoreError> {
    let mut reader = Reader::new(Table::Node, key);
    if reader.take("a name")? != *b"copy/" {
        return Err(reader.error("it is not the key of a copy"));
    }
    let group = reader.group()?;
    reader.end()?;
    Ok(group)
}

/// A message that is kept until its group's home has answered: a `Command`
/// with an append.
#[must_use]
pub fn tentative(group: &GroupId, id: &MessageId) -> Bytes {
    let mut key = TENTATIVE.to_vec();
    key.extend_from_slice(group.as_bytes());
    key.extend_from_slice(&id.to_array());
    Bytes::from(key)
}

/// The keys of all messages that are kept.
#[must_use]
pub fn tentatives() -> (Bytes, Bytes) {
    super::prefix_range(TENTATIVE)
}
