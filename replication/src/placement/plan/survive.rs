//! What shards survive, and what would be lost without a node, in words for
//! operators.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::NodeId;
use folkmoot_wire::proto::RegionRecord;

use super::aim::{Aim, aim};
use super::{Placement, Shard, View};
use crate::meta::FOUNDER;

/// The largest loss after which a shard goes on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Survives {
    /// It waits for every node that is lost.
    Nothing,
    /// A node.
    Node,
    /// A whole region.
    Region,
}

/// What a shard survives by where its voters stand.
#[must_use]
pub fn survives(placement: &Placement, shard: &Shard) -> Survives {
    let mut of_region: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for node in &shard.voters {
        let region = placement.region_of_node(*node);
        *of_region.entry(region).or_default() += 1;
    }
    let most = of_region.values().copied().max().unwrap_or_default();
    let quorum = shard.voters.len() / 2 + 1;
    match shard.voters.len() {
        0..3 => Survives::Nothing,
        voters if voters - most >= quorum => Survives::Region,
        _ => Survives::Node,
    }
}

/// What the cluster would no longer survive if `node` left; empty: nothing
/// changes in that.
#[must_use]
pub fn lost_without(view: &View<'_>, node: NodeId) -> Vec<String> {
    let placement = view.placement;
    let mut lost = Vec::new();
    if node == FOUNDER && placement.nodes().count() > 1 {
        lost.push(format!(
            "the cluster's CA: node {node} keeps its key, and without it no node joins"
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
    let regions = candidates.len();
    let (had, over) = view.strength(name);
    let (before, after) = (aim(region, had, over), aim(region, home, regions));
    if before == Aim::Regions && (home == 0 || after != Aim::Regions) {
        return Some(format!(
            "region {name}: its shards survive the loss of a region, which takes living nodes in \
             three regions, its own among them; there would be {regions} regions, and {home} nodes \
             in its own"
        ));
    }
    if home == 0 {
        return Some(format!(
            "region {name}: its shards would have no node to live on, and its groups would stand still"
        ));
    }
    match (before, after) {
        (Aim::Home(wanted), Aim::Home(_)) if home < wanted => Some(format!(
            "region {name}: each shard has {wanted} voters so that it survives the loss of a node, \
             and only {home} living nodes would be left"
        )),
        _ => None,
    }
}
