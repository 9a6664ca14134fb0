//! Table Dedup: group (16), client message id (16), user (16), device (8).
//! The client message id begins with a stamp, so what has left the window is
//! one range of each group. The value is a `StoredDedup`.

use bytes::Bytes;
use folkmoot_wire::{ClientMsgId, DeviceId, GroupId, UserId};

use super::reader::Reader;
use crate::{StoreError, Table};

/// A parsed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DedupKey {
    /// The group written to.
    pub group: GroupId,
    /// The sender's id of the message.
    pub id: ClientMsgId,
    /// The sender.
    pub user: UserId,
    /// The sender's device.
    pub device: DeviceId,
}

/// The key of one record.
#[must_use]
pub fn key(group: &GroupId, id: &ClientMsgId, user: &UserId, device: DeviceId) -> Bytes {
    let mut key = Vec::with_capacity(56);
    key.extend_from_slice(group.as_bytes());
    key.extend_from_slice(id.as_bytes());
    key.extend_from_slice(user.as_bytes());
    key.extend_from_slice(&device.0.to_be_bytes());
    Bytes::from(key)
}

/// The keys of a group's records whose stamp is less than `stamp` (an HLC).
#[must_use]
pub fn stamped_before(group: &GroupId, stamp: u64) -> (Bytes, Bytes) {
    let mut end = Vec::with_capacity(24);
    end.extend_from_slice(group.as_bytes());
    end.extend_from_slice(&stamp.to_be_bytes());
    (group.to_bytes(), Bytes::from(end))
}

/// The keys of all records of a group.
#[must_use]
pub fn group_range(group: &GroupId) -> (Bytes, Bytes) {
    super::prefix_range(group.as_bytes())
}

/// Reads a key.
///
/// # Errors
/// When it is not a key of this table.
pub fn parse(key: &[u8]) -> Result<DedupKey, StoreError> {
    let mut reader = Reader::new(Table::Dedup, key);
    let group = reader.group()?;
    let id: [u8; 16] = reader.take("a client message id")?;
    let id = ClientMsgId::from_slice(&id).map_err(|error| reader.error(error))?;
    let user: [u8; 16] = reader.take("a user")?;
    let user = UserId::from_slice(&user).map_err(|error| reader.error(error))?;
    let device = DeviceId(reader.u64("a device")?);
    reader.end()?;
    Ok(DedupKey {
        group,
        id,
        user,
        device,
    })
}
