//! Which copy is read: the one here as long as it speaks for its group, else
//! the home's.

use folkmoot_replication::placement::Shard;
use folkmoot_wire::proto::{FetchHead, Head, node_reply, node_request};
use folkmoot_wire::{Code, Fault, GroupId, NodeId, ShardId, limits};
use tokio::time::timeout;

use super::NodeBackend;
use crate::cluster::follow::FollowHandle;
use crate::cluster::peers::Class;

impl NodeBackend {
    /// Whether the copy here speaks for the group: the node votes on its
    /// shard, or follows the group and has caught up.
    pub(super) fn is_here(&self, shard: ShardId, group: &GroupId, local: Option<&Head>) -> bool {
        self.voters.get(shard).is_some()
            || local.is_some_and(|head| {
                let follower = self.followers.get(shard);
                follower.is_some_and(|follower| follower.speaks_for(group, head.version))
            })
    }

    /// Whether news of the group come here in full.
    fn comes_here(&self, shard: ShardId, group: &GroupId) -> bool {
        let follows = |follower: FollowHandle| follower.wants(group);
        self.voters.get(shard).is_some() || self.followers.get(shard).is_some_and(follows)
    }

    /// Asks those who must know: the leader, then the other voters.
    pub(super) async fn ask(
        &self,
        shard: &Shard,
        request: node_request::Request,
    ) -> Result<node_reply::Reply, Fault> {
        let mut nodes: Vec<NodeId> = self.view.leader(shard.id).into_iter().collect();
        nodes.extend(shard.voters.iter().copied());
        nodes.dedup();
        let mut last = Fault::from(Code::Unavailable);
        for node in nodes {
            if node == self.peers.me() || !self.view.alive(node) {
                continue;
            }
            match self
                .peers
                .call(node, Class::Bulk, request.clone(), limits::RPC_DEADLINE)
                .await
            {
                Ok(reply) => return Ok(reply),
                Err(fault) if fault.code.temporary() => last = fault,
                Err(fault) => return Err(fault),
            }
        }
        Err(last)
    }

    pub(super) async fn home_head(
        &self,
        shard: &Shard,
        group: GroupId,
    ) -> Result<Option<Head>, Fault> {
        let request = node_request::Request::FetchHead(FetchHead {
            group: group.to_bytes(),
        });
        match self.ask(shard, request).await? {
            node_reply::Reply::Head(head) => Ok(head.head),
            _ => Err(Code::Internal.into()),
        }
    }

    /// Waits until the copy here has `reached` what a client was told of, so
    /// that it finds it; for a bounded time, and not at all when nothing of
    /// the group comes here: then reads go to the home.
    pub(super) async fn reach(
        &self,
        shard: ShardId,
        group: &GroupId,
        reached: impl Fn(&Head) -> bool,
    ) -> Result<(), Fault> {
        let Some(feed) = self.feeds.get(shard) else {
            return Ok(());
        };
        if !self.comes_here(shard, group) {
            return Ok(());
        }
        let mut status = feed.status();
        let reached = async {
            loop {
                status.mark_unchanged();
                if self.reads.head(group)?.as_ref().is_some_and(&reached)
                    || status.changed().await.is_err()
                {
                    return Ok::<(), Fault>(());
                }
            }
        };
        timeout(limits::RPC_DEADLINE, reached)
            .await
            .unwrap_or(Ok(()))
    }
}
