//! A node above its ports: the same code in production and in simulation.

use std::sync::Arc;

use folkmoot_consensus::RaftOptions;
use folkmoot_gossip::{Gossip, GossipConfig};
use folkmoot_replication::reconcile::RowSums;
use folkmoot_storage::{Commit, Store};
use folkmoot_transport::Listener;
use folkmoot_wire::NodeId;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::again::Again;
use super::backend::{BackendParts, NodeBackend};
use super::clocks::Clocks;
use super::copies::Copies;
use super::cursors::Cursors;
use super::feeds::{Feeds, Publisher};
use super::follow::{Followers, Links};
use super::gossip::{PACKETS, PeerStateLink};
use super::leases::Leases;
use super::mender::right_heads;
use super::meta::MetaHost;
use super::parts::{Joins, Parts, StartError, StatusSource};
use super::peers::Peers;
use super::presence::Presences;
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
use crate::ports::{Clock, Stamps};

/// A running node.
pub struct Node {
    pub(super) me: NodeId,
    pub(super) cluster: [u8; 16],
    pub(super) follow_all: bool,
    pub(super) raft: RaftOptions,
    /// Held while replicas begin and end; true: none begins any more.
    pub(super) placing: tokio::sync::Mutex<bool>,
    /// Whoever holds it is to be quick.
    pub(super) ending: CancellationToken,
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
    /// Who of the users is there whose shards it leads.
    pub presences: Arc<Presences>,
    pub leases: Arc<Leases>,
    pub stamps: Arc<Stamps>,
    pub clocks: Arc<Clocks>,
    /// Whether it may vote.
    pub standing: Arc<Standing>,
    /// Since when other nodes are there.
    pub seen: Seen,
    pub(super) again: Arc<Again>,
    pub store: Arc<dyn Store>,
    /// Sums of its rows.
    pub sums: Arc<RowSums>,
    pub gossip: Option<Arc<Gossip>>,
    pub(super) commit: Arc<dyn Commit>,
    pub(super) listeners: Vec<Arc<dyn Listener>>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) fatal: mpsc::Sender<String>,
    pub(super) failures: Mutex<Option<mpsc::Receiver<String>>>,
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
        let leases = Arc::new(Leases::open(
            parts.authority_lease,
            Arc::clone(&parts.store),
            Arc::clone(&parts.commit),
            Arc::clone(&clocks) as Arc<dyn Clock>,
        )?);
        let copies = Arc::new(Copies {
            peers: Arc::clone(&peers),
            view: Arc::clone(&view),
            voters: Arc::clone(&voters),
            feeds: Arc::clone(&feeds),
            followers: Arc::clone(&followers),
            reads: Arc::clone(&reads),
            leases: Arc::clone(&leases),
        });
        let keeper = Arc::new(Keeper::open(KeeperParts {
            store: Arc::clone(&parts.store),
            commit: Arc::clone(&parts.commit),
            copies: Arc::clone(&copies),
            router: Arc::clone(&router),
        })?);
        let presences = Arc::new(Presences::new(
            Arc::clone(&peers),
            Arc::clone(&voters),
            Arc::clone(&view),
        ));
        let backend = NodeBackend::new(BackendParts {
            region: parts.region.clone(),
            cluster: parts.cluster,
            copies,
            router: Arc::clone(&router),
            cursors: Arc::clone(&cursors),
            presences: Arc::clone(&presences),
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
        let again = Arc::new(Again::new(Arc::clone(&view), Arc::clone(&followers)));
        publisher.set(again.publish_to(&edge));
        // Weakly, for the edge asks what holds the keeper.
        let sink = Arc::downgrade(&edge);
        keeper.show_to(Box::new(move |group, entries, settled| {
            if let Some(edge) = sink.upgrade() {
                edge.tentative(group, entries, settled);
            }
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
            meta: Arc::clone(&meta),
            fatal: fatal.clone(),
        })?);
        let node = Arc::new(Self {
            me: parts.me,
            cluster: parts.cluster,
            follow_all: parts.follow_all,
            raft: parts.raft,
            placing: tokio::sync::Mutex::new(false),
            ending: CancellationToken::new(),
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
            presences,
            leases,
            started_ms: stamps.wall_ms(),
            stamps,
            clocks,
            standing,
            seen: Seen::default(),
            again: Arc::clone(&again),
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
        if let Some(command) = parts.found {
            node.found(command).await?;
        }
        node.reconcile().await?;
        let serve = Arc::new(Serve {
            me: node.me,
            view: Arc::clone(&node.view),
            reads: Arc::clone(&node.reads),
            voters: Arc::clone(&node.voters),
            leases: Arc::clone(&node.leases),
            feeds: Arc::clone(&node.feeds),
            meta: Arc::clone(&node.meta),
            packets,
            joins,
            status: Arc::clone(&node) as Arc<dyn StatusSource>,
            keeper: Arc::clone(&node.keeper),
            presences: Arc::clone(&node.presences),
            edge: Arc::clone(&node.edge),
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
}

/// Key of row fingerprints: all nodes of a cluster have the same.
#[must_use]
pub fn digest_key(cluster: &[u8; 16]) -> [u8; 32] {
    blake3::derive_key("folkmoot v1 rows", cluster)
}
