//! Pushes and answers that lie: nothing panics, what does not verify is not
//! taken, and an honest upstream makes all right again.

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::GroupId;
use folkmoot_wire::entry;
use folkmoot_wire::proto::{
    Covers, CursorValue, EntryHeader, Floor, FollowPush, GroupPush, GroupValue, Head, HeadMark,
    ListedRows, LogSlice, MemberAuthority, MemberSelf, MemberValue, Row, RowDiff, RowSpan,
    SealedEntry, Tombstone, row,
};
use folkmoot_wire::row::RowKey;
use proptest::prelude::*;

use crate::follow::follower::Event;
use crate::testing::{CLUSTER, Home, SHARD, group, user};

use super::net::{Net, Tail};

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..20u64, Just(u64::MAX), Just(u64::MAX - 1), any::<u64>()]
}

fn chain() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        Just(Bytes::new()),
        Just(Bytes::from_static(&[1; 32])),
        (1..3u8).prop_map(|n| Bytes::copy_from_slice(&entry::genesis(&CLUSTER, &group(n)))),
    ]
}

/// Versions stay within what the home will reach: beyond, a peer is trusted.
fn any_head() -> impl Strategy<Value = Head> {
    let floor = proptest::option::of((number(), number(), chain()));
    (number(), chain(), number(), 0..10u64, floor, chain()).prop_map(
        |(seq, chain, count, version, floor, rows_digest)| Head {
            seq,
            chain,
            count,
            version,
            rows_digest,
            rows_count: count,
            floor: floor.map(|(seq, count, chain)| Floor { seq, count, chain }),
            ..Head::default()
        },
    )
}

/// Marks of nothing, and such as fit what [`any_entry`] makes.
fn any_mark() -> impl Strategy<Value = HeadMark> {
    let junk = proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let of_entry = any_entry().prop_map(|entry| entry.chain.slice(..entry.chain.len().min(16)));
    let chain = prop_oneof![junk.clone(), of_entry];
    (0..10u64, chain, junk).prop_map(|(version, chain, state)| HeadMark {
        version,
        chain,
        state,
    })
}

fn any_entry() -> impl Strategy<Value = SealedEntry> {
    let forged = (number(), number(), chain(), 1..4u8).prop_map(|(seq, count, before, who)| {
        let header = EntryHeader {
            seq,
            count,
            hlc: u64::MAX,
            countable: true,
            sender: user(who).to_bytes(),
            ..EntryHeader::default()
        };
        let previous = entry::chain_from(&before).unwrap_or([2; 32]);
        entry::seal(
            &previous,
            &header,
            Bytes::from_static(&[1; 16]),
            Bytes::new(),
        )
    });
    let junk = proptest::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| SealedEntry {
        header: bytes.into(),
        ..SealedEntry::default()
    });
    prop_oneof![3 => forged, 1 => junk]
}

fn any_row() -> impl Strategy<Value = Row> {
    let key = prop_oneof![
        (1..9u8).prop_map(|n| RowKey::Cursor(user(n)).to_bytes()),
        (1..9u8).prop_map(|n| RowKey::Member(user(n)).to_bytes()),
        Just(RowKey::Group.to_bytes()),
        Just(RowKey::Profile.to_bytes()),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from),
    ];
    let value = (number(), 0..5i32, 0..6u8).prop_map(|(seq, code, kind)| match kind {
        0 => None,
        1 => Some(row::Value::Cursor(CursorValue {
            seq,
            count: seq,
            at_all: seq,
        })),
        2 => Some(row::Value::Group(GroupValue {
            seq,
            ..GroupValue::default()
        })),
        3 => Some(row::Value::Profile(Bytes::from_static(b"junk"))),
        _ => Some(row::Value::Member(MemberValue {
            authority: Some(MemberAuthority {
                seq,
                status: code,
                role: code,
                ..MemberAuthority::default()
            }),
            self_: Some(MemberSelf {
                hlc: Hlc::MAX.as_u64(),
                ..MemberSelf::default()
            }),
        })),
    });
    (key, value).prop_map(|(key, value)| Row { key, value })
}

fn entries() -> impl Strategy<Value = Vec<SealedEntry>> {
    proptest::collection::vec(any_entry(), 0..4)
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    proptest::collection::vec(any_row(), 0..4)
}

