//! The feed by itself: bounded memory, honest watermarks.

use std::collections::BTreeMap;

use folkmoot_wire::proto::{FollowOpen, FollowPush, FollowUpdate, GroupPush, Head};
use folkmoot_wire::{GroupId, Slot, limits};

use crate::follow::feed::{Event, Feed, Send};
use crate::testing::{SHARD, group};

use super::net::ALL;

fn push(n: u8, version: u64) -> GroupPush {
    GroupPush {
        group: group(n).to_bytes(),
        head: Some(Head {
            seq: version,
            version,
            ..Head::default()
        }),
        ..GroupPush::default()
    }
}

fn publish(feed: &mut Feed, n: u8, version: u64) -> Vec<Send> {
    feed.handle(Event::Published {
        pushes: vec![push(n, version)],
        watermark: Some(version),
    })
}

fn open(feed: &mut Feed, id: u64, watermark: u64, groups: Option<&[GroupId]>) -> Vec<FollowPush> {
    let open = FollowOpen {
        shard: SHARD.0,
        watermark,
        all_groups: groups.is_none(),
        groups: groups
            .unwrap_or(&[])
            .iter()
            .map(GroupId::to_bytes)
            .collect(),
        subscription: id,
    };
    pushes(feed.handle(Event::Open { id, open }))
}

fn pushes(sends: Vec<Send>) -> Vec<FollowPush> {
    sends.into_iter().map(|send| send.push).collect()
}

fn groups(pushes: &[FollowPush]) -> Vec<GroupId> {
    pushes
        .iter()
        .flat_map(|p| &p.groups)
        .map(|g| GroupId::from_slice(&g.group).expect("a group"))
        .collect()
}

#[test]
fn a_follower_that_opens_gets_the_heads_it_lacks_and_the_watermark() {
    let mut feed = Feed::new((SHARD, ALL), 0, [], BTreeMap::new());
    for n in 1..=5 {
        publish(&mut feed, n, u64::from(n));
    }
    let sent = open(&mut feed, 1, 3, None);
    assert_eq!(groups(&sent), [group(4), group(5)]);
    assert_eq!(sent.last().expect("a push").watermark, 5);
    let sent = open(&mut feed, 2, 5, None);
    assert_eq!((groups(&sent).len(), sent[0].watermark), (0, 5));
    let sent = open(&mut feed, 3, 5, Some(&[group(2)]));
    assert_eq!(groups(&sent), [group(2)]);
    assert_eq!(feed.followers(), 3);
}

#[test]
fn named_groups_come_in_full_and_the_others_as_heads_at_a_tick() {
    let mut feed = Feed::new((SHARD, ALL), 0, [], BTreeMap::new());
    open(&mut feed, 1, 0, Some(&[group(1)]));
    assert_eq!(groups(&pushes(publish(&mut feed, 1, 1))), [group(1)]);
    for version in 2..50 {
        assert!(publish(&mut feed, 2, version).is_empty());
    }
    // A head is due, so this push may claim nothing.
    let sent = pushes(publish(&mut feed, 1, 50));
    assert_eq!(sent[0].watermark, 0);
    let sent = pushes(feed.handle(Event::Tick { watermark: false }));
    assert_eq!(groups(&sent), [group(2)]);
    assert_eq!(sent[0].groups[0].head.as_ref().expect("a head").version, 49);
    assert_eq!(sent[0].watermark, 50);
    let add = FollowUpdate {
        add: vec![group(2).to_bytes()],
        remove: vec![group(1).to_bytes()],
        ..FollowUpdate::default()
    };
    // Of the one that is not wanted any more, the head: what was pushed of it
    // in full may have been thrown away.
    let sent = pushes(feed.handle(Event::Update { id: 1, update: add }));
    assert_eq!(groups(&sent), [group(1), group(2)]);
    assert_eq!(groups(&pushes(publish(&mut feed, 2, 51))), [group(2)]);
    assert!(publish(&mut feed, 1, 52).is_empty());
}

/// The transport takes nothing: what waits is a bounded queue and a set.
#[test]
fn a_stalled_follower_costs_a_queue_and_a_set_of_groups() {
    let mut feed = Feed::new((SHARD, ALL), 0, [], BTreeMap::new());
    open(&mut feed, 1, 0, None);
    let mut in_flight = 1;
    let mut version = 0;
    for _ in 0..3_000 {
        for n in 1..=3 {
            version += 1;
            in_flight += publish(&mut feed, n, version).len();
        }
        in_flight += feed.handle(Event::Tick { watermark: true }).len();
    }
    assert_eq!(in_flight, limits::FOLLOW_QUEUE);
    assert!(feed.lost() > 0);
    // Room again: the three heads, said to be lossy, and only then a claim.
    let sent = pushes(feed.handle(Event::Taken { id: 1 }));
    assert_eq!(groups(&sent), [group(1), group(2), group(3)]);
    assert!(sent[0].lossy);
    assert_eq!(sent[0].watermark, version);
    let sent = pushes(feed.handle(Event::Taken { id: 1 }));
    assert!(sent.is_empty());
    let sent = pushes(publish(&mut feed, 1, version + 1));
    assert!(!sent[0].lossy);
    assert_eq!(sent[0].groups[0].covers, push(1, 1).covers);
}

