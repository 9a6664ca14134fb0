//! Where it ends first: computed from what was simulated.

#[cfg(test)]
mod tests;

use folkmoot_gossip::state::NODES_MAX;
use folkmoot_wire::limits;
use serde::Serialize;

use super::clients::{FRAME_US, Shares};
use super::states::MESSAGE_MAX;
use super::{Computed, ROOM_PACE, Simulated};

/// What a node may send, in bytes a second: 1 Gbit/s.
pub(super) const UPLINK: f64 = 125_000_000.0;
/// What of it may go for telling who is there.
const GOSSIP_SHARE: f64 = 0.01;
/// A change of the cluster has to be with all within so long.
const META_S: f64 = 10.0;

/// One bound, and where it lies.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Limit {
    pub(super) what: &'static str,
    /// What ends there.
    pub(super) bound: &'static str,
    pub(super) at: f64,
    pub(super) unit: &'static str,
    /// Beyond it something does not work at all; otherwise a budget is used up.
    pub(super) hard: bool,
}

/// A line through the first and the last of these.
fn line(points: impl Iterator<Item = (f64, f64)>) -> Option<(f64, f64)> {
    let points: Vec<_> = points.collect();
    let ((x0, y0), (x1, y1)) = (*points.first()?, *points.last()?);
    let slope = (y1 - y0) / (x1 - x0);
    slope.is_finite().then_some((y0 - slope * x0, slope))
}

/// Those that could be computed, in the order of the parts.
pub(super) fn find(simulated: &Simulated, computed: &Computed, shares: Shares) -> Vec<Limit> {
    let mut found = of_nodes(simulated, computed);
    found.extend(of_rates(simulated));
    found.extend(of_members(simulated, shares));
    found
}

/// The least number of nodes at which something does not work at all.
pub(super) fn first(limits: &[Limit]) -> Option<&Limit> {
    let nodes = limits.iter().filter(|limit| limit.unit == "nodes");
    nodes.min_by(|one, other| one.at.total_cmp(&other.at))
}

fn of_nodes(simulated: &Simulated, computed: &Computed) -> Vec<Limit> {
    let mut found = Vec::new();
    let states = || simulated.states.iter();
    let longest = line(states().map(|s| (f64::from(s.nodes), s.longest_bytes as f64)));
    if let Some((base, slope)) = longest {
        found.push(Limit {
            what: "digest of node states",
            bound: "chitchat's longest message, 65,507 bytes",
            at: ((MESSAGE_MAX as f64 - base) / slope).floor(),
            unit: "nodes",
            hard: true,
        });
    }
    let told = line(states().map(|s| (f64::from(s.nodes), s.bytes_per_s)));
    if let Some((base, slope)) = told {
        found.push(Limit {
            what: "node states that each node sends",
            bound: "1 % of 1 Gbit/s",
            at: ((UPLINK * GOSSIP_SHARE - base) / slope).floor(),
            unit: "nodes",
            hard: false,
        });
    }
    found.push(Limit {
        what: "node states that are kept",
        bound: "a constant of gossip",
        at: NODES_MAX as f64,
        unit: "nodes",
        hard: true,
    });
    let meta = computed.clusters.iter();
    let meta = line(meta.map(|c| (f64::from(c.nodes), c.meta_bytes as f64)));
    if let Some((base, slope)) = meta {
        found.push(Limit {
            what: "the cluster's own state in one frame",
            bound: "largest frame between nodes, 8 MiB",
            at: ((limits::NODE_FRAME_MAX as f64 - base) / slope).floor(),
            unit: "nodes",
            hard: true,
        });
        // All fetch it from one voter: as many bytes as nodes, that many times.
        found.push(Limit {
            what: "one voter sends the cluster's state to all",
            bound: "10 s at 1 Gbit/s",
            at: (UPLINK * META_S / slope).sqrt().floor(),
            unit: "nodes",
            hard: false,
        });
    }
    if let Some(last) = computed.clusters.last() {
        let most = limits::FOLLOW_SUBSCRIPTIONS as f64 / last.most_on_a_stream as f64;
        found.push(Limit {
            what: "shards followed over one stream",
            bound: "4,096 subscriptions",
            at: (most * last.shards as f64).floor(),
            unit: "shards",
            hard: true,
        });
    }
    found
}

fn of_rates(simulated: &Simulated) -> Vec<Limit> {
    let mut found = Vec::new();
    if let Some(last) = simulated.follow.last() {
        let rate = |bytes: f64| (UPLINK / bytes).floor();
        found.push(Limit {
            what: "what the leader of the home sends",
            bound: "1 Gbit/s",
            at: rate(last.leader.bytes),
            unit: "messages/s",
            hard: false,
        });
        found.push(Limit {
            what: "what the busiest relay sends",
            bound: "1 Gbit/s",
            at: rate(last.relay.bytes),
            unit: "messages/s",
            hard: false,
        });
    }
    found
}

/// How many people can have the group open, and be members.
fn of_members(simulated: &Simulated, shares: Shares) -> Vec<Limit> {
    let mut found = Vec::new();
    if let Some(last) = simulated.cursors.last() {
        let busiest = last.leader.bytes.max(last.relay.bytes);
        found.push(Limit {
            what: "cursors of readers, each once a second",
            bound: "1 Gbit/s of the busiest node",
            at: (UPLINK / busiest).floor(),
            unit: "readers",
            hard: false,
        });
        let nodes = f64::from(last.nodes);
        let cores = nodes * 1e6 / FRAME_US.websocket;
        if let Some(got) = simulated.clients.iter().find(|got| got.per_s == ROOM_PACE) {
            found.push(Limit {
                what: "frames to readers over WebSocket, 100 messages/s",
                bound: "one core of each node",
                at: (cores / (got.active_frames * f64::from(got.per_s))).floor(),
                unit: "readers",
                hard: false,
            });
        }
        found.push(Limit {
            what: "bumps to those who have it in their list",
            bound: "one core of each node",
            at: cores.floor(),
            unit: "connected",
            hard: false,
        });
        found.push(Limit {
            what: "sessions",
            bound: "100,000 of each node",
            at: (nodes * limits::SESSIONS_MAX as f64 / shares.online).floor(),
            unit: "members",
            hard: true,
        });
    }
    found.push(Limit {
        what: "members of one group",
        bound: "a constant of the protocol",
        at: f64::from(limits::MEMBER_CAP_MAX),
        unit: "members",
        hard: true,
    });
    found
}
