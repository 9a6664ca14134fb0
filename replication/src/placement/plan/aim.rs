//! What a region's shards are to survive (design decision D10), and so where
//! their voters should stand.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use folkmoot_wire::NodeId;
use folkmoot_wire::proto::{RegionRecord, SurvivalGoal};

use super::{Shape, Shard, View};

/// Regions that voters stand in, to survive the loss of one.
const REGIONS: usize = 3;
/// Nodes of a region that survive the loss of one.
const NODES: usize = 3;

/// Where the voters of a region's shards are to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    /// In three regions.
    Regions,
    /// In the home region, so many.
    Home(usize),
}

/// `home`: how many nodes the region has; `regions`: how many regions have any.
pub(super) fn aim(region: &RegionRecord, home: usize, regions: usize) -> Aim {
    let across = match region.goal() {
        SurvivalGoal::Region => true,
        SurvivalGoal::Topology => home < NODES,
        SurvivalGoal::Node => false,
    };
    if across && regions >= REGIONS {
        return Aim::Regions;
    }
    Aim::Home(match region.voters {
        0 if home >= NODES => NODES,
        0 => 1,
        voters => voters as usize,
    })
}

/// How many voters a region's shards are made with. Only where it is said how
/// many they are is that waited for: the others come with the nodes.
#[must_use]
pub fn voters_at_first(region: &RegionRecord) -> u32 {
    match region.goal() {
        SurvivalGoal::Node => region.voters.max(1),
        _ => 1,
    }
}

/// Voters of the meta shard: changed seldom, and needed by whatever is to be
/// survived, it is spread as far as there are nodes for it.
pub(super) fn of_meta<'a>(view: &'a View<'_>, shard: &Shard) -> Option<Shape<'a>> {
    if !view.across {
        return None;
    }
    let staying = view.placement.nodes().filter(|(_, node)| !node.draining);
    if staying.count() >= NODES {
        return over_regions(view, shard, "");
    }
    let there = view.nodes_that(|node| view.serves(node));
    let votes = |nodes: &BTreeSet<NodeId>| !nodes.is_disjoint(&shard.replicas);
    let (region, _) = there.iter().max_by_key(|(_, nodes)| votes(nodes))?;
    Some(vec![(region, 1)])
}

/// Voters over three regions that are not lost, two of them with two where they
/// have the nodes: five survive a region and a node more. Over two regions,
/// which is all that is left, three, and as many in the last one: they survive a
/// node. `None`: there is nothing better than what the shard has, the dead
/// included.
pub(super) fn over_regions<'a>(view: &'a View<'_>, shard: &Shard, home: &str) -> Option<Shape<'a>> {
    // Where most voters are already comes first, then where there are two nodes:
    // a region that gains a node draws nothing to itself.
    let voting = |region: &str| {
        let there = |node: &&NodeId| view.placement.region_of_node(**node) == Some(region);
        shard.voters.iter().filter(there).count()
    };
    // One that is away for a short time is there: nothing moves for it.
    let there = view.nodes_that(|node| view.serves(node));
    let mut living: Vec<(&str, usize)> = there
        .iter()
        .map(|(region, nodes)| (*region, nodes.len()))
        .collect();
    let rank = |region: &str, count: usize| (region == home, voting(region), count.min(2));
    living.sort_by_key(|(region, count)| Reverse(rank(region, *count)));
    living.truncate(REGIONS);
    // Of those chosen, the ones that have two nodes come first; the home stays
    // before its equals.
    living.sort_by_key(|(_, count)| *count < 2);
    match living[..] {
        [(first, 2..), (second, 2..), (third, _)] => {
            Some(vec![(first, 2), (second, 2), (third, 1)])
        }
        [(first, _), (second, _), (third, _)] => Some(vec![(first, 1), (second, 1), (third, 1)]),
        [(first, 2..), (second, _)] => Some(vec![(first, 2), (second, 1)]),
        [(only, NODES..)] => Some(vec![(only, NODES)]),
        _ => None,
    }
}
