//! The pushing side: one feed a shard, at a voter or a relay.
//!
//! Each subscriber gets full pushes of the groups it wants and coalesced
//! heads of the others. A subscriber that does not keep up loses pushes:
//! its groups collapse into a set, and their heads follow when there is room
//! (overflow policy: collapse to heads).

mod subscriber;

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::proto::{FollowOpen, FollowPush, FollowUpdate, GroupMoved, GroupPush, Head};
use folkmoot_wire::{GroupId, ShardId, Slot};

use self::subscriber::{Subscriber, Wanted};
use super::lean;
use crate::placement::has_slot;

/// Heads in one push of a backlog.
const HEADS_PER_PUSH: usize = 500;

/// Names a subscriber; given by the driver.
pub type SubscriberId = u64;

/// What happens to a feed.
#[derive(Debug)]
pub enum Event {
    /// The shard moved on here. `watermark`: everything up to this version is
    /// held; `None`: there are holes, and the old one stands.
    Published {
        pushes: Vec<GroupPush>,
        watermark: Option<u64>,
    },
    /// Somebody follows.
    Open { id: SubscriberId, open: FollowOpen },
    /// A subscriber wants other groups.
    Update {
        id: SubscriberId,
        update: FollowUpdate,
    },
    /// The transport took one push of this subscriber's.
    Taken { id: SubscriberId },
    /// A subscriber is gone.
    Closed { id: SubscriberId },
    /// The shard has these slots here from now on: what was split off is another
    /// feed's.
    Slots { slots: (Slot, Slot) },
    /// Time for coalesced heads and, when `watermark`, for those watermarks
    /// that moved and were not said.
    Tick { watermark: bool },
}

/// Send this push to that subscriber.
#[derive(Debug, PartialEq)]
pub struct Send {
    /// To whom.
    pub to: SubscriberId,
    /// What.
    pub push: FollowPush,
}

/// The feed of one shard.
pub struct Feed {
    shard: ShardId,
    watermark: u64,
    heads: BTreeMap<GroupId, Head>,
    /// Groups that went to another shard. None of them has a head.
    moved: BTreeMap<GroupId, GroupMoved>,
    slots: (Slot, Slot),
    subscribers: BTreeMap<SubscriberId, Subscriber>,
    /// Pushes that some subscriber lost to a full queue.
    lost: u64,
    wanted: Wanted,
}

impl Feed {
    /// A feed over the heads that this node holds, and the groups that went to
    /// another shard.
    pub fn new(
        (shard, slots): (ShardId, (Slot, Slot)),
        watermark: u64,
        heads: impl IntoIterator<Item = (GroupId, Head)>,
        moved: BTreeMap<GroupId, GroupMoved>,
    ) -> Self {
        let here = |group: &GroupId| has_slot(slots, group);
        Self {
            shard,
            slots,
            watermark,
            heads: heads.into_iter().filter(|(group, _)| here(group)).collect(),
            // A follower has records of moves from before a split.
            moved: moved.into_iter().filter(|(group, _)| here(group)).collect(),
            subscribers: BTreeMap::new(),
            wanted: Wanted::default(),
            lost: 0,
        }
    }

    /// Groups that the followers want in full, since this was asked last: true
    /// where the first one came to want it, false where the last one does not
    /// any more. A relay has to follow them itself.
    pub fn take_wishes(&mut self) -> BTreeMap<GroupId, bool> {
        std::mem::take(&mut self.wanted.changed)
    }

    /// How many follow.
    #[must_use]
    pub fn followers(&self) -> usize {
        self.subscribers.len()
    }

    /// Everything up to this shard version is held here.
    #[must_use]
    pub fn watermark(&self) -> u64 {
        self.watermark
    }

    /// Pushes lost to full queues since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The head of a group, as far as this node holds it.
    #[must_use]
    pub fn head(&self, group: &GroupId) -> Option<&Head> {
        self.heads.get(group)
    }

