//! Copies that a disk changed are found out and made right.

use bytes::Bytes;
use folkmoot_storage::{Batch, Store, Table, keys, log, value};
use folkmoot_wire::proto::{CursorValue, FollowPush, GroupPush, Head, Kind, Row, SealedEntry, row};
use folkmoot_wire::row::RowKey;

use crate::follow::follower::Event;
use crate::testing::{Home, SHARD, group, user};

use super::net::{Net, Tail};

/// A home with a talk in it, and a follower that has it all.
fn settled() -> Net {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2), user(3), user(4)]);
    for n in 0..12 {
        home.say(group(1), user(1 + n % 4));
    }
    home.pushes.clear();
    let mut net = Net::new(home, vec![Tail::new(true)]);
    net.quiesce();
    net.assert_copies();
    net
}

/// The follower's disk is changed while it is down; then the home goes on.
fn damaged(change: impl FnOnce(&Net, &mut Batch)) -> Net {
    let mut net = settled();
    let mut batch = Batch::new();
    change(&net, &mut batch);
    net.tails[0].store.write(batch).expect("writes");
    net.restart(0);
    net.home.say(group(1), user(1));
    net.publish();
    net.quiesce();
    net.assert_copies();
    net
}

fn put_head(batch: &mut Batch, head: &Head) {
    batch.put(
        Table::Heads,
        keys::heads::key(&group(1)),
        value::encode_value(head),
    );
}

#[test]
fn a_head_with_another_chain() {
    let net = damaged(|net, batch| {
        let mut head = net.home.head(group(1));
        head.chain = Bytes::from_static(&[1; 32]);
        put_head(batch, &head);
    });
    assert_eq!(net.tails[0].diverged, 1);
}

#[test]
fn a_head_beyond_the_log() {
    let net = damaged(|net, batch| {
        let mut head = net.home.head(group(1));
        head.seq += 1_000;
        put_head(batch, &head);
    });
    assert_eq!(net.tails[0].diverged, 1);
}

#[test]
fn a_last_entry_that_is_gone_or_another() {
    for entry in [None, Some(SealedEntry::default())] {
        let net = damaged(|net, batch| {
            let key = keys::log::key(&group(1), net.home.head(group(1)).seq);
            match entry {
                None => batch.delete(Table::Log, key),
                Some(entry) => batch.put(Table::Log, key, value::encode_value(&entry)),
            }
        });
        assert_eq!(net.tails[0].diverged, 1);
    }
}

/// A history that verifies and is not the home's: what was cut off and
/// written anew elsewhere.
#[test]
fn another_history() {
    for longer in [0, 30] {
        let mut other = Home::new();
        other.ms += 5;
        other.open_group(group(1), user(1), &[user(2)]);
        for _ in 0..longer {
            other.say(group(1), user(2));
        }
        let net = damaged(|_, batch| {
            let entries = log::read_entries(&*other.store, &group(1), 0, 0, 99, usize::MAX);
            let (from, to) = keys::log::group_range(&group(1));
            batch.delete_range(Table::Log, from, to);
            for (seq, entry) in entries.expect("reads") {
                batch.put(
                    Table::Log,
                    keys::log::key(&group(1), seq),
                    value::encode_value(&entry),
                );
            }
            // As a follower writes it: not complete at any version.
            put_head(
                batch,
                &Head {
                    version: 1,
                    ..other.head(group(1))
                },
            );
        });
        assert_eq!(net.tails[0].diverged, 1, "{longer} entries more");
    }
}

#[test]
fn a_digest_that_is_not_the_rows() {
    let net = damaged(|net, batch| {
        batch.delete(
            Table::Rows,
            keys::rows::key(&group(1), &RowKey::Member(user(3))),
        );
        let mut head = net.home.head(group(1));
        head.rows_digest = Bytes::from_static(&[3; 32]);
        head.rows_count += 7;
        put_head(batch, &head);
    });
    assert_eq!(net.tails[0].diverged, 0);
}

