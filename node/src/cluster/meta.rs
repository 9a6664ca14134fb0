//! The meta shard on this node: a replica where the node votes on it, a copy
//! kept fresh by long polls where not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_consensus::{ProposeError, RaftShard, Sequencer};
use folkmoot_storage::{Batch, Store, StoreError, Table, value};
use folkmoot_wire::proto::{
    FetchMeta, MetaCommand, MetaOutcome, MetaState, node_reply, node_request,
};
use folkmoot_wire::{Code, Fault, NodeId, ShardId, limits};
use parking_lot::RwLock;
use prost::Message;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::peers::{Class, Peers};
use super::shards::Voters;
use super::view::ClusterView;

/// Key, in [`Table::Node`], of the copy of the meta state.
const META_KEY: &[u8] = b"meta";
/// How long a poll may wait for news.
const POLL: Duration = Duration::from_secs(4);
/// Between polls that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// This node's replica of the meta shard.
#[derive(Clone)]
pub struct MetaReplica {
    /// The replica.
    pub raft: Arc<RaftShard>,
    /// Ends what runs beside it.
    pub stop: CancellationToken,
}

impl MetaReplica {
    /// Ends it: it writes nothing any more afterwards.
    pub async fn end(&self) {
        self.stop.cancel();
        self.raft.shutdown().await;
    }
}

/// The meta shard as this node has it.
pub struct MetaHost {
    me: NodeId,
    view: Arc<ClusterView>,
    store: Arc<dyn Store>,
    replica: RwLock<Option<MetaReplica>>,
}

/// This node's replica of a shard, be it the meta shard.
#[must_use]
pub fn replica_of(voters: &Voters, meta: &MetaHost, shard: ShardId) -> Option<Arc<RaftShard>> {
    match shard {
        ShardId::META => meta.raft(),
        shard => voters.get(shard).map(|voter| voter.raft),
    }
}

impl MetaHost {
    /// A host without a replica yet.
    pub fn new(me: NodeId, view: Arc<ClusterView>, store: Arc<dyn Store>) -> Self {
        Self {
            me,
            view,
            store,
            replica: RwLock::default(),
        }
    }

    /// The copy kept from before.
    ///
    /// # Errors
    /// When the store fails.
    pub fn stored(store: &dyn Store) -> Result<Option<MetaState>, StoreError> {
        store
            .get(Table::Node, META_KEY)?
            .map(value::decode_value)
            .transpose()
    }

    /// Keeps a copy for the next start.
    ///
    /// # Errors
    /// When the store fails.
    pub fn keep(store: &dyn Store, meta: &MetaState) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.put(
            Table::Node,
            Bytes::from_static(META_KEY),
            value::encode_value(meta),
        );
        store.write(batch)?;
        store.sync()
    }

    /// The replica here, if the node votes.
    #[must_use]
    pub fn raft(&self) -> Option<Arc<RaftShard>> {
        let replica = self.replica.read();
        replica.as_ref().map(|replica| Arc::clone(&replica.raft))
    }

    /// Sets the replica.
    pub fn set(&self, replica: MetaReplica) {
        *self.replica.write() = Some(replica);
    }

    /// Takes the replica out.
    pub fn take(&self) -> Option<MetaReplica> {
        self.replica.write().take()
    }

    /// Whether this node leads the meta shard.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.raft().is_some_and(|raft| raft.status().is_leader)
    }

    /// Who may be a voter of the meta shard, its voters first.
    #[must_use]
    pub fn may_vote(&self) -> Vec<NodeId> {
        let placement = self.view.placement();
        let shard = placement.shard(ShardId::META);
        let Some(shard) = shard.filter(|shard| !shard.voters.is_empty()) else {
            return vec![self.me];
        };
        let mut nodes = shard.voters.clone();
        let more = shard
            .replicas
            .iter()
            .filter(|node| !shard.voters.contains(node));
        nodes.extend(more);
        nodes
    }

    /// Proposes a change, on a node that votes.
    ///
    /// # Errors
    /// `not_leader`, or that the replica is not there or stopped.
    pub async fn propose(&self, command: MetaCommand) -> Result<MetaOutcome, Fault> {
        let Some(raft) = self.raft() else {
            return Err(Code::NotLeader.into());
        };
        let proposed = raft
            .propose(command.encode_to_vec().into())
            .await
            .map_err(|error| match error {
                ProposeError::NotLeader { .. } => Fault::from(Code::NotLeader),
                other => Fault::new(Code::Unavailable, other.to_string()),
            })?;
        MetaOutcome::decode(proposed.outcome)
            .map_err(|error| Fault::new(Code::Internal, error.to_string()))
    }

    /// Answers a poll: at once when there is news, else when there is, or
    /// with nothing when the time is over.
    pub async fn answer(&self, fetch: FetchMeta) -> MetaState {
        let mut changed = self.view.watch();
        let wait = Duration::from_millis(u64::from(fetch.wait_ms)).min(POLL);
        let news = async {
            loop {
                let state = Arc::clone(self.view.placement().state());
                if state.version > fetch.newer_than || changed.changed().await.is_err() {
                    return state;
                }
            }
        };
        match timeout(wait, news).await {
            Ok(state) => (*state).clone(),
            Err(_) => MetaState::default(),
        }
    }

    /// Keeps the copy fresh until the node stops.
    pub async fn run(self: Arc<Self>, peers: Arc<Peers>, stop: CancellationToken) {
        let mut turn = 0;
        let rounds = async {
            loop {
                // A replica may be behind, or hear from no leader: it asks too.
                if self.leads() || !self.round(&peers, &mut turn).await {
                    sleep(PAUSE).await;
                }
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = rounds => {}
        }
    }

    /// Waits for news at one voter. Gives whether it answered.
    async fn round(&self, peers: &Peers, turn: &mut usize) -> bool {
        let mut voters = self.may_vote();
        voters.retain(|node| *node != self.me);
        let answer = match voters.get(*turn % voters.len().max(1)) {
            Some(node) => self.ask(peers, *node, POLL).await,
            None => None,
        };
        if answer == Some(true) {
            return true;
        }
        *turn += 1;
        // Those that the copy names may be gone, or behind as well.
        let rest = self.rest(&voters);
        if let Some(node) = rest.get(*turn % rest.len().max(1)) {
            self.ask(peers, *node, Duration::ZERO).await;
        }
        answer.is_some()
    }

    /// Living nodes that are not among these.
    fn rest(&self, voters: &[NodeId]) -> Vec<NodeId> {
        let placement = self.view.placement();
        let nodes = placement.nodes().map(|(id, _)| id);
        nodes
            .filter(|node| *node != self.me && !voters.contains(node) && self.view.alive(*node))
            .collect()
    }

    /// Asks a node for news and waits for them as long. Gives whether there were
    /// any; `None`: it does not answer.
    pub async fn ask(&self, peers: &Peers, node: NodeId, wait: Duration) -> Option<bool> {
        let request = node_request::Request::FetchMeta(FetchMeta {
            newer_than: self.view.placement().state().version,
            wait_ms: wait.as_millis() as u32,
        });
        let deadline = wait + limits::ASK_DEADLINE;
        let call = peers.call_living(node, Class::Live, request, deadline);
        let Ok(node_reply::Reply::Meta(state)) = call.await else {
            return None;
        };
        if !self.view.set_meta(state.clone()) {
            return Some(false);
        }
        if let Err(error) = Self::keep(&*self.store, &state) {
            tracing::error!(%error, "the copy of the meta state cannot be kept");
        }
        Some(true)
    }
}