    /// All heads, in order of group.
    pub fn heads(&self) -> impl Iterator<Item = (&GroupId, &Head)> {
        self.heads.iter()
    }

    /// Takes one event.
    pub fn handle(&mut self, event: Event) -> Vec<Send> {
        let mut out = Vec::new();
        match event {
            Event::Published { pushes, watermark } => self.published(&pushes, watermark, &mut out),
            Event::Open { id, open } => self.open(id, &open, &mut out),
            Event::Update { id, update } => self.update(id, &update, &mut out),
            Event::Taken { id } => self.taken(id, &mut out),
            Event::Closed { id } => {
                let gone = self.subscribers.remove(&id);
                self.wanted
                    .remove(gone.into_iter().flat_map(|gone| gone.wanted));
            }
            Event::Slots { slots } => self.keep(slots, &mut out),
            Event::Tick { watermark } => self.tick(watermark, &mut out),
        }
        out
    }

    fn keep(&mut self, slots: (Slot, Slot), out: &mut Vec<Send>) {
        self.slots = slots;
        self.heads.retain(|group, _| has_slot(slots, group));
        self.moved.retain(|group, _| has_slot(slots, group));
        let ids: Vec<_> = self.subscribers.keys().copied().collect();
        for id in ids {
            self.settle(id, false, out);
        }
    }

    fn published(&mut self, pushes: &[GroupPush], watermark: Option<u64>, out: &mut Vec<Send>) {
        let news: Vec<_> = pushes.iter().filter_map(|push| self.learn(push)).collect();
        self.watermark = self.watermark.max(watermark.unwrap_or(0));
        for (id, subscriber) in &mut self.subscribers {
            let keeps_up = subscriber.owed.is_empty() && subscriber.has_room();
            let mut groups = Vec::new();
            for (group, push) in &news {
                if push.moved.is_none() && !subscriber.wants(group) {
                    subscriber.heads_due.insert(*group);
                } else if keeps_up {
                    groups.push(push.clone());
                } else {
                    self.lost += 1;
                    subscriber.lossy = true;
                    subscriber.owed.insert(*group);
                }
            }
            if groups.is_empty() {
                continue;
            }
            let complete = subscriber.heads_due.is_empty();
            let watermark = if complete { self.watermark } else { 0 };
            subscriber.in_flight += 1;
            subscriber.said = subscriber.said.max(watermark);
            out.push(Send {
                to: *id,
                push: FollowPush {
                    shard: self.shard.0,
                    groups,
                    watermark,
                    ..FollowPush::default()
                },
            });
        }
    }

    /// What followers in full are told of a push.
    fn learn(&mut self, push: &GroupPush) -> Option<(GroupId, GroupPush)> {
        let group = GroupId::from_slice(&push.group).ok()?;
        if let Some(moved) = push.moved {
            self.heads.remove(&group);
            self.moved.insert(group, moved);
            return Some((group, push.clone()));
        }
        let head = push.head.clone()?;
        self.moved.remove(&group);
        let before = self.heads.insert(group, head);
        if self.subscribers.is_empty() {
            return None;
        }
        let lean = lean::shrink(push, before.as_ref());
        Some((group, lean.unwrap_or_else(|| push.clone())))
    }

    fn open(&mut self, id: SubscriberId, open: &FollowOpen, out: &mut Vec<Send>) {
        let mut subscriber = Subscriber {
            all: open.all_groups,
            wanted: parse(&open.groups),
            ..Subscriber::default()
        };
        let heads = self.heads.iter().map(|(group, head)| (group, head.version));
        let moved = self
            .moved
            .iter()
            .map(|(group, moved)| (group, moved.version));
        subscriber.owed = heads
            .chain(moved)
            .filter(|(group, version)| {
                *version > open.watermark || subscriber.wanted.contains(group)
            })
            .map(|(group, _)| *group)
            .collect();
        self.wanted.add(subscriber.wanted.iter().copied());
        self.subscribers.insert(id, subscriber);
        self.settle(id, true, out);
    }

