//! Table Users: directory slot (2), hash of realm and subject (16). The value
//! is a `StoredUser`.

use bytes::Bytes;

use super::reader::Reader;
use crate::{StoreError, Table};

/// The key of one user.
#[must_use]
pub fn key(slot: u16, hash: &[u8; 16]) -> Bytes {
    let mut key = Vec::with_capacity(18);
    key.extend_from_slice(&slot.to_be_bytes());
    key.extend_from_slice(hash);
    Bytes::from(key)
}

/// The keys of the directory slots `from..=to`.
#[must_use]
pub fn range(from: u16, to: u16) -> (Bytes, Bytes) {
    (
        Bytes::copy_from_slice(&from.to_be_bytes()),
        super::prefix_range(&to.to_be_bytes()).1,
    )
}

/// Reads a key: directory slot and hash.
///
/// # Errors
/// When it is not a key of this table.
pub fn parse(key: &[u8]) -> Result<(u16, [u8; 16]), StoreError> {
    let mut reader = Reader::new(Table::Users, key);
    let slot = reader.u16("a directory slot")?;
    let hash = reader.take("a hash")?;
    reader.end()?;
    Ok((slot, hash))
}
