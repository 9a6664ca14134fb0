//! Where a group lies on this node: a shard of each region that has had it may
//! keep one of its own.

use bytes::Bytes;
use folkmoot_wire::{GroupId, RegionId};

use crate::keys::{guests, heads};
use crate::{Read, Seat, StoreError};

/// A group, as the shards of a region keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Region of the shard.
    pub region: RegionId,
    /// The group.
    pub group: GroupId,
}

impl Place {
    /// The group where it was born.
    #[must_use]
    pub fn of_birth(group: GroupId) -> Self {
        Self {
            region: group.region(),
            group,
        }
    }

    /// Its key of table Heads, and what all its keys in the tables of
    /// [`crate::keys::slots`] begin with.
    #[must_use]
    pub fn key(&self) -> Bytes {
        guests::seated(self.region, self.group.as_bytes())
            .into_owned()
            .into()
    }

    /// Reads what a key of those tables begins with, and gives the rest of it.
    ///
    /// # Errors
    /// When it is no such key.
    pub fn split(key: &[u8]) -> Result<(Self, &[u8]), StoreError> {
        let (front, key) = guests::split(key);
        let (group, rest) = key.split_at_checked(GroupId::LEN).unwrap_or((key, &[]));
        let group = heads::parse(group)?;
        let region = front.unwrap_or(group.region());
        Ok((Self { region, group }, rest))
    }

    /// The store through the eyes of the shards of its region.
    #[must_use]
    pub fn seat<'a>(&self, store: &'a dyn Read) -> Seat<&'a dyn Read> {
        Seat::new(store, self.region)
    }
}
