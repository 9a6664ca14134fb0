//! The simulated network: a fixed latency, and ways that can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use folkmoot_wire::{NodeId, ShardId, proto};
use tokio::time::Instant;

use crate::{LinkError, Mark, RaftLink, RaftShard, Sequencer};

const LATENCY: Duration = Duration::from_millis(5);

/// One message, for comparing runs: microseconds since the start, from, to,
/// kind, length.
pub(super) type Traced = (u128, u32, u32, u32, usize);

pub(super) struct Hub {
    begun: Instant,
    nodes: Mutex<BTreeMap<NodeId, Weak<RaftShard>>>,
    cut: Mutex<BTreeSet<(NodeId, NodeId)>>,
    trace: Mutex<Vec<Traced>>,
    marks: Mutex<Vec<(NodeId, Mark)>>,
    older: Mutex<BTreeSet<NodeId>>,
}

struct Link {
    hub: Arc<Hub>,
    me: NodeId,
}

impl Hub {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            nodes: Mutex::default(),
            cut: Mutex::default(),
            trace: Mutex::default(),
            marks: Mutex::default(),
            older: Mutex::default(),
        })
    }

    pub(super) fn link(self: &Arc<Self>, me: NodeId) -> Arc<dyn RaftLink> {
        Arc::new(Link {
            hub: Arc::clone(self),
            me,
        })
    }

    pub(super) fn join(&self, node: NodeId, shard: &Arc<RaftShard>) {
        self.nodes
            .lock()
            .unwrap()
            .insert(node, Arc::downgrade(shard));
    }

    pub(super) fn leave(&self, node: NodeId) {
        self.nodes.lock().unwrap().remove(&node);
    }

    /// Cuts `node` off from all others, both ways.
    pub(super) fn isolate(&self, node: u32) {
        let others: Vec<NodeId> = self.nodes.lock().unwrap().keys().copied().collect();
        let mut cut = self.cut.lock().unwrap();
        for other in others {
            if other.0 != node {
                cut.insert((NodeId(node), other));
                cut.insert((other, NodeId(node)));
            }
        }
    }

    /// Cuts the ways between two sides, both ways.
    pub(super) fn split(&self, one: &[u32], other: &[u32]) {
        let mut cut = self.cut.lock().unwrap();
        for (here, there) in one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
            cut.insert((NodeId(here), NodeId(there)));
            cut.insert((NodeId(there), NodeId(here)));
        }
    }

    /// A node runs a version that knows no manifests, and is sent none.
    pub(super) fn is_older(&self, node: u32) {
        self.older.lock().unwrap().insert(NodeId(node));
    }

    /// How a version without manifests answers them, and what it does in place
    /// of sending some.
    fn as_before(&self, from: NodeId, to: NodeId, kind: u32) -> bool {
        let older = self.older.lock().unwrap();
        (older.contains(&from) || older.contains(&to)) && (6..15).contains(&kind)
    }

    pub(super) fn heal(&self) {
        self.cut.lock().unwrap().clear();
    }

    /// What a node was heard to have on disk.
    pub(super) fn marks(&self, of: NodeId) -> Vec<Mark> {
        let marks = self.marks.lock().unwrap();
        let marks = marks.iter().filter(|(node, _)| *node == of);
        marks.map(|(_, mark)| *mark).collect()
    }

    pub(super) fn trace(&self) -> Vec<Traced> {
        self.trace.lock().unwrap().clone()
    }

    fn passes(&self, from: NodeId, to: NodeId) -> bool {
        !self.cut.lock().unwrap().contains(&(from, to))
    }

    fn node(&self, node: NodeId) -> Option<Arc<RaftShard>> {
        self.nodes.lock().unwrap().get(&node)?.upgrade()
    }
}

#[async_trait]
impl RaftLink for Link {
    fn saw(&self, of: NodeId, _: ShardId, mark: Mark) {
        self.hub.marks.lock().unwrap().push((of, mark));
    }

    async fn call(
        &self,
        to: NodeId,
        message: proto::RaftMessage,
        deadline: Duration,
    ) -> Result<proto::RaftMessage, LinkError> {
        let hub = &self.hub;
        hub.trace.lock().unwrap().push((
            hub.begun.elapsed().as_micros(),
            self.me.0,
            to.0,
            message.kind,
            message.payload.len(),
        ));
        let call = async {
            tokio::time::sleep(LATENCY).await;
            if !hub.passes(self.me, to) {
                // Lost on the way: nobody says so.
                std::future::pending::<()>().await;
            }
            let Some(shard) = hub.node(to) else {
                return Err(LinkError::Unreachable(to));
            };
            if hub.as_before(self.me, to, message.kind) {
                return Ok(proto::RaftMessage {
                    kind: 15,
                    payload: format!("unknown kind of message {}", message.kind).into(),
                    ..message
                });
            }
            let answer = shard.handle(self.me, message).await;
            drop(shard);
            tokio::time::sleep(LATENCY).await;
            if !hub.passes(to, self.me) {
                std::future::pending::<()>().await;
            }
            Ok(answer)
        };
        tokio::time::timeout(deadline, call)
            .await
            .unwrap_or(Err(LinkError::Timeout(deadline)))
    }
}
