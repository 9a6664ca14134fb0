//! Plans on clusters that lose, gain and drain nodes: what every step keeps,
//! and where they end.

mod goals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use folkmoot_wire::proto::{
    DrainNode, MetaCommand, MetaState, MoveShard, NodeRecord, RegionRecord, SettleShard,
    ShardRecord, SurvivalGoal, meta_command::Op,
};
use folkmoot_wire::{NodeId, ShardId, limits};
use proptest::prelude::*;

use super::{Action, Health, View, plan};
use crate::meta;
use crate::placement::Placement;

const REPLACE_AFTER: u64 = 300_000;
const LEAD_AFTER: u64 = 60_000;
const REGIONS: [&str; 3] = ["eu", "us", "ap"];

struct World {
    state: MetaState,
    index: u64,
    health: BTreeMap<NodeId, Health>,
    leaders: BTreeMap<ShardId, NodeId>,
    across: bool,
}

impl World {
    /// `nodes` in each region; region eu has `shards`, all voted on by its
    /// first `voters` nodes.
    fn new(nodes: [u32; 3], shards: u32, voters: u32, goal: SurvivalGoal) -> Self {
        let mut state = MetaState::default();
        let mut id = 0;
        for (at, name) in REGIONS.iter().enumerate() {
            state.regions.push(RegionRecord {
                id: at as u32,
                name: (*name).into(),
                voters,
                goal: goal.into(),
                made: true,
                ..RegionRecord::default()
            });
            for _ in 0..nodes[at] {
                id += 1;
                state.nodes.push(NodeRecord {
                    id,
                    region: (*name).into(),
                    ..NodeRecord::default()
                });
            }
        }
        // Shards are made with an odd number.
        let first = voters.min(nodes[0]);
        let first = first - u32::from(first.is_multiple_of(2));
        for shard in 1..=shards {
            state.shards.push(ShardRecord {
                id: shard,
                voters: (1..=first).collect(),
                ..ShardRecord::default()
            });
        }
        let health = (1..=id).map(|id| (NodeId(id), Health::Up(LEAD_AFTER)));
        let leaders = (1..=shards).map(|shard| (ShardId(shard), NodeId(1)));
        Self {
            state,
            index: 1,
            health: health.collect(),
            leaders: leaders.collect(),
            across: true,
        }
    }

    fn run(&mut self, op: Op) -> u32 {
        self.index += 1;
        let command = MetaCommand {
            now_ms: 0,
            op: Some(op),
        };
        meta::apply(&mut self.state, self.index, command).code
    }

    fn drain(&mut self, node: u32) {
        let draining = true;
        assert_eq!(self.run(Op::DrainNode(DrainNode { node, draining })), 0);
    }

    fn plan(&self) -> Vec<Action> {
        let placement = Placement::new(Arc::new(self.state.clone()));
        plan(&View {
            placement: &placement,
            health: &|node| self.health[&node],
            leaders: &self.leaders,
            replace_after_ms: REPLACE_AFTER,
            lead_after_ms: LEAD_AFTER,
            across: self.across,
        })
    }

    fn up(&self, nodes: &[u32]) -> usize {
        let up = |node: &&u32| matches!(self.health[&NodeId(**node)], Health::Up(_));
        nodes.iter().filter(up).count()
    }

    fn has_quorum(&self, nodes: &[u32]) -> bool {
        self.up(nodes) > nodes.len() / 2
    }

    /// Takes the steps of one plan; changes end at once when `settle`.
    fn step(&mut self, settle: bool) -> usize {
        let actions = self.plan();
        let mut touched = BTreeSet::new();
        for action in &actions {
            let shard = match action {
                Action::Move { shard, .. } | Action::Lead { shard, .. } => *shard,
            };
            assert!(touched.insert(shard), "two steps for shard {shard}");
            match action {
                Action::Move { change, next, .. } => self.start(shard.0, *change, next),
                Action::Lead { to, .. } => {
                    let voters = &self.record(shard.0).voters;
                    assert!(voters.contains(&to.0) && self.up(&[to.0]) == 1);
                    self.leaders.insert(shard, *to);
                }
            }
        }
        let open = self.state.shards.iter().filter(|s| !s.next.is_empty());
        assert!(open.count() <= limits::MOVES_AT_ONCE);
        if settle {
            self.settle();
        }
        actions.len()
    }

