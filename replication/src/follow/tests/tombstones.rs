//! What is gone at the home goes at its copies, whether they were told or not.

use folkmoot_wire::proto::Kind;
use folkmoot_wire::row::RowKey;
use folkmoot_wire::version;

use crate::testing::{Home, group, rows_of, user};

use super::net::{Net, Tail};

/// A relay and an edge behind it have a group of which somebody left.
fn left() -> Net {
    let mut home = Home::new();
    home.raise(version::APPLY_COLLECTS);
    home.open_group(group(1), user(1), &[user(2), user(3)]);
    home.say(group(1), user(3));
    home.pushes.clear();
    let mut net = Net::new(home, vec![Tail::new(true), Tail::new(true)]);
    net.quiesce();
    let leave = net.home.fresh(user(3), Kind::Leave);
    net.home.one(group(1), leave);
    net.publish();
    net.quiesce();
    net.assert_copies();
    for tail in &mut net.tails {
        tail.reconciled.clear();
    }
    net
}

fn collect(net: &mut Net) {
    let collect = net.home.collectable(group(1));
    net.home.run(vec![collect]);
}

fn knows(net: &Net, tail: usize) -> bool {
    let key = RowKey::Member(user(3)).to_bytes();
    let rows = rows_of(&*net.tails[tail].store, group(1));
    rows.iter().any(|row| row.key == key)
}

#[test]
fn whoever_follows_is_told() {
    let mut net = left();
    assert!(knows(&net, 0) && knows(&net, 1));
    collect(&mut net);
    net.publish();
    net.quiesce();
    net.assert_copies();
    for (n, tail) in net.tails.iter().enumerate() {
        assert!(!knows(&net, n));
        assert_eq!((tail.gone, tail.reconciled.len()), (2, 0), "tail {n}");
    }
}

/// A copy that was away: nothing says what is gone but that it is not there.
/// One session finds it, and what is left of it is not taken for wrong.
#[test]
fn whoever_was_away_drops_what_the_home_has_not() {
    let mut net = left();
    collect(&mut net);
    net.home.pushes.clear();
    net.home.say(group(1), user(2));
    net.publish();
    net.quiesce();
    net.assert_copies();
    assert!(!knows(&net, 0) && !knows(&net, 1));
    let sessions = &net.tails[0].reconciled;
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!((sessions[0].wrong, net.tails[0].gone), (0, 2));
}

/// A new copy reads in the log what those said who are forgotten.
#[test]
fn a_new_copy_has_nothing_of_those_who_are_forgotten() {
    let mut net = left();
    collect(&mut net);
    net.home.pushes.clear();
    let home = std::mem::replace(&mut net.home, Home::new());
    let mut net = Net::new(home, vec![Tail::new(true)]);
    net.quiesce();
    net.assert_copies();
    assert!(!knows(&net, 0));
    assert_eq!(net.tails[0].reconciled.len(), 1);
}

/// Who was forgotten and came back is a member at a copy that missed both.
#[test]
fn whoever_came_back_meanwhile_is_there() {
    let mut net = left();
    collect(&mut net);
    net.home.join(group(1), user(3));
    net.home.pushes.clear();
    net.home.say(group(1), user(3));
    net.publish();
    net.quiesce();
    net.assert_copies();
    assert!(knows(&net, 0) && knows(&net, 1));
}
