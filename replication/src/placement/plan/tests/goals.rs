//! What shards are to survive, what they do survive, and what they would not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use folkmoot_wire::proto::{SetGoal, ShardRecord, SurvivalGoal, meta_command::Op};
use folkmoot_wire::{NodeId, ShardId};

use super::super::{Action, Health, Survives, View, lost_without, survives};
use super::{LEAD_AFTER, Placement, REGIONS, REPLACE_AFTER, World};

#[test]
fn a_region_that_is_lost_leaves_a_quorum() {
    let mut world = World::new([2, 2, 2], 6, 1, SurvivalGoal::Region);
    world.rest();
    for shard in &world.state.shards {
        assert_eq!(shard.voters.len(), 5);
    }
    for lost in REGIONS {
        let home = world.state.nodes.iter().filter(|node| node.region == lost);
        let gone: BTreeSet<u32> = home.map(|node| node.id).collect();
        for shard in &world.state.shards {
            let left = shard.voters.iter().filter(|node| !gone.contains(node));
            assert!(left.count() >= 3, "{lost}");
        }
    }
    assert_eq!(world.leads(1..=2), [3, 3], "all lead at home");
    // Three nodes are enough for three regions; two regions are not.
    let mut small = World::new([1, 1, 1], 2, 1, SurvivalGoal::Region);
    small.rest();
    assert_eq!(small.record(1).voters, [1, 2, 3]);
    let mut two = World::new([3, 3, 0], 2, 3, SurvivalGoal::Region);
    two.rest();
    assert_eq!(two.record(1).voters, [1, 2, 3]);
}

#[test]
fn leadership_returns_home_after_a_while() {
    let mut world = World::new([1, 1, 1], 1, 1, SurvivalGoal::Region);
    world.rest();
    world.leaders.insert(ShardId(1), NodeId(2));
    world.health.insert(NodeId(1), Health::Up(LEAD_AFTER - 1));
    assert_eq!(world.plan(), []);
    world.health.insert(NodeId(1), Health::Up(LEAD_AFTER));
    let home = Action::Lead {
        shard: ShardId(1),
        to: NodeId(1),
    };
    assert_eq!(world.plan(), [home]);
}

fn lost(world: &World, node: u32) -> String {
    let placement = Placement::new(Arc::new(world.state.clone()));
    let view = View {
        placement: &placement,
        health: &|node| world.health[&node],
        leaders: &BTreeMap::new(),
        replace_after_ms: u64::MAX,
        lead_after_ms: 0,
        across: true,
    };
    lost_without(&view, NodeId(node)).join("; ")
}

#[test]
fn what_would_be_lost_is_said() {
    let mut world = World::new([4, 1, 0], 4, 3, SurvivalGoal::Node);
    world.rest();
    assert_eq!(lost(&world, 4), "");
    assert_eq!(lost(&world, 5), "", "it votes on nothing");
    // The dead do not count, and neither do those that drain.
    world.health.insert(NodeId(2), Health::Gone(1));
    assert!(lost(&world, 4).contains("region eu: each shard has 3 voters"));
    world.health.insert(NodeId(2), Health::Up(0));
    world.drain(3);
    assert!(lost(&world, 4).contains("only 2 living nodes"));

    let alone = World::new([1, 1, 0], 4, 1, SurvivalGoal::Node);
    assert!(lost(&alone, 1).contains("no node to live on"));
    let two = World::new([2, 0, 0], 4, 1, SurvivalGoal::Node);
    assert!(lost(&two, 1).contains("the cluster's CA"));
    let mut wide = World::new([2, 2, 1], 4, 1, SurvivalGoal::Region);
    wide.rest();
    assert_eq!(lost(&wide, 3), "");
    assert!(lost(&wide, 5).contains("there would be 2 regions"));
}

/// What all shards survive.
fn survived(world: &World) -> Survives {
    let placement = Placement::new(Arc::new(world.state.clone()));
    let shards = placement.shards();
    let each = shards.map(|shard| survives(&placement, shard));
    each.min().unwrap()
}

fn set(world: &mut World, goal: SurvivalGoal, voters: u32) {
    let set = SetGoal {
        region: "eu".into(),
        goal: goal.into(),
        voters,
    };
    assert_eq!(world.run(Op::SetGoal(set)), 0);
}

fn lose(world: &mut World, region: &str, how: Health) {
    for node in world
        .state
        .nodes
        .iter()
        .filter(|node| node.region == region)
    {
        world.health.insert(NodeId(node.id), how);
    }
}

