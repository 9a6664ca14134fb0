//! What this node knows of the cluster: the meta shard's state, and what
//! gossip says about who is alive. The former is agreed on, the latter is a
//! hint (D1).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use folkmoot_gossip::{Member, MemberState};
use folkmoot_replication::placement::Placement;
use folkmoot_wire::proto::MetaState;
use folkmoot_wire::{NodeId, ShardId};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::homes::Homes;

/// The cluster as seen from here.
pub struct ClusterView {
    placement: ArcSwap<Placement>,
    members: RwLock<BTreeMap<NodeId, Member>>,
    leaders: RwLock<BTreeMap<ShardId, NodeId>>,
    pub(super) homes: Homes,
    changed: watch::Sender<u64>,
}

impl ClusterView {
    /// A view that begins with what was known before.
    #[must_use]
    pub fn new(meta: MetaState) -> Self {
        Self {
            placement: ArcSwap::from_pointee(Placement::new(Arc::new(meta))),
            members: RwLock::default(),
            leaders: RwLock::default(),
            homes: Homes::default(),
            changed: watch::Sender::new(0),
        }
    }

    /// Where things live.
    #[must_use]
    pub fn placement(&self) -> Arc<Placement> {
        self.placement.load_full()
    }

    /// Takes a newer state of the meta shard; an older one is left.
    pub fn set_meta(&self, meta: MetaState) -> bool {
        if meta.version <= self.placement.load().state().version {
            return false;
        }
        self.placement
            .store(Arc::new(Placement::new(Arc::new(meta))));
        self.changed.send_modify(|n| *n += 1);
        true
    }

    /// Waits for a version of the meta shard's state.
    pub async fn knows(&self, version: u64) {
        let mut changed = self.watch();
        // The sender is here.
        while self.placement().state().version < version && changed.changed().await.is_ok() {}
    }

    /// Takes what gossip says.
    pub fn set_members(&self, members: &[Member]) {
        *self.members.write() = members.iter().map(|m| (m.node, m.clone())).collect();
        self.changed.send_modify(|n| *n += 1);
    }

    /// Everybody gossip knows.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.members.read().values().cloned().collect()
    }

    /// Whether a node may be talked to. One that gossip has not told of yet
    /// may: silence is no evidence.
    #[must_use]
    pub fn alive(&self, node: NodeId) -> bool {
        self.members
            .read()
            .get(&node)
            .is_none_or(|member| !matches!(member.state, MemberState::Dead | MemberState::Left))
    }

    /// Whether gossip tells of a node, and not that it is gone. It forgets the
    /// dead after a while: of those silence is evidence.
    #[must_use]
    pub fn is_seen(&self, node: NodeId) -> bool {
        self.members.read().contains_key(&node) && self.alive(node)
    }

    /// Where a node listens: as gossip says now, or as it was recorded.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<SocketAddr> {
        if let Some(member) = self.members.read().get(&node) {
            return Some(member.quic);
        }
        self.placement.load().node(node)?.quic_addr.parse().ok()
    }

    /// The last leader heard of.
    #[must_use]
    pub fn leader(&self, shard: ShardId) -> Option<NodeId> {
        self.leaders.read().get(&shard).copied()
    }

    /// A hint of who leads.
    pub fn set_leader(&self, shard: ShardId, leader: Option<NodeId>) {
        let mut leaders = self.leaders.write();
        match leader {
            Some(leader) => leaders.insert(shard, leader),
            None => leaders.remove(&shard),
        };
    }

    /// Has whoever watches look again.
    pub fn nudge(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    /// Fires when the meta state or the members changed.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
