//! Which nodes: those that vote already stay, others by how much they do.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::NodeId;

use super::{Placement, Shape, Shard, View};

/// How many shards each node votes on, or is to vote on.
pub(super) struct Loads(BTreeMap<NodeId, usize>);

impl Loads {
    pub(super) fn of(placement: &Placement) -> Self {
        let mut loads = Self(BTreeMap::new());
        for shard in placement.shards() {
            for node in Self::counted(shard) {
                *loads.0.entry(*node).or_default() += 1;
            }
        }
        loads
    }

    /// Where a change is under way, it is thought done.
    fn counted(shard: &Shard) -> &[NodeId] {
        match shard.next.is_empty() {
            true => &shard.voters,
            false => &shard.next,
        }
    }

    pub(super) fn replace(&mut self, shard: &Shard, next: &BTreeSet<NodeId>) {
        for node in Self::counted(shard) {
            if let Some(load) = self.0.get_mut(node) {
                *load -= 1;
            }
        }
        for node in next {
            *self.0.entry(*node).or_default() += 1;
        }
    }

    fn get(&self, node: NodeId) -> usize {
        self.0.get(&node).copied().unwrap_or_default()
    }
}

/// Voters by the shape: good ones stay, missing ones come from those with the
/// least to do. Where nodes are missing, voters that should go stay: a dead
/// voter too many is better than a quorum of fewer. Always an odd number: one
/// more voter than that survives no more.
pub(super) fn fill(
    view: &View<'_>,
    candidates: &BTreeMap<&str, BTreeSet<NodeId>>,
    loads: &Loads,
    shape: &Shape<'_>,
    voters: &BTreeSet<NodeId>,
) -> BTreeSet<NodeId> {
    let nobody = BTreeSet::new();
    let wanted: usize = shape.iter().map(|(_, count)| count).sum();
    let mut ranked = Vec::new();
    for (region, count) in shape {
        let there = |node: &&NodeId| view.placement.region_of_node(**node) == Some(region);
        let mut stay: Vec<NodeId> = voters
            .iter()
            .filter(there)
            .filter(|node| view.serves(**node))
            .copied()
            .collect();
        // Of too many, those that are up and do least.
        stay.sort_by_key(|node| (!view.is_up(*node), loads.get(*node), *node));
        let mut come: Vec<NodeId> = candidates
            .get(region)
            .unwrap_or(&nobody)
            .difference(voters)
            .copied()
            .collect();
        come.sort_by_key(|node| (loads.get(*node), *node));
        ranked.extend(stay.into_iter().chain(come).take(*count));
    }
    // Behind them voters that should go: elsewhere, draining, gone.
    let chosen: BTreeSet<NodeId> = ranked.iter().copied().collect();
    let mut rest: Vec<NodeId> = voters.difference(&chosen).copied().collect();
    rest.sort_by_key(|node| (!view.serves(*node), !view.is_up(*node), *node));
    ranked.extend(rest);
    // Of an even number the last goes: of those chosen newcomers go first.
    let size = wanted.min(ranked.len());
    let size = size - usize::from(size % 2 == 0);
    if size < chosen.len() {
        let kept = |node: &NodeId| (!voters.contains(node), loads.get(*node), *node);
        ranked[..chosen.len()].sort_by_key(kept);
    }
    ranked.truncate(size);
    ranked.into_iter().collect()
}

/// A voter of a node with much to do goes to one of the same region that has
/// at least two fewer.
pub(super) fn even(
    candidates: &BTreeMap<&str, BTreeSet<NodeId>>,
    loads: &Loads,
    shape: &Shape<'_>,
    voters: &BTreeSet<NodeId>,
) -> Option<BTreeSet<NodeId>> {
    for (region, _) in shape {
        let Some(here) = candidates.get(region) else {
            continue;
        };
        let busy = here.intersection(voters);
        let idle = here.difference(voters);
        let busiest = busy.max_by_key(|node| (loads.get(**node), **node));
        let idlest = idle.min_by_key(|node| (loads.get(**node), **node));
        if let (Some(busiest), Some(idlest)) = (busiest, idlest)
            && loads.get(*busiest) >= loads.get(*idlest) + 2
        {
            let mut next = voters.clone();
            next.remove(busiest);
            next.insert(*idlest);
            return Some(next);
        }
    }
    None
}
