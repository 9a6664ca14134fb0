//! Node states by chitchat (Scuttlebutt reconciliation: van Renesse, Dumitriu,
//! Gough, Thomas, 2008), over the nodes' own connections.
//!
//! chitchat draws its own randomness and has its own idea of who is alive,
//! which here only decides when it forgets. It is therefore kept behind
//! [`NodeState`], and does not run in the simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use bytes::Bytes;
use chitchat::transport::{Socket, Transport};
use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, ChitchatMessage, Deserializable,
    FailureDetectorConfig, Serializable, spawn_chitchat,
};
use folkmoot_wire::NodeId;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::outbox::{Outbox, StateTraffic};
use super::table::Table;
use super::{GRACE, NodeState, ROUND, StateError};
use crate::port::StateLink;

/// Longest message, in bytes: what chitchat itself holds to.
const MESSAGE_MAX: usize = 65_507;
/// Every node tells this, so that a new life is noticed even of a node that
/// tells nothing else.
const LIFE: &str = "_life";
/// One of the active nodes is talked to this often whatever chitchat thinks
/// of it, and forgotten nodes are swept out.
const NUDGE: Duration = Duration::from_secs(5);

/// chitchat names nodes by socket addresses; these stand for node ids and are
/// never dialled.
fn address(node: NodeId) -> SocketAddr {
    let [a, b, c, d] = node.0.to_be_bytes();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    SocketAddr::from((Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, high, low), 1))
}

fn node(address: SocketAddr) -> Option<NodeId> {
    let SocketAddr::V6(v6) = address else {
        return None;
    };
    match v6.ip().segments() {
        [0xfd00, 0, 0, 0, 0, 0, high, low] => Some(NodeId(u32::from(high) << 16 | u32::from(low))),
        _ => None,
    }
}

/// The link in chitchat's terms.
struct LinkTransport(Outbox);

struct LinkSocket(Outbox);

#[async_trait]
impl Transport for LinkTransport {
    async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        Ok(Box::new(LinkSocket(self.0.clone())))
    }
}

#[async_trait]
impl Socket for LinkSocket {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        // Failures are counted, not returned: a peer that is away is no news.
        if let Some(to) = node(to) {
            self.0.send(to, Bytes::from(message.serialize_to_vec()));
        }
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        loop {
            let received = self.0.recv().await;
            let (from, payload) = received.ok_or_else(|| anyhow!("the link is closed"))?;
            if payload.len() <= MESSAGE_MAX
                && let Ok(message) = ChitchatMessage::deserialize(&mut &payload[..])
            {
                if matches!(message, ChitchatMessage::BadCluster) {
                    self.0.refused();
                }
                return Ok((address(from), message));
            }
            self.0.refused();
        }
    }
}

/// [`NodeState`] by chitchat.
pub struct ChitchatState {
    table: Arc<Table>,
    handle: Arc<ChitchatHandle>,
    active: Arc<Mutex<BTreeSet<NodeId>>>,
    dirty: Arc<Notify>,
    outbox: Outbox,
    task: JoinHandle<()>,
}

