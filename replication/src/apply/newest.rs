//! Which client message ids can have no dedup record, without asking the
//! store: nearly all, since an id begins with a stamp and stamps rise.
//!
//! Only spares reads: what it cannot exclude is looked up, and every replica
//! comes to the same answer whatever it has in memory.

use std::collections::BTreeMap;

use folkmoot_storage::{Direction, Read, StoreError, Table, keys};
use folkmoot_wire::{ClientMsgId, DeviceId, GroupId, UserId};

/// Senders remembered. More: all is forgotten, and learned anew.
const SENDERS: usize = 65_536;

struct OfGroup {
    /// The highest id of any sender that the store held at first.
    floor: Option<ClientMsgId>,
    /// The highest id of each sender since.
    since: BTreeMap<(UserId, DeviceId), ClientMsgId>,
}

/// The newest ids of groups.
#[derive(Default)]
pub(super) struct Newest {
    groups: BTreeMap<GroupId, OfGroup>,
    senders: usize,
}

impl Newest {
    /// Whether no record of this id can be there, in `store` or on its way.
    ///
    /// A group is first looked at before anything of it waits to be written:
    /// each record is preceded by this call, and [`Newest::settled`] forgets
    /// only when the store has everything.
    pub(super) fn excludes(
        &mut self,
        store: &dyn Read,
        group: &GroupId,
        sender: (UserId, DeviceId),
        id: &ClientMsgId,
    ) -> Result<bool, StoreError> {
        if !self.groups.contains_key(group) {
            let floor = highest(store, group)?;
            let fresh = OfGroup {
                floor,
                since: BTreeMap::new(),
            };
            self.groups.insert(*group, fresh);
            self.senders += 1;
        }
        let of = &self.groups[group];
        let held = of.since.get(&sender).into_iter().chain(&of.floor);
        Ok(held.max().is_none_or(|held| id > held))
    }

    /// A record of this id is on its way to the store.
    pub(super) fn remember(
        &mut self,
        group: &GroupId,
        sender: (UserId, DeviceId),
        id: ClientMsgId,
    ) {
        let Some(of) = self.groups.get_mut(group) else {
            debug_assert!(false, "a record is written after it was looked for");
            return;
        };
        let before = of.since.len();
        let held = of.since.entry(sender).or_insert(id);
        *held = id.max(*held);
        self.senders += of.since.len() - before;
    }

    /// The store has every record.
    pub(super) fn settled(&mut self) {
        if self.senders > SENDERS {
            *self = Self::default();
        }
    }
}

fn highest(store: &dyn Read, group: &GroupId) -> Result<Option<ClientMsgId>, StoreError> {
    let (from, to) = keys::dedup::group_range(group);
    let last = store.scan(Table::Dedup, &from, &to, 1, Direction::Backward)?;
    let parsed = last.first().map(|(key, _)| keys::dedup::parse(key));
    Ok(parsed.transpose()?.map(|key| key.id))
}

#[cfg(test)]
mod tests;