    fn record(&self, shard: u32) -> &ShardRecord {
        self.state.shards.iter().find(|s| s.id == shard).unwrap()
    }

    fn start(&mut self, shard: u32, change: u64, next: &[NodeId]) {
        let next: Vec<u32> = next.iter().map(|node| node.0).collect();
        assert!(self.has_quorum(&self.record(shard).voters));
        assert!(self.has_quorum(&next), "{next:?} could not commit");
        assert_eq!(next.len() % 2, 1);
        let shard = MoveShard {
            shard,
            change,
            next,
        };
        assert_eq!(self.run(Op::MoveShard(shard)), 0);
    }

    fn settle(&mut self) {
        let open: Vec<(u32, u64)> = self
            .state
            .shards
            .iter()
            .filter(|shard| !shard.next.is_empty())
            .map(|shard| (shard.id, shard.change))
            .collect();
        for (shard, change) in open {
            let settled = SettleShard { shard, change };
            assert_eq!(self.run(Op::SettleShard(settled)), 0);
            // The leader that left has handed over.
            let voters = self.record(shard).voters.clone();
            let leader = self.leaders.get_mut(&ShardId(shard)).unwrap();
            if !voters.contains(&leader.0) {
                *leader = NodeId(voters[0]);
            }
        }
    }

