use std::collections::BTreeSet;
use std::sync::Arc;

use folkmoot_replication::placement::Placement;
use folkmoot_wire::NodeId;

use super::{FAR, REGIONS, W, X, Y, Z, state};
use crate::cluster::via::choose::through;

fn placement(nodes: &[u32]) -> Placement {
    Placement::new(Arc::new(state(nodes)))
}

fn chosen(me: u32, to: u32, alive: &[u32], up: &[u32]) -> Vec<u32> {
    let placement = placement(&[W, Y, Z, X, FAR]);
    let within = |nodes: &[u32], node: NodeId| nodes.contains(&node.0);
    let nodes = through(
        NodeId(me),
        NodeId(to),
        &placement,
        &|node| within(alive, node),
        &|node| within(up, node),
    );
    nodes.into_iter().map(|node| node.0).collect()
}

const ALL: [u32; 5] = [W, Y, Z, X, FAR];

#[test]
fn living_nodes_of_third_regions_may_be_asked_and_no_others() {
    let sorted = |nodes: Vec<u32>| nodes.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(sorted(chosen(W, X, &ALL, &[])), [Y, Z, FAR].into());
    assert_eq!(chosen(W, X, &[X, FAR], &[]), [FAR]);
    // Neither end's neighbours.
    assert_eq!(sorted(chosen(Y, X, &ALL, &[])), [W, FAR].into());
    assert_eq!(chosen(Y, Z, &ALL, &[]), [0; 0]);
    // Whom nobody reaches, and whom nobody knows.
    assert_eq!(chosen(W, X, &[W, Y, Z, FAR], &[]), [0; 0]);
    assert_eq!(chosen(W, 77, &ALL, &[]), [0; 0]);
}

#[test]
fn who_is_connected_comes_first_and_the_order_is_always_the_same() {
    for up in [Y, Z, FAR] {
        assert_eq!(chosen(W, X, &ALL, &[up]).first(), Some(&up));
    }
    assert_eq!(chosen(W, X, &ALL, &[]), chosen(W, X, &ALL, &[]));
    assert_eq!(chosen(W, X, &ALL, &[]), chosen(W, X, &ALL, &[Y, Z, FAR]));
}

#[test]
fn who_has_left_is_asked_no_more() {
    let mut state = state(&[W, Y, Z, X]);
    state.nodes[1].left = true;
    assert_eq!(REGIONS[Y as usize - 1], state.nodes[1].region);
    let placement = Placement::new(Arc::new(state));
    let nodes = through(NodeId(W), NodeId(X), &placement, &|_| true, &|_| false);
    assert_eq!(nodes, [NodeId(Z)]);
}
