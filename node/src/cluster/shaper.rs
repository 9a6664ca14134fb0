//! The placement loop, at the meta shard's leader: what gossip and the nodes
//! say goes into the plan, and its steps to the meta shard and to leaders.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_replication::placement::Placement;
use folkmoot_replication::placement::plan::{Action, Health, View, lost_without, plan};
use folkmoot_wire::proto::{
    LeadShard, MetaCommand, MoveShard, NodeStatus, NodeStatusRequest, meta_command, node_reply,
    node_request,
};
use folkmoot_wire::{Fault, NodeId, ShardId, limits, version};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::meta::replica_of;
use super::parts::StatusSource;
use super::peers::Class;
use super::shards::hand_over;
use super::start::Node;

/// Since when each node is there, or is not, as seen from here, and which
/// version of apply its build said that it knows.
#[derive(Default)]
pub struct Seen {
    there: Mutex<BTreeMap<NodeId, (bool, Instant)>>,
    builds: Mutex<BTreeMap<NodeId, u32>>,
}

impl Seen {
    /// Notes who is there now.
    pub fn look(&self, nodes: impl Iterator<Item = (NodeId, bool)>) {
        let now = Instant::now();
        let nodes: BTreeMap<NodeId, bool> = nodes.collect();
        self.builds
            .lock()
            .retain(|node, _| nodes.contains_key(node));
        let mut seen = self.there.lock();
        seen.retain(|node, _| nodes.contains_key(node));
        for (node, up) in nodes {
            let since = seen.entry(node).or_insert((up, now));
            if since.0 != up {
                *since = (up, now);
            }
        }
    }

    /// What is thought of a node. One never looked at is there since now.
    #[must_use]
    pub fn health(&self, node: NodeId) -> Health {
        let millis = |since: Instant| u64::try_from(since.elapsed().as_millis()).unwrap_or(0);
        match self.there.lock().get(&node) {
            Some((true, since)) => Health::Up(millis(*since)),
            Some((false, since)) => Health::Gone(millis(*since)),
            None => Health::Up(0),
        }
    }
}

impl Seen {
    /// Whether the builds of all nodes that are there know a version. One that
    /// does not answer now counts by what it said last, and one that never
    /// answered may be an older one.
    fn all_know(&self, version: u32, statuses: &[NodeStatus]) -> bool {
        let mut builds = self.builds.lock();
        let told = statuses.iter();
        builds.extend(told.map(|status| (NodeId(status.node), status.apply_version)));
        let there = self.there.lock();
        let mut up = there.iter().filter(|(_, (up, _))| *up);
        up.all(|(node, _)| builds.get(node).is_some_and(|knows| *knows >= version))
    }
}

impl Node {
    /// Runs the placement loop until the node stops. A voter that is gone for
    /// `replace_after` is replaced.
    pub fn keep_shape(self: &Arc<Self>, replace_after: Duration) {
        let node = Arc::clone(self);
        self.tasks
            .spawn(async move { node.shape(replace_after).await });
    }

    async fn shape(self: Arc<Self>, replace_after: Duration) {
        loop {
            let round = async {
                let placement = self.view.placement();
                let nodes = placement.nodes();
                self.seen
                    .look(nodes.map(|(id, _)| (id, id == self.me || self.view.is_seen(id))));
                if self.shapes() {
                    self.shape_once(&placement, replace_after).await;
                }
                sleep(limits::PLACEMENT_EVERY).await;
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = round => {}
            }
        }
    }

    fn shapes(&self) -> bool {
        self.meta.leads()
    }

