//! Table Shards: shard (4). The value is a `StoredApplied`.

use bytes::Bytes;
use folkmoot_wire::ShardId;

use super::reader::Reader;
use crate::{StoreError, Table};

/// The key of what a shard has applied.
#[must_use]
pub fn key(shard: ShardId) -> Bytes {
    Bytes::copy_from_slice(&shard.0.to_be_bytes())
}

/// The key of `shard` alone, as a range.
#[must_use]
pub fn range(shard: ShardId) -> (Bytes, Bytes) {
    super::prefix_range(&shard.0.to_be_bytes())
}

/// Reads a key.
///
/// # Errors
/// When it is not a key of this table.
pub fn parse(key: &[u8]) -> Result<ShardId, StoreError> {
    let mut reader = Reader::new(Table::Shards, key);
    let shard = reader.shard()?;
    reader.end()?;
    Ok(shard)
}
