//! Joins into large groups: rows, and no entry.

use bytes::Bytes;
use folkmoot_storage::log;
use folkmoot_wire::proto::{
    Append, CreateBody, CursorValue, JoinBody, Kind, MemberAuthority, MemberStatus, Role, RoleBody,
    row,
};
use folkmoot_wire::row::{self as rows, RowKey};
use folkmoot_wire::{Code, UserId, limits, version};
use prost::Message;

use crate::apply::pending;
use crate::testing::{Got, Home, SHARD, check_laws, command, group, open_body, user};

/// A large group with a message in it; `hides`: what was said before one came.
fn large(hides: bool) -> Home {
    let mut home = Home::new();
    home.raise(version::APPLY);
    let body = CreateBody {
        member_cap: limits::LARGE_GROUP + 1,
        history_from_join: hides,
        ..open_body()
    };
    assert_eq!(home.create(group(1), user(1), body), Got::Seq(1));
    assert_eq!(home.say(group(1), user(1)), Got::Seq(2));
    home
}

fn authority(home: &Home, who: UserId) -> MemberAuthority {
    let member = home.member(group(1), who);
    member.authority.expect("the sequencer wrote it")
}

fn place(home: &Home, who: UserId) -> (u64, u64) {
    let authority = authority(home, who);
    (authority.seq, authority.quiet)
}

#[test]
fn a_join_into_a_large_group_makes_no_entry() {
    let mut home = large(false);
    assert_eq!(home.join(group(1), user(2)), Got::Done);
    assert_eq!(home.join(group(1), user(3)), Got::Done);
    assert_eq!(home.head(group(1)).seq, 2);
    assert_eq!(home.group_value(group(1)).member_count, 3);
    assert_eq!(
        (place(&home, user(2)), place(&home, user(3))),
        ((2, 1), (2, 2))
    );
    let member = authority(&home, user(2));
    assert_eq!(member.status(), MemberStatus::Member);
    assert_eq!((member.role(), member.visible_from), (Role::Member, 1));
    // What was said before is not unread.
    let cursor = Some(row::Value::Cursor(CursorValue {
        seq: 2,
        count: 1,
        at_all: 0,
    }));
    assert_eq!(home.row(group(1), RowKey::Cursor(user(2))), cursor);
    assert_eq!(home.say(group(1), user(2)), Got::Seq(3));
    check_laws(&*home.store);
}

#[test]
fn before_the_shard_is_told_a_join_is_an_entry_everywhere() {
    let mut home = Home::new();
    let body = CreateBody {
        member_cap: limits::MEMBER_CAP_MAX,
        ..open_body()
    };
    home.create(group(1), user(1), body);
    assert_eq!(home.join(group(1), user(2)), Got::Seq(2));
    home.raise(version::APPLY);
    assert_eq!(home.join(group(1), user(3)), Got::Done);
    // In a group that is not large it stays one.
    let body = CreateBody {
        member_cap: limits::LARGE_GROUP,
        ..open_body()
    };
    home.create(group(2), user(1), body);
    assert_eq!(home.join(group(2), user(2)), Got::Seq(2));
    check_laws(&*home.store);
}

#[test]
fn history_begins_behind_the_last_entry() {
    let mut home = large(true);
    home.join(group(1), user(2));
    assert_eq!(authority(&home, user(2)).visible_from, 3);
}

#[test]
fn a_repetition_has_the_same_answer_and_adds_nobody() {
    let mut home = large(false);
    let join = Append {
        body: Bytes::new(),
        ..home.fresh(user(2), Kind::Join)
    };
    assert_eq!(home.one(group(1), join.clone()), Got::Done);
    assert_eq!(home.one(group(1), join.clone()), Got::Done);
    assert_eq!(home.group_value(group(1)).member_count, 2);
    // However late it comes: who has left since stays out.
    home.act(group(1), Kind::Leave, user(2), user(2), &());
    assert_eq!(home.one(group(1), join), Got::Done);
    assert_eq!(authority(&home, user(2)).status(), MemberStatus::Left);
    assert_eq!(home.group_value(group(1)).member_count, 1);
}

