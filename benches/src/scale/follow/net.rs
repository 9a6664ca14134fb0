//! Feeds and followers of one shard on all nodes, under virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use bytes::Bytes;
use folkmoot_replication::follow::feed::{self, Feed};
use folkmoot_replication::follow::follower::{self, Follower, Output};
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_replication::reconcile::RowSums;
use folkmoot_replication::relay::{Upstream, upstream};
use folkmoot_storage::{MemStore, Read, Store};
use folkmoot_wire::proto::{FollowPush, GroupPush};
use folkmoot_wire::{GroupId, NodeId, limits};
use prost::Message;

use super::link::Link;
use crate::scale::home::{CLUSTER, DIGEST_KEY};
use crate::scale::topology::Topology;

/// Coalesced heads go out this often, watermarks with every fifth
/// (`node/src/cluster/feeds.rs`).
const HEADS_EVERY: Duration = Duration::from_millis(200);
const WATERMARK_TICKS: u64 = 5;

enum Due {
    /// A voter has applied it.
    Publish(Vec<GroupPush>, u64),
    /// To this follower: what waits for it is written.
    Write(NodeId),
    Arrive(Vec<Bytes>),
    Tick(u64),
}

/// To one follower.
struct Stream {
    link: Link,
    far: bool,
    waiting: Vec<FollowPush>,
    /// A write is due.
    due: bool,
}

struct Follows {
    follower: Follower,
    store: Arc<dyn Store>,
}

struct Node {
    feed: Feed,
    follows: Option<Follows>,
    /// By the follower's number, which names its subscription too.
    streams: BTreeMap<NodeId, Stream>,
    /// Links from a voter to here.
    depth: u32,
}

/// What a node took of the group's entries.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) at: Duration,
    pub(super) node: NodeId,
    pub(super) pushes: Vec<GroupPush>,
}

pub(super) struct Net<'a> {
    topology: &'a Topology,
    now: Duration,
    queue: BTreeMap<(Duration, u64), (NodeId, Due)>,
    next: u64,
    nodes: BTreeMap<NodeId, Node>,
    voters: Vec<NodeId>,
    pub(super) taken: Vec<Taken>,
}

impl<'a> Net<'a> {
    /// All nodes follow the shard from its beginning; `wanting` have the group
    /// open.
    pub(super) fn new(
        topology: &'a Topology,
        placement: &Placement,
        shard: &Shard,
        group: GroupId,
        wanting: &BTreeSet<NodeId>,
    ) -> anyhow::Result<Self> {
        let mut net = Self {
            topology,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            next: 0,
            nodes: BTreeMap::new(),
            voters: shard.voters.clone(),
            taken: Vec::new(),
        };
        let upstreams = upstreams(topology, placement, shard)?;
        for node in topology.ids() {
            let follows = match upstreams.contains_key(&node) {
                true => Some(follows(shard)?),
                false => None,
            };
            let feed = Feed::new((shard.id, shard.slots), 0, [], BTreeMap::new());
            let node_state = Node {
                feed,
                follows,
                streams: BTreeMap::new(),
                depth: depth(&upstreams, node),
            };
            net.nodes.insert(node, node_state);
        }
        // A relay follows in full what those behind it want in full.
        let mut full = wanting.clone();
        full.extend(wanting.iter().filter_map(|node| upstreams.get(node)));
        for (node, from) in upstreams {
            net.follow(node, from, full.contains(&node).then_some(group))?;
        }
        let ticking: Vec<NodeId> = net.nodes.keys().copied().collect();
        for node in ticking {
            // Nodes do not tick together.
            let phase = HEADS_EVERY * (node.0 % 20) / 20;
            net.push(phase, node, Due::Tick(u64::from(node.0)));
        }
        Ok(net)
    }

