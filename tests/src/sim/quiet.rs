//! The end of a history: the faults are over, everything under way arrives,
//! and all that is to agree does.

use std::collections::BTreeMap;
use std::time::Duration;

use folkmoot_client::{GroupId, UserId};
use folkmoot_node::cluster::start::Node;
use folkmoot_replication::apply::{HomeRecord, away_groups, home_records, moved_groups};
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_storage::{Place, Read, Seat, Table, keys, log, value};
use folkmoot_wire::ShardId;
use folkmoot_wire::proto::{Head, HomePhase, MemberStatus, Row, SealedEntry, StoredApplied, row};
use folkmoot_wire::row::{RowKey, RowKind};
use tokio::time::{Instant, sleep};

use super::book::Book;
use super::counted;
use super::machine::Machine;
use super::person::Person;
use super::present;
use super::world::World;

/// After the faults everything works again within this time: more than it
/// takes to hold a dead connection for dead, dial anew, and follow anew.
const WITHIN: Duration = Duration::from_secs(90);
/// People name those whom they watch this often.
const NAMES: Duration = Duration::from_secs(10);
/// And then nothing moves for so long.
const STILL: Duration = Duration::from_secs(3);

/// Waits until all is quiet and agrees.
///
/// # Errors
/// With what does not.
pub async fn reach(world: &World, people: &[Person], book: &Book) -> Result<(), String> {
    let end = Instant::now() + WITHIN;
    let mut still_since = None;
    let mut heads = BTreeMap::new();
    let mut named: Option<Instant> = None;
    loop {
        if named.is_none_or(|named| named.elapsed() >= NAMES) {
            present::watch(people, book).await;
            named = Some(Instant::now());
        }
        let now: BTreeMap<_, _> = homes(world).into_iter().collect();
        let moved = now != heads;
        heads = now;
        match unsettled(world, people, book, &heads) {
            None if !moved => {
                let since = *still_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= STILL {
                    match counted::wrong(world, people, book, &heads).await {
                        None => return Ok(()),
                        Some(what) if Instant::now() > end => {
                            return Err(format!("{WITHIN:?} after the faults: {what}"));
                        }
                        Some(_) => {}
                    }
                }
            }
            None => still_since = None,
            Some(what) => {
                still_since = None;
                if Instant::now() > end {
                    return Err(format!("{WITHIN:?} after the faults: {what}"));
                }
            }
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// What is still under way, in words.
fn unsettled(
    world: &World,
    people: &[Person],
    book: &Book,
    homes: &BTreeMap<GroupId, Home>,
) -> Option<String> {
    for person in people {
        if !person.is_settled() {
            return Some(format!("person {} has messages not settled", person.id));
        }
    }
    moving(world)
        .or_else(|| lied(world))
        .or_else(|| on_the_way(world))
        .or_else(|| unread(world, people, book, homes))
        .or_else(|| behind(world, people, book, homes))
        .or_else(|| {
            present::unseen(people, book, |user, group| {
                sees_from(world, user, group, homes).is_some()
            })
        })
}

/// What a disk changed and nobody has put right.
fn lied(world: &World) -> Option<String> {
    let mut stands = world.lies.iter().filter(|lie| lie.stands(world));
    stands.next().map(ToString::to_string)
}

/// A shard whose voters are being changed.
fn moving(world: &World) -> Option<String> {
    let placement = placement(world)?;
    if let Some(shard) = placement.shards().find(|shard| shard.splitting) {
        return Some(format!("shard {} is being split", shard.id));
    }
    let shard = placement
        .all_shards()
        .find(|shard| !shard.next.is_empty())?;
    let (id, from, to) = (shard.id.0, &shard.voters, &shard.next);
    Some(format!("shard {id} changes from {from:?} to {to:?}"))
}

/// A group that is neither here nor there, or is not forgotten where it was.
fn on_the_way(world: &World) -> Option<String> {
    let placement = placement(world)?;
    placement.shards().find_map(|shard| {
        let disk = home_disk(world, shard)?;
        let records = home_records(disk, shard.id, None, usize::MAX).unwrap_or_default();
        let is_at_rest = |record: &HomeRecord| match record.home.phase() {
            HomePhase::Here => true,
            HomePhase::Gone | HomePhase::Cancelled => !record.home.held,
            _ => false,
        };
        let record = records.into_iter().find(|record| !is_at_rest(record))?;
        let (group, home) = (record.group, record.home);
        Some(format!("shard {} says of {group}: {home:?}", shard.id))
    })
}

/// Groups that are at home elsewhere by now, once for each shard that knows.
pub fn rehomed(world: &World) -> Vec<GroupId> {
    let placement = placement(world).unwrap_or_default();
    let mut all = Vec::new();
    for shard in placement.shards() {
        if let Some(disk) = home_disk(world, shard) {
            let moved = moved_groups(disk, shard.id).unwrap_or_default();
            all.extend(moved.into_keys());
        }
    }
    all
}

/// What somebody has not read.
fn unread(
    world: &World,
    people: &[Person],
    book: &Book,
    homes: &BTreeMap<GroupId, Home>,
) -> Option<String> {
    let pages = book.pages();
    for person in people {
        let user = pages.users.get(&person.id).copied();
        let groups = person.groups.iter();
        for group in groups {
            let Some(from) = sees_from(world, user, group, homes) else {
                continue;
            };
            let last = pages.readings.get(&(person.id, *group));
            let last = last.map_or(0, |reading| reading.last);
            let head = homes.get(group).map_or(0, |home| home.head.seq);
            // Who came behind the last entry, without one, has nothing to read.
            if last != head && from <= head {
                let edge = pages.edges.get(&person.id);
                return Some(format!(
                    "person {} at {edge:?} read {group} up to {last} of {head}",
                    person.id
                ));
            }
        }
    }
    None
}

/// What a node is behind with.
fn behind(
    world: &World,
    people: &[Person],
    book: &Book,
    homes: &BTreeMap<GroupId, Home>,
) -> Option<String> {
    for (machine, node) in world.nodes() {
        for (group, home) in homes {
            let (head, seat) = (&home.head, home.place.seat(&*machine.disk));
            let here = match log::read_head(&seat, group) {
                Ok(here) => here,
                Err(error) => return Some(error.to_string()),
            };
            let must = must_hold(world, (machine, node), group, people, book, homes);
            if must && here.as_ref() != Some(head) {
                let at = here.map(|head| (head.seq, head.version));
                return Some(format!(
                    "machine {} has {group} at {at:?}, its home at {:?}",
                    machine.index,
                    (head.seq, head.version)
                ));
            }
        }
    }
    None
}

/// Whether a node is to have a group whole: it votes on it, follows all, or
/// has a client that looks at it.
fn must_hold(
    world: &World,
    (machine, node): (&Machine, &Node),
    group: &GroupId,
    people: &[Person],
    book: &Book,
    homes: &BTreeMap<GroupId, Home>,
) -> bool {
    let follows_all = world.follows_all();
    let placement = node.view.placement();
    let shard = homes
        .get(group)
        .and_then(|home| placement.shard(home.shard));
    let votes = shard.is_some_and(|shard| shard.voters.contains(&node.peers.me()));
    follows_all || votes || {
        let pages = book.pages();
        let here = |person: &&Person| pages.edges.get(&person.id) == Some(&machine.ip);
        let looks = |person: &Person| {
            let user = pages.users.get(&person.id).copied();
            person.groups.contains(group) && sees_from(world, user, group, homes).is_some()
        };
        people.iter().filter(here).any(looks)
    }
}

/// A group, where it is at home.
#[derive(Debug, Clone, PartialEq)]
pub struct Home {
    pub shard: ShardId,
    pub place: Place,
    pub head: Head,
}

/// Every group's home, by the voter of its shard that applied most. One that
/// has two is in it twice.
#[must_use]
pub fn homes(world: &World) -> Vec<(GroupId, Home)> {
    let placement = placement(world).unwrap_or_default();
    let mut homes = Vec::new();
    for shard in placement.shards() {
        let Some(disk) = home_disk(world, shard) else {
            continue;
        };
        let away = away_groups(disk, shard.id).unwrap_or_default();
        let held = held(disk, shard).into_iter();
        homes.extend(
            held.filter(|(group, _)| !away.contains(group))
                .map(|(group, head)| {
                    let (shard, place) = (shard.id, shard.place(group));
                    (group, Home { shard, place, head })
                }),
        );
    }
    homes
}

/// Groups that a disk holds as a shard's.
pub(super) fn held(disk: &dyn Read, shard: &Shard) -> Vec<(GroupId, Head)> {
    let (from, to) = keys::slots::range(shard.region, shard.slots.0, shard.slots.1);
    let seat = Seat::new(disk, shard.region);
    log::heads_in(&seat, &from, &to, usize::MAX).unwrap_or_default()
}

/// All entries of a group on a disk, in order.
#[must_use]
pub fn entries(disk: &dyn Read, place: &Place) -> Vec<(u64, SealedEntry)> {
    let seat = place.seat(disk);
    log::read_entries(&seat, &place.group, 0, 0, usize::MAX, usize::MAX).unwrap_or_default()
}

/// Whom a group's rows on a disk speak of.
#[must_use]
pub fn members(disk: &dyn Read, place: &Place) -> BTreeMap<UserId, MemberStatus> {
    let seat = place.seat(disk);
    let rows = log::read_rows_of(&seat, &place.group, RowKind::Member, &[], usize::MAX);
    let member = |(key, row): (RowKey, Row)| match (key, row.value?) {
        (RowKey::Member(user), row::Value::Member(member)) => {
            Some((user, member.authority.unwrap_or_default().status()))
        }
        _ => None,
    };
    let rows = rows.unwrap_or_default().into_iter();
    rows.filter_map(member).collect()
}

/// How many members the group's own row on a disk says there are.
#[must_use]
pub fn member_count(disk: &dyn Read, place: &Place) -> u32 {
    let row = log::read_row(&place.seat(disk), &place.group, &RowKey::Group);
    match row.ok().flatten().and_then(|row| row.value) {
        Some(row::Value::Group(value)) => value.member_count,
        _ => 0,
    }
}

/// The disk of the voter of a shard that applied most.
#[must_use]
pub fn home_disk<'a>(world: &'a World, shard: &Shard) -> Option<&'a dyn Read> {
    let voters = world.machines.iter().filter(|machine| {
        let id = machine.id();
        id.is_some_and(|id| shard.voters.contains(&id))
    });
    let applied = |machine: &&Machine| {
        let key = keys::shards::key(shard.id);
        let bytes = machine.disk.get(Table::Shards, &key).ok().flatten();
        let applied = bytes.and_then(|bytes| value::decode_value::<StoredApplied>(bytes).ok());
        applied.map_or(0, |applied| applied.index)
    };
    // Of equals the first.
    let most = voters.rev().max_by_key(applied)?;
    Some(&*most.disk)
}

/// From where on a person sees a group, by what its home holds; `None`: is no
/// member.
fn sees_from(
    world: &World,
    user: Option<UserId>,
    group: &GroupId,
    homes: &BTreeMap<GroupId, Home>,
) -> Option<u64> {
    let placement = placement(world).unwrap_or_default();
    let (user, home) = user.zip(homes.get(group))?;
    let disk = home_disk(world, placement.shard(home.shard)?)?;
    let row = log::read_row(&home.place.seat(disk), group, &RowKey::Member(user));
    let Some(row::Value::Member(member)) = row.ok().flatten()?.value else {
        return None;
    };
    let authority = member.authority?;
    let is_member = authority.status() == MemberStatus::Member;
    is_member.then_some(authority.visible_from)
}

/// What the cluster agreed on about itself.
#[must_use]
pub fn placement(world: &World) -> Option<std::sync::Arc<Placement>> {
    let (_, node) = world.nodes().next()?;
    Some(node.view.placement())
}
