use std::collections::BTreeSet;

use folkmoot_wire::NodeId;

use super::{Room, measure};
use crate::progress::Progress;
use crate::scale::topology::Topology;

fn topology() -> Topology {
    Topology::new(24, 5)
}

#[test]
fn relays_make_it_two_hops() {
    let topology = topology();
    let measured = measure(&topology, &Progress::show(1)).expect("runs");
    for figures in &measured.figures {
        assert_eq!(figures.hops, 2);
        // One relay of each other region; at home one voter serves all.
        assert_eq!(figures.leader_followers.1, 2);
        // Each of the nodes that do not vote gets it once; what comes fast is
        // gathered on its way between regions.
        let frames = figures.inside.frames + figures.between.frames;
        assert!(figures.per_s > 100 || frames >= 20.0, "{figures:?}");
        assert!(figures.leader.bytes <= figures.inside.bytes + figures.between.bytes);
        // Each copy has at least the message's own bytes.
        let bytes = figures.inside.bytes + figures.between.bytes;
        assert!(bytes > 21.0 * super::super::home::BODY_BYTES as f64);
    }
}

#[test]
fn one_seed_is_one_run() {
    let run = || {
        let measured = measure(&topology(), &Progress::show(1)).expect("runs");
        (measured.figures, measured.cursors)
    };
    assert_eq!(run(), run());
}

#[test]
fn who_has_nobody_there_gets_heads() {
    let topology = topology();
    let everybody: BTreeSet<NodeId> = topology.ids().collect();
    let few: BTreeSet<NodeId> = [NodeId(24)].into();
    let bytes = |wanting| {
        let mut room = Room::open(&topology, wanting).expect("opens");
        let said = room.say(100, 50).expect("runs");
        said.inside.bytes + said.between.bytes
    };
    assert!(bytes(&few) * 2.0 < bytes(&everybody));
}
