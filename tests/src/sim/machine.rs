//! A machine with one node: what it keeps over a crash, and the life of its
//! process.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use folkmoot_consensus::RaftOptions;
use folkmoot_gossip::{Keyring, StateKind, SwimConfig};
use folkmoot_node::cluster::join::{Authority, Joining};
use folkmoot_node::cluster::meta::MetaHost;
use folkmoot_node::cluster::parts::{GossipParts, Parts, next_start};
use folkmoot_node::cluster::start::{Node, digest_key};
use folkmoot_node::edge::Auth;
use folkmoot_node::ports::{Clock, SeededRandom};
use folkmoot_replication::reconcile::RowSums;
use folkmoot_storage::{Commit, CommitOptions, Crash, Indexed, Store, TaskCommit};
use folkmoot_transport::sim::{SimNet, SimOptions};
use folkmoot_wire::proto::{
    InitCluster, JoinReply, MetaCommand, MetaState, NodeRecord, SurvivalGoal, meta_command,
};
use folkmoot_wire::{Fault, NodeId, limits};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::clock::{EPOCH_MS, SimClock};
use super::disk::Disk;
use super::draw;
use super::net::{GOSSIP, PORT, Packets, REGIONS};
use super::plan::Shape;
use super::weather::Weather;

/// Of groups with more members than this cursors are counted.
const SMALL: u64 = 3;

/// The cluster's id.
pub const CLUSTER: [u8; 16] = *b"folkmoot, in sim";
/// Key id, secret, issuer and audience of clients' tokens.
pub const KEY_ID: &str = "sim";
pub const SECRET: [u8; 32] = [7; 32];
pub const ISSUER: &str = "simulator";
pub const AUDIENCE: &str = "folkmoot";
/// Shards of each region.
const SHARDS: u32 = 2;
/// A voter that is gone for longer is replaced, where there is another node.
const REPLACE_AFTER: Duration = Duration::from_secs(4);
/// A lease that ends in many a cut.
pub const SHORT_LEASE: Duration = Duration::from_secs(6);
/// Milliseconds that a crash waits for its moment.
const MOMENTS: u64 = 2_000;
/// Key id and gossip key.
const GOSSIP_KEY: [u8; 33] = [1; 33];

/// In place of certificates: here the network vouches for who a node is.
struct Vouched;

impl Authority for Vouched {
    fn issue(&self, _: &[u8], node: NodeId, region: &str, _: Duration) -> Result<Bytes, Fault> {
        Ok(format!("node {node} in {region}").into())
    }

    fn certificate(&self) -> Bytes {
        Bytes::from_static(b"the network")
    }
}

/// What a data folder holds beside the store.
struct Folder {
    node: NodeId,
    /// What the joiner was told of the cluster.
    meta: MetaState,
    founder: bool,
}

/// A machine.
pub struct Machine {
    pub index: usize,
    pub region: usize,
    pub ip: IpAddr,
    pub clock: Arc<SimClock>,
    pub disk: Arc<Disk>,
    /// The process, while it runs.
    pub node: Option<Arc<Node>>,
    net: SimNet,
    weather: Arc<Weather>,
    seed: u64,
    shape: Shape,
    /// What a sync takes, and what it takes longer for now.
    sync: Duration,
    slower: Duration,
    commit: Option<Arc<TaskCommit>>,
    watcher: Option<JoinHandle<()>>,
    failed: mpsc::UnboundedSender<Failed>,
    folder: Option<Folder>,
    lives: u64,
}

/// A process cannot go on.
#[derive(Debug)]
pub struct Failed {
    /// Machine, and which of its processes.
    pub of: (usize, u64),
    pub why: String,
}

/// What a machine is made of.
pub struct MachineParts {
    pub index: usize,
    pub region: usize,
    pub ip: IpAddr,
    pub clock: Arc<SimClock>,
    pub disk: Disk,
    pub net: SimNet,
    pub weather: Arc<Weather>,
    pub seed: u64,
    pub shape: Shape,
    pub sync: Duration,
    /// Told of processes that cannot go on. At most one for each start.
    pub failed: mpsc::UnboundedSender<Failed>,
}