    fn follow(&mut self, node: NodeId, from: NodeId, wants: Option<GroupId>) -> anyhow::Result<()> {
        let Some(follows) = self.nodes.get_mut(&node).and_then(|n| n.follows.as_mut()) else {
            bail!("node {node} follows nobody");
        };
        if let Some(group) = wants {
            let groups = vec![group];
            follows.follower.handle(follower::Event::Want { groups })?;
        }
        let open = follows.follower.open_message();
        let far = self.topology.are_far(node, from);
        let stream = Stream {
            link: Link::new(far, u64::from(node.0))?,
            far,
            waiting: Vec::new(),
            due: false,
        };
        let id = u64::from(node.0);
        let sends = match self.nodes.get_mut(&from) {
            Some(upstream) => {
                upstream.streams.insert(node, stream);
                upstream.feed.handle(feed::Event::Open { id, open })
            }
            None => bail!("node {from} is not there"),
        };
        self.enqueue(from, sends);
        Ok(())
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn depth(&self) -> u32 {
        self.nodes
            .values()
            .map(|node| node.depth)
            .max()
            .unwrap_or(0)
    }

    /// How many follow a shard through this node, and how many of these from
    /// other regions.
    pub(super) fn followers(&self, node: NodeId) -> (usize, usize) {
        let streams = self.nodes.get(&node).map(|node| &node.streams);
        let far = |stream: &&Stream| stream.far;
        streams.map_or((0, 0), |s| (s.len(), s.values().filter(far).count()))
    }

    /// Frames and bytes that each node has sent: to its own region, and to
    /// others.
    pub(super) fn sent(&self) -> BTreeMap<NodeId, [(u64, u64); 2]> {
        let of = |node: &Node| {
            let mut sum = [(0, 0); 2];
            for stream in node.streams.values() {
                let (frames, bytes) = stream.link.counted();
                let place = &mut sum[usize::from(stream.far)];
                *place = (place.0 + frames, place.1 + bytes);
            }
            sum
        };
        self.nodes
            .iter()
            .map(|(id, node)| (*id, of(node)))
            .collect()
    }

    /// The shard's leader, its first voter, has applied this after so long; the
    /// other voters learn of it one way later.
    pub(super) fn commit(&mut self, after: Duration, pushes: &[GroupPush], version: u64) {
        for (at, voter) in self.voters.clone().into_iter().enumerate() {
            let learns = match at {
                0 => Duration::ZERO,
                _ => self.topology.latency(self.voters[0], voter),
            };
            let publish = Due::Publish(pushes.to_vec(), version);
            self.push(after + learns, voter, publish);
        }
    }

    pub(super) fn run(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = self.now + time;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((at, _), (node, due)) = entry.remove_entry();
            self.now = at;
            match due {
                Due::Publish(pushes, version) => self.publish(node, pushes, Some(version)),
                Due::Write(to) => self.write(node, to)?,
                Due::Arrive(frames) => self.arrive(node, frames)?,
                Due::Tick(n) => self.tick(node, n),
            }
        }
        self.now = until;
        Ok(())
    }

    fn push(&mut self, after: Duration, node: NodeId, due: Due) {
        self.next += 1;
        self.queue
            .insert((self.now + after, self.next), (node, due));
    }

    fn feed(&mut self, node: NodeId, event: feed::Event) {
        let sends = match self.nodes.get_mut(&node) {
            Some(node) => node.feed.handle(event),
            None => Vec::new(),
        };
        self.enqueue(node, sends);
    }

    /// What is new on a node goes to its clients and to its feed.
    fn publish(&mut self, node: NodeId, pushes: Vec<GroupPush>, watermark: Option<u64>) {
        if pushes.iter().any(|push| !push.entries.is_empty()) {
            self.taken.push(Taken {
                at: self.now,
                node,
                pushes: pushes.clone(),
            });
        }
        self.feed(node, feed::Event::Published { pushes, watermark });
    }

    fn tick(&mut self, node: NodeId, n: u64) {
        let watermark = n.is_multiple_of(WATERMARK_TICKS);
        self.feed(node, feed::Event::Tick { watermark });
        self.push(HEADS_EVERY, node, Due::Tick(n + 1));
    }

