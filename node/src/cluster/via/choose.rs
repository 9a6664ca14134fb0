//! Through whom a node that cannot be reached may be reached: computed by each
//! for itself, never agreed on.

use folkmoot_replication::placement::Placement;
use folkmoot_wire::NodeId;

/// Living nodes of third regions, the best first: those whose connection is
/// up, then by rendezvous hash of both ends, so that not everybody asks the
/// same one. None where an end's region is not known, or is the same.
#[must_use]
pub fn through(
    me: NodeId,
    to: NodeId,
    placement: &Placement,
    alive: &dyn Fn(NodeId) -> bool,
    up: &dyn Fn(NodeId) -> bool,
) -> Vec<NodeId> {
    let ends = (placement.region_of_node(me), placement.region_of_node(to));
    let (Some(here), Some(there)) = ends else {
        return Vec::new();
    };
    // Whom nobody reaches is not reached through a third region either.
    if here == there || !alive(to) {
        return Vec::new();
    }
    let third = placement
        .nodes()
        .filter(|(id, node)| node.region != here && node.region != there && alive(*id));
    let mut nodes: Vec<NodeId> = third.map(|(id, _)| id).collect();
    nodes.sort_by_key(|node| (!up(*node), weight(me, to, *node), *node));
    nodes
}

fn weight(me: NodeId, to: NodeId, node: NodeId) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("folkmoot v1 via");
    for id in [me, to, node] {
        hasher.update(&id.0.to_be_bytes());
    }
    let mut weight = [0; 8];
    weight.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_be_bytes(weight)
}
