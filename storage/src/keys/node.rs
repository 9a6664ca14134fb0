//! Table Node: what concerns this node alone, under ASCII names.

use bytes::Bytes;
use folkmoot_wire::{GroupId, MessageId, NodeId, RegionId, ShardId, Slot};

use super::reader::Reader;
use crate::{StoreError, Table};

const FOLLOW: &[u8] = b"follow/";
const COPY: &[u8] = b"copy/";
const TENTATIVE: &[u8] = b"tentative/";
const REPLICA: &[u8] = b"replica/";
const START: &[u8] = b"start/";
const MARK: &[u8] = b"mark/";
const REMEMBERED: &[u8] = b"remembered/";
const LEASE: &[u8] = b"lease/";

/// Number of this node's last start: u64.
pub const INCARNATION: &[u8] = b"incarnation";
/// Number of the start since when this folder is known to be older than what
/// the node had, or to lack a part of it: u64.
pub const OLDER: &[u8] = b"older";

/// The node's identity, a `StoredIdentity`.
pub const IDENTITY: &[u8] = b"identity";
/// Format of the values, in case it changes without the store's format.
pub const FORMAT: &[u8] = b"format";
/// There when the tables Index and Mentions are whole: their version.
pub const INDEXED: &[u8] = b"indexed";
/// There when another process has started under this node's number, from a copy
/// of this folder.
pub const REPLACED: &[u8] = b"replaced";

/// What comes behind the name of a key.
fn after_name<'a, const N: usize>(
    key: &'a [u8],
    name: &[u8; N],
    not: &str,
) -> Result<Reader<'a>, StoreError> {
    let mut reader = Reader::new(Table::Node, key);
    if reader.take::<N>("a name")? != *name {
        return Err(reader.error(not));
    }
    Ok(reader)
}

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
    let mut reader = after_name(key, b"follow/", "it is not the key of a follow mark")?;
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

/// When this node heard from the home of a shard last, in milliseconds since
/// 1970: u64.
#[must_use]
pub fn lease(shard: ShardId) -> Bytes {
    let mut key = LEASE.to_vec();
    key.extend_from_slice(&shard.0.to_be_bytes());
    Bytes::from(key)
}

/// The keys of all of these.
#[must_use]
pub fn leases() -> (Bytes, Bytes) {
    super::prefix_range(LEASE)
}

/// Reads the key of a lease.
///
/// # Errors
/// When it is the key of something else.
pub fn parse_lease(key: &[u8]) -> Result<ShardId, StoreError> {
    let mut reader = after_name(key, b"lease/", "it is not the key of a lease")?;
    let shard = reader.shard()?;
    reader.end()?;
    Ok(shard)
}

/// The highest number of a start that another node was heard with: u64.
#[must_use]
pub fn start_of(node: NodeId) -> Bytes {
    Bytes::from([START, &node.0.to_be_bytes()].concat())
}

/// The keys of all of these.
#[must_use]
pub fn starts() -> (Bytes, Bytes) {
    super::prefix_range(START)
}

/// Reads the key of a start.
///
/// # Errors
/// When it is the key of something else.
pub fn parse_start(key: &[u8]) -> Result<NodeId, StoreError> {
    let mut reader = after_name(key, b"start/", "it is not the key of a start")?;
    let node = reader.node()?;
    reader.end()?;
    Ok(node)
}

/// What another node was heard to have on disk of a shard: term and index, two
/// u64.
#[must_use]
pub fn mark(shard: ShardId, node: NodeId) -> Bytes {
    Bytes::from([MARK, &shard.0.to_be_bytes(), &node.0.to_be_bytes()].concat())
}

/// The keys of all of these.
#[must_use]
pub fn marks() -> (Bytes, Bytes) {
    super::prefix_range(MARK)
}

/// Reads the key of a mark.
///
/// # Errors
/// When it is the key of something else.
pub fn parse_mark(key: &[u8]) -> Result<(ShardId, NodeId), StoreError> {
    let mut reader = after_name(key, b"mark/", "it is not the key of a mark")?;
    let (shard, node) = (reader.shard()?, reader.node()?);
    reader.end()?;
    Ok((shard, node))
}

/// For which finding that the folder is older ([`OLDER`]) the replica of a
/// shard has learned what it may have forgotten: u64.
#[must_use]
pub fn remembered(shard: ShardId) -> Bytes {
    Bytes::from([REMEMBERED, &shard.0.to_be_bytes()].concat())
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
