//! The end of a history: the faults are over, everything under way arrives,
//! and all that is to agree does.

use std::collections::BTreeMap;
use std::time::Duration;

use folkmoot_client::{GroupId, UserId};
use folkmoot_node::cluster::start::Node;
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_storage::{Direction, Read, Table, keys, log, value};
use folkmoot_wire::proto::{Head, MemberStatus, Row, SealedEntry, StoredApplied, row};
use folkmoot_wire::row::RowKey;
use tokio::time::{Instant, sleep};

use super::book::Book;
use super::machine::Machine;
use super::person::Person;
use super::world::World;

/// After the faults everything works again within this time: more than it
/// takes to hold a dead connection for dead, dial anew, and follow anew.
const WITHIN: Duration = Duration::from_secs(90);
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
    loop {
        let now = home_heads(world);
        let moved = now != heads;
        heads = now;
        match unsettled(world, people, book, &heads) {
            None if !moved => {
                let since = *still_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= STILL {
                    return Ok(());
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
    heads: &BTreeMap<GroupId, Head>,
) -> Option<String> {
    for person in people {
        if !person.is_settled() {
            return Some(format!("person {} has messages not settled", person.id));
        }
    }
    moving(world)
        .or_else(|| lied(world))
        .or_else(|| unread(world, people, book, heads))
        .or_else(|| behind(world, people, book, heads))
}

/// What a disk changed and nobody has put right.
fn lied(world: &World) -> Option<String> {
    let mut stands = world.lies.iter().filter(|lie| lie.stands(world));
    stands.next().map(ToString::to_string)
}

/// A shard whose voters are being changed.
fn moving(world: &World) -> Option<String> {
    let placement = placement(world)?;
    let shard = placement.shards().find(|shard| !shard.next.is_empty())?;
    let (id, from, to) = (shard.id.0, &shard.voters, &shard.next);
    Some(format!("shard {id} changes from {from:?} to {to:?}"))
}

/// What somebody has not read.
fn unread(
    world: &World,
    people: &[Person],
    book: &Book,
    heads: &BTreeMap<GroupId, Head>,
) -> Option<String> {
    let pages = book.pages();
    for person in people {
        let user = pages.users.get(&person.id).copied();
        let groups = person.groups.iter();
        for group in groups.filter(|group| is_member(world, user, group)) {
            let last = pages.readings.get(&(person.id, *group));
            let last = last.map_or(0, |reading| reading.last);
            let head = heads.get(group).map_or(0, |head| head.seq);
            if last != head {
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
    heads: &BTreeMap<GroupId, Head>,
) -> Option<String> {
    for (machine, node) in world.nodes() {
        for (group, head) in heads {
            let here = match log::read_head(&*machine.disk, group) {
                Ok(here) => here,
                Err(error) => return Some(error.to_string()),
            };
            if must_hold(world, machine, node, group, people, book) && here.as_ref() != Some(head) {
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
    machine: &Machine,
    node: &Node,
    group: &GroupId,
    people: &[Person],
    book: &Book,
) -> bool {
    let follows_all = world.follows_all();
    let votes = node
        .view
        .placement()
        .shard_of(group)
        .is_some_and(|shard| shard.voters.contains(&node.peers.me()));
    follows_all || votes || {
        let pages = book.pages();
        let here = |person: &&Person| pages.edges.get(&person.id) == Some(&machine.ip);
        let looks = |person: &Person| {
            let user = pages.users.get(&person.id).copied();
            person.groups.contains(group) && is_member(world, user, group)
        };
        people.iter().filter(here).any(looks)
    }
}

/// The head of every group, at the voter of its shard that applied most.
#[must_use]
pub fn home_heads(world: &World) -> BTreeMap<GroupId, Head> {
    let mut heads = BTreeMap::new();
    let Some(placement) = placement(world) else {
        return heads;
    };
    for shard in placement.shards() {
        if let Some(disk) = home_disk(world, shard) {
            heads.extend(held(disk, shard));
        }
    }
    heads
}

/// Groups of a shard that a disk holds.
pub(super) fn held(disk: &dyn Read, shard: &Shard) -> Vec<(GroupId, Head)> {
    let (from, to) = keys::slots::range(shard.region, shard.slots.0, shard.slots.1);
    let pairs = disk.scan(Table::Heads, &from, &to, usize::MAX, Direction::Forward);
    pairs
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(key, bytes)| {
            let group = keys::heads::parse(&key).ok()?;
            Some((group, value::decode_value(bytes).ok()?))
        })
        .collect()
}

/// All entries of a group on a disk, in order.
#[must_use]
pub fn entries(disk: &dyn Read, group: &GroupId) -> Vec<(u64, SealedEntry)> {
    log::read_entries(disk, group, 0, 0, usize::MAX, usize::MAX).unwrap_or_default()
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

/// Whether a person is a member of a group, by what its home holds.
fn is_member(world: &World, user: Option<UserId>, group: &GroupId) -> bool {
    let placement = placement(world);
    let shard = placement.as_ref().and_then(|p| p.shard_of(group));
    let Some((user, disk)) = user.zip(shard.and_then(|shard| home_disk(world, shard))) else {
        return false;
    };
    let key = keys::rows::key(group, &RowKey::Member(user));
    let bytes = disk.get(Table::Rows, &key).ok().flatten();
    let row = bytes.and_then(|bytes| value::decode_value::<Row>(bytes).ok());
    match row.and_then(|row| row.value) {
        Some(row::Value::Member(member)) => member
            .authority
            .is_some_and(|authority| authority.status() == MemberStatus::Member),
        _ => false,
    }
}

/// What the cluster agreed on about itself.
#[must_use]
pub fn placement(world: &World) -> Option<std::sync::Arc<Placement>> {
    let (_, node) = world.nodes().next()?;
    Some(node.view.placement())
}