#[test]
fn by_topology_a_region_of_three_nodes_survives_a_node_and_a_smaller_one_itself() {
    let goal = SurvivalGoal::Topology;
    for (nodes, wanted) in [
        ([1, 0, 0], Survives::Nothing),
        ([2, 0, 0], Survives::Nothing),
        ([3, 0, 0], Survives::Node),
        ([3, 1, 1], Survives::Node),
        ([2, 2, 0], Survives::Nothing),
        ([1, 1, 1], Survives::Region),
        ([2, 1, 3], Survives::Region),
        ([2, 2, 2], Survives::Region),
    ] {
        let mut world = World::new(nodes, 4, 1, goal);
        set(&mut world, goal, 0);
        world.rest();
        assert_eq!(survived(&world), wanted, "{nodes:?}");
    }
}

#[test]
fn a_goal_is_changed_and_changed_back() {
    let mut world = World::new([3, 3, 3], 4, 3, SurvivalGoal::Node);
    world.rest();
    assert_eq!(survived(&world), Survives::Node);
    set(&mut world, SurvivalGoal::Region, 0);
    world.rest();
    assert_eq!(survived(&world), Survives::Region);
    assert_eq!(world.record(1).voters.len(), 5);
    set(&mut world, SurvivalGoal::Node, 1);
    world.rest();
    assert_eq!(survived(&world), Survives::Nothing);
    let at_home = |shard: &ShardRecord| shard.voters.iter().all(|node| *node <= 3);
    assert!(world.state.shards.iter().all(at_home));
}

#[test]
fn a_home_that_is_lost_for_long_leaves_shards_that_survive_a_node_and_gets_them_back() {
    let mut world = World::new([2, 2, 2], 4, 1, SurvivalGoal::Region);
    world.rest();
    lose(&mut world, "eu", Health::Gone(REPLACE_AFTER - 1));
    // The voters that are left have elected one of them.
    for leader in world.leaders.values_mut() {
        *leader = NodeId(3);
    }
    let moved = |action: &Action| matches!(action, Action::Move { .. });
    assert!(!world.plan().iter().any(moved), "it may come back");
    lose(&mut world, "eu", Health::Gone(REPLACE_AFTER));
    world.rest();
    for shard in &world.state.shards {
        assert_eq!(shard.voters.len(), 3);
        assert!(shard.voters.iter().all(|node| *node > 2), "{shard:?}");
    }
    lose(&mut world, "eu", Health::Up(LEAD_AFTER));
    world.rest();
    assert_eq!(survived(&world), Survives::Region);
    assert_eq!(world.record(1).voters.len(), 5);
    assert_eq!(world.leads(1..=2), [2, 2], "all lead at home");
}

#[test]
fn of_three_single_nodes_the_dead_one_keeps_its_vote() {
    let mut world = World::new([1, 1, 1], 2, 1, SurvivalGoal::Topology);
    world.rest();
    lose(&mut world, "ap", Health::Gone(REPLACE_AFTER));
    world.rest();
    assert_eq!(world.record(1).voters, [1, 2, 3]);
    lose(&mut world, "ap", Health::Up(LEAD_AFTER));
    lose(&mut world, "eu", Health::Gone(REPLACE_AFTER));
    for leader in world.leaders.values_mut() {
        *leader = NodeId(2);
    }
    world.rest();
    assert_eq!(world.record(1).voters, [1, 2, 3]);
}

#[test]
fn a_fourth_region_takes_the_place_of_one_that_is_lost() {
    let mut world = World::new([1, 1, 1], 2, 1, SurvivalGoal::Region);
    let mut region = world.state.regions[2].clone();
    (region.id, region.name) = (3, "sa".into());
    world.state.regions.push(region);
    let mut node = world.state.nodes[2].clone();
    (node.id, node.region) = (4, "sa".into());
    world.state.nodes.push(node);
    world.health.insert(NodeId(4), Health::Up(LEAD_AFTER));
    world.rest();
    assert_eq!(world.record(1).voters, [1, 3, 4]);
    lose(&mut world, "ap", Health::Gone(REPLACE_AFTER));
    world.rest();
    assert_eq!(world.record(1).voters, [1, 2, 4]);
}

#[test]
fn while_an_older_build_lives_voters_stay_in_their_region() {
    let mut world = World::new([1, 1, 1], 2, 1, SurvivalGoal::Topology);
    world.across = false;
    world.rest();
    assert_eq!(world.record(1).voters, [1]);
    world.across = true;
    world.rest();
    assert_eq!(world.record(1).voters, [1, 2, 3]);
}

