//! Rows that only say that something is gone go, once all voters have them
//! (D5). The leader says which; apply judges whether they still say no more.

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_storage::{Read, StoreError, log};
use folkmoot_wire::proto::{CollectRows, Head, Tombstone};
use folkmoot_wire::row::{self, RowKey, RowKind};
use folkmoot_wire::{Code, GroupId, limits, version};

use super::{Answer, ApplyError, ShardApply, done, refuse};

/// Rows of one page that may be collected, and where the next begins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// What is to be proposed.
    pub rows: Vec<Tombstone>,
    /// Rows looked at.
    pub read: usize,
    /// The last key looked at; empty: there are no more.
    pub next: Bytes,
}

/// Looks at `limit` rows behind the key `after` (empty: from the first).
///
/// # Errors
/// When the store fails or a row does not read back.
pub fn tombstones(
    read: &dyn Read,
    group: &GroupId,
    head: &Head,
    after: &[u8],
    limit: usize,
) -> Result<Page, StoreError> {
    let kind = match group.self_user() {
        Some(_) => RowKind::Listed,
        None => RowKind::Member,
    };
    let rows = log::read_rows_of(read, group, kind, after, limit)?;
    let next = match rows.last() {
        Some((key, _)) if rows.len() == limit => key.to_bytes(),
        _ => Bytes::new(),
    };
    let (time, read) = (Hlc::from_u64(head.hlc), rows.len());
    let rows = rows.iter().filter_map(|(_, row)| row::tombstone(row, time));
    Ok(Page {
        rows: rows.collect(),
        read,
        next,
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