#[test]
fn whatever_comes_later_stands_by_the_law_of_rows() {
    let mut home = large(false);
    let mut held = Vec::new();
    let key = RowKey::Member(user(2));
    let mut note = |home: &Home| {
        let row = log::read_row(&*home.store, &group(1), &key);
        held.push(row.expect("reads").expect("is there"));
    };
    home.join(group(1), user(2));
    note(&home);
    home.act(
        group(1),
        Kind::Role,
        user(1),
        user(2),
        &RoleBody { role: 1 },
    );
    note(&home);
    assert_eq!(place(&home, user(2)), (3, 0));
    home.act(group(1), Kind::Leave, user(2), user(2), &());
    note(&home);
    // Behind the entry of the departure, and of others that join there.
    home.join(group(1), user(3));
    home.join(group(1), user(2));
    note(&home);
    assert_eq!(place(&home, user(2)), (4, 2));
    home.act(group(1), Kind::Ban, user(1), user(2), &());
    note(&home);
    assert_eq!(home.join(group(1), user(2)), Got::No(Code::Banned));
    for (at, one) in held.iter().enumerate() {
        for later in &held[at..] {
            let merged = rows::merge(later, one).expect("one key");
            let told = |row: &folkmoot_wire::proto::Row| match &row.value {
                Some(row::Value::Member(member)) => member.authority,
                other => panic!("not a member: {other:?}"),
            };
            assert_eq!(told(&merged), told(later));
        }
    }
    check_laws(&*home.store);
}

#[test]
fn who_was_taken_off_the_list_is_put_on_it_again() {
    let mut home = large(false);
    home.join(group(1), user(2));
    home.act(group(1), Kind::Leave, user(2), user(2), &());
    home.join(group(1), user(2));
    let own = user(2).self_group();
    let deliveries = pending(&*home.store, SHARD, 100).expect("reads");
    let mine = deliveries.into_iter().filter(|d| d.target == own);
    let commands: Vec<_> = mine.map(|d| d.command).collect();
    assert_eq!(commands.len(), 3);
    home.run(commands);
    let Some(row::Value::Listed(listed)) = home.row(own, RowKey::Listed(group(1))) else {
        panic!("not on the list")
    };
    assert!(listed.listed);
    assert_eq!((listed.source_seq, listed.source_quiet), (3, 1));
    // Of which no entry tells either: the row is all that anybody reads.
    assert_eq!(home.head(own).seq, 1);
}

#[test]
fn who_came_again_is_not_taken_for_gone() {
    let mut home = large(false);
    home.join(group(1), user(2));
    home.act(group(1), Kind::Leave, user(2), user(2), &());
    let collect = home.collectable(group(1));
    let Some(folkmoot_wire::proto::command::Op::Collect(rows)) = &collect.op else {
        panic!("nothing to collect")
    };
    let tombstone = rows.rows[0].clone();
    home.join(group(1), user(2));
    home.run(vec![collect]);
    assert_eq!(authority(&home, user(2)).status(), MemberStatus::Member);
    let row = log::read_row(&*home.store, &group(1), &RowKey::Member(user(2)));
    let row = row.expect("reads").expect("is there");
    assert!(!rows::is_gone(&tombstone, &row));
}

#[test]
fn a_batch_of_joins_is_one_push_without_entries() {
    let mut home = large(false);
    let joins: Vec<_> = (10..110u8)
        .map(|n| {
            let nick = format!("nick{n}");
            let body = JoinBody { nick, role: 0 }.encode_to_vec();
            let join = Append {
                body: Bytes::from(body),
                ..home.fresh(user(n), Kind::Join)
            };
            command(group(1), join)
        })
        .collect();
    home.run(joins);
    let pushes: Vec<_> = home.pushes.iter().collect();
    assert_eq!(pushes.len(), 1);
    assert!(pushes[0].entries.is_empty());
    // The members, their cursors, and the group's own row.
    assert_eq!(pushes[0].rows.len(), 201);
    assert_eq!(home.group_value(group(1)).member_count, 101);
    check_laws(&*home.store);
}
