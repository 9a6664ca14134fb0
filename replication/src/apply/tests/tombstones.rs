//! Rows that only say that something is gone go when they are asked to, and
//! only then.

use folkmoot_wire::proto::{
    CollectRows, Command, CursorBatch, CursorChange, Done, GroupPush, Kind, MemberSelf,
    MemberStatus, MuteBody, SelfRowChange, SelfRows, command, row,
};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, UserId, version};

use crate::apply::pending;
use crate::testing::{Got, Home, SHARD, check_laws, dump, got, group, user};

/// A group of whose four members the third left, after saying something.
fn left() -> Home {
    let mut home = Home::new();
    home.raise(version::APPLY_COLLECTS);
    home.open_group(group(1), user(1), &[user(2), user(3), user(4)]);
    assert_eq!(home.say(group(1), user(3)), Got::Seq(5));
    assert_eq!(leave(&mut home, user(3)), Got::Seq(6));
    home
}

fn leave(home: &mut Home, who: UserId) -> Got {
    let append = home.fresh(who, Kind::Leave);
    home.one(group(1), append)
}

fn collect(home: &mut Home) -> Vec<GroupPush> {
    let command = home.collectable(group(1));
    assert_eq!(got(&home.run(vec![command])[0]), Got::Done);
    check_laws(&*home.store);
    std::mem::take(&mut home.pushes)
}

fn has(home: &Home, who: UserId) -> (bool, bool) {
    let has = |key| home.row(group(1), key).is_some();
    (has(RowKey::Member(who)), has(RowKey::Cursor(who)))
}

#[test]
fn who_left_is_forgotten() {
    let mut home = left();
    let (before, count) = (home.head(group(1)), home.group_value(group(1)).member_count);
    assert_eq!((before.tombstones, has(&home, user(3))), (0, (true, true)));
    let pushes = collect(&mut home);
    let head = home.head(group(1));
    assert_eq!(has(&home, user(3)), (false, false));
    assert_eq!(head.rows_count, before.rows_count - 2);
    assert_eq!((head.seq, head.tombstones), (before.seq, head.version));
    let gone: Vec<_> = pushes[0].gone.iter().map(|gone| gone.seq).collect();
    assert_eq!(gone, [6, 5], "the member's row and the cursor's");
    assert_eq!(home.group_value(group(1)).member_count, count);
    // Again there is nothing to collect.
    assert!(collect(&mut home).is_empty());
    assert_eq!(home.head(group(1)), head);
}

#[test]
fn who_was_forgotten_is_an_outsider_and_comes_back_as_a_newcomer() {
    let mut home = left();
    collect(&mut home);
    assert_eq!(home.say(group(1), user(3)), Got::No(Code::NotFound));
    assert_eq!(leave(&mut home, user(3)), Got::No(Code::NotFound));
    // What was written at an edge before the departure, and comes now.
    let own = MemberSelf {
        hlc: home.head(group(1)).hlc - 1,
        node: 2,
        pinned: true,
        ..MemberSelf::default()
    };
    let changes = vec![SelfRowChange {
        user: user(3).to_bytes(),
        self_: Some(own),
    }];
    home.quiet(Some(group(1)), command::Op::SelfRows(SelfRows { changes }));
    let changes = vec![CursorChange {
        user: user(3).to_bytes(),
        seq: 5,
    }];
    let cursors = command::Op::Cursors(CursorBatch { changes });
    home.quiet(Some(group(1)), cursors);
    assert_eq!(has(&home, user(3)), (false, false));
    assert_eq!(home.join(group(1), user(3)), Got::Seq(7));
    assert_eq!(home.say(group(1), user(3)), Got::Seq(8));
    assert_eq!(has(&home, user(3)), (true, true));
    assert_eq!(home.group_value(group(1)).member_count, 4);
    check_laws(&*home.store);
}

#[test]
fn a_ban_outlives_everything_and_a_mute_its_time() {
    let mut home = left();
    let ban = home.act(group(1), Kind::Ban, user(1), user(2), &Done {});
    assert!(matches!(ban, Got::Seq(_)));
    let until_ms = home.ms + 100;
    home.act(
        group(1),
        Kind::Mute,
        user(1),
        user(4),
        &MuteBody { until_ms },
    );
    leave(&mut home, user(4));
    collect(&mut home);
    assert!(has(&home, user(2)).0 && has(&home, user(4)).0);
    let status = home.member(group(1), user(2)).authority;
    assert_eq!(status.expect("authority").status(), MemberStatus::Banned);
    home.ms += 200;
    home.say(group(1), user(1));
    collect(&mut home);
    assert!(has(&home, user(2)).0 && !has(&home, user(4)).0);
    // Who is let in again, and has not come, left.
    home.act(group(1), Kind::Unban, user(1), user(2), &Done {});
    collect(&mut home);
    assert!(!has(&home, user(2)).0);
}

/// Between the look and the command everything may change.
#[test]
fn what_changed_meanwhile_stays() {
    let mut home = left();
    let asked = home.collectable(group(1));
    assert!(matches!(home.join(group(1), user(3)), Got::Seq(_)));
    home.run(vec![asked.clone()]);
    assert_eq!(has(&home, user(3)), (true, true));
    // Out again: it is another departure.
    leave(&mut home, user(3));
    home.run(vec![asked]);
    assert_eq!(has(&home, user(3)), (true, true));
    // Nor does anything go of which nobody said that it is gone.
    let all = [
        RowKey::Group,
        RowKey::Profile,
        RowKey::Member(user(1)),
        RowKey::Cursor(user(3)),
    ];
    let rows = all.map(|key| folkmoot_wire::proto::Tombstone {
        key: key.to_bytes(),
        seq: 5,
        quiet: 0,
    });
    let before = home.head(group(1)).rows_count;
    let rows = rows.to_vec();
    home.quiet(Some(group(1)), command::Op::Collect(CollectRows { rows }));
    assert_eq!(home.head(group(1)).rows_count, before);
}

#[test]
fn a_group_taken_off_a_list_is_forgotten() {
    let mut home = left();
    let own = user(3).self_group();
    let deliveries = pending(&*home.store, SHARD, 100).expect("reads");
    let commands: Vec<Command> = deliveries.into_iter().map(|p| p.command).collect();
    home.run(commands.clone());
    let listed = |home: &Home| match home.row(own, RowKey::Listed(group(1))) {
        Some(row::Value::Listed(value)) => Some(value.listed),
        _ => None,
    };
    assert_eq!(listed(&home), Some(false));
    let collect = home.collectable(own);
    home.run(vec![collect]);
    assert_eq!(listed(&home), None);
    // Once more: what was delivered before brings nothing back.
    home.run(commands);
    assert_eq!(listed(&home), None);
    check_laws(&*home.store);
}

/// A rolling upgrade: a voter of before refuses what it does not know.
#[test]
fn nothing_goes_before_the_shard_is_told() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(3)]);
    leave(&mut home, user(3));
    let before = dump(&*home.store);
    let collect = home.collectable(group(1));
    let outcome = home.run(vec![collect]).remove(0);
    assert_eq!(got(&outcome), Got::No(Code::UnknownRequest));
    let changed = dump(&*home.store)
        .into_iter()
        .filter(|(key, value)| before.get(key) != Some(value));
    assert_eq!(changed.count(), 1, "what was applied");
}
