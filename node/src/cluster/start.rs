//! A node above its ports: the same code in production and in simulation.

use std::sync::Arc;

use folkmoot_consensus::{RaftOptions, Sequencer};
use folkmoot_gossip::{Gossip, GossipConfig};
use folkmoot_replication::reconcile::RowSums;
use folkmoot_storage::{Commit, Store, StoreError};
use folkmoot_transport::{Listener, PeerKind};
use folkmoot_wire::NodeId;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::again::Again;
use super::backend::{BackendParts, NodeBackend};
use super::clocks::{ClockWatch, Clocks};
use super::cursors::Cursors;
use super::feeds::{Feeds, Publisher};
use super::follow::{Followers, Links};
use super::gossip::{PACKETS, PeerStateLink};
use super::mender::{Mender, right_heads};
use super::meta::MetaHost;
use super::parts::{Joins, Parts, StartError, StatusSource};
use super::peers::Peers;
use super::read::LocalReads;
use super::router::Router;
use super::serve::Serve;
use super::shaper::Seen;
use super::shards::Voters;
use super::standing::{Standing, StandingParts};
use super::tentatives::{Keeper, KeeperParts};
use super::via::Tunnels;
use super::view::ClusterView;
use crate::edge::Edge;
use crate::ports::{Clock, Random, Stamps};

/// A running node.
pub struct Node {
    pub(super) me: NodeId,
    pub(super) cluster: [u8; 16],
    pub(super) follow_all: bool,
    pub(super) raft: RaftOptions,
    pub view: Arc<ClusterView>,
    pub peers: Arc<Peers>,
    pub voters: Arc<Voters>,
    pub feeds: Arc<Feeds>,
    pub followers: Arc<Followers>,
    pub(super) links: Arc<Links>,
    pub router: Arc<Router>,
    pub meta: Arc<MetaHost>,
    pub reads: Arc<LocalReads>,
    pub backend: Arc<NodeBackend>,
    pub edge: Arc<Edge>,
    pub keeper: Arc<Keeper>,
    pub stamps: Arc<Stamps>,
    pub clocks: Arc<Clocks>,
    /// Whether it may vote.
    pub standing: Arc<Standing>,
    /// Since when other nodes are there.
    pub seen: Seen,
    pub store: Arc<dyn Store>,
    /// Sums of its rows.
    pub sums: Arc<RowSums>,
    pub gossip: Option<Arc<Gossip>>,
    pub(super) commit: Arc<dyn Commit>,
    listeners: Vec<Arc<dyn Listener>>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) fatal: mpsc::Sender<String>,
    failures: Mutex<Option<mpsc::Receiver<String>>>,
    pub(super) started_ms: u64,
}

