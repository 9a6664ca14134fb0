//! A member of a group: what entries decided, and what the member chose.

use crate::hlc::Hlc;
use crate::without;

/// Whether somebody is in the group. The numbers are those of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Status {
    /// Never was.
    #[default]
    None = 0,
    /// Is a member.
    Member = 1,
    /// Left or was removed.
    Left = 2,
    /// Was banned.
    Banned = 3,
}

/// What a member may do. The numbers are those of the wire; each role may do
/// what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Role {
    /// Nothing.
    #[default]
    None = 0,
    /// Reads.
    ReadOnly = 1,
    /// Reads and posts.
    Member = 2,
    /// Manages members.
    Admin = 3,
    /// Owns the group.
    Owner = 4,
}

impl Status {
    /// Reads the number; `None` when this build does not know it.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            1 => Self::Member,
            2 => Self::Left,
            3 => Self::Banned,
            _ => return None,
        })
    }
}

impl Role {
    /// Reads the number; `None` when this build does not know it.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            1 => Self::ReadOnly,
            2 => Self::Member,
            3 => Self::Admin,
            4 => Self::Owner,
            _ => return None,
        })
    }
}

/// The part that only the sequencer writes.
///
/// **Merge law**: the maximum in the order of the fields, `seq` and `quiet`
/// first. Two honest values of one `(seq, quiet)` are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Authority {
    /// The entry that wrote it, or the last one before it was written; 0:
    /// nothing was.
    pub seq: u64,
    /// 0: that entry wrote it. Else which of the group's changes without an
    /// entry behind it.
    pub quiet: u64,
    /// In, out or banned.
    pub status: Status,
    /// What the member may do.
    pub role: Role,
    /// May not post before this, in milliseconds since 1970; 0: may post.
    pub muted_until_ms: u64,
    /// The first seq this member may see.
    pub visible_from: u64,
    /// The seq at which the member's cursor was put when it came; 0: nowhere.
    pub cursor_base: u64,
}

impl Authority {
    /// The later one.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        *self.max(other)
    }
}

/// The part that the member writes, at any edge.
///
/// **Merge law**: last writer wins by `(hlc, node)`; the maximum in the order
/// of the fields. One node makes one stamp once, so two honest values of one
/// `(hlc, node)` are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SelfPart {
    /// Stamp of the edge that took the change.
    pub hlc: Hlc,
    /// That edge's node.
    pub node: u32,
    /// How the member is called in this group.
    pub nick: String,
    /// Wants no notifications.
    pub muted: bool,
    /// Wants the group at the top of the list.
    pub pinned: bool,
    /// Wants the group out of the list.
    pub hidden: bool,
}

impl SelfPart {
    /// The later one.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        self.max(other).clone()
    }
}

/// A member row.
///
/// **Merge law**: the product of its parts' laws; neither part ever overrules
/// the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Member {
    /// Decided by entries.
    pub authority: Authority,
    /// Chosen by the member.
    pub own: SelfPart,
}

impl Member {
    /// Each part the later one.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        without!(AuthorityOverSelf => {
            return if self.own >= other.own { self.clone() } else { other.clone() };
        });
        Self {
            authority: self.authority.merge(&other.authority),
            own: self.own.merge(&other.own),
        }
    }

    /// Whether this is a member now.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.authority.status == Status::Member
    }
}
