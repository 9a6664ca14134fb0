//! A shard loses a part of its slots to a new one (design decision D18). What
//! lies under keys of groups stays where it is: from this command on it is the
//! other shard's. Only what the shard itself wrote down of groups changes its
//! key. So a split costs the records of groups that moved, not the groups, and
//! all replicas of the new shard begin with the same, each where it applies
//! this.

use folkmoot_storage::{Read, StoreError, Table, keys, value};
use folkmoot_wire::proto::{HomePhase, SlotRange, SplitOff, StoredApplied, StoredHome};
use folkmoot_wire::{Code, GroupId, ShardId, Slot, version};

use super::{Answer, ApplyError, ShardApply, Step, done, refuse};
use crate::placement::has_slot;

/// What a replica of a shard has applied; `None`: nothing.
///
/// # Errors
/// When the store fails or the record does not read back.
pub fn applied(read: &dyn Read, shard: ShardId) -> Result<Option<StoredApplied>, StoreError> {
    let stored = read.get(Table::Shards, &keys::shards::key(shard))?;
    stored.map(value::decode_value).transpose()
}

fn range(slots: SlotRange) -> (Slot, Slot) {
    (Slot(slots.from as u16), Slot(slots.to as u16))
}

/// The slots of a shard by what a replica has applied; `None`: those that it was
/// made with.
///
/// # Errors
/// As [`applied`].
pub fn slots_held(read: &dyn Read, shard: ShardId) -> Result<Option<(Slot, Slot)>, StoreError> {
    Ok(applied(read, shard)?
        .and_then(|applied| applied.slots)
        .map(range))
}

impl ShardApply {
    /// The slots that the shard has now, inclusive.
    #[must_use]
    pub fn slots(&self) -> (Slot, Slot) {
        self.applied.slots.map_or(self.config.slots, range)
    }

    /// Whether the shard has records of groups that moved.
    #[must_use]
    pub fn has_moves(&self) -> bool {
        self.applied.moves
    }

    /// The shard that was split off since this was asked last.
    pub fn take_child(&mut self) -> Option<ShardId> {
        self.child.take()
    }

    pub(super) fn split_off(&mut self, step: &Step, split: &SplitOff) -> Answer {
        if self.applied.apply_version < version::APPLY_SPLITS {
            return refuse(
                Code::Unavailable,
                format!(
                    "shards split from apply version {} on",
                    version::APPLY_SPLITS
                ),
            );
        }
        let (first, last) = self.slots();
        let at = Slot(split.from as u16);
        if at > last {
            return done(); // it was proposed twice
        }
        if at <= first {
            return refuse(
                Code::Invalid,
                format!("no slots would be left before {}", at.0),
            );
        }
        let child = ShardId(split.shard);
        let theirs = (at, last);
        let records = self.records_of(theirs)?;
        let us = self.config.shard.0;
        for (group, mut home) in records {
            // One that leaves goes on leaving, and is known there as this one's.
            if matches!(home.phase(), HomePhase::Leaving | HomePhase::Fenced) {
                home.leaves_as = match home.leaves_as {
                    0 => us,
                    earlier => earlier,
                };
            }
            self.view
                .delete(Table::Shards, keys::homes::key(self.config.shard, &group));
            let record = value::encode_value(&home);
            self.view
                .put(Table::Shards, keys::homes::key(child, &group), record);
        }
        let begins = StoredApplied {
            index: step.at.index,
            apply_version: self.applied.apply_version,
            next_outbox: 1,
            outbox_waits: self.undelivered(),
            last_hlc: self.applied.last_hlc,
            moves: self.applied.moves,
            slots: Some(slot_range(theirs)),
            ..StoredApplied::default()
        };
        self.view.put(
            Table::Shards,
            keys::shards::key(child),
            value::encode_value(&begins),
        );
        let ours = (first, Slot(at.0 - 1));
        self.applied.slots = Some(slot_range(ours));
        self.applied.split_at = step.at.index;
        self.applied.split_off = child.0;
        self.homes.keep(|group| has_slot(ours, group));
        self.child = Some(child);
        done()
    }

    /// What a shard that is split off now has to wait for before it delivers: an
    /// effect of its groups must not overtake one of before.
    fn undelivered(&self) -> u64 {
        let given = self.applied.next_outbox.saturating_sub(1);
        let waits = self.applied.outbox_acked < given || self.applied.outbox_waits > 0;
        if waits { given + 1 } else { 0 }
    }

    /// The parent has delivered so much, and waits for nothing itself.
    pub(super) fn begin_outbox(&mut self, up_to: u64) -> Answer {
        if up_to.saturating_add(1) < self.applied.outbox_waits {
            return refuse(Code::Busy, "not all that was there at the split");
        }
        self.applied.outbox_waits = 0;
        done()
    }

    /// What is written down of the groups in these slots.
    fn records_of(&self, slots: (Slot, Slot)) -> Result<Vec<(GroupId, StoredHome)>, ApplyError> {
        let (from, to) = keys::homes::shard_range(self.config.shard);
        let mut records = Vec::new();
        for (key, bytes) in self.view.range(Table::Shards, &from, &to)? {
            let (_, group) = keys::homes::parse(&key)?;
            if has_slot(slots, &group) {
                records.push((group, value::decode_value(bytes)?));
            }
        }
        Ok(records)
    }
}

fn slot_range((from, to): (Slot, Slot)) -> SlotRange {
    SlotRange {
        from: u32::from(from.0),
        to: u32::from(to.0),
    }
}