fn gone() -> impl Strategy<Value = Vec<Tombstone>> {
    let one = (any_row(), number()).prop_map(|(row, seq)| Tombstone {
        key: row.key,
        seq,
        quiet: seq % 2,
    });
    proptest::collection::vec(one, 0..3)
}

fn of() -> impl Strategy<Value = GroupId> {
    (1..4u8).prop_map(group)
}

fn lie() -> impl Strategy<Value = Event> {
    let covers =
        || proptest::option::of((number(), number()).prop_map(|(from, to)| Covers { from, to }));
    let head = || proptest::option::of(any_head());
    let mark = || proptest::option::of(any_mark());
    let push = (
        of(),
        head(),
        covers(),
        chain(),
        entries(),
        rows(),
        0..2u32,
        mark(),
        gone(),
    )
        .prop_map(
            |(group, head, covers, chain_before, entries, rows, stray, mark, gone)| {
                Event::Push(FollowPush {
                    shard: SHARD.0 + stray,
                    groups: vec![GroupPush {
                        group: group.to_bytes(),
                        head,
                        covers,
                        chain_before,
                        entries,
                        rows,
                        mark,
                        gone,
                        // Where a group is at home nothing in a push can prove.
                        moved: None,
                    }],
                    ..FollowPush::default()
                })
            },
        );
    let log = (of(), head(), covers(), chain(), entries(), any::<bool>()).prop_map(
        |(group, head, covers, chain_before, entries, gone)| Event::Log {
            group,
            slice: LogSlice {
                group: group.to_bytes(),
                covers,
                chain_before,
                entries,
                head,
                gone,
            },
        },
    );
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let listed = (rows(), proptest::collection::vec(0..9u32, 0..4), bytes()).prop_map(
        |(rows, missing, upto)| ListedRows {
            rows,
            missing,
            upto,
        },
    );
    let span = (
        bytes(),
        bytes(),
        proptest::collection::vec(any::<u32>(), 0..4),
    )
        .prop_map(|(from, ends, sums)| RowSpan { from, ends, sums });
    let diff = (
        of(),
        head(),
        0..9u32,
        proptest::collection::vec(span, 0..3),
        proptest::collection::vec(listed, 0..3),
    )
        .prop_map(|(group, head, compared, spans, listed)| Event::Rows {
            group,
            diff: RowDiff {
                group: group.to_bytes(),
                head,
                compared,
                spans,
                listed,
            },
        });
    let failed = of().prop_map(|group| Event::FetchFailed { group });
    prop_oneof![4 => push, 3 => log, 3 => diff, 1 => failed, 1 => Just(()).prop_map(|()| Event::Tick)]
}

fn home() -> Home {
    let mut home = Home::new();
    for n in 1..4 {
        home.open_group(group(n), user(n), &[user(4), user(5)]);
        home.say(group(n), user(4));
    }
    home.pushes.clear();
    home
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn lies_do_not_last(
        lies in proptest::collection::vec(lie(), 1..30),
        knows in any::<bool>(),
    ) {
        let mut net = Net::new(home(), vec![Tail::new(true)]);
        if knows {
            net.quiesce();
        }
        for lie in lies {
            net.event(0, lie);
        }
        // The liar is gone; an honest upstream answers from here on.
        net.tails[0].restart();
        net.connect_from_nothing(0);
        for n in 1..4 {
            for _ in 0..3 {
                net.home.say(group(n), user(4));
                net.publish();
            }
        }
        net.quiesce();
        net.assert_copies();
    }
}

#[test]
fn a_forged_tail_is_not_taken() {
    let mut net = Net::new(home(), vec![Tail::new(true)]);
    net.quiesce();
    let before = crate::testing::dump(&*net.tails[0].store);
    let honest = net.home.head(group(1));
    let header = EntryHeader {
        seq: honest.seq + 1,
        ..EntryHeader::default()
    };
    let wrong = entry::seal(
        &[8; 32],
        &header,
        Bytes::from_static(&[1; 16]),
        Bytes::new(),
    );
    net.event(
        0,
        Event::Push(FollowPush {
            shard: SHARD.0,
            groups: vec![GroupPush {
                group: group(1).to_bytes(),
                chain_before: honest.chain.clone(),
                entries: vec![wrong],
                head: Some(Head {
                    seq: honest.seq + 1,
                    version: honest.version + 1,
                    ..honest
                }),
                ..GroupPush::default()
            }],
            ..FollowPush::default()
        }),
    );
    assert_eq!(crate::testing::dump(&*net.tails[0].store), before);
}
