//! Table Outbox: shard (4), number (8). The value is a `StoredOutbox`.

use bytes::Bytes;
use folkmoot_wire::ShardId;

use super::reader::Reader;
use crate::{StoreError, Table};

/// The key of one delivery.
#[must_use]
pub fn key(shard: ShardId, number: u64) -> Bytes {
    let mut key = Vec::with_capacity(12);
    key.extend_from_slice(&shard.0.to_be_bytes());
    key.extend_from_slice(&number.to_be_bytes());
    Bytes::from(key)
}

/// The keys of the deliveries `from..to`.
#[must_use]
pub fn range(shard: ShardId, from: u64, to: u64) -> (Bytes, Bytes) {
    (key(shard, from), key(shard, to))
}

/// All keys of a shard.
#[must_use]
pub fn shard_range(shard: ShardId) -> (Bytes, Bytes) {
    super::prefix_range(&shard.0.to_be_bytes())
}

/// Reads a key: shard and number.
///
/// # Errors
/// When it is not a key of this table.
pub fn parse(key: &[u8]) -> Result<(ShardId, u64), StoreError> {
    let mut reader = Reader::new(Table::Outbox, key);
    let shard = reader.shard()?;
    let number = reader.u64("a number")?;
    reader.end()?;
    Ok((shard, number))
}
