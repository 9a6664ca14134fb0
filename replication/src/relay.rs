//! Through whom a node follows a shard (D8): computed, never agreed on.
//!
//! A region that holds a voter feeds from it. Otherwise one node of the
//! region, by rendezvous hash (Thaler and Ravishankar, 1998) of (region,
//! shard), is its relay and follows a voter; the others follow the relay. A
//! relay follows a voter, never another relay: nodes that disagree on who is
//! alive cost a second copy, never a loop.

#[cfg(test)]
mod tests;

use folkmoot_wire::{NodeId, ShardId};

use crate::placement::{Placement, Shard};

/// From whom a node takes a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// The node has a replica: it follows nobody.
    Local,
    /// From a voter.
    Voter(NodeId),
    /// From the region's relay.
    Relay(NodeId),
    /// Nobody who has it is thought alive.
    Nobody,
}

/// Chooses the upstream of `me` for `shard`. `alive` is what gossip says;
/// `leader` the last known leader; `relaying` that nodes of the region
/// already follow the shard through `me`, which makes it a relay whatever
/// the hash says.
#[must_use]
pub fn upstream(
    me: NodeId,
    shard: &Shard,
    placement: &Placement,
    alive: &dyn Fn(NodeId) -> bool,
    leader: Option<NodeId>,
    relaying: bool,
) -> Upstream {
    if shard.replicas.contains(&me) {
        return Upstream::Local;
    }
    let Some(region) = placement.region_of_node(me) else {
        return Upstream::Nobody;
    };
    let living = |node: &NodeId| alive(*node);
    let voters: Vec<NodeId> = shard.voters.iter().copied().filter(living).collect();
    let neighbours = voters
        .iter()
        .copied()
        .filter(|voter| placement.region_of_node(*voter) == Some(region));
    if let Some(voter) = rendezvous(region, shard.id, neighbours) {
        return Upstream::Voter(voter);
    }
    let candidates = placement
        .nodes()
        // One that learns to vote has not everything yet.
        .filter(|(id, _)| !shard.replicas.contains(id))
        .filter(|(id, node)| node.region == region && (*id == me || alive(*id)))
        .map(|(id, _)| id);
    match rendezvous(region, shard.id, candidates) {
        Some(relay) if relay != me && !relaying => Upstream::Relay(relay),
        _ => match leader.filter(|leader| voters.contains(leader)) {
            Some(leader) => Upstream::Voter(leader),
            None => rendezvous(region, shard.id, voters.into_iter())
                .map_or(Upstream::Nobody, Upstream::Voter),
        },
    }
}

/// The node with the highest weight: the same for all who see the same nodes,
/// and a node that comes or goes moves only what was or will be its own.
#[must_use]
pub fn rendezvous(
    region: &str,
    shard: ShardId,
    nodes: impl Iterator<Item = NodeId>,
) -> Option<NodeId> {
    nodes.max_by_key(|node| (weight(region, shard, *node), *node))
}

fn weight(region: &str, shard: ShardId, node: NodeId) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("folkmoot v1 relay");
    hasher.update(region.as_bytes());
    hasher.update(&shard.0.to_be_bytes());
    hasher.update(&node.0.to_be_bytes());
    let mut weight = [0; 8];
    weight.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_be_bytes(weight)
}
