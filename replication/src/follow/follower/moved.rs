//! Groups that went to another shard: what is here of them goes, and where they
//! went is kept, for whoever asks for them here.

use folkmoot_storage::{Table, keys, value};
use folkmoot_wire::GroupId;
use folkmoot_wire::proto::{GroupMoved, GroupPush, HomePhase, StoredHome};

use super::copy::Copies;
use super::{Follower, Output};
use crate::apply::ApplyError;

impl Follower {
    /// The upstream says that the group is at home elsewhere.
    pub(super) fn take_moved(
        &mut self,
        group: GroupId,
        moved: GroupMoved,
        out: &mut Output,
    ) -> Result<(), ApplyError> {
        let told = self.moved.get(&group).map_or(0, |known| known.version);
        let known = self.known.get(&group).map_or(0, |head| head.version);
        let due = self.fetches.target(&group).map_or(0, |head| head.version);
        let held = self.copies.head(&group)?.version;
        if moved.version <= told.max(known).max(due).max(held) {
            return Ok(()); // an upstream that lags behind the one before
        }
        self.fetches.cancel(&group);
        self.known.remove(&group);
        self.copies.drop_group(group, out);
        let home = StoredHome {
            phase: HomePhase::Gone as i32,
            redirect: moved.shard,
            redirect_epoch: moved.epoch,
            version: moved.version,
            ..StoredHome::default()
        };
        out.batch.put(
            Table::Shards,
            keys::homes::key(self.config.shard, &group),
            value::encode_value(&home),
        );
        self.moved.insert(group, moved);
        out.pushes.push(GroupPush::of_move(&group, moved));
        Ok(())
    }

    /// Whether the group went after `version`. One that is told of a later one
    /// has come back.
    pub(super) fn went_after(&mut self, group: &GroupId, version: u64, out: &mut Output) -> bool {
        match self.moved.get(group) {
            None => false,
            Some(moved) if moved.version >= version => true,
            Some(_) => {
                self.moved.remove(group);
                let key = keys::homes::key(self.config.shard, group);
                out.batch.delete(Table::Shards, key);
                false
            }
        }
    }
}

impl Copies {
    /// Deletes all that is here of a group.
    fn drop_group(&mut self, group: GroupId, out: &mut Output) {
        for table in keys::slots::TABLES {
            let (from, to) = keys::prefix_range(group.as_bytes());
            out.batch.delete_range(table, from, to);
        }
        self.forget(&group);
    }
}
