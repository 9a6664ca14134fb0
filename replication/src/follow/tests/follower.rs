//! The follower by itself: when it asks, and what it claims.

use std::sync::Arc;

use folkmoot_storage::{MemStore, log};
use folkmoot_wire::proto::{FollowPush, GroupPush, Kind, MemberStatus, MuteBody, row};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{RegionId, Slot};

use crate::follow::follower::{Config, Event, Fetch, Follower};
use crate::reconcile::RowSums;
use crate::testing::{CLUSTER, DIGEST_KEY, Home, SHARD, group, head, user};

use super::net::{Net, Tail};
use super::serve::serve;

fn home() -> Home {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2)]);
    for _ in 0..8 {
        home.say(group(1), user(2));
    }
    home.pushes.clear();
    home
}

fn heads(home: &Home, watermark: u64) -> Event {
    Event::Push(FollowPush {
        shard: SHARD.0,
        groups: vec![GroupPush {
            group: group(1).to_bytes(),
            head: Some(home.head(group(1))),
            ..GroupPush::default()
        }],
        watermark,
        lossy: true,
        ..FollowPush::default()
    })
}

#[test]
fn no_watermark_while_something_is_open() {
    let home = home();
    let mut tail = Tail::new(true);
    tail.handle(heads(&home, home.index));
    let mut answers = 0;
    while let Some(fetch) = tail.fetches.pop_front() {
        assert_eq!(tail.follower.watermark(), 0);
        tail.handle(serve(&home.store, &fetch).expect("an answer"));
        tail.handle(Event::Tick);
        answers += 1;
    }
    assert!(answers > 3, "several pages of entries and rows");
    assert_eq!(tail.follower.watermark(), home.index);
    assert_eq!(tail.follower.open_message().watermark, home.index);
    tail.restart();
    assert_eq!(tail.follower.watermark(), home.index);
}

/// An upstream that answers and has nothing new is asked again at a tick,
/// not at once.
#[test]
fn an_answer_that_brings_nothing_is_not_followed_by_the_same_question() {
    let home = home();
    let behind = Home::new();
    let mut tail = Tail::new(true);
    tail.handle(heads(&home, home.index));
    let fetch = tail.fetches.pop_front().expect("a fetch");
    let mut empty = match serve(&home.store, &fetch) {
        Some(Event::Log { slice, .. }) => slice,
        other => panic!("{other:?}"),
    };
    empty.entries.clear();
    empty.head = None;
    tail.handle(Event::Log {
        group: group(1),
        slice: empty,
    });
    assert!(tail.fetches.is_empty());
    assert!(serve(&behind.store, &fetch).is_none());
    tail.handle(Event::Tick);
    assert_eq!(tail.fetches.len(), 1);
    tail.handle(Event::FetchFailed { group: group(1) });
    assert_eq!(tail.fetches.len(), 1, "a failure waits for a tick too");
    assert_eq!(tail.follower.watermark(), 0);
}

/// A fetch for a newer head stays open when an older upstream says that all
/// is well.
#[test]
fn an_older_head_does_not_close_a_fetch_for_a_newer_one() {
    let mut home = home();
    let mut tail = Tail::new(true);
    let mut net = Net::new(Home::new(), vec![]);
    let old = home.head(group(1));
    tail.handle(heads(&home, home.index));
    while let Some(fetch) = tail.fetches.pop_front() {
        tail.handle(serve(&home.store, &fetch).expect("an answer"));
        tail.handle(Event::Tick);
    }
    let held = tail.follower.watermark();
    home.say(group(1), user(2));
    tail.handle(heads(&home, home.index));
    tail.handle(Event::FetchFailed { group: group(1) });
    tail.handle(Event::Push(FollowPush {
        shard: SHARD.0,
        groups: vec![GroupPush {
            group: group(1).to_bytes(),
            head: Some(old),
            ..GroupPush::default()
        }],
        ..FollowPush::default()
    }));
    assert_eq!(tail.follower.watermark(), held);
    net.quiesce();
    tail.fetches.clear();
    tail.handle(Event::Tick);
    assert_eq!(tail.fetches.len(), 1);
}

#[test]
fn pushes_of_another_shard_are_not_taken() {
    let home = home();
    let mut tail = Tail::new(true);
    let Event::Push(mut push) = heads(&home, 7) else {
        panic!()
    };
    push.shard += 1;
    tail.handle(Event::Push(push));
    assert!(tail.fetches.is_empty());
    assert_eq!(tail.follower.watermark(), 0);
}

#[test]
fn groups_in_slots_that_were_split_off_are_left_to_another() {
    let home = home();
    let store = Arc::new(MemStore::new());
    let (_, sums) = RowSums::over(store.clone(), DIGEST_KEY);
    let config = Config {
        shard: SHARD,
        region: RegionId(1),
        slots: (Slot(0), Slot(group(1).slot().0 - 1)),
        cluster: CLUSTER,
        digest_key: DIGEST_KEY,
        all_groups: true,
    };
    let mut follower = Follower::open(config, store, sums).expect("opens");
    // Of an upstream that has not heard of it.
    let out = follower.handle(heads(&home, home.index)).expect("taken");
    assert!(out.fetches.is_empty() && out.pushes.is_empty());
    assert_eq!(out.watermark, Some(home.index));
}

#[test]
fn what_nobody_wants_any_more_is_not_waited_for() {
    let home = home();
    let mut tail = Tail::new(false);
    tail.handle(Event::Want {
        groups: vec![group(1)],
    });
    tail.handle(heads(&home, home.index));
    assert!(matches!(tail.fetches[0], Fetch::Log { after: 0, .. }));
    assert_eq!(tail.follower.watermark(), 0);
    tail.handle(Event::Unwant {
        groups: vec![group(1)],
    });
    assert_eq!(tail.follower.watermark(), home.index);
    let known = tail.follower.known_head(&group(1));
    assert_eq!(known, Some(&home.head(group(1))));
    // Wanted again: what is known tells what to fetch.
    tail.fetches.clear();
    tail.handle(Event::Want {
        groups: vec![group(1)],
    });
    assert_eq!(tail.fetches.len(), 1);
}

