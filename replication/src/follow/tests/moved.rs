//! A group that goes to another shard goes from the copies of this one.

use folkmoot_storage::Table;
use folkmoot_wire::proto::{
    BeginMove, DropGroup, EndMove, FenceGroup, FollowPush, GroupMoved, GroupPush, Head,
    SetApplyVersion, command,
};
use folkmoot_wire::version;

use crate::apply::moved_groups;
use crate::follow::follower::Event;
use crate::testing::{Home, SHARD, dump, group, user};

use super::net::{Net, Tail};

/// A relay and an edge behind it have two groups.
fn net() -> Net {
    let mut home = Home::new();
    let version = version::APPLY_MOVES;
    home.quiet(
        None,
        command::Op::SetApplyVersion(SetApplyVersion { version }),
    );
    for n in 1..=2 {
        home.open_group(group(n), user(1), &[user(2)]);
    }
    home.pushes.clear();
    let mut net = Net::new(home, vec![Tail::new(true), Tail::new(true)]);
    net.quiesce();
    net.assert_copies();
    net
}

fn step(home: &mut Home, op: command::Op) {
    home.quiet(Some(group(1)), op);
}

/// Group 1 goes to shard 2.
fn leave(home: &mut Home) {
    let epoch = 1;
    let begin = BeginMove { epoch, to_shard: 2 };
    step(home, command::Op::BeginMove(begin));
    step(home, command::Op::FenceGroup(FenceGroup { epoch }));
    step(home, command::Op::EndMove(EndMove { epoch }));
}

fn is_gone(net: &Net, tail: usize) -> bool {
    let store = &*net.tails[tail].store;
    let id = group(1);
    let mut keys = dump(store).into_keys();
    let moved = moved_groups(store, SHARD).expect("records");
    let there = moved.get(&id).map(|moved| (moved.shard, moved.epoch));
    let records = Table::Shards as usize;
    !keys.any(|(table, key)| table != records && key.starts_with(id.as_bytes()))
        && there == Some((2, 1))
}

#[test]
fn whoever_follows_throws_its_copy_away_and_knows_where_it_went() {
    let mut net = net();
    leave(&mut net.home);
    net.publish();
    net.quiesce();
    assert!(is_gone(&net, 0) && is_gone(&net, 1));
    net.home.say(group(2), user(2));
    net.publish();
    net.quiesce();
    net.assert_copy(1, group(2));
}

/// What is left at the home goes too, and nobody is told of that.
#[test]
fn whoever_was_away_is_told_by_whom_it_follows_next() {
    let mut net = net();
    leave(&mut net.home);
    step(
        &mut net.home,
        command::Op::DropGroup(DropGroup { epoch: 1 }),
    );
    let home = std::mem::replace(&mut net.home, Home::new());
    let mut tails = std::mem::take(&mut net.tails);
    tails.iter_mut().for_each(Tail::restart);
    let mut net = Net::new(home, tails);
    net.quiesce();
    assert!(is_gone(&net, 0) && is_gone(&net, 1));
    net.tails[1].restart();
    assert!(is_gone(&net, 1));
}

fn push(version: u64, moved: Option<GroupMoved>) -> Event {
    let head = Head {
        seq: 3,
        version,
        ..Head::default()
    };
    Event::Push(FollowPush {
        shard: SHARD.0,
        groups: vec![GroupPush {
            group: group(1).to_bytes(),
            head: moved.is_none().then_some(head),
            moved,
            ..GroupPush::default()
        }],
        ..FollowPush::default()
    })
}

#[test]
fn an_upstream_that_lags_behind_does_not_bring_it_back() {
    let mut net = net();
    leave(&mut net.home);
    let index = net.home.index;
    net.publish();
    net.quiesce();
    let tail = &mut net.tails[0];
    tail.handle(push(index - 1, None));
    assert!(tail.fetches.is_empty());
    assert!(is_gone(&net, 0));
    // It came back, and one that lags behind says that it went.
    let tail = &mut net.tails[0];
    tail.handle(push(index + 5, None));
    assert_eq!(tail.fetches.len(), 1, "its log is asked for");
    let moved = GroupMoved {
        shard: 2,
        epoch: 1,
        version: index,
    };
    tail.handle(push(0, Some(moved)));
    assert!(
        moved_groups(&*tail.store, SHARD)
            .expect("records")
            .is_empty()
    );
}