    /// As `node/src/cluster/serve/pushes.rs` writes: at once, or to another
    /// region when others could come along.
    fn enqueue(&mut self, from: NodeId, sends: Vec<feed::Send>) {
        let mut due = Vec::new();
        if let Some(node) = self.nodes.get_mut(&from) {
            for send in sends {
                let to = NodeId(send.to as u32);
                let Some(stream) = node.streams.get_mut(&to) else {
                    continue;
                };
                stream.waiting.push(send.push);
                if !std::mem::replace(&mut stream.due, true) {
                    due.push((to, stream.far));
                }
            }
        }
        for (to, far) in due {
            let wait = if far {
                limits::FOLLOW_GATHER
            } else {
                Duration::ZERO
            };
            self.push(wait, from, Due::Write(to));
        }
    }

    fn write(&mut self, from: NodeId, to: NodeId) -> anyhow::Result<()> {
        let Some(stream) = (self.nodes.get_mut(&from)).and_then(|n| n.streams.get_mut(&to)) else {
            return Ok(());
        };
        stream.due = false;
        let pushes = std::mem::take(&mut stream.waiting);
        let taken = pushes.len();
        let frames = stream.link.write(pushes)?;
        for _ in 0..taken {
            let id = u64::from(to.0);
            self.feed(from, feed::Event::Taken { id });
        }
        let latency = self.topology.latency(from, to);
        self.push(latency, to, Due::Arrive(frames));
        Ok(())
    }

    fn arrive(&mut self, node: NodeId, frames: Vec<Bytes>) -> anyhow::Result<()> {
        for frame in frames {
            let push = FollowPush::decode(frame)?;
            let mut next = Some(follower::Event::Push(push));
            while let Some(event) = next.take() {
                let (pushes, watermark, more) = self.take(node, event)?;
                if !pushes.is_empty() || watermark.is_some() {
                    self.publish(node, pushes, watermark);
                }
                next = more.then_some(follower::Event::Continue);
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        node: NodeId,
        event: follower::Event,
    ) -> anyhow::Result<(Vec<GroupPush>, Option<u64>, bool)> {
        let Some(follows) = self.nodes.get_mut(&node).and_then(|n| n.follows.as_mut()) else {
            bail!("node {node} follows nobody");
        };
        let Output {
            batch,
            pushes,
            watermark,
            fetches,
            diverged,
            more,
            ..
        } = follows.follower.handle(event)?;
        // All follow from the beginning and nothing is lost: no gap is due.
        ensure!(fetches.is_empty(), "node {node} misses something");
        ensure!(diverged.is_empty(), "the copy of node {node} is another");
        follows.store.write(batch)?;
        Ok((pushes, watermark, more))
    }
}

fn follows(shard: &Shard) -> anyhow::Result<Follows> {
    let memory = Arc::new(MemStore::new());
    let (store, sums) = RowSums::over(Arc::clone(&memory) as Arc<dyn Store>, DIGEST_KEY);
    let config = follower::Config {
        shard: shard.id,
        region: shard.region,
        slots: shard.slots,
        cluster: CLUSTER,
        digest_key: DIGEST_KEY,
        all_groups: false,
    };
    let follower = Follower::open(config, memory as Arc<dyn Read>, sums)?;
    Ok(Follows { follower, store })
}

/// Whom each node that does not vote follows, by the product's own choice.
fn upstreams(
    topology: &Topology,
    placement: &Placement,
    shard: &Shard,
) -> anyhow::Result<BTreeMap<NodeId, NodeId>> {
    let leader = shard.voters.first().copied();
    let choose = |node| upstream(node, shard, placement, &|_| true, leader, false);
    let mut upstreams = BTreeMap::new();
    for node in topology.ids() {
        match choose(node) {
            Upstream::Local => {}
            Upstream::Voter(from) | Upstream::Relay(from) => {
                upstreams.insert(node, from);
            }
            Upstream::Nobody => bail!("node {node} has nobody to follow"),
        }
    }
    Ok(upstreams)
}

fn depth(upstreams: &BTreeMap<NodeId, NodeId>, node: NodeId) -> u32 {
    std::iter::successors(Some(node), |node| upstreams.get(node).copied()).count() as u32 - 1
}
