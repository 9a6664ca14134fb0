//! The slots that a replica keeps: those of what it has applied. The placement
//! says what they are to be; a replica that is behind still keeps those that
//! were split off since, and until it has applied that nothing else on this
//! node may keep them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use folkmoot_consensus::holds;
use folkmoot_replication::apply::slots_held;
use folkmoot_replication::placement::Shard;
use folkmoot_wire::{Slot, safeguard};

use super::parts::StartError;
use super::start::Node;
use super::view::ClusterView;

/// First and last slot.
pub type Slots = (Slot, Slot);

/// What a replica keeps, for who reads it.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// The slots.
    pub slots: Slots,
    /// There may be records of groups that moved.
    pub moves: bool,
}

impl Kept {
    /// These slots, and what there may be.
    #[must_use]
    pub fn all_of(slots: Slots) -> Self {
        Self { slots, moves: true }
    }
}

/// The slots of one replica.
pub struct Extent {
    slots: AtomicU32,
    whole: AtomicBool,
    /// It may have records of groups that moved.
    moves: AtomicBool,
    view: Arc<ClusterView>,
}

fn packed((first, last): Slots) -> u32 {
    u32::from(first.0) << 16 | u32::from(last.0)
}

impl Extent {
    /// It keeps these, of which it has something already or not.
    pub fn new(slots: Slots, whole: bool, view: Arc<ClusterView>) -> Self {
        Self {
            slots: AtomicU32::new(packed(slots)),
            whole: AtomicBool::new(whole),
            moves: AtomicBool::new(true),
            view,
        }
    }

    /// Whether it has anything: one that begins with nothing, or is being
    /// replaced, does not speak for its shard, though it votes.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Acquire)
    }

    /// What a reader has to know of it.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept {
            slots: self.slots(),
            moves: self.moves.load(Ordering::Acquire),
        }
    }

    /// Whether it has records of groups that moved. Told before they can be
    /// read: who does not look for them has read what was before.
    pub fn may_move(&self, moves: bool) {
        self.moves.store(moves, Ordering::Release);
    }

    /// It has nothing that can be read, until it is filled.
    pub fn is_emptied(&self) {
        self.whole.store(false, Ordering::Release);
    }

    /// It has something from now on.
    pub fn is_filled(&self) {
        self.whole.store(true, Ordering::Release);
    }

    /// What it keeps now.
    #[must_use]
    pub fn slots(&self) -> Slots {
        let packed = self.slots.load(Ordering::Acquire);
        (Slot((packed >> 16) as u16), Slot(packed as u16))
    }

    /// It keeps these from now on. Whether they are others: then whoever waits for
    /// them looks again.
    pub fn set(&self, slots: Slots) -> bool {
        let others = self.slots.swap(packed(slots), Ordering::AcqRel) != packed(slots);
        if others {
            self.view.nudge();
        }
        others
    }
}

fn overlap(a: Slots, b: Slots) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

impl Node {
    /// What a replica begins with that has nothing. While a split is under way
    /// it may have to begin before it; but not if what is split off is here.
    pub(super) fn slots_at_first(&self, shard: &Shard) -> Result<Slots, StartError> {
        let child = shard.child.map(|child| holds(child, &*self.store));
        Ok(match child.transpose()? {
            Some(false) => shard.slots,
            _ => shard.own,
        })
    }

    /// The slots of a replica that does not run; `None`: there is none here.
    pub(super) fn slots_on_disk(&self, shard: &Shard) -> Result<Option<Slots>, StartError> {
        if !holds(shard.id, &*self.store)? {
            return Ok(None);
        }
        Ok(Some(
            slots_held(&*self.store, shard.id)?.unwrap_or(shard.made),
        ))
    }

    /// Whether nothing else here keeps slots of a shard that has neither replica
    /// nor follower here yet.
    ///
    /// A follower keeps what its upstream said it has, or what is agreed on.
    pub(super) fn is_free(&self, shard: &Shard) -> Result<bool, StartError> {
        // One that is here already is who keeps them.
        if !shard.was_split() || holds(shard.id, &*self.store)? {
            return Ok(true);
        }
        let placement = self.view.placement();
        for other in placement.shards() {
            if other.id == shard.id || other.region != shard.region {
                continue;
            }
            let keeps = match self.voters.get(other.id) {
                Some(voter) => Some(voter.extent.slots()),
                None => self.slots_on_disk(other)?,
            };
            let follower = self.followers.get(other.id).map(|follower| follower.slots);
            let mut kept = keeps.into_iter().chain(follower);
            if safeguard!(SplitApplied, kept.any(|kept| overlap(kept, shard.own))) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
