//! What a feed knows of those who follow it.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::proto::SlotRange;
use folkmoot_wire::{GroupId, Slot, limits};

#[derive(Default)]
pub(super) struct Subscriber {
    pub(super) all: bool,
    pub(super) wanted: BTreeSet<GroupId>,
    /// Pushes the transport has not taken yet.
    pub(super) in_flight: usize,
    /// Groups that moved on without a push: their heads are owed.
    pub(super) owed: BTreeSet<GroupId>,
    /// Groups not wanted in full whose head moved on: sent at the next tick.
    pub(super) heads_due: BTreeSet<GroupId>,
    pub(super) lossy: bool,
    /// The last watermark it was told,
    pub(super) said: u64,
    /// and the slots.
    pub(super) told: Option<(Slot, Slot)>,
}

/// How many followers want which group.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) counts: BTreeMap<GroupId, usize>,
    pub(super) changed: BTreeMap<GroupId, bool>,
}

impl Wanted {
    pub(super) fn add(&mut self, groups: impl IntoIterator<Item = GroupId>) {
        for group in groups {
            let count = self.counts.entry(group).or_default();
            *count += 1;
            if *count == 1 {
                self.changed.insert(group, true);
            }
        }
    }

    pub(super) fn remove(&mut self, groups: impl IntoIterator<Item = GroupId>) {
        for group in groups {
            let Some(count) = self.counts.get_mut(&group) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&group);
                self.changed.insert(group, false);
            }
        }
    }
}

impl Subscriber {
    pub(super) fn wants(&self, group: &GroupId) -> bool {
        self.all || self.wanted.contains(group)
    }

    /// The slots, if it has not been told of these.
    pub(super) fn news_of(&mut self, slots: (Slot, Slot)) -> Option<SlotRange> {
        let news = self.told.replace(slots) != Some(slots);
        let (from, to) = (u32::from(slots.0.0), u32::from(slots.1.0));
        news.then_some(SlotRange { from, to })
    }

    pub(super) fn has_room(&self) -> bool {
        self.in_flight < limits::FOLLOW_QUEUE
    }
}