#[test]
fn no_watermark_while_heads_are_owed() {
    let heads = (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b)));
    let id = |(a, b): (u8, u8)| {
        let mut unique = [0; 11];
        (unique[0], unique[1]) = (a, b);
        GroupId::new(folkmoot_wire::RegionId(1), folkmoot_wire::Slot(1), unique)
    };
    let head = Head {
        version: 1,
        ..Head::default()
    };
    let mut feed = Feed::new(
        (SHARD, ALL),
        1,
        heads.map(|n| (id(n), head.clone())),
        BTreeMap::new(),
    );
    let sent = open(&mut feed, 1, 0, None);
    let (last, others) = sent.split_last().expect("pushes");
    assert_eq!(groups(&sent).len(), 65_536);
    assert!(others.iter().all(|push| push.watermark == 0));
    assert_eq!(last.watermark, 1);
}

#[test]
fn a_watermark_is_said_once_and_again_when_it_moves() {
    let mut feed = Feed::new((SHARD, ALL), 0, [], BTreeMap::new());
    open(&mut feed, 1, 0, None);
    publish(&mut feed, 1, 7);
    let tick = |feed: &mut Feed| pushes(feed.handle(Event::Tick { watermark: true }));
    assert!(tick(&mut feed).is_empty(), "the push said it");
    // The shard moves on without any group.
    let moved = Event::Published {
        pushes: Vec::new(),
        watermark: Some(9),
    };
    assert!(feed.handle(moved).is_empty());
    assert!(feed.handle(Event::Tick { watermark: false }).is_empty());
    assert_eq!(tick(&mut feed)[0].watermark, 9);
    assert!(tick(&mut feed).is_empty());
}

#[test]
fn holes_upstream_keep_the_watermark_where_it_was() {
    let mut feed = Feed::new((SHARD, ALL), 5, [], BTreeMap::new());
    open(&mut feed, 1, 5, None);
    let published = Event::Published {
        pushes: vec![push(1, 9)],
        watermark: None,
    };
    let sent = pushes(feed.handle(published));
    assert_eq!(sent[0].watermark, 5);
    assert_eq!(feed.watermark(), 5);
}

#[test]
fn a_closed_follower_gets_nothing_and_strangers_are_ignored() {
    let mut feed = Feed::new((SHARD, ALL), 0, [], BTreeMap::new());
    open(&mut feed, 1, 0, None);
    feed.handle(Event::Closed { id: 1 });
    assert!(publish(&mut feed, 1, 1).is_empty());
    for event in [
        Event::Taken { id: 9 },
        Event::Closed { id: 9 },
        Event::Update {
            id: 9,
            update: FollowUpdate::default(),
        },
    ] {
        assert!(feed.handle(event).is_empty());
    }
}

/// What a relay has to follow itself: each group from the first follower that
/// wants it to the last.
#[test]
fn a_feed_tells_what_its_followers_want_in_full() {
    let mut feed = Feed::new((SHARD, ALL), 0, [], BTreeMap::new());
    let update = |add: &[u8], remove: &[u8]| FollowUpdate {
        subscription: 0,
        add: add.iter().map(|n| group(*n).to_bytes()).collect(),
        remove: remove.iter().map(|n| group(*n).to_bytes()).collect(),
    };
    open(&mut feed, 1, 0, Some(&[group(1)]));
    open(&mut feed, 2, 0, Some(&[group(1), group(2)]));
    open(&mut feed, 3, 0, None);
    let wishes = feed.take_wishes();
    assert_eq!(
        wishes.into_iter().collect::<Vec<_>>(),
        [(group(1), true), (group(2), true)]
    );
    let twice = update(&[2, 3, 3], &[1, 1]);
    feed.handle(Event::Update {
        id: 1,
        update: twice,
    });
    let wishes = feed.take_wishes();
    assert_eq!(wishes.into_iter().collect::<Vec<_>>(), [(group(3), true)]);
    feed.handle(Event::Closed { id: 2 });
    let wishes = feed.take_wishes();
    assert_eq!(wishes.into_iter().collect::<Vec<_>>(), [(group(1), false)]);
    feed.handle(Event::Closed { id: 1 });
    feed.handle(Event::Closed { id: 1 });
    let wishes = feed.take_wishes();
    assert_eq!(
        wishes.into_iter().collect::<Vec<_>>(),
        [(group(2), false), (group(3), false)]
    );
    assert!(feed.take_wishes().is_empty());
}

#[test]
fn a_follower_is_told_of_the_slots_first_and_when_they_are_fewer() {
    let slots = |push: &FollowPush| push.slots.map(|slots| (slots.from, slots.to));
    let mut feed = Feed::new((SHARD, ALL), 0, [], BTreeMap::new());
    for n in 1..=4 {
        publish(&mut feed, n, u64::from(n));
    }
    let sent = open(&mut feed, 1, 0, None);
    assert_eq!(slots(&sent[0]), Some((0, 0xffff)));
    assert_eq!(slots(&pushes(publish(&mut feed, 1, 5))[0]), None, "once");
    let fewer = (Slot(0), Slot(group(3).slot().0 - 1));
    let sent = pushes(feed.handle(Event::Slots { slots: fewer }));
    assert_eq!(slots(&sent[0]), Some((0, u32::from(fewer.1.0))));
    assert_eq!(sent[0].watermark, 5, "all that it has of them");
    assert!(feed.head(&group(3)).is_none() && feed.head(&group(2)).is_some());
    let sent = open(&mut feed, 2, 0, None);
    assert_eq!(groups(&sent), [group(1), group(2)]);
    assert!(slots(&sent[0]).is_some());

    // Where there is no room it is told as soon as there is.
    while !publish(&mut feed, 1, 6).is_empty() {}
    let none = (Slot(0), Slot(0));
    assert!(feed.handle(Event::Slots { slots: none }).is_empty());
    let sent = pushes(feed.handle(Event::Taken { id: 1 }));
    assert_eq!(slots(&sent[0]), Some((0, 0)));
}