impl Node {
    /// Starts a node over its parts.
    ///
    /// # Errors
    /// When its store, its gossip or its part of the consensus does not start.
    pub async fn start(parts: Parts, joins: Arc<dyn Joins>) -> Result<Arc<Self>, StartError> {
        right_heads(&*parts.store, &parts.cluster)?;
        let view = Arc::new(ClusterView::new(parts.meta));
        let peers = Arc::new(Peers::new(
            parts.me,
            parts.region.clone(),
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
        let reads = Arc::new(LocalReads::new(
            Arc::clone(&parts.store),
            Arc::clone(&parts.sums),
            parts.cluster,
        ));
        let bound = Stamps::bound(&*parts.store)?;
        let clocks = Arc::new(Clocks::new(parts.clock, bound));
        let stamps = Arc::new(Stamps::open(
            Arc::clone(&clocks) as Arc<dyn Clock>,
            Arc::clone(&parts.store),
        )?);
        stamps.reach_bound().await;
        let cursors = Arc::new(Cursors::default());
        let keeper = Arc::new(Keeper::open(KeeperParts {
            store: Arc::clone(&parts.store),
            commit: Arc::clone(&parts.commit),
            peers: Arc::clone(&peers),
            view: Arc::clone(&view),
            router: Arc::clone(&router),
            reads: Arc::clone(&reads),
        })?);
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
            keeper: Arc::clone(&keeper),
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
        let again = Arc::new(Again::new(Arc::clone(&view), Arc::clone(&followers)));
        publisher.set(again.publish_to(sink));
        let sink = Arc::clone(&edge);
        keeper.show_to(Box::new(move |group, entries, settled| {
            sink.tentative(group, entries, settled);
        }));
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
                        parts.started.now,
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
        let standing = Arc::new(Standing::open(StandingParts {
            me: parts.me,
            started: parts.started,
            store: Arc::clone(&parts.store),
            commit: Arc::clone(&parts.commit),
            peers: Arc::clone(&peers),
            view: Arc::clone(&view),
            voters: Arc::clone(&voters),
            fatal: fatal.clone(),
        })?);
        let node = Arc::new(Self {
            me: parts.me,
            cluster: parts.cluster,
            follow_all: parts.follow_all,
            raft: parts.raft,
            view,
            links: Arc::new(Links::new(Arc::clone(&peers))),
            peers,
            voters,
            feeds,
            followers,
            router,
            meta,
            reads,
            backend,
            edge,
            keeper,
            started_ms: stamps.wall_ms(),
            stamps,
            clocks,
            standing,
            seen: Seen::default(),
            store: parts.store,
            sums: parts.sums,
            gossip,
            commit: parts.commit,
            listeners: parts.listeners,
            stop,
            tasks: TaskTracker::new(),
            fatal,
            failures: Mutex::new(Some(failures)),
        });
        node.watch_clock(parts.random);
        node.start_meta(parts.found).await?;
        node.reconcile().await?;
        let serve = Arc::new(Serve {
            me: node.me,
            view: Arc::clone(&node.view),
            reads: Arc::clone(&node.reads),
            voters: Arc::clone(&node.voters),
            feeds: Arc::clone(&node.feeds),
            meta: Arc::clone(&node.meta),
            packets,
            joins,
            status: Arc::clone(&node) as Arc<dyn StatusSource>,
            keeper: Arc::clone(&node.keeper),
            standing: Arc::clone(&node.standing),
            stamps: Arc::clone(&node.stamps),
            tunnels: Tunnels::new(node.me, Arc::clone(&node.view), node.peers.ways()),
            stop: node.stop.clone(),
        });
        node.tasks
            .spawn(again.run(Arc::clone(&node.backend), node.stop.clone()));
        node.run(serve, cursors);
        Ok(node)
    }

    fn watch_clock(&self, random: Arc<dyn Random>) {
        let watch = ClockWatch {
            clocks: Arc::clone(&self.clocks),
            stamps: Arc::clone(&self.stamps),
            peers: Arc::clone(&self.peers),
            view: Arc::clone(&self.view),
            voters: Arc::clone(&self.voters),
            edge: Arc::clone(&self.edge),
            random,
        };
        self.tasks.spawn(watch.run(self.stop.clone()));
    }

    fn run(self: &Arc<Self>, serve: Arc<Serve>, cursors: Arc<Cursors>) {
        for listener in &self.listeners {
            let (node, listener, serve) =
                (Arc::clone(self), Arc::clone(listener), Arc::clone(&serve));
            self.tasks
                .spawn(async move { node.accept(listener, serve).await });
        }
        let standing = Arc::clone(&self.standing);
        let witness = Arc::clone(&standing.witness);
        self.tasks.spawn(witness.run(self.stop.clone()));
        self.tasks.spawn(standing.run(self.stop.clone()));
        let node = Arc::clone(self);
        self.tasks.spawn(async move { node.keep_placed().await });
        self.tasks
            .spawn(cursors.run(Arc::clone(&self.router), self.stop.clone()));
        self.tasks
            .spawn(Arc::clone(&self.keeper).run(self.stop.clone()));
        let mender = Mender {
            cluster: self.cluster,
            store: Arc::clone(&self.store),
            suspects: Arc::clone(&self.reads.suspects),
            peers: Arc::clone(&self.peers),
            view: Arc::clone(&self.view),
        };
        self.tasks.spawn(mender.run(self.stop.clone()));
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
        self.end_consensus().await;
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

    /// Ends at once: no goodbye, nothing finished, nothing written. A killed
    /// process leaves no tasks behind; in a simulation, where many nodes share
    /// one process, this ends them.
    pub async fn halt(&self) {
        self.stop.cancel();
        self.edge.halt();
        if let Some(gossip) = &self.gossip {
            gossip.stop().await;
        }
        self.end_consensus().await;
    }

    async fn end_consensus(&self) {
        for voter in self.voters.all() {
            voter.end().await;
        }
        if let Some(raft) = self.meta.raft() {
            raft.shutdown().await;
        }
    }
}

/// Key of row fingerprints: all nodes of a cluster have the same.
#[must_use]
pub fn digest_key(cluster: &[u8; 16]) -> [u8; 32] {
    blake3::derive_key("folkmoot v1 rows", cluster)
}