impl Machine {
    /// A machine on which nothing is installed yet.
    #[must_use]
    pub fn new(parts: MachineParts) -> Self {
        Self {
            index: parts.index,
            region: parts.region,
            ip: parts.ip,
            clock: parts.clock,
            disk: Arc::new(parts.disk),
            node: None,
            net: parts.net,
            weather: parts.weather,
            seed: parts.seed,
            shape: parts.shape,
            sync: parts.sync,
            slower: Duration::ZERO,
            commit: None,
            watcher: None,
            failed: parts.failed,
            folder: None,
            lives: 0,
        }
    }

    /// Where its node listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip, PORT)
    }

    /// Its node's number, once it has one.
    #[must_use]
    pub fn id(&self) -> Option<NodeId> {
        self.folder.as_ref().map(|folder| folder.node)
    }

    /// Voters of the shards of its region.
    #[must_use]
    pub fn voters(&self) -> u32 {
        self.shape.voters[self.region]
    }

    /// What the shards of its region are to survive.
    #[must_use]
    pub fn goal(&self) -> SurvivalGoal {
        self.shape.goal()
    }

    /// This node, as the cluster records it.
    #[must_use]
    pub fn record(&self) -> NodeRecord {
        NodeRecord {
            id: self.id().map_or(0, |node| node.0),
            region: REGIONS[self.region].into(),
            name: format!("machine-{}", self.index),
            quic_addr: self.addr().to_string(),
            gossip_addr: SocketAddr::new(self.ip, GOSSIP).to_string(),
            ..NodeRecord::default()
        }
    }

    /// Shards that its region is to have.
    #[must_use]
    pub fn shards(&self) -> u32 {
        SHARDS
    }

    /// It is to make the cluster.
    pub fn found(&mut self) {
        self.folder = Some(Folder {
            node: NodeId(1),
            meta: MetaState::default(),
            founder: true,
        });
    }

    /// It was let into the cluster.
    ///
    /// # Errors
    /// When the answer is not one of this cluster.
    pub fn joined(&mut self, reply: JoinReply) -> anyhow::Result<()> {
        if reply.cluster[..] != CLUSTER || reply.gossip_key[..] != GOSSIP_KEY {
            bail!("the answer to the join is of another cluster");
        }
        self.folder = Some(Folder {
            node: NodeId(reply.node),
            meta: reply.meta.context("the answer told nothing")?,
            founder: false,
        });
        Ok(())
    }

    /// Starts the node over what the disk holds.
    ///
    /// # Errors
    /// As a node's start on a real machine.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.as_ref().context("nothing is installed")?;
        let me = folder.node;
        self.lives += 1;
        let life = draw::fork(self.seed, &format!("life {} {}", self.index, self.lives));
        let disk = Arc::clone(&self.disk) as Arc<dyn Store>;
        let (store, sums) = RowSums::over(Indexed::with_small(disk, SMALL)?, digest_key(&CLUSTER));
        let commit = Arc::new(TaskCommit::start(
            Arc::clone(&store),
            CommitOptions::default(),
            self.sync + self.slower,
        ));
        self.commit = Some(Arc::clone(&commit));
        let started = next_start(&*store, self.clock.wall_ms())?;
        let meta = match MetaHost::stored(&*store)? {
            Some(meta) => meta,
            None => folder.meta.clone(),
        };
        let found = (folder.founder && meta.nodes.is_empty()).then(|| self.init());
        let identity = Some((me, REGIONS[self.region]));
        let host = self.net.host(self.ip, identity, SimOptions::default());
        let joining = if folder.founder {
            Joining::signed(
                Box::new(Vouched),
                CLUSTER,
                Bytes::from_static(&GOSSIP_KEY),
                Arc::clone(&self.clock) as _,
            )
        } else {
            Joining::passed()
        };
        let parts = Parts {
            me,
            region: REGIONS[self.region].into(),
            cluster: CLUSTER,
            started,
            gossip: Some(self.gossip(&meta, me, life)?),
            meta,
            found,
            follow_all: self.shape.follow_all,
            authority_lease: match self.shape.short_leases {
                true => SHORT_LEASE,
                false => limits::AUTHORITY_LEASE,
            },
            raft: self.raft().with_seed(life),
            store,
            sums,
            commit: Arc::clone(&commit) as Arc<dyn Commit>,
            listeners: vec![Arc::new(host.listen(PORT)?)],
            dial: Arc::new(host),
            clock: Arc::clone(&self.clock) as _,
            random: Arc::new(SeededRandom::new(life)),
            auth: Auth::new(ISSUER, AUDIENCE).with_hs256(KEY_ID, &SECRET),
            edge: self.shape.edge(),
        };
        let node = Node::start(parts, joining.port()).await?;
        joining.connect(&node);
        node.keep_shape(REPLACE_AFTER);
        self.watch(&node, &commit);
        self.node = Some(node);
        Ok(())
    }

    /// Tells of a process that cannot go on: on a real machine it ends.
    fn watch(&mut self, node: &Arc<Node>, commit: &TaskCommit) {
        let (node, mut disk) = (Arc::clone(node), commit.failed());
        let (failed, of) = (self.failed.clone(), (self.index, self.lives));
        let watcher = tokio::spawn(async move {
            let why = tokio::select! {
                biased;
                why = node.failed() => why,
                failed = disk.wait_for(Option::is_some) => match failed {
                    Ok(error) => error.as_ref().map_or(String::new(), ToString::to_string),
                    // The process is gone.
                    Err(_) => return,
                },
            };
            let _ = failed.send(Failed { of, why });
        });
        self.watcher = Some(watcher);
    }

    /// Whether this is what the process that runs now died of.
    #[must_use]
    pub fn is_of_now(&self, failed: &Failed) -> bool {
        self.node.is_some() && failed.of == (self.index, self.lives)
    }

    /// Syncs take so much longer than they do on this machine.
    pub fn slower(&mut self, by: Duration) {
        self.slower = by;
        if let Some(commit) = &self.commit {
            commit.set_latency(self.sync + by);
        }
    }

    fn raft(&self) -> RaftOptions {
        let options = RaftOptions::default();
        if !self.shape.short_logs {
            return options;
        }
        RaftOptions {
            snapshot_every: 40,
            keep_entries: 10,
            ..options
        }
    }

    fn gossip(&self, meta: &MetaState, me: NodeId, life: u64) -> anyhow::Result<GossipParts> {
        let addr = SocketAddr::new(self.ip, GOSSIP);
        let weather = Arc::clone(&self.weather);
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&GOSSIP_KEY[1..]);
        let others = meta.nodes.iter().filter(|node| node.id != me.0);
        Ok(GossipParts {
            datagrams: Arc::new(Packets::bind(&self.net, weather, addr, life)?),
            addr,
            quic: self.addr(),
            keyring: Keyring::new(GOSSIP_KEY[0], [(GOSSIP_KEY[0], key)])?,
            seeds: others
                .filter_map(|node| node.gossip_addr.parse().ok())
                .collect(),
            swim: SwimConfig::default(),
            state: StateKind::Memory,
        })
    }

    fn init(&self) -> MetaCommand {
        MetaCommand {
            now_ms: EPOCH_MS,
            op: Some(meta_command::Op::Init(InitCluster {
                cluster: Bytes::from_static(&CLUSTER),
                name: "sim".into(),
                first: Some(self.record()),
                shards: SHARDS,
                voters: self.voters(),
                goal: self.goal().into(),
                ..InitCluster::default()
            })),
        }
    }

    /// Waits for a moment at which a crash hurts: a power cut that finds
    /// nothing under way tests little. Not for long; there may be none.
    pub async fn mid_write(&self) {
        for _ in 0..MOMENTS {
            if self.disk.is_mid_write() {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The machine loses power. Gives the batches that it had not synced.
    pub async fn crash(&mut self, crash: Crash) -> usize {
        // Nothing is awaited until the process can do nothing any more.
        self.net.kill(self.ip);
        let unsynced = self.disk.unsynced();
        self.disk = Arc::new(self.disk.crash(crash));
        self.commit = None;
        if let Some(watcher) = self.watcher.take() {
            watcher.abort();
        }
        if let Some(node) = self.node.take() {
            node.halt().await;
        }
        unsynced
    }
}
