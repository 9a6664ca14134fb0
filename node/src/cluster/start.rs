//! A node above its ports: the same code in production and in simulation.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use folkmoot_consensus::{ConsensusError, RaftOptions, RaftShard, Sequencer};
use folkmoot_gossip::{
    Datagrams, Gossip, GossipConfig, GossipError, Keyring, StateKind, SwimConfig,
};
use folkmoot_replication::apply::{ApplyError, ShardApply, ShardConfig};
use folkmoot_replication::follow::follower::{Config as FollowerConfig, Follower};
use folkmoot_replication::placement::Shard;
use folkmoot_storage::{Commit, Store, StoreError, keys};
use folkmoot_transport::{Dial, Listener, PeerKind};
use folkmoot_wire::proto::{
    JoinReply, JoinRequest, MetaCommand, MetaState, NodeStatus, ShardStatus,
};
use folkmoot_wire::{Fault, NodeId, ShardId};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backend::{BackendParts, NodeBackend};
use super::cursors::Cursors;
use super::feeds::{Feeds, Publisher};
use super::follow::{self, FollowParts, Followers};
use super::gossip::{PACKETS, PeerStateLink};
use super::machine::{MetaMachine, ShardMachine};
use super::meta::MetaHost;
use super::outbox::Outbox;
use super::peers::Peers;
use super::read::LocalReads;
use super::router::Router;
use super::serve::{PeerRaftLink, Serve};
use super::shards::{VoterShard, Voters};
use super::view::ClusterView;
use crate::edge::{Auth, Edge, EdgeOptions};
use crate::ports::{Clock, Random, Stamps};

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
    /// Rises with every start.
    pub incarnation: u64,
    /// What is known of the cluster from before.
    pub meta: MetaState,
    /// This node makes the cluster: the command that does.
    pub found: Option<MetaCommand>,
    /// Follow every group of every shard in full.
    pub follow_all: bool,
    /// Timing of consensus.
    pub raft: RaftOptions,
    /// The store and its group commit.
    pub store: Arc<dyn Store>,
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
}

/// A running node.
pub struct Node {
    me: NodeId,
    cluster: [u8; 16],
    follow_all: bool,
    raft: RaftOptions,
    pub view: Arc<ClusterView>,
    pub peers: Arc<Peers>,
    pub voters: Arc<Voters>,
    pub feeds: Arc<Feeds>,
    pub followers: Arc<Followers>,
    pub router: Arc<Router>,
    pub meta: Arc<MetaHost>,
    pub reads: Arc<LocalReads>,
    pub backend: Arc<NodeBackend>,
    pub edge: Arc<Edge>,
    pub stamps: Arc<Stamps>,
    pub store: Arc<dyn Store>,
    pub gossip: Option<Arc<Gossip>>,
    commit: Arc<dyn Commit>,
    listeners: Vec<Arc<dyn Listener>>,
    stop: CancellationToken,
    tasks: TaskTracker,
    fatal: mpsc::Sender<String>,
    failures: Mutex<Option<mpsc::Receiver<String>>>,
    started_ms: u64,
}

