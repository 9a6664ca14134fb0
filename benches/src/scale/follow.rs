//! How a message reaches all nodes: the product's feeds, followers and choice
//! of relays, its frames, and between regions its packed streams.

mod link;
mod net;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context;
use folkmoot_wire::proto::GroupPush;
use folkmoot_wire::{GroupId, NodeId, RegionId, Slot};
use prost::Message;
use serde::Serialize;

use super::home::Home;
use super::topology::Topology;
use crate::progress::Progress;
pub(super) use link::Link;
use net::Net;

/// Members that are really there: enough to tell of their cursors.
pub(super) const MEMBERS: u32 = 101;
/// Cursors of one batch.
pub(super) const CURSORS: u32 = 100;
/// What was under way has arrived after this time.
const DRAIN: Duration = Duration::from_secs(3);

/// What one node sends for one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Out {
    pub(super) frames: f64,
    pub(super) bytes: f64,
}

/// Of one size of cluster, at one pace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) nodes: u32,
    pub(super) regions: u32,
    /// Nodes that have the group in full, the voters aside.
    pub(super) wanting: usize,
    pub(super) per_s: u32,
    pub(super) messages: u32,
    /// Streams on the way from a voter to the last node.
    pub(super) hops: u32,
    /// Who follows the leader: from its own region, and from others.
    pub(super) leader_followers: (usize, usize),
    /// Bytes of the entry alone: header, body, salt and chain.
    pub(super) entry_bytes: usize,
    pub(super) leader: Out,
    /// The busiest node that does not vote.
    pub(super) relay: Out,
    pub(super) inside: Out,
    pub(super) between: Out,
    /// From the commit until a node has it for its clients: half of the nodes
    /// and messages, and the last.
    pub(super) half_ms: f64,
    pub(super) last_ms: f64,
}

/// What it takes to tell of one cursor that moved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Cursors {
    pub(super) nodes: u32,
    pub(super) leader: Out,
    pub(super) relay: Out,
    pub(super) inside: Out,
    pub(super) between: Out,
}

/// What came to a node, for its edge: since the first message, and what.
pub(super) type Arrivals = Vec<(Duration, Vec<GroupPush>)>;

/// A group that follows from its birth on, on all nodes.
pub(super) struct Room<'a> {
    topology: &'a Topology,
    net: Net<'a>,
    home: Home,
    wanting: usize,
}

/// The group that everybody is in: of the first region's first shard.
pub(super) fn group() -> GroupId {
    GroupId::new(RegionId(1), Slot(1_000), [1; 11])
}