#[test]
fn many_groups_are_fetched_a_few_at_once() {
    let mut home = Home::new();
    for n in 1..60 {
        home.open_group(group(n), user(1), &[]);
    }
    let groups = (1..60)
        .map(|n| GroupPush {
            group: group(n).to_bytes(),
            head: Some(home.head(group(n))),
            ..GroupPush::default()
        })
        .collect();
    let mut tail = Tail::new(true);
    tail.handle(Event::Push(FollowPush {
        shard: SHARD.0,
        groups,
        watermark: home.index,
        ..FollowPush::default()
    }));
    assert_eq!(tail.fetches.len(), 16);
    let mut most = 0;
    while let Some(fetch) = tail.fetches.pop_front() {
        tail.handle(serve(&home.store, &fetch).expect("an answer"));
        tail.handle(Event::Tick);
        most = most.max(tail.fetches.len());
    }
    assert!(most <= 16);
    assert_eq!(tail.follower.watermark(), home.index);
}

/// Nor does a head between the two lower what is to be reached.
#[test]
fn the_target_of_an_open_fetch_only_rises() {
    let mut home = home();
    let mut tail = Tail::new(true);
    tail.handle(heads(&home, home.index));
    while let Some(fetch) = tail.fetches.pop_front() {
        tail.handle(serve(&home.store, &fetch).expect("an answer"));
        tail.handle(Event::Tick);
    }
    let held = tail.follower.watermark();
    let after = home.head(group(1)).seq;
    let fetch = Fetch::Log {
        group: group(1),
        after,
    };
    home.say(group(1), user(2));
    let lagging = serve(&home.store, &fetch).expect("an answer");
    let between = heads(&home, 0);
    home.say(group(1), user(2));
    tail.handle(heads(&home, home.index));
    tail.handle(Event::FetchFailed { group: group(1) });
    tail.handle(between);
    tail.fetches.clear();
    tail.handle(Event::Tick);
    tail.handle(lagging);
    assert_eq!(
        tail.follower.watermark(),
        held,
        "the newest is not here yet"
    );
    while let Some(fetch) = tail.fetches.pop_back() {
        tail.handle(serve(&home.store, &fetch).expect("an answer"));
    }
    assert_eq!(tail.follower.watermark(), home.index);
}

/// The simulator found it: a group made active in a copy whose rows were behind
/// its entries went on being shown to somebody whom one of those put out.
#[test]
fn whoever_an_entry_puts_out_is_out_before_the_rows_come() {
    for kind in [Kind::Leave, Kind::Ban] {
        let mut home = home();
        let muted = MuteBody { until_ms: 77 };
        home.act(group(1), Kind::Mute, user(1), user(2), &muted);
        let mut tail = Tail::new(true);
        let drain = |tail: &mut Tail, home: &Home, rows: bool| {
            while let Some(fetch) = tail.fetches.pop_front() {
                if rows || matches!(fetch, Fetch::Log { .. }) {
                    tail.handle(serve(&home.store, &fetch).expect("an answer"));
                }
            }
        };
        tail.handle(heads(&home, home.index));
        drain(&mut tail, &home, true);
        let status = |tail: &Tail| {
            let row = log::read_row(&*tail.store, &group(1), &RowKey::Member(user(2)));
            match row.expect("reads").expect("is there").value {
                Some(row::Value::Member(value)) => value.authority.expect("entries wrote it"),
                other => panic!("not a member row: {other:?}"),
            }
        };
        assert_eq!(status(&tail).status(), MemberStatus::Member);

        home.act(group(1), kind, user(1), user(2), &());
        home.say(group(1), user(1));
        tail.handle(heads(&home, home.index));
        drain(&mut tail, &home, false);
        let there = home.member(group(1), user(2)).authority.expect("is there");
        let here = status(&tail);
        assert_eq!((here.seq, here.status), (there.seq, there.status));
        assert_ne!(here, there, "the rest comes with the row");

        tail.handle(Event::FetchFailed { group: group(1) });
        tail.handle(Event::Tick);
        drain(&mut tail, &home, true);
        assert_eq!(status(&tail), there);
        assert_eq!(tail.follower.watermark(), home.index);
    }
}

/// Below a floor nobody's departure is read any more.
#[test]
fn a_copy_that_begins_at_a_floor_is_not_whole_before_its_rows_are() {
    let mut home = home();
    let mut tail = Tail::new(true);
    tail.handle(heads(&home, home.index));
    while let Some(fetch) = tail.fetches.pop_front() {
        tail.handle(serve(&home.store, &fetch).expect("an answer"));
        tail.handle(Event::Tick);
    }
    assert_eq!(head(&*tail.store, group(1)).version, home.index);
    home.act(group(1), Kind::Leave, user(1), user(2), &());
    home.say(group(1), user(1));
    home.prune(group(1), home.head(group(1)).seq - 1);
    tail.handle(heads(&home, home.index));
    while let Some(fetch) = tail.fetches.pop_front() {
        let is_log = matches!(fetch, Fetch::Log { .. });
        tail.handle(serve(&home.store, &fetch).expect("an answer"));
        if is_log {
            let here = head(&*tail.store, group(1));
            assert_eq!((here.seq, here.version), (home.head(group(1)).seq, 0));
        }
    }
    let here = head(&*tail.store, group(1));
    assert_eq!(here.version, home.head(group(1)).version);
}
