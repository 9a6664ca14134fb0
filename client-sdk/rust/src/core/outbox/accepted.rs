//! Messages that the edge's region keeps until their home has answered.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use folkmoot_wire::{ClientMsgId, GroupId};

use super::{Item, LocalId, Outbox};

/// The edge tells what became of a message by itself. When it says nothing for
/// so long it is asked, by sending the message again.
const ASK: Duration = Duration::from_secs(30);

/// They, by group and in order of the calls.
#[derive(Debug, Default)]
pub(super) struct Accepted(BTreeMap<GroupId, Kept>);

#[derive(Debug)]
struct Kept {
    items: VecDeque<Item>,
    ask_at: Duration,
}

impl Accepted {
    pub(super) fn put(&mut self, mut item: Item, now: Duration) {
        item.state = super::State::Accepted;
        item.failures = 0;
        let kept = self.0.entry(item.group).or_insert_with(|| Kept {
            items: VecDeque::new(),
            ask_at: now + ASK,
        });
        kept.items.push_back(item);
    }

    pub(super) fn take(&mut self, group: GroupId, id: ClientMsgId) -> Option<Item> {
        let kept = self.0.get_mut(&group)?;
        let at = kept.items.iter().position(|item| item.id == Some(id))?;
        let item = kept.items.remove(at);
        if kept.items.is_empty() {
            self.0.remove(&group);
        }
        item
    }

    /// Takes out those of a group.
    pub(super) fn of(&mut self, group: GroupId) -> VecDeque<Item> {
        self.0
            .remove(&group)
            .map(|kept| kept.items)
            .unwrap_or_default()
    }

    /// Takes all out.
    pub(super) fn all(&mut self) -> impl Iterator<Item = (GroupId, VecDeque<Item>)> + use<> {
        let all = std::mem::take(&mut self.0);
        all.into_iter().map(|(group, kept)| (group, kept.items))
    }

    /// Groups whose messages are to be asked for.
    pub(super) fn due(&self, now: Duration) -> Vec<GroupId> {
        let due = self.0.iter().filter(|(_, kept)| kept.ask_at <= now);
        due.map(|(group, _)| *group).collect()
    }

    /// Those of a group are asked for another time.
    pub(super) fn later(&mut self, group: GroupId, now: Duration) {
        if let Some(kept) = self.0.get_mut(&group) {
            kept.ask_at = now + ASK;
        }
    }

    pub(super) fn ask_at(&self) -> Option<Duration> {
        self.0.values().map(|kept| kept.ask_at).min()
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.0.values().flat_map(|kept| &kept.items)
    }
}

impl Outbox {
    /// The edge's region keeps the message: the next one may go. Gives its id;
    /// `None` when it is not in flight.
    pub fn accepted(&mut self, local: LocalId, now: Duration) -> Option<ClientMsgId> {
        self.sending(local)?;
        let item = self.take_out(local)?;
        let (group, id) = (item.group, item.id);
        self.accepted.put(item, now);
        self.refresh(group);
        id
    }

    /// What became of an accepted message: takes it out. `None` when it is not
    /// one, or is being asked for: the answer will tell.
    pub fn settled(&mut self, group: GroupId, id: ClientMsgId) -> Option<Item> {
        let item = self.accepted.take(group, id)?;
        self.groups.remove(&item.local);
        if !self.accepted.0.contains_key(&group) {
            self.home_is_back(group);
        }
        Some(item)
    }

    /// What was accepted has its place: what waited for the home goes at once,
    /// not when its next attempt, after a long cut far away, would be due.
    fn home_is_back(&mut self, group: GroupId) {
        let Some(lane) = self.lanes.get_mut(&group).filter(|lane| lane.for_home) else {
            return;
        };
        if let Some(until) = lane.held_until.take() {
            self.held.remove(&(until, group));
        }
        self.refresh(group);
    }

    /// Sends again what nothing was heard of for long.
    pub(super) fn ask(&mut self, now: Duration) {
        for group in self.accepted.due(now) {
            let lane = self.lanes.entry(group).or_default();
            // Not among what is in flight: in a moment it will not be.
            if lane.sending == 0 {
                lane.put_back(self.accepted.of(group));
            } else {
                self.accepted.later(group, now);
            }
            self.refresh(group);
        }
    }
}