impl<'a> Room<'a> {
    pub(super) fn open(topology: &'a Topology, wanting: &BTreeSet<NodeId>) -> anyhow::Result<Self> {
        let placement = topology.placement();
        let shard = placement.birth_shard(&group()).context("a shard")?;
        let mut home = Home::open(shard, group())?;
        let mut net = Net::new(topology, &placement, shard, group(), wanting)?;
        net.run(DRAIN)?;
        for step in [Home::create, |home: &mut Home, ms| {
            home.join(ms, 1..MEMBERS)
        }] {
            let pushes = step(&mut home, net.now().as_millis() as u64)?;
            net.commit(Duration::ZERO, &pushes, home.version());
            net.run(DRAIN)?;
        }
        net.taken.clear();
        Ok(Self {
            topology,
            net,
            home,
            wanting: wanting.len(),
        })
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// So many messages at this pace.
    pub(super) fn say(&mut self, per_s: u32, messages: u32) -> anyhow::Result<Figures> {
        let before = self.net.sent();
        let begun = self.net.now();
        let mut entry_bytes = 0;
        for n in 0..messages {
            let due = Duration::from_secs(1) * n / per_s;
            self.net.run((begun + due).saturating_sub(self.net.now()))?;
            let pushes = self.home.say(self.net.now().as_millis() as u64)?;
            let entries = pushes.iter().flat_map(|push| &push.entries);
            entry_bytes = entries.map(Message::encoded_len).max().unwrap_or(0);
            self.net
                .commit(Duration::ZERO, &pushes, self.home.version());
        }
        self.net.run(DRAIN)?;
        let outs = self.outs(&before, messages);
        let (half_ms, last_ms) = self.delays(begun, per_s);
        let leader = self.leader();
        let (all, far) = self.net.followers(leader);
        Ok(Figures {
            nodes: self.topology.nodes,
            regions: self.topology.regions,
            wanting: self.wanting,
            per_s,
            messages,
            hops: self.net.depth(),
            leader_followers: (all - far, far),
            entry_bytes,
            leader: outs.leader,
            relay: outs.relay,
            inside: outs.inside,
            between: outs.between,
            half_ms,
            last_ms,
        })
    }

    /// One batch of cursors, after one more message.
    pub(super) fn read(&mut self) -> anyhow::Result<Cursors> {
        self.say(1, 1)?;
        let before = self.net.sent();
        let ms = self.net.now().as_millis() as u64;
        let pushes = self.home.read(ms, 1..1 + CURSORS)?;
        self.net
            .commit(Duration::ZERO, &pushes, self.home.version());
        self.net.run(DRAIN)?;
        let outs = self.outs(&before, CURSORS);
        Ok(Cursors {
            nodes: self.topology.nodes,
            leader: outs.leader,
            relay: outs.relay,
            inside: outs.inside,
            between: outs.between,
        })
    }

    /// What came to the node that is furthest from the home's number.
    pub(super) fn arrivals(&self, since: Duration) -> Arrivals {
        let node = NodeId(self.topology.nodes);
        let taken = self.net.taken.iter().filter(|taken| taken.node == node);
        taken
            .filter_map(|taken| {
                let after = taken.at.checked_sub(since)?;
                Some((after, taken.pushes.clone()))
            })
            .collect()
    }

    pub(super) fn now(&self) -> Duration {
        self.net.now()
    }

    fn leader(&self) -> NodeId {
        self.topology.nodes_of(0)[0]
    }

    fn outs(&self, before: &BTreeMap<NodeId, [(u64, u64); 2]>, of: u32) -> Outs {
        let after = self.net.sent();
        let per = |frames: u64, bytes: u64| Out {
            frames: frames as f64 / f64::from(of),
            bytes: bytes as f64 / f64::from(of),
        };
        let mut outs = Outs::default();
        let mut sums = [(0, 0); 2];
        for (node, now) in &after {
            let was = before.get(node).copied().unwrap_or_default();
            let mut of_node = (0, 0);
            for (place, (now, was)) in now.iter().zip(was).enumerate() {
                let new = (now.0 - was.0, now.1 - was.1);
                sums[place] = (sums[place].0 + new.0, sums[place].1 + new.1);
                of_node = (of_node.0 + new.0, of_node.1 + new.1);
            }
            let out = per(of_node.0, of_node.1);
            if *node == self.leader() {
                outs.leader = out;
            } else if self.topology.region_of(*node) != 0 && out.bytes > outs.relay.bytes {
                outs.relay = out;
            }
        }
        outs.inside = per(sums[0].0, sums[0].1);
        outs.between = per(sums[1].0, sums[1].1);
        outs
    }

    /// In milliseconds, and forgets what was taken before.
    fn delays(&mut self, begun: Duration, per_s: u32) -> (f64, f64) {
        let mut said = BTreeMap::new();
        let mut delays = Vec::new();
        for taken in self.net.taken.iter().filter(|taken| taken.at >= begun) {
            let seqs = taken.pushes.iter().filter_map(|push| push.covers);
            for covers in seqs {
                for seq in covers.from..=covers.to {
                    let next = said.len() as u32;
                    let place: u32 = *said.entry(seq).or_insert(next);
                    let due = begun + Duration::from_secs(1) * place / per_s;
                    delays.push((taken.at - due).as_secs_f64() * 1_000.0);
                }
            }
        }
        delays.sort_by(f64::total_cmp);
        let half = delays.get(delays.len() / 2).copied();
        (half.unwrap_or(0.0), delays.last().copied().unwrap_or(0.0))
    }
}

#[derive(Default)]
struct Outs {
    leader: Out,
    relay: Out,
    inside: Out,
    between: Out,
}

/// How many messages at which pace.
pub(super) const PACES: [(u32, u32); 3] = [(1, 5), (100, 300), (1_000, 1_000)];

/// All paces, what came to an edge at each, and the cursors.
pub(super) struct Measured {
    pub(super) figures: Vec<Figures>,
    pub(super) arrivals: Vec<(u32, u32, Arrivals)>,
    pub(super) cursors: Cursors,
}

/// A room in which every node has somebody.
pub(super) fn measure(topology: &Topology, progress: &Progress) -> anyhow::Result<Measured> {
    let says = |what: &str| progress.says(&format!("follow, {} nodes: {what}", topology.nodes));
    says("a group is made");
    let mut room = Room::open(topology, &topology.ids().collect())?;
    let (mut figures, mut arrivals) = (Vec::new(), Vec::new());
    for (per_s, messages) in PACES {
        says(&format!("{per_s} messages/s"));
        let begun = room.now();
        figures.push(room.say(per_s, messages)?);
        arrivals.push((per_s, messages, room.arrivals(begun)));
    }
    says("cursors");
    let cursors = room.read()?;
    Ok(Measured {
        figures,
        arrivals,
        cursors,
    })
}