impl Node {
    /// Starts a node over its parts.
    ///
    /// # Errors
    /// When its store, its gossip or its part of the consensus does not start.
    pub async fn start(parts: Parts, joins: Arc<dyn Joins>) -> Result<Arc<Self>, StartError> {
        let view = Arc::new(ClusterView::new(parts.meta));
        let peers = Arc::new(Peers::new(
            parts.me,
            Arc::clone(&parts.dial),
            Arc::clone(&view),
        ));
        let stop = CancellationToken::new();
        let publisher = Arc::new(Publisher::default());
        let feeds = Arc::new(Feeds::new(
            Arc::clone(&parts.store),
            Arc::clone(&publisher),
            stop.clone(),
        ));
        let voters = Arc::new(Voters::default());
        let followers = Arc::new(Followers::default());
        let router = Arc::new(Router::new(
            Arc::clone(&peers),
            Arc::clone(&voters),
            Arc::clone(&view),
            Arc::clone(&parts.random),
        ));
        let meta = Arc::new(MetaHost::new(
            parts.me,
            Arc::clone(&view),
            Arc::clone(&parts.store),
        ));
        let reads = Arc::new(LocalReads::new(Arc::clone(&parts.store), parts.cluster));
        let stamps = Arc::new(Stamps::open(
            Arc::clone(&parts.clock),
            Arc::clone(&parts.store),
        )?);
        let cursors = Arc::new(Cursors::default());
        let backend = NodeBackend::new(BackendParts {
            region: parts.region.clone(),
            cluster: parts.cluster,
            peers: Arc::clone(&peers),
            view: Arc::clone(&view),
            voters: Arc::clone(&voters),
            feeds: Arc::clone(&feeds),
            followers: Arc::clone(&followers),
            router: Arc::clone(&router),
            reads: Arc::clone(&reads),
            cursors: Arc::clone(&cursors),
            stamps: Arc::clone(&stamps),
            random: Arc::clone(&parts.random),
        });
        let backend = Arc::new(backend);
        let edge = Edge::new(
            Arc::clone(&backend) as Arc<dyn crate::backend::Backend>,
            parts.auth,
            parts.edge,
        );
        let sink = Arc::clone(&edge);
        publisher.set(Box::new(move |pushes| sink.publish(pushes)));
        let (packets, state_packets) = mpsc::channel(PACKETS);
        let gossip = match parts.gossip {
            None => None,
            Some(gossip) => {
                let link = PeerStateLink::new(Arc::clone(&peers), state_packets);
                let config = GossipConfig {
                    cluster: hex::encode(parts.cluster),
                    me: folkmoot_gossip::Identity::new(
                        parts.me,
                        parts.region.clone(),
                        gossip.addr,
                        gossip.quic,
                        parts.incarnation,
                    )?,
                    keyring: gossip.keyring,
                    seeds: gossip.seeds,
                    swim: gossip.swim,
                    state: gossip.state,
                };
                let ports = folkmoot_gossip::Ports {
                    rng: Box::new(super::gossip::PortRng(Arc::clone(&parts.random))),
                };
                let started =
                    Gossip::start(config, gossip.datagrams, Arc::new(link), ports).await?;
                Some(Arc::new(started))
            }
        };
        let (fatal, failures) = mpsc::channel(8);
        let node = Arc::new(Self {
            me: parts.me,
            cluster: parts.cluster,
            follow_all: parts.follow_all,
            raft: parts.raft,
            view,
            peers,
            voters,
            feeds,
            followers,
            router,
            meta,
            reads,
            backend,
            edge,
            started_ms: stamps.wall_ms(),
            stamps,
            store: parts.store,
            gossip,
            commit: parts.commit,
            listeners: parts.listeners,
            stop,
            tasks: TaskTracker::new(),
            fatal,
            failures: Mutex::new(Some(failures)),
        });
        node.start_meta(parts.found).await?;
        node.reconcile().await?;
        let serve = Arc::new(Serve {
            me: node.me,
            reads: Arc::clone(&node.reads),
            voters: Arc::clone(&node.voters),
            feeds: Arc::clone(&node.feeds),
            meta: Arc::clone(&node.meta),
            packets,
            joins,
            status: Arc::clone(&node) as Arc<dyn StatusSource>,
            stop: node.stop.clone(),
        });
        node.run(serve, cursors);
        Ok(node)
    }

