//! Node states for the simulator: deterministic, and simple enough to be
//! right. Once a second everything known goes to one peer, in turn, which
//! answers with everything it knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_wire::NodeId;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::outbox::{Outbox, StateTraffic};
use super::table::{Table, Told};
use super::{GRACE, NodeState, ROUND, StateError};
use crate::port::StateLink;

/// Longest message, in bytes. What does not fit is left out.
pub const MESSAGE_MAX: usize = 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Message {
    cluster: String,
    /// Whether the receiver should answer in kind.
    answer: bool,
    told: Vec<(u32, u64, u64, BTreeMap<String, String>)>,
}

#[derive(Default)]
struct Peers {
    active: BTreeSet<NodeId>,
    /// Since when a known node is not active.
    away: BTreeMap<NodeId, Instant>,
    /// The peer of the last round.
    last: Option<NodeId>,
}

struct Shared {
    cluster: String,
    table: Table,
    peers: Mutex<Peers>,
    outbox: Outbox,
}

/// [`NodeState`] for the simulator.
pub struct MemoryState {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl MemoryState {
    /// Starts the exchange, on the current tokio runtime.
    #[must_use]
    pub fn start(cluster: &str, me: NodeId, incarnation: u64, link: Arc<dyn StateLink>) -> Self {
        let shared = Arc::new(Shared {
            cluster: cluster.to_owned(),
            table: Table::new(me, incarnation),
            peers: Mutex::default(),
            outbox: Outbox::new(link),
        });
        let task = tokio::spawn(run(shared.clone()));
        Self { shared, task }
    }
}

async fn run(shared: Arc<Shared>) {
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = rounds.tick() => shared.round(),
            received = shared.outbox.recv() => match received {
                Some((from, payload)) => shared.receive(from, &payload),
                None => return,
            },
        }
    }
}

impl Shared {
    fn round(&self) {
        let now = Instant::now();
        let next = {
            let mut peers = self.peers.lock();
            for node in self.table.nodes().into_keys() {
                if peers.active.contains(&node) {
                    peers.away.remove(&node);
                } else {
                    peers.away.entry(node).or_insert(now);
                }
            }
            self.table.retain(|node| !peers.away_for(node, GRACE, now));
            let known = self.table.nodes();
            peers.away.retain(|node, _| known.contains_key(node));
            let next = peers
                .active
                .iter()
                .find(|&&node| Some(node) > peers.last)
                .or_else(|| peers.active.first())
                .copied();
            peers.last = next;
            next
        };
        if let Some(next) = next {
            self.send(next, true);
        }
    }

    fn send(&self, to: NodeId, answer: bool) {
        let now = Instant::now();
        let mut left = MESSAGE_MAX / 2;
        let told = {
            let peers = self.peers.lock();
            self.table
                .nodes()
                .into_iter()
                // Half the grace before it is dropped here, so that peers do
                // not hand a forgotten node back and forth.
                .filter(|&(node, _)| !peers.away_for(node, GRACE / 2, now))
                .map_while(|(node, told)| {
                    let values = told.values.iter();
                    let bytes: usize = values.map(|(k, v)| k.len() + v.len() + 8).sum();
                    left = left.checked_sub(bytes + 32)?;
                    Some((node.0, told.incarnation, told.version, told.values))
                })
                .collect()
        };
        let message = Message {
            cluster: self.cluster.clone(),
            answer,
            told,
        };
        match postcard::to_stdvec(&message) {
            Ok(bytes) => self.outbox.send(to, Bytes::from(bytes)),
            Err(error) => tracing::error!(%error, "a node-state message could not be encoded"),
        }
    }

    fn receive(&self, from: NodeId, payload: &[u8]) {
        let message = if payload.len() > MESSAGE_MAX {
            None
        } else {
            postcard::from_bytes::<Message>(payload).ok()
        };
        let Some(message) = message.filter(|message| message.cluster == self.cluster) else {
            self.outbox.refused();
            return;
        };
        for (node, incarnation, version, values) in message.told {
            let node = NodeId(node);
            let welcome = node == from || self.peers.lock().active.contains(&node);
            let told = Told {
                incarnation,
                version,
                values,
            };
            self.table.merge(node, told, welcome);
        }
        if message.answer {
            self.send(from, false);
        }
    }
}

impl Peers {
    /// Whether the node is away for so long already. This node never is: it
    /// is not among the peers, but [`Table::retain`] spares it.
    fn away_for(&self, node: NodeId, time: std::time::Duration, now: Instant) -> bool {
        self.away
            .get(&node)
            .is_some_and(|&since| now.saturating_duration_since(since) >= time)
    }
}

#[async_trait]
impl NodeState for MemoryState {
    fn set(&self, key: &str, value: &str) -> Result<(), StateError> {
        self.shared.table.set(key, value).map(|_| ())
    }

    fn get(&self, node: NodeId) -> BTreeMap<String, String> {
        self.shared.table.get(node)
    }

    fn all(&self) -> BTreeMap<NodeId, BTreeMap<String, String>> {
        self.shared.table.all()
    }

    fn peers(&self, active: &[NodeId]) {
        self.shared.peers.lock().active = active.iter().copied().collect();
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.table.changes()
    }

    fn traffic(&self) -> StateTraffic {
        self.shared.outbox.traffic()
    }

    async fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for MemoryState {
    fn drop(&mut self) {
        self.task.abort();
    }
}
