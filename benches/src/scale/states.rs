//! What nodes tell of themselves: the product's chitchat on every node, with
//! tokio's clock paused. Its peers are chosen by randomness of its own, so
//! times differ from run to run by a round or two; sizes do not.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_gossip::state::{ChitchatState, NodeState};
use folkmoot_gossip::{LinkError, StateLink};
use folkmoot_wire::NodeId;
use folkmoot_wire::frame::PREFIX;
use folkmoot_wire::proto::GossipPacket;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep};

use super::topology::Topology;
use crate::progress::Progress;

/// Longest message that chitchat makes and our link takes, in bytes
/// (`gossip/src/state/chitchat.rs`).
pub(super) const MESSAGE_MAX: u64 = 65_507;
/// Other nodes that one is told of when it starts.
const FIRST_PEERS: u32 = 8;
const KEY: &str = "scale";
const LOOK: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(120);

/// Of one size of cluster.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    pub(super) nodes: u32,
    /// What one node sends while nothing changes.
    pub(super) messages_per_s: f64,
    pub(super) bytes_per_s: f64,
    /// The longest message of that time, without its frame.
    pub(super) longest_bytes: u64,
    /// From a changed value until half of the nodes, and all, have it.
    pub(super) half_s: f64,
    pub(super) all_s: f64,
    /// All of it together: until all knew all.
    pub(super) formed_s: f64,
}

#[derive(Default)]
struct Counts {
    messages: AtomicU64,
    bytes: AtomicU64,
    longest: AtomicU64,
}

type Inbox = mpsc::UnboundedSender<(NodeId, Bytes)>;

/// What carries messages between all nodes, as the nodes' connections do:
/// none is lost.
struct Hub {
    topology: Topology,
    inboxes: Vec<Inbox>,
    counts: Counts,
}

struct Wire {
    me: NodeId,
    hub: Arc<Hub>,
    inbox: Mutex<mpsc::UnboundedReceiver<(NodeId, Bytes)>>,
}

#[async_trait]
impl StateLink for Wire {
    async fn send(&self, to: NodeId, payload: Bytes) -> Result<(), LinkError> {
        let inbox = self.hub.inboxes.get(to.0 as usize - 1).cloned();
        let inbox = inbox.ok_or(LinkError::Unreachable(to))?;
        let counts = &self.hub.counts;
        counts.messages.fetch_add(1, Ordering::Relaxed);
        counts
            .longest
            .fetch_max(payload.len() as u64, Ordering::Relaxed);
        let packet = GossipPacket { payload };
        let bytes = (packet.encoded_len() + PREFIX) as u64;
        counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        let (me, latency) = (self.me, self.hub.topology.latency(self.me, to));
        tokio::spawn(async move {
            sleep(latency).await;
            // Nobody is there any more at the end of a run.
            let _ = inbox.send((me, packet.payload));
        });
        Ok(())
    }

    async fn recv(&self) -> Option<(NodeId, Bytes)> {
        self.inbox.lock().await.recv().await
    }
}

struct Cluster {
    hub: Arc<Hub>,
    nodes: Vec<ChitchatState>,
}

impl Cluster {
    async fn start(topology: Topology, seed: u64) -> anyhow::Result<Self> {
        let count = topology.nodes;
        let (inboxes, queues): (Vec<_>, Vec<_>) =
            (0..count).map(|_| mpsc::unbounded_channel()).unzip();
        let hub = Arc::new(Hub {
            topology,
            inboxes,
            counts: Counts::default(),
        });
        let mut rng = StdRng::seed_from_u64(seed);
        let mut nodes = Vec::new();
        for (me, inbox) in hub.topology.ids().zip(queues) {
            let link = Wire {
                me,
                hub: Arc::clone(&hub),
                inbox: Mutex::new(inbox),
            };
            let node = ChitchatState::start(&"00".repeat(16), me, 1, Arc::new(link)).await?;
            let peers: BTreeSet<_> = (0..FIRST_PEERS)
                .map(|_| NodeId(rng.random_range(1..=count)))
                .filter(|peer| *peer != me)
                .collect();
            node.peers(&peers.into_iter().collect::<Vec<_>>());
            nodes.push(node);
            // Rounds of all nodes are spread over their second.
            sleep(Duration::from_secs(1) / count).await;
        }
        Ok(Self { hub, nodes })
    }

    fn is_whole(&self) -> bool {
        let whole = |node: &ChitchatState| node.all().len() == self.nodes.len();
        self.nodes.iter().all(whole)
    }

    fn have(&self, node: NodeId) -> usize {
        let has = |at: &&ChitchatState| at.get(node).contains_key(KEY);
        self.nodes.iter().filter(has).count()
    }

    /// Messages, bytes, and the longest, since this was asked last.
    fn counted(&self) -> (u64, u64, u64) {
        let counts = &self.hub.counts;
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        (
            take(&counts.messages),
            take(&counts.bytes),
            take(&counts.longest),
        )
    }
}

pub(super) fn measure(
    topology: Topology,
    seed: u64,
    quiet: Duration,
    progress: &Progress,
) -> anyhow::Result<Figures> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    runtime.block_on(run(topology, seed, quiet, progress))
}

async fn run(
    topology: Topology,
    seed: u64,
    quiet: Duration,
    progress: &Progress,
) -> anyhow::Result<Figures> {
    let nodes = topology.nodes;
    let begun = Instant::now();
    let says = |what: &str| {
        let seconds = begun.elapsed().as_secs();
        progress.says(&format!("node states, {nodes} nodes: {what}, {seconds} s"));
    };
    says("form");
    let cluster = Cluster::start(topology, seed).await?;
    until(Duration::from_secs(1), || {
        says("form");
        cluster.is_whole()
    })
    .await?;
    let formed_s = begun.elapsed().as_secs_f64();
    // What was under way when the last one knew all.
    sleep(Duration::from_secs(1)).await;

    says("are quiet");
    cluster.counted();
    sleep(quiet).await;
    let (messages, bytes, longest_bytes) = cluster.counted();
    let node_seconds = f64::from(nodes) * quiet.as_secs_f64();

    says("one changes");
    let (teller, told) = (NodeId(nodes / 2), Instant::now());
    cluster.nodes[teller.0 as usize - 1].set(KEY, "0123456789abcdef0123456789abcdef")?;
    let mut half_s = 0.0;
    until(LOOK, || {
        let have = cluster.have(teller);
        if have <= cluster.nodes.len() / 2 {
            half_s = told.elapsed().as_secs_f64();
        }
        have == cluster.nodes.len()
    })
    .await?;
    Ok(Figures {
        nodes,
        messages_per_s: messages as f64 / node_seconds,
        bytes_per_s: bytes as f64 / node_seconds,
        longest_bytes,
        half_s,
        all_s: told.elapsed().as_secs_f64(),
        formed_s,
    })
}

async fn until(look: Duration, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !holds() {
        ensure!(begun.elapsed() < LIMIT, "node states do not spread");
        sleep(look).await;
    }
    Ok(())
}
