//! Table Shards, behind the key of the shard: shard (4), group (16). The value
//! is a `StoredHome`.

use bytes::Bytes;
use folkmoot_wire::{GroupId, ShardId};

use super::reader::Reader;
use crate::{StoreError, Table};

/// The key of how a shard stands to a group.
#[must_use]
pub fn key(shard: ShardId, group: &GroupId) -> Bytes {
    Bytes::from([&shard.0.to_be_bytes()[..], group.as_bytes()].concat())
}

/// The keys of all of a shard. Its own key is not among them.
#[must_use]
pub fn shard_range(shard: ShardId) -> (Bytes, Bytes) {
    let (own, end) = super::shards::range(shard);
    (super::successor(&own), end)
}

/// Reads a key: shard and group.
///
/// # Errors
/// When it is not such a key.
pub fn parse(key: &[u8]) -> Result<(ShardId, GroupId), StoreError> {
    let mut reader = Reader::new(Table::Shards, key);
    let shard = reader.shard()?;
    let group = reader.group()?;
    reader.end()?;
    Ok((shard, group))
}
