//! What a shard has written down of the homes of groups, for all who read it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use folkmoot_storage::{Direction, Read, StoreError, Table, keys, value};
use folkmoot_wire::proto::{GroupMoved, HomePhase, Moved, StoredHome};
use folkmoot_wire::{GroupId, ShardId, limits};

/// Where a shard with this record sends those who ask for the group; `None`:
/// it is at home there.
#[must_use]
pub fn away(home: &StoredHome) -> Option<Moved> {
    match home.phase() {
        HomePhase::Here | HomePhase::Leaving | HomePhase::Fenced => None,
        _ => Some(Moved {
            shard: home.redirect,
            epoch: home.redirect_epoch,
        }),
    }
}

/// What followers are told of a group with this record.
pub(super) fn moved(home: &StoredHome) -> Option<GroupMoved> {
    let to = away(home).filter(|to| to.shard != 0)?;
    Some(GroupMoved {
        shard: to.shard,
        epoch: to.epoch,
        version: home.version,
    })
}

/// One record of a shard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HomeRecord {
    /// The group.
    pub group: GroupId,
    /// How the shard stands to it.
    pub home: StoredHome,
}

/// Records of a shard behind `after`, at most `limit` of them, in order.
///
/// # Errors
/// When the store fails or a record does not read back.
pub fn home_records(
    read: &dyn Read,
    shard: ShardId,
    after: Option<&GroupId>,
    limit: usize,
) -> Result<Vec<HomeRecord>, StoreError> {
    let (mut from, to) = keys::homes::shard_range(shard);
    if let Some(after) = after {
        from = keys::successor(&keys::homes::key(shard, after));
    }
    let limit = limit.min(limits::PAGE_ROWS as usize);
    let pairs = read.scan(Table::Shards, &from, &to, limit, Direction::Forward)?;
    let record = |(key, bytes): (Bytes, Bytes)| {
        let (_, group) = keys::homes::parse(&key)?;
        let home = value::decode_value(bytes)?;
        Ok(HomeRecord { group, home })
    };
    pairs.into_iter().map(record).collect()
}

fn all_records(read: &dyn Read, shard: ShardId) -> Result<Vec<HomeRecord>, StoreError> {
    let mut all: Vec<HomeRecord> = Vec::new();
    loop {
        let after = all.last().map(|last| last.group);
        let page = home_records(read, shard, after.as_ref(), limits::PAGE_ROWS as usize)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// The groups that went from a shard to another one, with where they went.
///
/// # Errors
/// As [`home_records`].
pub fn moved_groups(
    read: &dyn Read,
    shard: ShardId,
) -> Result<BTreeMap<GroupId, GroupMoved>, StoreError> {
    let all = all_records(read, shard)?.into_iter();
    let went = |record: HomeRecord| Some((record.group, moved(&record.home)?));
    Ok(all.filter_map(went).collect())
}

/// The groups that a shard has a record of and that are not at home in it,
/// whatever is left of them there or has come of them.
///
/// # Errors
/// As [`home_records`].
pub fn away_groups(read: &dyn Read, shard: ShardId) -> Result<BTreeSet<GroupId>, StoreError> {
    let all = all_records(read, shard)?.into_iter();
    let is_away = |record: &HomeRecord| away(&record.home).is_some();
    Ok(all.filter(is_away).map(|record| record.group).collect())
}

/// How a shard stands to a group, if that is written down.
///
/// # Errors
/// As [`home_records`].
pub fn home_record(
    read: &dyn Read,
    shard: ShardId,
    group: &GroupId,
) -> Result<Option<StoredHome>, StoreError> {
    let stored = read.get(Table::Shards, &keys::homes::key(shard, group))?;
    stored.map(value::decode_value).transpose()
}
