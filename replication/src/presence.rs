//! Who is there, and who is writing (D12): leases in memory at the home of each
//! user, after Gray and Cheriton, "Leases: an efficient fault-tolerant mechanism
//! for distributed file cache consistency", SOSP 1989.
//!
//! An edge tells the home of a user, which is the leader of the shard that has
//! the user's slot, that it has a session of that user, and again before the
//! lease ends. In the same way it says of whom its clients want to know. It is
//! answered how those are, and pushed what changes of them, each change once and
//! to those edges alone. So what a user's coming costs grows with the edges where
//! somebody looks at that user, and with nothing else.
//!
//! Nothing of it is written anywhere. A new leader knows nobody: edges see that
//! another one answers, and tell it all. What is lost on the way, either way, is
//! made up for by the next renewal.

mod home;
mod table;
#[cfg(test)]
mod tests;

use std::time::Duration;

use folkmoot_wire::{GroupId, NodeId, ShardId, UserId};

pub use home::Home;
pub use table::{Table, Told, TooMany};

/// The times and bounds of both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// A user counts as there for so long after an edge has said so last.
    pub lease: Duration,
    /// An edge says so this often.
    pub renew: Duration,
    /// Who left an edge may come to another one within this time, and was there
    /// all along.
    pub grace: Duration,
    /// Somebody is writing for so long after having said so last.
    pub typing: Duration,
    /// Users that a home knows something of. More: unknown, so not there.
    pub people: usize,
    /// Pairs of an edge and a user that it is told of. More: it is told at its
    /// renewals alone.
    pub watches: usize,
    /// Users that one session may watch. More: refused.
    pub watched: usize,
    /// Users in one message.
    pub page: usize,
}

/// What is told of a user. The default is what is said of somebody of whom
/// nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Presence {
    /// Some edge has a session of the user.
    pub online: bool,
    /// The user is writing there.
    pub typing: Option<GroupId>,
}

/// When a home said something: by the term of the leader, then by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Whose home it is.
    pub shard: ShardId,
    /// Of its leader.
    pub term: u64,
    /// Within the term.
    pub number: u64,
}

impl Stamp {
    /// Whether the same home said the `other` later: this was overtaken on its
    /// way.
    #[must_use]
    pub fn is_before(&self, other: &Self) -> bool {
        self.shard == other.shard && (self.term, self.number) < (other.term, other.number)
    }
}

/// How users are, by their home.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct States {
    /// When it was so.
    pub stamp: Stamp,
    /// Each of them.
    pub users: Vec<(UserId, Presence)>,
}

/// What a home answers an edge that wants to know of users.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Those of them who are there.
    pub states: States,
    /// The others are not. A home that began less than a lease ago cannot know
    /// that: not all edges have come back to it.
    pub is_whole: bool,
}

/// What an edge tells a home.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct News {
    /// They have sessions here.
    pub here: Vec<UserId>,
    /// Their last sessions here have ended.
    pub gone: Vec<UserId>,
    /// Who writes where; `None`: not any more.
    pub typing: Vec<(UserId, Option<GroupId>)>,
    /// How are they? And tell what changes.
    pub watch: Vec<UserId>,
    /// Tell of them no more.
    pub unwatch: Vec<UserId>,
}

impl News {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Users in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.here.len()
            + self.gone.len()
            + self.typing.len()
            + self.watch.len()
            + self.unwatch.len()
    }
}

/// What a home tells an edge unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// That edge.
    pub to: NodeId,
    /// What is other than it was told.
    pub states: States,
}