    /// Until there is nothing to do.
    fn rest(&mut self) {
        for _ in 0..500 {
            if self.step(true) == 0 {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.plan());
    }

    fn loads(&self, nodes: impl Iterator<Item = u32>) -> Vec<usize> {
        let voting = |node| move |shard: &&ShardRecord| shard.voters.contains(&node);
        nodes
            .map(|node| self.state.shards.iter().filter(voting(node)).count())
            .collect()
    }

    fn leads(&self, nodes: impl Iterator<Item = u32>) -> Vec<usize> {
        nodes
            .map(|node| self.leaders.values().filter(|l| l.0 == node).count())
            .collect()
    }
}

fn spread(counts: &[usize]) -> usize {
    counts.iter().max().unwrap() - counts.iter().min().unwrap()
}

#[test]
fn a_voter_that_is_gone_too_long_is_replaced() {
    let mut world = World::new([4, 0, 0], 4, 3, SurvivalGoal::Node);
    world.rest();
    world
        .health
        .insert(NodeId(2), Health::Gone(REPLACE_AFTER - 1));
    let moves = |action: &Action| matches!(action, Action::Move { .. });
    assert!(!world.plan().iter().any(moves));
    world.health.insert(NodeId(2), Health::Gone(REPLACE_AFTER));
    world.rest();
    for shard in &world.state.shards {
        assert_eq!(shard.voters, [1, 3, 4]);
    }
    // Back again it gets its share, and no more.
    world.health.insert(NodeId(2), Health::Up(0));
    world.rest();
    assert_eq!(world.loads(1..=4), [3; 4]);
}

#[test]
fn without_a_replacement_the_dead_keep_their_votes() {
    let mut world = World::new([3, 3, 0], 4, 3, SurvivalGoal::Node);
    world.rest();
    world.health.insert(NodeId(3), Health::Gone(REPLACE_AFTER));
    world.rest();
    for shard in &world.state.shards {
        assert_eq!(
            shard.voters,
            [1, 2, 3],
            "two survive less than two of three"
        );
    }
    // Another region's nodes are no help under this goal. A quorum less, and
    // nothing can be done.
    world.health.insert(NodeId(2), Health::Gone(REPLACE_AFTER));
    assert_eq!(world.plan(), []);
}

#[test]
fn a_newcomer_gets_its_share() {
    let mut world = World::new([1, 0, 0], 16, 1, SurvivalGoal::Node);
    world.rest();
    assert_eq!(world.loads(1..=1), [16]);
    let mut more = World::new([4, 0, 0], 16, 1, SurvivalGoal::Node);
    more.rest();
    assert_eq!(more.loads(1..=4), [4; 4]);
    let mut three = World::new([5, 0, 0], 16, 3, SurvivalGoal::Node);
    three.rest();
    assert!(spread(&three.loads(1..=5)) <= 1);
    assert!(spread(&three.leads(1..=5)) <= 1);
}

#[test]
fn a_drained_node_votes_on_nothing() {
    for (nodes, voters) in [(2, 1), (4, 3)] {
        let mut world = World::new([nodes, 0, 0], 8, voters, SurvivalGoal::Node);
        world.rest();
        world.drain(1);
        world.rest();
        assert_eq!(world.loads(1..=1), [0]);
        assert_eq!(world.leads(1..=1), [0]);
    }
}

#[test]
fn a_change_that_waits_for_the_dead_gets_another_aim() {
    let mut world = World::new([5, 0, 0], 1, 3, SurvivalGoal::Node);
    world.start(1, 0, &[1, 2, 4].map(NodeId));
    world
        .health
        .insert(NodeId(4), Health::Gone(REPLACE_AFTER - 1));
    assert_eq!(world.plan(), []);
    world.health.insert(NodeId(4), Health::Gone(REPLACE_AFTER));
    assert_eq!(world.step(false), 1);
    assert_eq!(world.record(1).next, [1, 2, 3]);
    // Node 4 may be a voter until the change has ended.
    let placement = Placement::new(Arc::new(world.state.clone()));
    let replicas = &placement.shard(ShardId(1)).unwrap().replicas;
    assert_eq!(*replicas, BTreeSet::from([1, 2, 3, 4].map(NodeId)));
    world.settle();
    let placement = Placement::new(Arc::new(world.state.clone()));
    assert_eq!(placement.shard(ShardId(1)).unwrap().replicas.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever happens to a cluster, each step keeps what `start` asserts;
    /// and when it ends, the plan comes to rest and the spread is even.
    #[test]
    fn it_comes_to_rest(
        nodes in (1..6u32, 0..5u32, 0..5u32),
        shards in 1..17u32,
        three in any::<bool>(),
        wide in any::<bool>(),
        events in proptest::collection::vec((0..16u32, 0..4u8, any::<bool>()), 0..24),
    ) {
        let goal = if wide { SurvivalGoal::Region } else { SurvivalGoal::Node };
        let count = [nodes.0, nodes.1, nodes.2];
        let mut world = World::new(count, shards, if three { 3 } else { 1 }, goal);
        let all: u32 = count.iter().sum();
        for (node, what, settle) in events {
            let node = node % all + 1;
            match what {
                0 => { world.health.insert(NodeId(node), Health::Gone(1)); }
                1 => { world.health.insert(NodeId(node), Health::Gone(REPLACE_AFTER)); }
                2 => { world.health.insert(NodeId(node), Health::Up(LEAD_AFTER)); }
                _ => world.drain(node),
            }
            world.step(settle);
        }
        for node in 1..=all {
            world.health.insert(NodeId(node), Health::Up(LEAD_AFTER));
            let draining = false;
            world.run(Op::DrainNode(DrainNode { node, draining }));
        }
        world.settle();
        world.rest();
        let home = world.loads(1..=count[0]);
        prop_assert!(spread(&home) <= 1, "{:?}", home);
        let leads = world.leads(1..=count[0]);
        prop_assert_eq!(leads.iter().sum::<usize>(), shards as usize, "they lead at home");
        let sizes: BTreeSet<usize> = world.state.shards.iter().map(|s| s.voters.len()).collect();
        prop_assert_eq!(sizes.len(), 1);
    }
}
