//! The cluster that is simulated: who stands where, and how far apart.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_replication::placement::Placement;
use folkmoot_wire::proto::{MetaState, NodeRecord, RegionRecord, ShardRecord};
use folkmoot_wire::{NodeId, RegionId, limits};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Voters of each shard.
pub(super) const VOTERS: usize = 3;
/// Nodes of a region, and most and least regions.
const NODES_PER_REGION: u32 = 20;
const REGIONS: (u32, u32) = (3, 50);
/// One way, in milliseconds: inside a region, and from the nearest to the
/// furthest of two.
const INSIDE_MS: u64 = 1;
const BETWEEN_MS: (f64, f64) = (20.0, 150.0);
const PORT: u16 = 7_444;
const SLOTS: u32 = 65_536;

/// Nodes spread evenly over regions that lie on a circle.
pub(super) struct Topology {
    pub(super) nodes: u32,
    pub(super) regions: u32,
    /// Where each lies, as a part of the circle.
    places: Vec<f64>,
}

impl Topology {
    pub(super) fn new(nodes: u32, seed: u64) -> Self {
        let regions = (nodes / NODES_PER_REGION).clamp(REGIONS.0, REGIONS.1);
        let mut rng = StdRng::seed_from_u64(seed);
        let places = (0..regions).map(|_| rng.random_range(0.0..1.0)).collect();
        Self {
            nodes,
            regions,
            places,
        }
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.nodes).map(NodeId)
    }

    /// Number of the region a node stands in, from 0; that of one who joins
    /// later too.
    pub(super) fn region_of(&self, node: NodeId) -> u32 {
        node.0.saturating_sub(1) % self.regions
    }

    pub(super) fn region_name(region: u32) -> String {
        format!("region-{region:02}")
    }

    pub(super) fn region_id(region: u32) -> RegionId {
        RegionId(region as u16 + 1)
    }

    pub(super) fn nodes_of(&self, region: u32) -> Vec<NodeId> {
        let here = |node: &NodeId| self.region_of(*node) == region;
        self.ids().filter(here).collect()
    }

    /// One way.
    pub(super) fn latency(&self, from: NodeId, to: NodeId) -> Duration {
        let (from, to) = (self.region_of(from), self.region_of(to));
        if from == to {
            return Duration::from_millis(INSIDE_MS);
        }
        let apart = (self.places[from as usize] - self.places[to as usize]).abs();
        let part = apart.min(1.0 - apart) * 2.0;
        let (near, far) = BETWEEN_MS;
        Duration::from_secs_f64((near + (far - near) * part) / 1_000.0)
    }

    pub(super) fn are_far(&self, one: NodeId, other: NodeId) -> bool {
        self.region_of(one) != self.region_of(other)
    }

    /// Where a node's gossip is reached.
    pub(super) fn addr(node: NodeId) -> SocketAddr {
        let [_, b, c, d] = node.0.to_be_bytes();
        SocketAddr::from(([10, b, c, d], PORT))
    }

    /// The node of an address.
    pub(super) fn node_at(addr: SocketAddr) -> Option<NodeId> {
        match addr {
            SocketAddr::V4(v4) => {
                let [_, b, c, d] = v4.ip().octets();
                Some(NodeId(u32::from_be_bytes([0, b, c, d])))
            }
            SocketAddr::V6(_) => None,
        }
    }

    /// What the meta shard of such a cluster holds: every region with as many
    /// shards as the product gives it, three voters each.
    pub(super) fn meta(&self) -> MetaState {
        let regions = 0..self.regions;
        MetaState {
            version: 1,
            cluster: super::home::CLUSTER.to_vec().into(),
            name: "scale".into(),
            nodes: self.ids().map(|node| self.record(node)).collect(),
            regions: regions.clone().map(region_record).collect(),
            shards: regions.flat_map(|region| self.shards(region)).collect(),
            ..MetaState::default()
        }
    }

    fn record(&self, node: NodeId) -> NodeRecord {
        let host = Self::addr(node).ip();
        NodeRecord {
            id: node.0,
            region: Self::region_name(self.region_of(node)),
            name: format!("node-{:04}", node.0),
            quic_addr: format!("{host}:7443"),
            gossip_addr: format!("{host}:{PORT}"),
            admin_addr: "127.0.0.1:7445".into(),
            joined_ms: super::home::START_MS,
            // An Ed25519 key in its DER form.
            public_key: vec![7; 44].into(),
            ..NodeRecord::default()
        }
    }

    /// Each shard's voters are others of its region.
    fn shards(&self, region: u32) -> impl Iterator<Item = ShardRecord> + use<> {
        let nodes = self.nodes_of(region);
        let count = limits::SHARDS_PER_REGION;
        (0..count).map(move |n| {
            let voters = (0..VOTERS.min(nodes.len()))
                .map(|at| nodes[(n as usize + at) % nodes.len()].0)
                .collect();
            ShardRecord {
                id: 1 + region * count + n,
                region: u32::from(Self::region_id(region).0),
                slot_from: n * (SLOTS / count),
                slot_to: (n + 1) * (SLOTS / count) - 1,
                voters,
                generation: 1,
                ..ShardRecord::default()
            }
        })
    }

    pub(super) fn placement(&self) -> Placement {
        Placement::new(Arc::new(self.meta()))
    }
}

fn region_record(region: u32) -> RegionRecord {
    RegionRecord {
        id: u32::from(Topology::region_id(region).0),
        name: Topology::region_name(region),
        shards: limits::SHARDS_PER_REGION,
        voters: VOTERS as u32,
        made: true,
        ..RegionRecord::default()
    }
}
