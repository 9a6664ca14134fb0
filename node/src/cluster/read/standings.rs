//! How far groups are, and a user in them: many at once, for the list of all that
//! one is in.

use bytes::Bytes;
use folkmoot_replication::placement::Shard;
use folkmoot_storage::{Read, Seat, StoreError, Table, keys, mentions, value};
use folkmoot_wire::proto::{Row, row};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Fault, GroupId, UserId};
use prost::Message;

use super::{LocalReads, storage};
use crate::backend::Standing;

impl LocalReads {
    /// How far groups of a shard are, and a user in each, in the order of the
    /// groups.
    pub fn standings(
        &self,
        shard: &Shard,
        user: &UserId,
        groups: &[GroupId],
    ) -> Vec<Result<Standing, Fault>> {
        let seat = Seat::new(&*self.store as &dyn Read, shard.region);
        // Read first: who reads on meanwhile may be ahead of it, never behind.
        let heads = all(&seat, Table::Heads, groups.iter().map(keys::heads::key));
        let cursor = RowKey::Cursor(*user);
        let cursors = groups.iter().map(|group| keys::rows::key(group, &cursor));
        let cursors = all(&seat, Table::Rows, cursors);
        let standing = |(head, row): (_, Result<Option<Row>, Fault>)| {
            let cursor = match row?.and_then(|row| row.value) {
                Some(row::Value::Cursor(cursor)) => Some(cursor),
                _ => None,
            };
            Ok(Standing {
                head: head?,
                cursor,
                mentions: 0,
            })
        };
        let standings = heads.into_iter().zip(cursors).map(standing);
        let mut standings: Vec<_> = standings.collect();
        self.count_mentions(shard, user, groups, &mut standings);
        standings
    }

    fn count_mentions(
        &self,
        shard: &Shard,
        user: &UserId,
        groups: &[GroupId],
        standings: &mut [Result<Standing, Fault>],
    ) {
        // Nobody is mentioned where there is nothing to read.
        let (mut unread, mut behind) = (Vec::new(), Vec::new());
        for (standing, group) in standings.iter_mut().zip(groups) {
            if let Ok(known) = standing
                && known.unread() > 0
            {
                let read = known.cursor.as_ref().map_or(0, |cursor| cursor.seq);
                behind.push((shard.place(*group), read));
                unread.push(standing);
            }
        }
        let counted = mentions(&*self.store, user, &behind);
        for (standing, count) in unread.into_iter().zip(counted) {
            match (&mut *standing, count) {
                // What came between these looks is not unread yet.
                (Ok(known), Ok(count)) => known.mentions = count.min(known.unread()),
                (_, Err(error)) => *standing = Err(storage(error)),
                (Err(_), Ok(_)) => {}
            }
        }
    }
}

/// The values of keys, read.
fn all<M: Message + Default>(
    seat: &Seat<&dyn Read>,
    table: Table,
    keys: impl Iterator<Item = Bytes>,
) -> Vec<Result<Option<M>, Fault>> {
    let found = seat.get_many(table, &keys.collect::<Vec<_>>());
    let read = |bytes: Result<Option<Bytes>, StoreError>| {
        bytes.and_then(|bytes| bytes.map(value::decode_value).transpose())
    };
    let values = found.into_iter().map(read);
    values.map(|value| value.map_err(storage)).collect()
}
