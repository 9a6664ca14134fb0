//! Rows that only say that something is gone go, once all voters have them
//! (D5). The leader says which; apply judges whether they still say no more.

use folkmoot_crdt::hlc::Hlc;
use folkmoot_storage::{Read, StoreError, log};
use folkmoot_wire::proto::{CollectRows, Tombstone};
use folkmoot_wire::row::{self, RowKey};
use folkmoot_wire::{Code, GroupId, limits, version};

use super::{Answer, ApplyError, ShardApply, done, refuse};

/// Rows of a group that may be collected.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collectable {
    /// What is to be proposed.
    pub rows: Vec<Tombstone>,
    /// None of them is newer than this version of the shard.
    pub version: u64,
}

/// Which of these rows may be collected.
///
/// # Errors
/// When the store fails or a row does not read back.
pub fn tombstones(
    read: &dyn Read,
    group: &GroupId,
    keys: &[RowKey],
) -> Result<Collectable, StoreError> {
    let mut rows = Vec::with_capacity(keys.len());
    for key in keys {
        rows.extend(log::read_row(read, group, key)?);
    }
    // Read behind the rows: nothing of them is newer.
    let Some(head) = log::read_head(read, group)? else {
        return Ok(Collectable::default());
    };
    let time = Hlc::from_u64(head.hlc);
    let rows = rows.iter().filter_map(|row| row::tombstone(row, time));
    Ok(Collectable {
        rows: rows.collect(),
        version: head.version,
    })
}

impl ShardApply {
    /// A row that changed since it was proposed stays.
    pub(super) fn collect(&mut self, group: GroupId, collect: &CollectRows) -> Answer {
        if self.applied.apply_version < version::APPLY_COLLECTS {
            return refuse(Code::UnknownRequest, "not at this version of apply");
        }
        let Some(head) = self.view.head(&group)? else {
            return done();
        };
        let time = Hlc::from_u64(head.hlc);
        for asked in collect.rows.iter().take(limits::COLLECT_ROWS) {
            if let Ok(key) = RowKey::from_slice(&asked.key) {
                self.collect_row(group, key, asked, time)?;
            }
        }
        done()
    }

    fn collect_row(
        &mut self,
        group: GroupId,
        key: RowKey,
        asked: &Tombstone,
        time: Hlc,
    ) -> Result<(), ApplyError> {
        let held = self.view.row(&group, key)?;
        let now = held.and_then(|held| row::tombstone(&held, time));
        if now.as_ref() != Some(asked) {
            return Ok(());
        }
        self.view.delete_row(group, key)?;
        if let RowKey::Member(user) = key {
            // Who comes back begins like anybody who comes.
            self.view.delete_row(group, RowKey::Cursor(user))?;
        }
        Ok(())
    }
}
