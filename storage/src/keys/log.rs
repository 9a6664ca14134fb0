//! Table Log: group (16), seq (8). The value is a `SealedEntry`.

use bytes::Bytes;
use folkmoot_wire::GroupId;

use super::reader::Reader;
use crate::{StoreError, Table};

/// The key of one entry.
#[must_use]
pub fn key(group: &GroupId, seq: u64) -> Bytes {
    let mut key = Vec::with_capacity(24);
    key.extend_from_slice(group.as_bytes());
    key.extend_from_slice(&seq.to_be_bytes());
    Bytes::from(key)
}

/// The keys of the entries `from..to`.
#[must_use]
pub fn range(group: &GroupId, from: u64, to: u64) -> (Bytes, Bytes) {
    (key(group, from), key(group, to))
}

/// The keys of all entries of a group.
#[must_use]
pub fn group_range(group: &GroupId) -> (Bytes, Bytes) {
    super::prefix_range(group.as_bytes())
}

/// Reads a key: group and seq.
///
/// # Errors
/// When it is not a key of this table.
pub fn parse(key: &[u8]) -> Result<(GroupId, u64), StoreError> {
    let mut reader = Reader::new(Table::Log, key);
    let group = reader.group()?;
    let seq = reader.u64("a seq")?;
    reader.end()?;
    Ok((group, seq))
}
