//! Ranges by slot, of the tables whose keys begin with a group: Log, Heads,
//! Rows, Dedup and Inbox.

use bytes::Bytes;
use folkmoot_wire::{GroupId, RegionId, Slot};

/// Tables whose keys begin with a group.
pub const TABLES: [crate::Table; 5] = [
    crate::Table::Log,
    crate::Table::Heads,
    crate::Table::Rows,
    crate::Table::Dedup,
    crate::Table::Inbox,
];

fn prefix(region: RegionId, slot: Slot) -> [u8; 4] {
    let [a, b] = region.0.to_be_bytes();
    let [c, d] = slot.0.to_be_bytes();
    [a, b, c, d]
}

/// Whether a group was born in slots `first..=last` of `region`.
#[must_use]
pub fn contains(region: RegionId, (first, last): (Slot, Slot), group: &GroupId) -> bool {
    group.region() == region && (first..=last).contains(&group.slot())
}

/// The keys of all groups in slots `first..=last` of `region`.
#[must_use]
pub fn range(region: RegionId, first: Slot, last: Slot) -> (Bytes, Bytes) {
    (
        Bytes::copy_from_slice(&prefix(region, first)),
        super::prefix_range(&prefix(region, last)).1,
    )
}
