//! Table Heads: group (16). The value is a `Head`.

use bytes::Bytes;
use folkmoot_wire::GroupId;

use super::reader::Reader;
use crate::{StoreError, Table};

/// The key of a group's head.
#[must_use]
pub fn key(group: &GroupId) -> Bytes {
    group.to_bytes()
}

/// Reads a key.
///
/// # Errors
/// When it is not a key of this table.
pub fn parse(key: &[u8]) -> Result<GroupId, StoreError> {
    let mut reader = Reader::new(Table::Heads, key);
    let group = reader.group()?;
    reader.end()?;
    Ok(group)
}
