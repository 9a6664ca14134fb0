//! Row keys: a kind byte and what tells rows of that kind apart. Kinds are
//! stored; never renumber them.

use bytes::Bytes;

use crate::id::IdError;
use crate::{GroupId, UserId};

mod tombstone;
mod value;

pub use tombstone::{is_gone, says_gone, tombstone, tombstone_of};
pub use value::{RowError, fingerprint, fingerprint_input, merge};

/// The key of one row of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKey {
    /// The group itself; one row.
    Group,
    /// The profile document; one row.
    Profile,
    /// A member.
    Member(UserId),
    /// A member's read cursor.
    Cursor(UserId),
    /// Self groups only: a group of the user's list.
    Listed(GroupId),
}

/// Kind byte of a row key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RowKind {
    /// [`RowKey::Group`]
    Group = 1,
    /// [`RowKey::Profile`]
    Profile = 2,
    /// [`RowKey::Member`]
    Member = 3,
    /// [`RowKey::Cursor`]
    Cursor = 4,
    /// [`RowKey::Listed`]
    Listed = 5,
}

impl RowKey {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> RowKind {
        match self {
            Self::Group => RowKind::Group,
            Self::Profile => RowKind::Profile,
            Self::Member(_) => RowKind::Member,
            Self::Cursor(_) => RowKind::Cursor,
            Self::Listed(_) => RowKind::Listed,
        }
    }

    /// The binary form.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut key = vec![self.kind() as u8];
        match self {
            Self::Group | Self::Profile => {}
            Self::Member(user) | Self::Cursor(user) => key.extend_from_slice(user.as_bytes()),
            Self::Listed(group) => key.extend_from_slice(group.as_bytes()),
        }
        Bytes::from(key)
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// When the kind is unknown or the rest is not what that kind has.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
        let (&kind, rest) = bytes.split_first().ok_or(IdError::Length {
            what: "row key",
            expected: 1,
            got: 0,
        })?;
        let bare = |key| {
            if rest.is_empty() {
                Ok(key)
            } else {
                Err(IdError::Length {
                    what: "row key",
                    expected: 1,
                    got: bytes.len(),
                })
            }
        };
        match kind {
            1 => bare(Self::Group),
            2 => bare(Self::Profile),
            3 => UserId::from_slice(rest).map(Self::Member),
            4 => UserId::from_slice(rest).map(Self::Cursor),
            5 => GroupId::from_slice(rest).map(Self::Listed),
            other => Err(IdError::Class {
                what: "row key",
                class: other.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