/// Rows that win every merge, and rows that nobody has.
#[test]
fn rows_that_are_not_the_homes() {
    let cursor = |who: u8| Row {
        key: RowKey::Cursor(user(who)).to_bytes(),
        value: Some(row::Value::Cursor(CursorValue {
            seq: u64::MAX,
            count: 1,
            at_all: 0,
        })),
    };
    let mut net = settled();
    let lie = GroupPush {
        group: group(1).to_bytes(),
        head: Some(net.home.head(group(1))),
        rows: [1, 2, 40, 200].map(cursor).to_vec(),
        ..GroupPush::default()
    };
    net.event(
        0,
        Event::Push(FollowPush {
            shard: SHARD.0,
            groups: vec![lie],
            ..FollowPush::default()
        }),
    );
    net.quiesce();
    net.assert_copies();
}

/// What the home keeps begins at a floor: a copy begins there too.
#[test]
fn a_log_that_begins_at_a_floor() {
    for (floor, behind) in [(5, false), (16, false), (5, true), (16, true)] {
        let mut net = settled();
        assert_eq!(net.home.head(group(1)).seq, 16);
        net.home.prune(group(1), floor);
        let mut old = Batch::new();
        if behind {
            // This follower has the first two entries only.
            let mut held = log::read_entry(&*net.tails[0].store, &group(1), 2).expect("reads");
            let second = held.take().expect("is there");
            let (from, to) = (keys::log::key(&group(1), 3), keys::log::key(&group(1), 99));
            old.delete_range(Table::Log, from, to);
            put_head(
                &mut old,
                &Head {
                    seq: 2,
                    chain: second.chain,
                    version: 2,
                    ..Head::default()
                },
            );
        } else {
            for table in [Table::Log, Table::Heads, Table::Rows] {
                old.delete_range(table, Bytes::new(), Bytes::from_static(keys::TABLE_END));
            }
        }
        net.tails[0].store.write(old).expect("writes");
        let home = std::mem::replace(&mut net.home, Home::new());
        let mut tail = net.tails.remove(0);
        tail.restart();
        let mut net = Net::new(home, vec![tail]);
        net.connect_from_nothing(0);
        net.quiesce();
        net.assert_copy(0, group(1));
        net.home.say(group(1), user(1));
        net.publish();
        net.quiesce();
        net.assert_copy(0, group(1));
    }
}

/// The upstream lags behind the one before: nothing goes back, nothing is
/// thrown away, nothing is claimed.
#[test]
fn an_upstream_that_lags() {
    let mut net = settled();
    let mut fresh = Home::new();
    fresh.open_group(group(1), user(1), &[user(2), user(3), user(4)]);
    let before = crate::testing::dump(&*net.tails[0].store);
    let (ahead, held) = (net.home.index, net.tails[0].follower.watermark());
    assert_eq!(ahead, held);
    let tail = net.tails.remove(0);
    fresh.pushes.clear();
    let mut lagging = Net::new(fresh, vec![tail]);
    lagging.quiesce();
    // The same history goes on at the lagging one, up to where we are.
    let stale = lagging.home.fresh(user(9), Kind::Message);
    lagging.home.one(group(1), stale);
    lagging.publish();
    lagging.quiesce();
    assert_eq!(crate::testing::dump(&*lagging.tails[0].store), before);
    assert_eq!(lagging.tails[0].diverged, 0);
    assert_eq!(lagging.tails[0].follower.watermark(), held);
}

/// Of a group with many rows one is lost with a push: that one is fetched, and
/// the others are not.
#[test]
fn a_lost_row_costs_what_it_weighs() {
    let mut home = Home::new();
    let members: Vec<_> = (2..200).map(user).collect();
    home.open_group(group(1), user(1), &members);
    home.pushes.clear();
    let mut net = Net::new(home, vec![Tail::new(true)]);
    net.quiesce();
    net.assert_copies();
    net.tails[0].reconciled.clear();
    net.home.join(group(1), user(201));
    for push in &mut net.home.pushes {
        push.rows.clear();
    }
    net.publish();
    net.quiesce();
    net.assert_copies();
    let sessions = &net.tails[0].reconciled;
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    let all = net.home.head(group(1)).rows_count;
    assert!(
        (1..=3).contains(&sessions[0].rows),
        "of {all}: {sessions:?}"
    );
    assert_eq!(sessions[0].wrong, 0);
    assert!(sessions[0].bytes < 2_000, "{sessions:?}");
}
