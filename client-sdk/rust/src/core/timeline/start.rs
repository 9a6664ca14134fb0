//! Where to begin to read.

use folkmoot_wire::entry::chain_from;
use folkmoot_wire::proto::Head;

use super::Point;

/// Where a client begins to read a group's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// Where the local store says that reading ended; else the beginning.
    #[default]
    Stored,
    /// The first entry this user may see.
    Beginning,
    /// So many entries before the head. 0: only what is new.
    Recent(u64),
    /// Behind a place that the application kept.
    After(Point),
}

impl Start {
    /// The place, when the head is `head`.
    pub(super) fn point(self, head: &Head) -> Point {
        match self {
            Self::Stored | Self::Beginning => Point {
                seq: 0,
                chain: None,
            },
            Self::Recent(0) => Point {
                seq: head.seq,
                chain: chain_from(&head.chain).ok(),
            },
            Self::Recent(entries) => Point {
                seq: head.seq.saturating_sub(entries),
                chain: None,
            },
            Self::After(point) => point,
        }
    }
}
