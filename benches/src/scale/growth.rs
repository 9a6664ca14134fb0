//! How what a node keeps and tells grows with groups, shards and nodes: sizes
//! of what the product's own code makes.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use folkmoot_replication::follow::feed::{Event, Feed};
use folkmoot_replication::relay::{Upstream, upstream};
use folkmoot_storage::{Direction, Read, Table, keys};
use folkmoot_wire::proto::{FollowOpen, FollowPush, Head};
use folkmoot_wire::row::RowKind;
use folkmoot_wire::{GroupId, NodeId, RegionId, ShardId, Slot};
use prost::Message;
use serde::Serialize;

use super::follow::Link;
use super::home::Home;
use super::topology::Topology;

const SHARD: ShardId = ShardId(1);
/// Watermarks that are written to see what one costs.
const WATERMARKS: u64 = 50;
/// A lease of the default length is renewed this often
/// (`node/src/cluster/leases.rs`).
const RENEWAL_S: f64 = 600.0;
/// Heads of a group have these on the heap: chain and digest of rows.
const HEAD_HEAP: usize = 2 * 32;

/// A node that begins to follow a shard with so many groups.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Groups {
    pub(super) groups: u32,
    /// What it is sent before anything is new.
    pub(super) frames: u64,
    pub(super) bytes_inside: u64,
    pub(super) bytes_between: u64,
}

/// What rows of members take in a store, on average.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Rows {
    pub(super) member_bytes: f64,
    pub(super) cursor_bytes: f64,
}

/// What is written while nothing is said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Quiet {
    /// A stream on which nothing is new, a second: inside a region, between.
    pub(super) silence_bytes: [f64; 2],
    /// A shard that moved without news for the follower.
    pub(super) watermark_bytes: [f64; 2],
}

/// One size of cluster, with as many shards as its regions get.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Cluster {
    pub(super) nodes: u32,
    pub(super) shards: usize,
    /// What everybody keeps of the cluster itself, and is sent when it changes.
    pub(super) meta_bytes: usize,
    /// Shards that a node follows, and through how many others: the mean of a
    /// region.
    pub(super) followed: f64,
    pub(super) upstreams: f64,
    /// Most shards over one stream.
    pub(super) most_on_a_stream: usize,
    /// Shards that the busiest node is the relay of.
    pub(super) most_relayed: usize,
    /// Leases that a node renews, one for each shard that it follows.
    pub(super) renewals_per_min: f64,
}

pub(super) fn groups(home: &Home, count: u32) -> anyhow::Result<Groups> {
    let [near, far] = [false, true].map(|far| follow_all(home, count, far));
    let (near, far) = (near?, far?);
    Ok(Groups {
        groups: count,
        frames: near.0,
        bytes_inside: near.1,
        bytes_between: far.1,
    })
}

/// Frames and bytes of the heads of all groups.
fn follow_all(home: &Home, count: u32, far: bool) -> anyhow::Result<(u64, u64)> {
    let heads = heads(home, count)?;
    let slots = (Slot(0), Slot(u16::MAX));
    let version = home.version() + u64::from(count);
    let mut feed = Feed::new((SHARD, slots), version, heads, BTreeMap::new());
    let mut link = Link::new(far, 1)?;
    let open = FollowOpen {
        shard: SHARD.0,
        subscription: 1,
        ..FollowOpen::default()
    };
    let mut waiting = feed.handle(Event::Open { id: 1, open });
    while !waiting.is_empty() {
        let taken = waiting.len();
        link.write(waiting.drain(..).map(|send| send.push).collect())?;
        for _ in 0..taken {
            waiting.extend(feed.handle(Event::Taken { id: 1 }));
        }
    }
    // Between regions a frame is a write.
    Ok(link.counted())
}

