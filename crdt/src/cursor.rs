//! How far a member has read.

/// A read cursor: the entry it points at, and the running counts copied from
/// that entry, so that unread is a subtraction (design decision D3).
///
/// **Merge law**: the greater by `(seq, count, at_all)` stands, a maximum in a
/// total order. Honest cursors with equal `seq` are equal, so `seq` alone
/// decides among them; the rest settles only what no honest writer makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cursor {
    /// The last entry read; 0: none.
    pub seq: u64,
    /// Running number of countable entries at it.
    pub count: u64,
    /// Running number of entries that mention all at it.
    pub at_all: u64,
}

impl Cursor {
    /// The cursor that is further on.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        *self.max(other)
    }

    /// Countable entries after the cursor. 0 when the cursor is ahead of the
    /// head it is compared with, as it is while that head is stale.
    #[must_use]
    pub fn unread(&self, head_count: u64) -> u64 {
        head_count.saturating_sub(self.count)
    }

    /// Entries after the cursor that mention all; 0 as for [`Cursor::unread`].
    #[must_use]
    pub fn unread_at_all(&self, head_at_all: u64) -> u64 {
        head_at_all.saturating_sub(self.at_all)
    }
}
