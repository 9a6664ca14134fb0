//! Quiet commands: cursors and self rows.

use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::UserId;
use folkmoot_wire::proto::{
    CursorBatch, CursorChange, CursorValue, Kind, MemberSelf, RenameBody, SelfRowChange, SelfRows,
    command, row,
};
use folkmoot_wire::row::RowKey;

use crate::testing::{Got, Home, check_laws, got, group, user};

fn chatting() -> Home {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2)]);
    for _ in 0..4 {
        home.say(group(1), user(1));
    }
    home
}

fn read(home: &mut Home, who: UserId, seq: u64) {
    let changes = vec![CursorChange {
        user: who.to_bytes(),
        seq,
    }];
    let outcome = home.quiet(
        Some(group(1)),
        command::Op::Cursors(CursorBatch { changes }),
    );
    assert_eq!(got(&outcome), Got::Done);
}

fn cursor(home: &Home, who: UserId) -> Option<CursorValue> {
    match home.row(group(1), RowKey::Cursor(who))? {
        row::Value::Cursor(cursor) => Some(cursor),
        other => panic!("not a cursor: {other:?}"),
    }
}

#[test]
fn cursors_go_forward_and_not_past_the_head() {
    let mut home = chatting();
    assert_eq!(cursor(&home, user(2)), None);
    read(&mut home, user(2), 4);
    let at_four = CursorValue {
        seq: 4,
        count: 2,
        at_all: 0,
    };
    assert_eq!(cursor(&home, user(2)), Some(at_four));
    for seq in [0, 1, 3, 4, 7, u64::MAX] {
        read(&mut home, user(2), seq);
        assert_eq!(cursor(&home, user(2)), Some(at_four), "after {seq}");
    }
    read(&mut home, user(2), 6);
    assert_eq!(
        cursor(&home, user(2)).map(|c| (c.seq, c.count)),
        Some((6, 4))
    );
    check_laws(&*home.store);
}

#[test]
fn cursors_are_members_and_bad_ones_hold_up_nobody() {
    let mut home = chatting();
    let change = |user: UserId, seq| CursorChange {
        user: user.to_bytes(),
        seq,
    };
    let mut changes = vec![change(user(9), 3), change(user(2), 99), change(user(2), 5)];
    changes.insert(
        0,
        CursorChange {
            user: vec![1].into(),
            seq: 1,
        },
    );
    home.quiet(
        Some(group(1)),
        command::Op::Cursors(CursorBatch { changes }),
    );
    assert_eq!(cursor(&home, user(9)), None);
    assert_eq!(cursor(&home, user(2)).map(|c| c.seq), Some(5));
    assert_eq!(home.head(group(1)).seq, 6);
    let changes = vec![change(user(2), 1)];
    home.quiet(
        Some(group(2)),
        command::Op::Cursors(CursorBatch { changes }),
    );
    assert!(home.pushes.is_empty());
}

fn write(home: &mut Home, who: UserId, own: MemberSelf) {
    let changes = vec![SelfRowChange {
        user: who.to_bytes(),
        self_: Some(own),
    }];
    let outcome = home.quiet(Some(group(1)), command::Op::SelfRows(SelfRows { changes }));
    assert_eq!(got(&outcome), Got::Done);
}

fn own(home: &Home) -> MemberSelf {
    home.member(group(1), user(2)).self_.expect("self")
}

fn part(ms: u64, node: u32, muted: bool) -> MemberSelf {
    MemberSelf {
        hlc: Hlc::from_parts(ms, 0).as_u64(),
        node,
        muted,
        ..MemberSelf::default()
    }
}

#[test]
fn of_two_writes_of_a_self_row_the_later_stands_in_any_order() {
    let mut home = chatting();
    let ms = home.ms;
    write(&mut home, user(2), part(ms + 20, 1, false));
    // Late arrivals: older by time, older by node.
    write(&mut home, user(2), part(ms + 10, 9, true));
    write(&mut home, user(2), part(ms + 20, 0, true));
    assert!(!own(&home).muted);
    write(&mut home, user(2), part(ms + 20, 2, true));
    assert!(own(&home).muted);
    write(&mut home, user(9), part(ms, 1, true));
    assert_eq!(home.row(group(1), RowKey::Member(user(9))), None);
    check_laws(&*home.store);
}

/// The nick is an entry's to change, and what entries write has to win every
/// merge, also over a self row stamped by an edge whose clock is ahead.
#[test]
fn what_entries_write_wins_over_any_self_row() {
    let mut home = chatting();
    let nick = home.member(group(1), user(2)).self_.expect("self").nick;
    let sneaky = MemberSelf {
        nick: "sneaky".into(),
        ..part(home.ms + 400, 7, true)
    };
    write(&mut home, user(2), sneaky);
    assert_eq!(own(&home).nick, nick);
    let held = own(&home);
    let to = RenameBody {
        from: String::new(),
        to: "a".into(),
    };
    let renamed = home.act(group(1), Kind::Rename, user(2), user(2), &to);
    assert!(matches!(renamed, Got::Seq(_)));
    assert_eq!(own(&home).nick, "a");
    assert!(own(&home).muted);
    assert!((own(&home).hlc, own(&home).node) > (held.hlc, held.node));
    // In again: the same.
    let held = own(&home);
    let leave = home.fresh(user(2), Kind::Leave);
    home.one(group(1), leave);
    home.join(group(1), user(2));
    assert!((own(&home).hlc, own(&home).node) > (held.hlc, held.node));
}

/// A change made at an edge before a rename reached the log is not lost.
#[test]
fn a_rename_does_not_swallow_a_setting() {
    let mut home = chatting();
    let setting = part(home.ms + 5, 3, true);
    let to = RenameBody {
        from: String::new(),
        to: "bo".into(),
    };
    home.act(group(1), Kind::Rename, user(2), user(2), &to);
    write(&mut home, user(2), setting);
    assert!(own(&home).muted);
    assert_eq!(own(&home).nick, "bo");
}

#[test]
fn a_self_row_of_the_far_future_is_left_out() {
    let mut home = chatting();
    let before = own(&home);
    let far = MemberSelf {
        hlc: u64::MAX,
        ..part(0, 1, true)
    };
    write(&mut home, user(2), far);
    assert_eq!(own(&home), before);
}