/// Heads as the home's, each of another group with a chain of its own.
fn heads(home: &Home, count: u32) -> anyhow::Result<Vec<(GroupId, Head)>> {
    let model = home.head()?;
    let head = |n: u32| {
        let hash = |what: &str| blake3::hash(format!("{what} {n}").as_bytes());
        let mut unique = [0; 11];
        unique.copy_from_slice(&hash("group").as_bytes()[..11]);
        let group = GroupId::new(RegionId(1), Slot((n % 4_096) as u16), unique);
        let head = Head {
            hlc: model.hlc + u64::from(n) * 65_536,
            version: model.version + u64::from(n),
            chain: hash("chain").as_bytes().to_vec().into(),
            rows_digest: hash("rows").as_bytes().to_vec().into(),
            ..model.clone()
        };
        (group, head)
    };
    Ok((0..count).map(head).collect())
}

/// Bytes that a feed keeps of one group, its place in the map aside.
pub(super) fn head_in_memory() -> usize {
    size_of::<GroupId>() + size_of::<Head>() + HEAD_HEAP
}

pub(super) fn rows(home: &Home) -> anyhow::Result<Rows> {
    let mean = |kind| -> anyhow::Result<f64> {
        let (from, to) = keys::rows::kind_range(&home.group, kind);
        let store = &home.store;
        let pairs = store.scan(Table::Rows, &from, &to, usize::MAX, Direction::Forward)?;
        let bytes: usize = pairs.iter().map(|(k, v)| k.len() + v.len()).sum();
        Ok(bytes as f64 / pairs.len().max(1) as f64)
    };
    Ok(Rows {
        member_bytes: mean(RowKind::Member)?,
        cursor_bytes: mean(RowKind::Cursor)?,
    })
}

pub(super) fn quiet() -> anyhow::Result<Quiet> {
    let silence = |far| -> anyhow::Result<f64> {
        let mut link = Link::new(far, 300)?;
        for _ in 0..WATERMARKS {
            link.silence()?;
        }
        Ok(link.counted().1 as f64 / WATERMARKS as f64)
    };
    let watermark = |far| -> anyhow::Result<f64> {
        let mut link = Link::new(far, 300)?;
        for n in 0..WATERMARKS {
            link.write(vec![FollowPush {
                shard: 300,
                watermark: 1_000_000 + 7 * n,
                ..FollowPush::default()
            }])?;
        }
        Ok(link.counted().1 as f64 / WATERMARKS as f64)
    };
    Ok(Quiet {
        silence_bytes: [silence(false)?, silence(true)?],
        watermark_bytes: [watermark(false)?, watermark(true)?],
    })
}

/// All regions are alike: the nodes of one of them, and all shards.
pub(super) fn cluster(topology: &Topology) -> anyhow::Result<Cluster> {
    let placement = topology.placement();
    let nodes = topology.nodes_of(topology.regions - 1);
    let mut streams: BTreeMap<(NodeId, NodeId), usize> = BTreeMap::new();
    let mut relayed: BTreeMap<NodeId, BTreeSet<ShardId>> = BTreeMap::new();
    let mut followed = 0;
    for shard in placement.shards() {
        let leader = shard.voters.first().copied();
        for node in &nodes {
            let from = upstream(*node, shard, &placement, &|_| true, leader, false);
            let (Upstream::Voter(from) | Upstream::Relay(from)) = from else {
                continue;
            };
            followed += 1;
            *streams.entry((*node, from)).or_default() += 1;
            if matches!(placement.node(from), Some(record) if record.region == region(topology)) {
                relayed.entry(from).or_default().insert(shard.id);
            }
        }
    }
    let count = nodes.len().max(1) as f64;
    Ok(Cluster {
        nodes: topology.nodes,
        shards: placement.shards().count(),
        meta_bytes: placement.state().encoded_len(),
        followed: f64::from(followed) / count,
        upstreams: streams.len() as f64 / count,
        most_on_a_stream: streams.values().copied().max().context("nobody follows")?,
        renewals_per_min: f64::from(followed) / count * 60.0 / RENEWAL_S,
        most_relayed: relayed.values().map(BTreeSet::len).max().unwrap_or(0),
    })
}

fn region(topology: &Topology) -> String {
    Topology::region_name(topology.regions - 1)
}