#[test]
fn by_topology_a_node_may_leave_if_the_regions_are_enough_without_it() {
    let world = World::new([3, 1, 1], 2, 3, SurvivalGoal::Topology);
    assert_eq!(lost(&world, 2), "", "the region is survived then");
    let mut two = World::new([3, 1, 0], 2, 3, SurvivalGoal::Topology);
    two.rest();
    assert!(lost(&two, 2).contains("only 2 living nodes would be left"));
    let mut one = World::new([1, 1, 1], 2, 1, SurvivalGoal::Topology);
    one.rest();
    assert!(lost(&one, 3).contains("there would be 2 regions"));
}

/// The meta shard's voters in a cluster of so many nodes, at rest.
fn meta_of(nodes: [u32; 3], change: impl Fn(&mut World)) -> Vec<u32> {
    let mut world = World::new(nodes, 2, 1, SurvivalGoal::Node);
    world.state.shards.push(ShardRecord {
        voters: vec![1],
        ..ShardRecord::default()
    });
    world.leaders.insert(ShardId::META, NodeId(1));
    world.rest();
    change(&mut world);
    world.rest();
    world.record(0).voters.clone()
}

#[test]
fn the_meta_shard_is_spread_as_far_as_there_are_nodes() {
    let nothing = |_: &mut World| {};
    assert_eq!(meta_of([1, 0, 0], nothing), [1]);
    assert_eq!(meta_of([1, 1, 0], nothing), [1]);
    assert_eq!(meta_of([2, 1, 0], nothing), [1, 2, 3]);
    assert_eq!(meta_of([3, 0, 0], nothing), [1, 2, 3]);
    assert_eq!(meta_of([1, 1, 1], nothing), [1, 2, 3]);
    assert_eq!(meta_of([2, 2, 2], nothing).len(), 5);
    let old = |world: &mut World| world.across = false;
    assert_eq!(meta_of([3, 0, 0], old), [1, 2, 3], "it does not move back");
}

#[test]
fn the_meta_shard_goes_on_without_its_founder_and_off_a_drained_node() {
    let founder_lost = |world: &mut World| {
        world.leaders.insert(ShardId::META, NodeId(2));
        world.health.insert(NodeId(1), Health::Gone(REPLACE_AFTER));
    };
    assert_eq!(
        meta_of([1, 1, 1], founder_lost),
        [1, 2, 3],
        "there is no other"
    );
    assert_eq!(meta_of([4, 0, 0], founder_lost), [2, 3, 4]);
    let drained = |world: &mut World| world.drain(3);
    assert_eq!(meta_of([4, 0, 0], drained), [1, 2, 4]);
    assert_eq!(meta_of([2, 1, 0], drained), [1]);
}

#[test]
fn a_region_that_gains_or_loses_a_node_draws_nothing_to_itself() {
    let mut world = World::new([3, 2, 2], 4, 1, SurvivalGoal::Region);
    world.rest();
    let before: Vec<_> = world
        .state
        .shards
        .iter()
        .map(|s| s.voters.clone())
        .collect();
    for region in ["us", "ap"] {
        let id = world.state.nodes.len() as u32 + 1;
        let mut node = world.state.nodes[0].clone();
        (node.id, node.region) = (id, region.into());
        world.state.nodes.push(node);
        world.health.insert(NodeId(id), Health::Up(LEAD_AFTER));
        // It gets its share of its own region's voters, and no other's.
        world.rest();
        for (shard, before) in world.state.shards.iter().zip(&before) {
            let of = |voters: &[u32]| {
                let regions = voters.iter().map(|node| {
                    let node = world.state.nodes.iter().find(|n| n.id == *node);
                    node.unwrap().region.clone()
                });
                let mut regions: Vec<String> = regions.collect();
                regions.sort();
                regions
            };
            assert_eq!(of(&shard.voters), of(before));
        }
    }
}

#[test]
fn in_the_last_region_a_dead_voter_is_replaced_and_a_change_is_given_up() {
    let mut world = World::new([4, 1, 1], 2, 3, SurvivalGoal::Node);
    world.rest();
    set(&mut world, SurvivalGoal::Region, 0);
    assert_eq!(world.step(false), 2, "both are to have voters elsewhere");
    for region in ["us", "ap"] {
        lose(&mut world, region, Health::Gone(REPLACE_AFTER));
    }
    world.rest();
    assert!(world.state.shards.iter().all(|shard| shard.next.is_empty()));
    world.health.insert(NodeId(2), Health::Gone(REPLACE_AFTER));
    world.rest();
    for shard in &world.state.shards {
        assert_eq!(shard.voters, [1, 3, 4]);
    }
    let mut single = World::new([1, 1, 1], 1, 1, SurvivalGoal::Region);
    assert_eq!(single.step(false), 1);
    lose(&mut single, "ap", Health::Gone(REPLACE_AFTER));
    single.rest();
    assert_eq!(single.record(1).voters, [1]);
}