    fn run(self: &Arc<Self>, serve: Arc<Serve>, cursors: Arc<Cursors>) {
        for listener in &self.listeners {
            let (node, listener, serve) =
                (Arc::clone(self), Arc::clone(listener), Arc::clone(&serve));
            self.tasks
                .spawn(async move { node.accept(listener, serve).await });
        }
        let node = Arc::clone(self);
        self.tasks.spawn(async move { node.keep_placed().await });
        self.tasks.spawn(cursors.run(
            Arc::clone(&self.router),
            Arc::clone(&self.view),
            self.stop.clone(),
        ));
        if self.meta.raft().is_none() {
            let meta = Arc::clone(&self.meta);
            self.tasks
                .spawn(meta.run(Arc::clone(&self.peers), self.stop.clone()));
        }
        if let Some(gossip) = &self.gossip {
            let (view, mut members, stop) =
                (Arc::clone(&self.view), gossip.watch(), self.stop.clone());
            self.tasks.spawn(async move {
                loop {
                    let now = Arc::clone(&members.borrow_and_update());
                    view.set_members(&now);
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        changed = members.changed() => if changed.is_err() { return },
                    }
                }
            });
        }
    }

    async fn accept(self: Arc<Self>, listener: Arc<dyn Listener>, serve: Arc<Serve>) {
        loop {
            let connection = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                connection = listener.accept() => match connection {
                    Some(connection) => connection,
                    None => return,
                },
            };
            match connection.peer() {
                PeerKind::Node { node, .. } => {
                    let node = *node;
                    self.tasks
                        .spawn(Arc::clone(&serve).connection(node, connection));
                }
                PeerKind::Client => self.edge.serve(connection),
                PeerKind::Joiner => {
                    let joins = Arc::clone(&serve.joins);
                    self.tasks.spawn(super::join::serve(joins, connection));
                }
                PeerKind::Edge => {}
            }
        }
    }

    async fn start_meta(&self, found: Option<MetaCommand>) -> Result<(), StartError> {
        let votes = found.is_some() || self.meta.voters().contains(&self.me);
        if !votes || (found.is_none() && self.view.placement().shard(ShardId::META).is_none()) {
            return Ok(());
        }
        let machine = MetaMachine::open(Arc::clone(&self.store), Arc::clone(&self.view))
            .map_err(|error| StartError::Meta(error.to_string()))?;
        let voters = if found.is_some() {
            vec![self.me]
        } else {
            self.meta.voters()
        };
        let raft = RaftShard::start(
            ShardId::META,
            self.me,
            &voters,
            Arc::clone(&self.store),
            Arc::clone(&self.commit),
            Box::new(machine),
            Arc::new(PeerRaftLink(Arc::clone(&self.peers))),
            self.raft_options(ShardId::META),
        )
        .await?;
        self.meta.set_raft(raft);
        if let Some(command) = found {
            self.router
                .meta(&self.meta, command)
                .await
                .map_err(StartError::Found)?;
        }
        Ok(())
    }

    fn raft_options(&self, shard: ShardId) -> RaftOptions {
        let seed = self.raft.seed ^ (u64::from(shard.0) << 32) ^ u64::from(self.me.0);
        self.raft.clone().with_seed(seed)
    }

    /// Starts what the placement gives this node, as it changes.
    async fn keep_placed(self: Arc<Self>) {
        let mut changed = self.view.watch();
        loop {
            if let Err(error) = self.reconcile().await {
                tracing::error!(%error, "a shard does not start");
                let _ = self.fatal.send(error.to_string()).await;
                return;
            }
            if let Some(meta) = self
                .meta
                .raft()
                .map(|_| self.view.placement().state().clone())
                && let Err(error) = MetaHost::keep(&*self.store, &meta)
            {
                let _ = self.fatal.send(error.to_string()).await;
                return;
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                changed = changed.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn reconcile(&self) -> Result<(), StartError> {
        let placement = self.view.placement();
        for shard in placement.shards() {
            if shard.voters.contains(&self.me) {
                if self.voters.get(shard.id).is_none() {
                    self.start_voter(shard).await?;
                }
            } else if self.followers.get(shard.id).is_none() {
                self.start_follower(shard)?;
            }
        }
        Ok(())
    }

    async fn start_voter(&self, shard: &Shard) -> Result<(), StartError> {
        let apply = ShardApply::open(
            ShardConfig {
                shard: shard.id,
                generation: shard.generation,
                cluster: self.cluster,
                digest_key: digest_key(&self.cluster),
            },
            Arc::clone(&self.store) as Arc<dyn folkmoot_storage::Read>,
        )?;
        let (region, (first, last)) = (shard.region, shard.slots);
        let range = keys::slots::range(region, first, last);
        let feed = self.feeds.start(shard.id, apply.applied_index(), range)?;
        let directory = self
            .view
            .placement()
            .state()
            .directory
            .iter()
            .filter(|range| range.shard == shard.id.0)
            .cloned()
            .collect();
        let machine = ShardMachine::new(apply, shard.clone(), directory, feed.sink());
        let raft = RaftShard::start(
            shard.id,
            self.me,
            &shard.voters,
            Arc::clone(&self.store),
            Arc::clone(&self.commit),
            Box::new(machine),
            Arc::new(PeerRaftLink(Arc::clone(&self.peers))),
            self.raft_options(shard.id),
        )
        .await?;
        let voter = VoterShard::start(shard.id, raft, Arc::clone(&self.stamps));
        let outbox = Outbox {
            voter: voter.clone(),
            published: feed.status(),
            store: Arc::clone(&self.store),
            router: Arc::clone(&self.router),
            view: Arc::clone(&self.view),
        };
        self.voters.insert(voter);
        self.tasks.spawn(outbox.run(self.stop.clone()));
        Ok(())
    }

    fn start_follower(&self, shard: &Shard) -> Result<(), StartError> {
        let follower = Follower::open(
            FollowerConfig {
                shard: shard.id,
                cluster: self.cluster,
                digest_key: digest_key(&self.cluster),
                all_groups: self.follow_all,
            },
            Arc::clone(&self.store) as Arc<dyn folkmoot_storage::Read>,
        )?;
        let (region, (first, last)) = (shard.region, shard.slots);
        let range = keys::slots::range(region, first, last);
        let feed = self.feeds.start(shard.id, follower.watermark(), range)?;
        let handle = follow::start(FollowParts {
            shard: shard.clone(),
            follower,
            all_groups: self.follow_all,
            feed,
            store: Arc::clone(&self.store),
            peers: Arc::clone(&self.peers),
            view: Arc::clone(&self.view),
            stop: self.stop.clone(),
            fatal: self.fatal.clone(),
        });
        self.followers.insert(shard.id, handle);
        Ok(())
    }

    /// Waits for what the node cannot go on after: a disk that failed.
    pub async fn failed(&self) -> String {
        let failures = self.failures.lock().take();
        match failures {
            Some(mut failures) => failures.recv().await.unwrap_or_default(),
            None => std::future::pending().await,
        }
    }

    /// Stops: drains the edge, says goodbye, ends consensus, closes the store.
    ///
    /// # Errors
    /// When the store does not close.
    pub async fn shutdown(&self, goodbye: bool) -> Result<(), StoreError> {
        self.edge.drain().await;
        if let Some(gossip) = &self.gossip {
            if goodbye {
                let _ = gossip.leave().await;
            }
            gossip.stop().await;
        }
        for voter in self.voters.all() {
            voter.raft.shutdown().await;
        }
        if let Some(raft) = self.meta.raft() {
            raft.shutdown().await;
        }
        self.stop.cancel();
        for listener in &self.listeners {
            listener.close().await;
        }
        self.peers.close().await;
        self.tasks.close();
        self.tasks.wait().await;
        self.store.sync()?;
        self.store.close()
    }
}

impl StatusSource for Node {
    fn status(&self) -> NodeStatus {
        let placement = self.view.placement();
        let shards = placement
            .shards()
            .map(|shard| self.shard_status(shard))
            .collect();
        let edge = self.edge.stats();
        NodeStatus {
            node: self.me.0,
            shards,
            sessions_quic: edge.sessions_quic,
            sessions_ws: edge.sessions_websocket,
            uptime_ms: self.stamps.wall_ms().saturating_sub(self.started_ms),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl Node {
    fn shard_status(&self, shard: &Shard) -> ShardStatus {
        let feed = self.feeds.get(shard.id).map(|feed| *feed.status().borrow());
        let feed = feed.unwrap_or_default();
        let mut status = ShardStatus {
            shard: shard.id.0,
            followers: feed.followers as u32,
            followed: feed.watermark,
            ..ShardStatus::default()
        };
        if let Some(voter) = self.voters.get(shard.id) {
            let raft = voter.raft.status();
            status.voter = true;
            status.leader = raft.leader.map_or(0, |node| node.0);
            status.term = raft.term;
            status.last_log = raft.last_log;
            status.last_applied = raft.last_applied;
        } else {
            status.leader = self.view.leader(shard.id).map_or(0, |node| node.0);
        }
        status
    }
}

/// Key of row fingerprints: all nodes of a cluster have the same.
#[must_use]
pub fn digest_key(cluster: &[u8; 16]) -> [u8; 32] {
    blake3::derive_key("folkmoot v1 rows", cluster)
}
