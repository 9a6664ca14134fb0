//! The tables. One column family each; the names are stored, never rename.

/// A table of the store. What its keys look like is told in
/// [`keys`](crate::keys).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Raft logs and votes of all shards.
    Raft,
    /// Sealed entries of all groups.
    Log,
    /// Heads of groups.
    Heads,
    /// CRDT rows of groups.
    Rows,
    /// What was appended under which client message id.
    Dedup,
    /// What each shard has applied.
    Shards,
    /// Effects on other groups, not yet acknowledged.
    Outbox,
    /// The user directory.
    Users,
    /// How far a group has taken each shard's outbox.
    Inbox,
    /// Members by what they are looked for by, worked out from table Rows.
    Index,
    /// Who is mentioned in which entries, worked out from table Log.
    Mentions,
    /// Which rows only say that something is gone, worked out from table Rows.
    Gone,
    /// What concerns this node alone.
    Node,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 13] = [
        Self::Raft,
        Self::Log,
        Self::Heads,
        Self::Rows,
        Self::Dedup,
        Self::Shards,
        Self::Outbox,
        Self::Users,
        Self::Inbox,
        Self::Index,
        Self::Mentions,
        Self::Gone,
        Self::Node,
    ];

    /// Whether it is worked out from other tables: no part of any state, and
    /// made anew where it is missing.
    #[must_use]
    pub const fn is_derived(self) -> bool {
        matches!(self, Self::Index | Self::Mentions | Self::Gone)
    }

    /// The stored name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raft => "raft",
            Self::Log => "log",
            Self::Heads => "heads",
            Self::Rows => "rows",
            Self::Dedup => "dedup",
            Self::Shards => "shards",
            Self::Outbox => "outbox",
            Self::Users => "users",
            Self::Inbox => "inbox",
            Self::Index => "index",
            Self::Mentions => "mentions",
            Self::Gone => "gone",
            Self::Node => "node",
        }
    }

    /// Reads a stored name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
