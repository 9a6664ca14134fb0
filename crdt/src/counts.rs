//! The running counts of a group's log.

use crate::cursor::Cursor;

/// How many entries up to some entry, that one included, are countable, and
/// how many mention all. Both only grow along a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Running {
    /// Countable entries.
    pub count: u64,
    /// Entries that mention all.
    pub at_all: u64,
}

impl Running {
    /// The counts at the next entry.
    #[must_use]
    pub fn advance(self, countable: bool, mentions_all: bool) -> Self {
        Self {
            count: self.count.saturating_add(u64::from(countable)),
            at_all: self.at_all.saturating_add(u64::from(mentions_all)),
        }
    }

    /// A cursor at the entry `seq` that has these counts.
    #[must_use]
    pub fn cursor(self, seq: u64) -> Cursor {
        Cursor {
            seq,
            count: self.count,
            at_all: self.at_all,
        }
    }
}
