//! Table Rows: group (16), row key (1 to 17). The value is a `Row`.

use bytes::Bytes;
use folkmoot_wire::GroupId;
use folkmoot_wire::row::{RowKey, RowKind};

use super::guests;
use super::reader::Reader;
use crate::{Place, StoreError, Table};

fn with_group(group: &GroupId, rest: &[u8]) -> Bytes {
    let mut key = Vec::with_capacity(GroupId::LEN + rest.len());
    key.extend_from_slice(group.as_bytes());
    key.extend_from_slice(rest);
    Bytes::from(key)
}

/// The key of one row.
#[must_use]
pub fn key(group: &GroupId, row: &RowKey) -> Bytes {
    with_group(group, &row.to_bytes())
}

/// The keys of all rows of a group.
#[must_use]
pub fn group_range(group: &GroupId) -> (Bytes, Bytes) {
    super::prefix_range(group.as_bytes())
}

/// The keys of a group's rows of one kind.
#[must_use]
pub fn kind_range(group: &GroupId, kind: RowKind) -> (Bytes, Bytes) {
    prefix_range(group, &[kind as u8])
}

/// The keys of a group's rows whose row key begins with `prefix`: a kind, and
/// of members and cursors their home region after it (D12).
#[must_use]
pub fn prefix_range(group: &GroupId, prefix: &[u8]) -> (Bytes, Bytes) {
    super::prefix_range(&with_group(group, prefix))
}

/// Reads a key as it lies in the store.
///
/// # Errors
/// When it is not a key of this table.
pub fn placed(key: &[u8]) -> Result<(Place, RowKey), StoreError> {
    let (place, _) = Place::split(key)?;
    let (_, row) = parse(guests::split(key).1)?;
    Ok((place, row))
}

/// Reads a key.
///
/// # Errors
/// When it is not a key of this table.
pub fn parse(key: &[u8]) -> Result<(GroupId, RowKey), StoreError> {
    let mut reader = Reader::new(Table::Rows, key);
    let group = reader.group()?;
    let row = RowKey::from_slice(reader.rest()).map_err(|error| reader.error(error))?;
    Ok((group, row))
}
