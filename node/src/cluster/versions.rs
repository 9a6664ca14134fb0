//! Raising a shard's version of apply, once all who have to know it do.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_replication::placement::Shard;
use folkmoot_wire::proto::{
    Command, NodeStatusRequest, SetApplyVersion, command, node_reply, node_request,
};
use folkmoot_wire::{Code, Fault, NodeId, limits, version};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::peers::{Class, Peers};
use super::router::Router;
use super::view::ClusterView;

/// Nodes asked for their versions at once.
const ASKED_AT_ONCE: usize = 16;

/// Asks, and proposes.
#[derive(Clone)]
pub struct Versions {
    pub peers: Arc<Peers>,
    pub router: Arc<Router>,
}

impl Versions {
    /// Makes `version` that of a shard. One that is at a later one stays there.
    ///
    /// # Errors
    /// `unavailable` when a voter does not know that version or cannot be asked:
    /// it would judge commands otherwise than the others.
    pub async fn raise(&self, shard: &Shard, version: u32) -> Result<(), Fault> {
        let voters: BTreeSet<NodeId> = shard.voters.iter().chain(&shard.next).copied().collect();
        self.check_all(voters, version).await?;
        let set = command::Op::SetApplyVersion(SetApplyVersion { version });
        let command = Command {
            group: Bytes::new(),
            op: Some(set),
        };
        self.router.propose(shard, vec![command]).await.map(|_| ())
    }

    /// Whether a node's build knows a version of apply.
    ///
    /// # Errors
    /// `unavailable` when it does not, or cannot be asked.
    pub async fn check(&self, node: NodeId, version: u32) -> Result<(), Fault> {
        let known = if node == self.peers.me() {
            version::APPLY
        } else {
            self.ask(node).await?
        };
        if known >= version {
            return Ok(());
        }
        let detail = format!("node {node} runs an older version of Folkmoot: upgrade it first");
        Err(Fault::new(Code::Unavailable, detail))
    }

    /// The same of all nodes that live: followers have to know what they copy.
    ///
    /// # Errors
    /// As [`Versions::check`], of the first that does not.
    pub async fn check_living(&self, view: &ClusterView, version: u32) -> Result<(), Fault> {
        let placement = view.placement();
        let nodes = placement.nodes().map(|(node, _)| node);
        let living: BTreeSet<NodeId> = nodes.filter(|node| view.alive(*node)).collect();
        self.check_all(living, version).await
    }

    async fn check_all(&self, nodes: BTreeSet<NodeId>, version: u32) -> Result<(), Fault> {
        // Not one after the other: they may be half the world away.
        let checks: Vec<_> = nodes
            .into_iter()
            .map(|node| self.check(node, version))
            .collect();
        stream::iter(checks)
            .buffer_unordered(ASKED_AT_ONCE)
            .try_collect()
            .await
    }

    async fn ask(&self, node: NodeId) -> Result<u32, Fault> {
        let request = node_request::Request::Status(NodeStatusRequest {});
        let call = self
            .peers
            .call_living(node, Class::Bulk, request, limits::RPC_DEADLINE);
        match call.await? {
            node_reply::Reply::Status(status) => Ok(status.apply_version),
            _ => Err(Code::Internal.into()),
        }
    }
}