impl ChitchatState {
    /// Starts the exchange, on the current tokio runtime.
    ///
    /// # Errors
    /// When chitchat does not start.
    pub async fn start(
        cluster: &str,
        me: NodeId,
        incarnation: u64,
        link: Arc<dyn StateLink>,
    ) -> Result<Self, StateError> {
        let outbox = Outbox::new(link);
        let config = ChitchatConfig {
            chitchat_id: ChitchatId::new(me.to_string(), incarnation, address(me)),
            cluster_id: cluster.to_owned(),
            gossip_interval: ROUND,
            listen_addr: address(me),
            // Who is there comes from membership, through `peers`.
            seed_nodes: Vec::new(),
            failure_detector_config: FailureDetectorConfig {
                dead_node_grace_period: GRACE,
                ..FailureDetectorConfig::default()
            },
            marked_for_deletion_grace_period: GRACE,
            catchup_callback: None,
            extra_liveness_predicate: None,
        };
        let life = vec![(LIFE.to_owned(), incarnation.to_string())];
        let handle = spawn_chitchat(config, life, &LinkTransport(outbox.clone()))
            .await
            .map_err(|error| StateError::Start(error.to_string()))?;

        let table = Arc::new(Table::new(me, incarnation));
        let mirror = table.clone();
        handle
            .chitchat()
            .lock()
            .await
            .subscribe_event("", move |event| {
                if let Ok(node) = event.node.node_id.parse() {
                    let pair = (event.key != LIFE).then_some((event.key, event.value));
                    mirror.observe(node, event.node.generation_id, pair);
                }
            })
            .forever();

        let handle = Arc::new(handle);
        let active = Arc::default();
        let dirty = Arc::new(Notify::new());
        let task = tokio::spawn(tend(
            table.clone(),
            handle.clone(),
            Arc::clone(&active),
            dirty.clone(),
        ));
        Ok(Self {
            table,
            handle,
            active,
            dirty,
            outbox,
            task,
        })
    }
}

/// Hands this node's values to chitchat, nudges peers, sweeps.
async fn tend(
    table: Arc<Table>,
    handle: Arc<ChitchatHandle>,
    active: Arc<Mutex<BTreeSet<NodeId>>>,
    dirty: Arc<Notify>,
) {
    let mut nudges = tokio::time::interval(NUDGE);
    nudges.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    let mut ended = std::pin::pin!(handle.termination_watcher());
    loop {
        tokio::select! {
            biased;
            result = &mut ended => {
                if let Err(error) = result {
                    tracing::error!(%error, "the exchange of node states ended; restart this node");
                }
                return;
            }
            () = dirty.notified() => {
                let chitchat = handle.chitchat();
                let mut chitchat = chitchat.lock().await;
                let state = chitchat.self_node_state();
                for (key, value) in table.own() {
                    state.set(key, value);
                }
            }
            _ = nudges.tick() => {
                last = {
                    let active = active.lock();
                    active
                        .iter()
                        .find(|&&node| Some(node) > last)
                        .or_else(|| active.first())
                        .copied()
                };
                if let Some(peer) = last {
                    let _ = handle.gossip(address(peer));
                }
                let chitchat = handle.chitchat();
                let chitchat = chitchat.lock().await;
                let known: BTreeSet<NodeId> = chitchat
                    .node_states()
                    .keys()
                    .filter_map(|id| id.node_id.parse().ok())
                    .collect();
                drop(chitchat);
                table.retain(|node| known.contains(&node));
            }
        }
    }
}

#[async_trait]
impl NodeState for ChitchatState {
    fn set(&self, key: &str, value: &str) -> Result<(), StateError> {
        if self.table.set(key, value)? {
            self.dirty.notify_one();
        }
        Ok(())
    }

    fn get(&self, node: NodeId) -> BTreeMap<String, String> {
        self.table.get(node)
    }

    fn all(&self) -> BTreeMap<NodeId, BTreeMap<String, String>> {
        self.table.all()
    }

    fn peers(&self, active: &[NodeId]) {
        let now: BTreeSet<NodeId> = active.iter().copied().collect();
        let before = std::mem::replace(&mut *self.active.lock(), now.clone());
        for &fresh in now.difference(&before) {
            // Fails only when the exchange has ended, which was reported.
            let _ = self.handle.gossip(address(fresh));
        }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.table.changes()
    }

    fn traffic(&self) -> StateTraffic {
        self.outbox.traffic()
    }

    async fn stop(&self) {
        if self.handle.initiate_shutdown().is_ok() {
            let _ = self.handle.termination_watcher().await;
        }
    }
}

impl Drop for ChitchatState {
    fn drop(&mut self) {
        self.task.abort();
        self.handle.abort();
    }
}
