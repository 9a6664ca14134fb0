//! Lean pushes: what is left out is worked out, and what does not come out
//! right is found out at once.

use bytes::Bytes;
use folkmoot_wire::proto::GroupPush;

use crate::follow::follower::{Event, Fetch};
use crate::testing::{Home, SHARD, dump, group, user};

use super::net::{Net, Tail};

fn settled() -> Net {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2), user(3)]);
    home.say(group(1), user(2));
    home.pushes.clear();
    let mut net = Net::new(home, vec![Tail::new(true), Tail::new(true)]);
    net.quiesce();
    net.assert_copies();
    net
}

/// The one group of the push that waits for the first tail.
fn waiting(net: &mut Net) -> &mut GroupPush {
    let push = net.tails[0].inbox.front_mut().expect("a push");
    push.groups.first_mut().expect("a group")
}

#[test]
fn a_push_carries_entries_rows_and_a_mark() {
    let mut net = settled();
    net.home.join(group(1), user(4));
    net.publish();
    let push = waiting(&mut net);
    assert!(push.head.is_none() && push.covers.is_none() && push.chain_before.is_empty());
    assert!(push.entries.iter().all(|entry| entry.chain.is_empty()));
    assert_eq!((push.entries.len(), push.rows.is_empty()), (1, false));
    let mark = push.mark.clone().expect("a mark");
    assert_eq!((mark.chain.len(), mark.state.len()), (16, 8));
    net.deliver(0);
    assert!(net.tails[0].fetches.is_empty());
    net.quiesce();
    net.assert_copies();
}

/// Another body, another sender, an entry too few: the chain does not come
/// out, nothing is taken, and the log is asked for.
#[test]
fn entries_that_do_not_end_in_the_marked_chain_are_not_taken() {
    let changes: [fn(&mut GroupPush); 3] = [
        |push| push.entries[0].body = Bytes::from_static(b"something else"),
        |push| {
            push.entries[1].header = push.entries[0].header.clone();
        },
        |push| drop(push.entries.pop()),
    ];
    for change in changes {
        let mut net = settled();
        let say = |net: &mut Net| {
            let append = net.home.fresh(user(2), folkmoot_wire::proto::Kind::Message);
            crate::testing::command(group(1), append)
        };
        let two = vec![say(&mut net), say(&mut net)];
        net.run(two);
        change(waiting(&mut net));
        let before = dump(&*net.tails[0].store);
        net.deliver(0);
        assert_eq!(dump(&*net.tails[0].store), before);
        let asked = net.tails[0].fetches.front();
        assert!(matches!(asked, Some(Fetch::Log { .. })), "{asked:?}");
        net.quiesce();
        net.assert_copies();
        assert!(net.tails.iter().all(|tail| tail.diverged == 0));
    }
}

#[test]
fn a_lost_push_shows_at_the_next_one() {
    let mut net = settled();
    // Rows only, then entries: both leave a mark that does not fit.
    let lost: [fn(&mut Net); 2] = [
        |net| {
            net.home.say(group(1), user(3));
        },
        |net| {
            net.home.join(group(1), user(5));
        },
    ];
    for lose in lost {
        lose(&mut net);
        net.publish();
        net.tails[0].inbox.clear();
        net.home.say(group(1), user(2));
        net.publish();
        net.deliver(0);
        assert_eq!(net.tails[0].fetches.len(), 1);
        net.quiesce();
        net.assert_copies();
    }
}

/// Entries follow, and a row is not the home's: the entries are taken, the
/// version is not claimed, the rows are made right.
#[test]
fn a_row_that_differs_shows_in_the_mark() {
    let mut net = settled();
    net.home.join(group(1), user(4));
    net.publish();
    waiting(&mut net).rows.pop();
    net.deliver(0);
    let held = net.tails[0].follower.watermark();
    assert!(held < net.home.index);
    assert_eq!(net.tails[0].diverged, 0);
    let seq = crate::testing::head(&*net.tails[0].store, group(1)).seq;
    assert_eq!(seq, net.home.head(group(1)).seq);
    net.quiesce();
    net.assert_copies();
}

/// An upstream that answers with less than it marked is asked again at a tick,
/// not at once.
#[test]
fn an_answer_that_is_older_than_the_mark_is_not_the_end_of_it() {
    let mut net = settled();
    net.home.say(group(1), user(3));
    net.publish();
    net.tails[0].inbox.clear();
    net.home.say(group(1), user(2));
    net.publish();
    net.deliver(0);
    net.tails[0].fetches.clear();
    let old = Event::Log {
        group: group(1),
        slice: folkmoot_wire::proto::LogSlice {
            group: group(1).to_bytes(),
            ..Default::default()
        },
    };
    net.event(0, old);
    assert!(net.tails[0].fetches.is_empty());
    assert!(net.tails[0].follower.watermark() < net.home.index);
    net.event(0, Event::Tick);
    assert_eq!(net.tails[0].fetches.len(), 1);
    net.quiesce();
    net.assert_copies();
}

/// What was pushed in full to a follower that had just stopped wanting it is
/// not lost: its head comes when the upstream knows.
#[test]
fn the_head_of_a_group_that_is_not_wanted_any_more_still_comes() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2)]);
    home.pushes.clear();
    let mut net = Net::new(home, vec![Tail::new(false)]);
    net.want(0, group(1), true);
    net.quiesce();
    net.home.say(group(1), user(2));
    net.publish();
    assert!(waiting(&mut net).mark.is_some());
    net.want(0, group(1), false);
    net.quiesce();
    let known = net.tails[0].follower.known_head(&group(1)).cloned();
    assert_eq!(known, Some(net.home.head(group(1))));
    assert_eq!(net.tails[0].follower.open_message().shard, SHARD.0);
}
