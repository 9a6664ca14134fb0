use std::collections::BTreeSet;

use super::{measure, replay};
use crate::scale::follow::{Arrivals, Room};
use crate::scale::topology::Topology;

/// What came to an edge of 50 messages at this pace.
fn arrivals(per_s: u32) -> Arrivals {
    let topology = Topology::new(12, 1);
    let wanting: BTreeSet<_> = topology.ids().collect();
    let mut room = Room::open(&topology, &wanting).expect("opens");
    let begun = room.now();
    room.say(per_s, 50).expect("runs");
    room.arrivals(begun)
}

#[test]
fn all_with_the_group_open_get_the_same() {
    let got = replay(&arrivals(100), &[true, false, true, false]).expect("runs");
    assert_eq!(got[0], got[2]);
    assert_eq!(got[1], got[3]);
    assert_eq!((got[0].entries, got[0].bumps), (50, 0));
    assert_eq!((got[1].entries, got[1].deliveries), (0, 0));
}

#[test]
fn windows_gather_what_is_fast_and_bumps_are_one_a_second() {
    let slow = measure(1, 50, &arrivals(1)).expect("runs");
    assert!((0.99..1.01).contains(&slow.active_frames), "{slow:?}");
    assert!(slow.bump_frames > 0.9, "{slow:?}");
    let fast = measure(1_000, 50, &arrivals(1_000)).expect("runs");
    assert!(fast.active_frames < 0.5, "{fast:?}");
    assert!(fast.bump_frames <= 2.0 / 50.0, "{fast:?}");
    assert!(fast.active_bytes < slow.active_bytes);
}