    async fn shape_once(&self, placement: &Placement, replace_after: Duration) {
        let statuses = self.statuses(placement).await;
        let (mut leaders, misled) = (leaders(&statuses), misled(&statuses));
        leaders.insert(ShardId::META, self.me);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let health = |node| match self.seen.health(node) {
            // It would give leadership away again.
            Health::Up(_) if misled.contains(&node) => Health::Up(0),
            health => health,
        };
        let actions = plan(&View {
            placement,
            health: &health,
            leaders: &leaders,
            replace_after_ms: millis(replace_after),
            lead_after_ms: millis(limits::LEAD_AFTER),
            across: self.seen.all_know(version::VOTERS_ACROSS, &statuses),
        });
        for action in actions {
            tracing::info!(?action, "placement");
            let (shard, done) = match action {
                Action::Move {
                    shard,
                    change,
                    next,
                } => (shard, self.start_move(shard, change, &next).await),
                Action::Lead { shard, to } => match leaders.get(&shard) {
                    Some(leader) => (shard, self.have_lead(shard, *leader, to).await),
                    None => continue,
                },
            };
            if let Err(fault) = done {
                tracing::info!(shard = shard.0, %fault, "placement goes on later");
            }
        }
    }

    /// What would be lost without a node, in words: nothing, if the rest of
    /// the cluster can do without it.
    #[must_use]
    pub fn lost_without(&self, node: NodeId) -> Vec<String> {
        let placement = self.view.placement();
        let health = |node| self.seen.health(node);
        let view = View {
            placement: &placement,
            health: &health,
            leaders: &BTreeMap::new(),
            replace_after_ms: u64::MAX,
            lead_after_ms: 0,
            across: true,
        };
        lost_without(&view, node)
    }

    /// What each living node tells of itself.
    async fn statuses(&self, placement: &Placement) -> Vec<NodeStatus> {
        let ask = |node: NodeId| async move {
            if node == self.me {
                return Some(self.status());
            }
            let request = node_request::Request::Status(NodeStatusRequest {});
            let call = self
                .peers
                .call_living(node, Class::Live, request, limits::RPC_DEADLINE);
            match call.await {
                Ok(node_reply::Reply::Status(status)) if status.node == node.0 => Some(status),
                _ => None,
            }
        };
        let alive = placement.nodes().map(|(id, _)| id);
        let alive = alive.filter(|id| self.view.alive(*id));
        join_all(alive.map(ask))
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    async fn start_move(&self, shard: ShardId, change: u64, next: &[NodeId]) -> Result<(), Fault> {
        let to = MoveShard {
            shard: shard.0,
            change,
            next: next.iter().map(|node| node.0).collect(),
        };
        let command = MetaCommand {
            now_ms: self.stamps.wall_ms(),
            op: Some(meta_command::Op::MoveShard(to)),
        };
        self.router.meta(&self.meta, command).await.map(|_| ())
    }

    async fn have_lead(&self, shard: ShardId, leader: NodeId, to: NodeId) -> Result<(), Fault> {
        let lead = LeadShard {
            shard: shard.0,
            to: to.0,
        };
        if leader == self.me {
            let raft = replica_of(&self.voters, &self.meta, shard);
            return hand_over(raft, to).await;
        }
        let request = node_request::Request::LeadShard(lead);
        let call = self
            .peers
            .call_living(leader, Class::Live, request, limits::RPC_DEADLINE);
        call.await.map(|_| ())
    }
}

/// Who leads, by their own word; of two, who does in the later term.
fn leaders(statuses: &[NodeStatus]) -> BTreeMap<ShardId, NodeId> {
    let mut leaders: BTreeMap<ShardId, (u64, NodeId)> = BTreeMap::new();
    for status in statuses {
        for shard in status
            .shards
            .iter()
            .filter(|s| s.voter && s.leader == status.node)
        {
            let claim = (shard.term, NodeId(status.node));
            let held = leaders.entry(ShardId(shard.shard)).or_insert(claim);
            *held = claim.max(*held);
        }
    }
    let leaders = leaders.into_iter();
    leaders.map(|(shard, (_, node))| (shard, node)).collect()
}

/// Nodes whose clocks are off.
fn misled(statuses: &[NodeStatus]) -> Vec<NodeId> {
    let off = statuses.iter().filter(|status| status.must_not_lead);
    off.map(|status| NodeId(status.node)).collect()
}
