//! What a node is made of, and why it may not start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_consensus::{ConsensusError, RaftOptions};
use folkmoot_gossip::{Datagrams, GossipError, Keyring, StateKind, SwimConfig};
use folkmoot_replication::apply::ApplyError;
use folkmoot_replication::reconcile::RowSums;
use folkmoot_storage::{Batch, Commit, Store, StoreError, Table, keys};
use folkmoot_transport::{Dial, Listener};
use folkmoot_wire::proto::{JoinReply, JoinRequest, MetaCommand, MetaState, NodeStatus};
use folkmoot_wire::{Fault, NodeId};

use crate::edge::{Auth, EdgeOptions};
use crate::ports::{Clock, Random};

/// Lets nodes in, where the CA's key is.
#[async_trait]
pub trait Joins: Send + Sync {
    /// Answers a request to join.
    ///
    /// # Errors
    /// Why the node is not let in.
    async fn join(&self, request: JoinRequest) -> Result<JoinReply, Fault>;
}

/// What a node tells of itself.
pub trait StatusSource: Send + Sync {
    /// The status now.
    fn status(&self) -> NodeStatus;
}

/// Everything a node is made of, below its own code.
pub struct Parts {
    /// This node.
    pub me: NodeId,
    /// Its region's name.
    pub region: String,
    /// The cluster.
    pub cluster: [u8; 16],
    /// This start, and the one before.
    pub started: Started,
    /// What is known of the cluster from before.
    pub meta: MetaState,
    /// This node makes the cluster: the command that does.
    pub found: Option<MetaCommand>,
    /// Follow every group of every shard in full.
    pub follow_all: bool,
    /// How long groups are served whose home is not heard from.
    pub authority_lease: Duration,
    /// Timing of consensus.
    pub raft: RaftOptions,
    /// The store and its group commit.
    pub store: Arc<dyn Store>,
    /// Sums of its rows, which all writes to the store are told to.
    pub sums: Arc<RowSums>,
    pub commit: Arc<dyn Commit>,
    /// Where nodes and native clients come in.
    pub listeners: Vec<Arc<dyn Listener>>,
    /// The way to other nodes.
    pub dial: Arc<dyn Dial>,
    /// Gossip's socket; none: the node is alone and stays so.
    pub gossip: Option<GossipParts>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Checks clients' tokens.
    pub auth: Auth,
    pub edge: EdgeOptions,
}

/// What gossip needs.
pub struct GossipParts {
    pub datagrams: Arc<dyn Datagrams>,
    /// As others reach it.
    pub addr: SocketAddr,
    /// This node's QUIC, as others reach it.
    pub quic: SocketAddr,
    pub keyring: Keyring,
    pub seeds: Vec<SocketAddr>,
    pub swim: SwimConfig,
    pub state: StateKind,
}

/// The number of a start. It rises, and is the time in milliseconds since 1970
/// where that rises: so a node whose folder was put back is seldom behind what
/// is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// What the folder said before; 0: it never started.
    pub before: u64,
    /// This one.
    pub now: u64,
}

/// Numbers this start of the node.
///
/// # Errors
/// When the store fails.
pub fn next_start(store: &dyn Store, wall_ms: u64) -> Result<Started, StoreError> {
    let before = node_number(store, keys::node::INCARNATION)?;
    let now = wall_ms.max(before + 1);
    let mut batch = Batch::default();
    batch.put(
        Table::Node,
        Bytes::from_static(keys::node::INCARNATION),
        Bytes::copy_from_slice(&now.to_be_bytes()),
    );
    store.write(batch)?;
    store.sync()?;
    Ok(Started { before, now })
}

/// A number in [`Table::Node`]; 0 when there is none.
pub(super) fn node_number(store: &dyn Store, key: &[u8]) -> Result<u64, StoreError> {
    let value = store.get(Table::Node, key)?;
    let number = value.and_then(|bytes| <[u8; 8]>::try_from(&bytes[..]).ok());
    Ok(number.map_or(0, u64::from_be_bytes))
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Consensus(#[from] ConsensusError),
    #[error(transparent)]
    Gossip(#[from] GossipError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("gossip: {0}")]
    Identity(#[from] folkmoot_gossip::IdentityError),
    #[error("the meta shard: {0}")]
    Meta(String),
    #[error("the cluster could not be made: {0}")]
    Found(Fault),
    #[error(
        "another process has started as node {node} since (node {by} knows it), from a copy of this data folder: two nodes must not share one. This one stays stopped: join its machine as a new node with an empty folder"
    )]
    Replaced { node: NodeId, by: NodeId },
    #[error(
        "this node was stopped because another process had started as node {0}, from a copy of this data folder: join this machine as a new node with an empty folder. If that other process is gone for good, `folkmoot node repair --data DIR` lets this folder start again"
    )]
    ReplacedBefore(NodeId),
    #[error(
        "the data folder is older than what this node had ({0}): start the node again, it then catches up with the others before it votes"
    )]
    Older(String),
}
