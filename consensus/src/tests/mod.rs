//! Replicas on stores in memory, joined by a simulated network with virtual
//! time.

mod born;
mod chaos;
mod faults;
mod group;
mod hub;
mod install;
mod ledger;
mod manifest;
mod older;
mod protocol;
mod purge;
mod restart;
mod single;
mod snapshot;
mod spared;
mod trace;
mod voters;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_storage::{Commit, CommitOptions, Crash, MemStore, Store, TaskCommit};
use folkmoot_wire::{NodeId, ShardId};

use crate::{ProposeError, Proposed, RaftOptions, RaftShard, Sequencer};
use hub::Hub;
use ledger::{Counters, Ledger};

const SHARD: ShardId = ShardId(7);
const FSYNC: Duration = Duration::from_millis(2);

struct Node {
    shard: Arc<RaftShard>,
    store: Arc<MemStore>,
    counters: Arc<Counters>,
}

/// A group whose nodes can be crashed, restarted and cut off.
struct Cluster {
    hub: Arc<Hub>,
    nodes: BTreeMap<u32, Node>,
    voters: Vec<NodeId>,
    options: RaftOptions,
    /// What a sync takes on a node that has another disk than the rest; used
    /// when the node starts.
    disks: BTreeMap<u32, Duration>,
}

impl Cluster {
    async fn new(voters: u32, options: RaftOptions) -> Self {
        Self::on_disks(voters, options, BTreeMap::new()).await
    }

    async fn on_disks(voters: u32, options: RaftOptions, disks: BTreeMap<u32, Duration>) -> Self {
        let mut cluster = Self {
            hub: Hub::new(),
            nodes: BTreeMap::new(),
            voters: (1..=voters).map(NodeId).collect(),
            options,
            disks,
        };
        for node in 1..=voters {
            cluster.start(node, MemStore::new()).await;
        }
        cluster
    }

    async fn start(&mut self, node: u32, store: MemStore) {
        let store = Arc::new(store);
        let counters = Arc::new(Counters::default());
        let commit: Arc<dyn Commit> = Arc::new(TaskCommit::start(
            Arc::clone(&store) as Arc<dyn Store>,
            CommitOptions::default(),
            self.disks.get(&node).copied().unwrap_or(FSYNC),
        ));
        let machine = Ledger::open(SHARD, Arc::clone(&store) as _, Arc::clone(&counters));
        let shard = RaftShard::start(
            SHARD,
            NodeId(node),
            &self.voters,
            Arc::clone(&store) as _,
            commit,
            Box::new(machine),
            self.hub.link(NodeId(node)),
            self.options.clone(),
        )
        .await
        .unwrap();
        self.hub.join(NodeId(node), &shard);
        let node_of = Node {
            shard,
            store,
            counters,
        };
        self.nodes.insert(node, node_of);
    }

    /// Power is cut and comes back.
    async fn crash(&mut self, node: u32, crash: Crash) {
        let survived = self.cut_power(node, crash).await;
        self.start(node, survived).await;
    }

    async fn cut_power(&mut self, node: u32, crash: Crash) -> MemStore {
        let dead = self.nodes.remove(&node).unwrap();
        self.hub.leave(NodeId(node));
        let survived = dead.store.crash(crash);
        dead.shard.shutdown().await;
        survived
    }

    fn shard(&self, node: u32) -> &RaftShard {
        &self.nodes[&node].shard
    }

    fn payloads(&self, node: u32) -> Vec<Bytes> {
        ledger::payloads(SHARD, &*self.nodes[&node].store)
    }

    /// Waits for a leader among `nodes` that the others of them follow.
    async fn leader_among(&self, nodes: &[u32]) -> u32 {
        let mut last = Vec::new();
        for _ in 0..600 {
            last = nodes
                .iter()
                .map(|node| self.shard(*node).status())
                .collect::<Vec<_>>();
            let leader = last.iter().find(|status| status.is_leader);
            if let Some(leader) = leader
                && last
                    .iter()
                    .all(|status| (status.leader, status.term) == (leader.leader, leader.term))
            {
                return leader.leader.unwrap().0;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no leader after 30 s: {last:?}");
    }

    async fn leader(&self) -> u32 {
        let nodes: Vec<u32> = self.nodes.keys().copied().collect();
        self.leader_among(&nodes).await
    }

    async fn propose(&self, node: u32, payload: &str) -> Result<Proposed, ProposeError> {
        self.shard(node)
            .propose(Bytes::copy_from_slice(payload.as_bytes()))
            .await
    }

    /// Waits until all nodes have applied as much as the leader, and checks
    /// that they hold the same. Returns it.
    async fn converged(&self) -> Vec<Bytes> {
        let leader = self.leader().await;
        let applied = self.shard(leader).linearizable().await.unwrap();
        for (number, node) in &self.nodes {
            let mut watch = node.shard.watch();
            let caught_up = watch.wait_for(|status| status.last_applied >= applied);
            tokio::time::timeout(Duration::from_secs(30), caught_up)
                .await
                .unwrap_or_else(|_| panic!("node {number} stays behind {applied}"))
                .unwrap();
        }
        let payloads = self.payloads(leader);
        for number in self.nodes.keys() {
            assert_eq!(self.payloads(*number), payloads, "node {number}");
        }
        payloads
    }
}

/// `result` as the number the ledger gave the payload.
fn number(result: Result<Proposed, ProposeError>) -> u64 {
    u64::from_be_bytes(result.unwrap().outcome.as_ref().try_into().unwrap())
}

fn texts(payloads: &[Bytes]) -> Vec<&str> {
    payloads
        .iter()
        .map(|payload| std::str::from_utf8(payload).unwrap())
        .collect()
}
