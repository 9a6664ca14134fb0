//! What would be lost without a node, in words for operators.

use std::collections::BTreeSet;

use folkmoot_wire::proto::{RegionRecord, SurvivalGoal};
use folkmoot_wire::{NodeId, ShardId};

use super::View;

/// What the cluster would no longer survive if `node` left; empty: nothing
/// changes in that.
#[must_use]
pub fn lost_without(view: &View<'_>, node: NodeId) -> Vec<String> {
    let placement = view.placement;
    let mut lost = Vec::new();
    if let Some(meta) = placement.shard(ShardId::META)
        && meta.replicas.contains(&node)
    {
        lost.push(format!(
            "the meta shard: node {node} keeps it, and its voters do not move yet"
        ));
    }
    let voting = placement
        .shards()
        .filter(|shard| shard.replicas.contains(&node));
    let homes: BTreeSet<u32> = voting.map(|shard| u32::from(shard.region.0)).collect();
    for region in &placement.state().regions {
        if homes.contains(&region.id) {
            lost.extend(lost_in(view, region, node));
        }
    }
    lost
}

fn lost_in(view: &View<'_>, region: &RegionRecord, node: NodeId) -> Option<String> {
    let name = &region.name;
    let mut candidates = view.candidates();
    for nodes in candidates.values_mut() {
        nodes.remove(&node);
    }
    candidates.retain(|_, nodes| !nodes.is_empty());
    let home = candidates.get(name.as_str()).map_or(0, BTreeSet::len);
    if region.goal() == SurvivalGoal::Region {
        let regions = candidates.len();
        return (home == 0 || regions < 3).then(|| {
            format!(
                "region {name}: its shards survive the loss of a region, which takes living nodes \
                 in three regions, its own among them; there would be {regions} regions, and {home} \
                 nodes in its own"
            )
        });
    }
    let wanted = region.voters.max(1) as usize;
    if home == 0 {
        return Some(format!(
            "region {name}: its shards would have no node to live on, and its groups would stand still"
        ));
    }
    (home < wanted).then(|| {
        format!(
            "region {name}: each shard has {wanted} voters so that it survives the loss of a node, \
             and only {home} living nodes would be left"
        )
    })
}
