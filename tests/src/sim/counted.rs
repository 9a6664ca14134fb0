//! What people are told to be unread: what their cursors leave, at the home,
//! and how much of it is said to all and to them by name.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_client::{GroupId, UserId};
use folkmoot_storage::{Place, Read, log};
use folkmoot_wire::limits;
use folkmoot_wire::proto::{EntryHeader, Kind, row};
use folkmoot_wire::row::{RowKey, RowKind};

use super::book::Book;
use super::person::Person;
use super::quiet::{self, Home, home_disk};
use super::sometimes::State;
use super::world::World;

/// Unread, of these to all, and to the user by name.
type Counts = (u64, u64, u64);

/// Somebody who is told something else than the homes hold.
pub async fn wrong(
    world: &World,
    people: &[Person],
    book: &Book,
    homes: &BTreeMap<GroupId, Home>,
) -> Option<String> {
    for person in people {
        let user = book.pages().users.get(&person.id).copied();
        let (Some(user), Some(client)) = (user, person.client()) else {
            continue;
        };
        let told = match client.unread().await {
            Ok(told) => told,
            Err(error) => return Some(format!("person {} asked in vain: {error}", person.id)),
        };
        let unknown = told.unknown.len();
        let counts = told.groups.into_iter().filter_map(|count| {
            let group = GroupId::from_slice(&count.group).ok()?;
            Some((group, (count.unread, count.at_all, count.mentions)))
        });
        let told: BTreeMap<GroupId, Counts> = counts.collect();
        if told.values().any(|counts| counts.2 > 0) {
            person.sometimes.saw(State::Mentioned);
        }
        let wanted = wanted(world, user, homes);
        if unknown > 0 || told != wanted {
            return Some(format!(
                "person {} is told that {told:?} is unread and {unknown} unknown, and it is {wanted:?}",
                person.id
            ));
        }
    }
    None
}

fn wanted(
    world: &World,
    user: UserId,
    homes: &BTreeMap<GroupId, Home>,
) -> BTreeMap<GroupId, Counts> {
    let disk_of = |group: &GroupId| {
        let home = homes.get(group)?;
        let placement = quiet::placement(world)?;
        Some((home, home_disk(world, placement.shard(home.shard)?)?))
    };
    let own = user.self_group();
    let Some((list, disk)) = disk_of(&own) else {
        return BTreeMap::new();
    };
    let rows = log::read_rows_of(
        &list.place.seat(disk),
        &own,
        RowKind::Listed,
        &[],
        usize::MAX,
    );
    let listed = rows.unwrap_or_default().into_iter();
    let listed = listed.filter_map(|(key, row)| match (key, row.value) {
        (RowKey::Listed(group), Some(row::Value::Listed(value))) if value.listed => Some(group),
        _ => None,
    });
    listed
        .filter_map(|group| {
            let (home, disk) = disk_of(&group)?;
            let counts = counts(disk, home, user)?;
            Some((group, counts)).filter(|(_, counts)| counts.0 > 0)
        })
        .collect()
}

fn counts(disk: &dyn Read, home: &Home, user: UserId) -> Option<Counts> {
    let Place { group, .. } = home.place;
    let row = log::read_row(&home.place.seat(disk), &group, &RowKey::Cursor(user));
    let cursor = match row.ok()?.and_then(|row| row.value) {
        Some(row::Value::Cursor(cursor)) => cursor,
        _ => Default::default(),
    };
    let headers = quiet::entries(disk, &home.place).into_iter();
    let headers = headers.filter_map(|(_, sealed)| sealed.decode_header().ok());
    let headers: Vec<EntryHeader> = headers.collect();
    let recalls = headers.iter().filter(|h| h.kind() == Kind::Recall);
    let recalled: BTreeSet<u64> = recalls.map(|header| header.target).collect();
    let named =
        |header: &&EntryHeader| header.countable && header.mentions.contains(&user.to_bytes());
    let named = headers.iter().rev().filter(named);
    let stand = |header: &&EntryHeader| header.seq > cursor.seq && !recalled.contains(&header.seq);
    let mentions = named.take(limits::MENTIONS_KEPT).filter(stand).count();
    let unread = home.head.count.saturating_sub(cursor.count);
    let at_all = home.head.at_all.saturating_sub(cursor.at_all);
    Some((unread, at_all, mentions as u64))
}