    fn update(&mut self, id: SubscriberId, update: &FollowUpdate, out: &mut Vec<Send>) {
        let Some(subscriber) = self.subscribers.get_mut(&id) else {
            return;
        };
        for group in parse(&update.remove) {
            if !subscriber.wanted.remove(&group) {
                continue;
            }
            self.wanted.remove([group]);
            // From here on it gets heads: the first is that of what it was
            // pushed in full and may have thrown away.
            if !subscriber.all {
                subscriber.owed.insert(group);
            }
        }
        for group in parse(&update.add) {
            // Its head goes out at once: the follower sees what to fetch.
            if subscriber.wanted.insert(group) {
                self.wanted.add([group]);
            }
            subscriber.owed.insert(group);
        }
        self.settle(id, false, out);
    }

    fn taken(&mut self, id: SubscriberId, out: &mut Vec<Send>) {
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.in_flight = subscriber.in_flight.saturating_sub(1);
            if !subscriber.owed.is_empty() {
                self.settle(id, false, out);
            }
        }
    }

    fn tick(&mut self, watermark: bool, out: &mut Vec<Send>) {
        let ids: Vec<_> = self.subscribers.keys().copied().collect();
        for id in ids {
            let mut news = false;
            if let Some(subscriber) = self.subscribers.get_mut(&id) {
                let due = std::mem::take(&mut subscriber.heads_due);
                subscriber.owed.extend(due);
                news = self.watermark > subscriber.said;
            }
            self.settle(id, watermark && news, out);
        }
    }

    /// Sends the heads owed, as far as there is room, then the watermark.
    fn settle(&mut self, id: SubscriberId, watermark: bool, out: &mut Vec<Send>) {
        let Some(subscriber) = self.subscribers.get_mut(&id) else {
            return;
        };
        let mut said = false;
        while !subscriber.owed.is_empty() && subscriber.has_room() {
            let mut groups = Vec::new();
            while groups.len() < HEADS_PER_PUSH
                && let Some(group) = subscriber.owed.pop_first()
            {
                if let Some(head) = self.heads.get(&group) {
                    groups.push(head_only(&group, head));
                } else if let Some(moved) = self.moved.get(&group) {
                    groups.push(GroupPush::of_move(&group, *moved));
                }
            }
            said = subscriber.owed.is_empty() && subscriber.heads_due.is_empty();
            let push = FollowPush {
                shard: self.shard.0,
                groups,
                watermark: if said { self.watermark } else { 0 },
                lossy: std::mem::take(&mut subscriber.lossy),
                slots: subscriber.news_of(self.slots),
                ..FollowPush::default()
            };
            subscriber.said = subscriber.said.max(push.watermark);
            subscriber.in_flight += 1;
            out.push(Send { to: id, push });
        }
        let complete = subscriber.owed.is_empty() && subscriber.heads_due.is_empty();
        let untold = subscriber.told != Some(self.slots);
        if ((watermark && !said && complete) || untold) && subscriber.has_room() {
            subscriber.in_flight += 1;
            let watermark = if complete { self.watermark } else { 0 };
            subscriber.said = subscriber.said.max(watermark);
            out.push(Send {
                to: id,
                push: FollowPush {
                    shard: self.shard.0,
                    watermark,
                    slots: subscriber.news_of(self.slots),
                    ..FollowPush::default()
                },
            });
        }
    }
}

fn head_only(group: &GroupId, head: &Head) -> GroupPush {
    GroupPush {
        group: group.to_bytes(),
        head: Some(head.clone()),
        ..GroupPush::default()
    }
}

fn parse(groups: &[bytes::Bytes]) -> BTreeSet<GroupId> {
    groups
        .iter()
        .filter_map(|group| GroupId::from_slice(group).ok())
        .collect()
}
