//! A handle on a follower: what this node wants in full, and how far it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use folkmoot_replication::follow::follower::Reconciled;
use folkmoot_replication::placement::has_slot;
use folkmoot_wire::{GroupId, NodeId, ShardId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::extent::{Extent, Slots};

/// What this node wants of the follower.
pub(super) enum Wish {
    Want(GroupId),
    Unwant(GroupId),
}

/// A handle on one follower.
#[derive(Clone)]
pub struct FollowHandle {
    wishes: mpsc::Sender<Wish>,
    status: watch::Receiver<FollowStatus>,
    /// The slots that it follows.
    pub slots: Slots,
    /// What of them its upstream has: once that is less, it begins anew.
    has: Arc<Extent>,
    /// Follows every group, so wishes change nothing.
    all_groups: bool,
    /// Groups followed in full, and the version of the head that each had at
    /// its home when it was wanted; before that is known, the greatest.
    wanted: Arc<Mutex<BTreeMap<GroupId, u64>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What a follower tells of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FollowStatus {
    /// Everything up to this shard version is held.
    pub watermark: u64,
    /// From whom it follows now.
    pub upstream: Option<NodeId>,
    /// Copies thrown away because their chain was not the upstream's.
    pub diverged: u64,
    /// Streams opened since the start.
    pub streams: u64,
    /// Rows deleted since they are gone at the home, since the start.
    pub gone: u64,
    /// Sessions about rows since the start.
    pub rows: RowSessions,
}

/// What sessions about rows cost and found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowSessions {
    /// That ended.
    pub sessions: u64,
    /// Bytes of their messages.
    pub bytes: u64,
    /// Rows that the upstream had and this node did not have so.
    pub rows: u64,
    /// Rows of this node that were wrong.
    pub wrong: u64,
}

impl RowSessions {
    pub(super) fn add(&mut self, session: &Reconciled) {
        self.sessions += 1;
        self.bytes += session.bytes;
        self.rows += session.rows;
        self.wrong += session.wrong;
    }
}

impl FollowHandle {
    pub(super) fn new(
        wishes: mpsc::Sender<Wish>,
        status: watch::Receiver<FollowStatus>,
        has: Arc<Extent>,
        all_groups: bool,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            wishes,
            status,
            slots: has.slots(),
            has,
            all_groups,
            wanted: Arc::default(),
            stop,
            tasks,
        }
    }

    /// Follow a group in full.
    pub async fn want(&self, group: GroupId) {
        if !self.all_groups {
            self.wanted.lock().entry(group).or_insert(u64::MAX);
            let _ = self.wishes.send(Wish::Want(group)).await;
        }
    }

    /// The copy of a wanted group speaks for it from this version on.
    pub fn trust_from(&self, group: &GroupId, version: u64) {
        if let Some(from) = self.wanted.lock().get_mut(group) {
            *from = version;
        }
    }

    /// Whether the group is followed in full.
    #[must_use]
    pub fn wants(&self, group: &GroupId) -> bool {
        let all = self.all_groups && has_slot(self.slots, group);
        all || self.wanted.lock().contains_key(group)
    }

    /// Whether a copy at `version` speaks for the group. One that was left
    /// behind when the group was no longer wanted does not.
    #[must_use]
    pub fn speaks_for(&self, group: &GroupId, version: u64) -> bool {
        let caught_up = |from: &u64| version >= *from;
        let all = self.all_groups && has_slot(self.slots, group);
        all || self.wanted.lock().get(group).is_some_and(caught_up)
    }

    /// From which versions copies speak for their groups, where that is known,
    /// for the follower that takes this one's place.
    #[must_use]
    pub fn trusted(&self) -> Vec<(GroupId, u64)> {
        let wanted = self.wanted.lock();
        let known = wanted.iter().filter(|(_, from)| **from < u64::MAX);
        known.map(|(group, from)| (*group, *from)).collect()
    }

    /// No longer. A wish that finds the queue full is dropped: following one
    /// group too many is harmless.
    pub fn unwant(&self, group: GroupId) {
        if !self.all_groups {
            self.wanted.lock().remove(&group);
            let _ = self.wishes.try_send(Wish::Unwant(group));
        }
    }

    /// The slots that it is to follow, where the shard has these.
    #[must_use]
    pub fn should_follow(&self, slots: Slots) -> Slots {
        let has = self.has.slots();
        (slots.0, slots.1.min(has.1))
    }

    /// Ends it: it writes nothing any more afterwards.
    pub async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// What the follower tells of itself.
    #[must_use]
    pub fn status(&self) -> FollowStatus {
        *self.status.borrow()
    }
}

/// The followers of this node.
#[derive(Default)]
pub struct Followers {
    handles: Mutex<BTreeMap<ShardId, FollowHandle>>,
    /// Groups that this node's edge wants in full, and of which shard, whether
    /// that has a follower here now or not.
    wanted: Mutex<BTreeMap<GroupId, ShardId>>,
}

impl Followers {
    /// One of them.
    #[must_use]
    pub fn get(&self, shard: ShardId) -> Option<FollowHandle> {
        self.handles.lock().get(&shard).cloned()
    }

    /// The edge wants a group in full. Gives the shard of which it wanted it
    /// before.
    pub fn want(&self, shard: ShardId, group: GroupId) -> Option<ShardId> {
        self.wanted.lock().insert(group, shard)
    }

    /// The edge wants a group of this shard from now on, if it wants it at all.
    /// Gives the shard of which it wanted it before.
    pub fn switch(&self, shard: ShardId, group: GroupId) -> Option<ShardId> {
        let mut wanted = self.wanted.lock();
        let of = wanted.get_mut(&group)?;
        Some(std::mem::replace(of, shard))
    }

    /// No longer. Gives the shard of which it wanted it.
    pub fn unwant(&self, group: &GroupId) -> Option<ShardId> {
        self.wanted.lock().remove(group)
    }

    /// Of which shard it wants the group.
    #[must_use]
    pub fn wanted_of(&self, group: &GroupId) -> Option<ShardId> {
        self.wanted.lock().get(group).copied()
    }

    /// What it wants of a shard.
    #[must_use]
    pub fn wanted(&self, shard: ShardId) -> Vec<GroupId> {
        let wanted = self.wanted.lock();
        let of_shard = wanted.iter().filter(|(_, of)| **of == shard);
        of_shard.map(|(group, _)| *group).collect()
    }

    /// The shards that have one here.
    pub fn shards(&self) -> Vec<ShardId> {
        self.handles.lock().keys().copied().collect()
    }

    /// Takes one out.
    pub fn remove(&self, shard: ShardId) -> Option<FollowHandle> {
        self.handles.lock().remove(&shard)
    }

    /// Adds one.
    pub fn insert(&self, shard: ShardId, handle: FollowHandle) {
        self.handles.lock().insert(shard, handle);
    }
}
