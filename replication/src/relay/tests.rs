//! The relay tree: computed by each, without loops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use folkmoot_wire::proto::{MetaState, NodeRecord, ShardRecord};
use folkmoot_wire::{NodeId, ShardId};
use proptest::prelude::*;

use super::{Upstream, rendezvous, upstream};
use crate::placement::{Placement, Shard};

const REGIONS: [&str; 3] = ["eu", "us", "ap"];

fn shard(id: u32, voters: &[u32]) -> Shard {
    Shard::from(&ShardRecord {
        id,
        region: 1,
        slot_to: 9,
        voters: voters.to_vec(),
        generation: 1,
        ..ShardRecord::default()
    })
}

/// Nodes 1, 2, 3, ... in these regions.
fn nodes(regions: &[usize]) -> Placement {
    let nodes = (1..)
        .zip(regions)
        .map(|(id, region)| NodeRecord {
            id,
            region: REGIONS[*region].into(),
            ..NodeRecord::default()
        })
        .collect();
    Placement::new(Arc::new(MetaState {
        nodes,
        ..MetaState::default()
    }))
}

fn all(_: NodeId) -> bool {
    true
}

#[test]
fn a_voter_has_it_and_a_region_with_a_voter_feeds_from_it() {
    let placement = nodes(&[0, 0, 1, 1]);
    let shard = shard(1, &[1, 3]);
    let of = |me, leader| upstream(NodeId(me), &shard, &placement, &all, leader, false);
    assert_eq!(of(1, None), Upstream::Local);
    // Though the leader is in the other region.
    assert_eq!(of(2, Some(NodeId(3))), Upstream::Voter(NodeId(1)));
    assert_eq!(of(4, Some(NodeId(1))), Upstream::Voter(NodeId(3)));
    assert_eq!(of(99, None), Upstream::Nobody);
}

#[test]
fn one_of_a_region_follows_a_voter_and_the_others_follow_that_one() {
    let placement = nodes(&[0, 1, 1, 1, 1]);
    let shard = shard(1, &[1]);
    let region = (2..=5).map(NodeId);
    let relay = rendezvous("us", shard.id, region.clone()).expect("a relay");
    for me in region {
        let chosen = upstream(me, &shard, &placement, &all, Some(NodeId(1)), false);
        let expected = if me == relay {
            Upstream::Voter(NodeId(1))
        } else {
            Upstream::Relay(relay)
        };
        assert_eq!(chosen, expected);
        // Whoever is followed follows a voter.
        let relaying = upstream(me, &shard, &placement, &all, None, true);
        assert_eq!(relaying, Upstream::Voter(NodeId(1)));
    }
}

#[test]
fn the_dead_are_not_chosen() {
    let placement = nodes(&[0, 0, 1, 1]);
    let shard = shard(1, &[1, 2]);
    let first_dead = |node: NodeId| node != NodeId(1);
    let relay = rendezvous("us", shard.id, [NodeId(3), NodeId(4)].into_iter()).expect("a relay");
    let chosen = upstream(
        relay,
        &shard,
        &placement,
        &first_dead,
        Some(NodeId(1)),
        false,
    );
    assert_eq!(chosen, Upstream::Voter(NodeId(2)));
    let nobody = |_: NodeId| false;
    assert_eq!(
        upstream(relay, &shard, &placement, &nobody, None, false),
        Upstream::Nobody
    );
}

#[test]
fn shards_spread_over_the_nodes_of_a_region() {
    let mut relays = BTreeSet::new();
    for id in 1..100 {
        relays.extend(rendezvous("us", ShardId(id), (1..=4).map(NodeId)));
    }
    assert_eq!(relays.len(), 4);
}

proptest! {
    #[test]
    fn a_node_that_goes_moves_only_what_was_its_own(
        nodes in proptest::collection::btree_set(1..50u32, 2..12),
        gone in any::<proptest::sample::Index>(),
        id in any::<u32>(),
    ) {
        let all: Vec<_> = nodes.iter().copied().map(NodeId).collect();
        let gone = all[gone.index(all.len())];
        let before = rendezvous("eu", ShardId(id), all.iter().copied()).expect("one");
        let left = all.iter().copied().filter(|node| *node != gone);
        let after = rendezvous("eu", ShardId(id), left).expect("one");
        prop_assert!(after == before || before == gone);
        let reversed = rendezvous("eu", ShardId(id), all.into_iter().rev());
        prop_assert_eq!(reversed, Some(before));
    }

    /// Whatever each node thinks of who is alive: once those that are
    /// followed know it, following the upstreams ends at a voter.
    #[test]
    fn no_views_make_a_loop(
        regions in proptest::collection::vec(0..3usize, 2..10),
        voter in any::<proptest::sample::Index>(),
        views in proptest::collection::vec(any::<u16>(), 10),
        id in any::<u32>(),
    ) {
        let placement = nodes(&regions);
        let count = regions.len() as u32;
        let shard = shard(id, &[voter.index(regions.len()) as u32 + 1]);
        let choose = |me: u32, relaying: bool| {
            let view = views[me as usize - 1];
            let alive = |node: NodeId| view & (1 << node.0) != 0;
            upstream(NodeId(me), &shard, &placement, &alive, None, relaying)
        };
        let mut edges: BTreeMap<u32, Upstream> = (1..=count).map(|me| (me, choose(me, false))).collect();
        let followed: BTreeSet<u32> = edges
            .values()
            .filter_map(|edge| match edge { Upstream::Relay(node) => Some(node.0), _ => None })
            .collect();
        for me in followed {
            edges.insert(me, choose(me, true));
        }
        for mut me in 1..=count {
            for hop in 0.. {
                prop_assert!(hop <= 2, "node {} is {} hops away", me, hop);
                me = match edges[&me] {
                    Upstream::Relay(node) | Upstream::Voter(node) => node.0,
                    Upstream::Local | Upstream::Nobody => break,
                };
            }
        }
    }
}
