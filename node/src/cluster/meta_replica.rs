//! This node's replica of the meta shard, as it begins and ends: like those of
//! the other shards, but for what only those have.

use std::sync::Arc;

use folkmoot_consensus::{RaftShard, holds, retire};
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_storage::{Batch, Table, keys};
use folkmoot_wire::proto::MetaCommand;
use folkmoot_wire::{NodeId, ShardId};

use super::machine::MetaMachine;
use super::meta::MetaReplica;
use super::movers::Mover;
use super::parts::StartError;
use super::start::Node;

impl Node {
    /// Makes the cluster, on a node that founds one.
    pub(super) async fn found(&self, command: MetaCommand) -> Result<(), StartError> {
        self.start_meta(&[self.me], true).await?;
        let made = self.router.meta(&self.meta, command).await;
        made.map(|_| ()).map_err(StartError::Found)
    }

    /// Begins or ends the replica, by what is agreed on.
    pub(super) async fn reconcile_meta(&self, placement: &Placement) -> Result<(), StartError> {
        let Some(shard) = placement.shard(ShardId::META) else {
            return Ok(());
        };
        let here = self.meta.raft();
        match (self.has_part_in(shard)?, here) {
            (true, None) if self.standing.may_begin(shard) => self.take_part_in_meta(shard).await,
            (true, Some(raft)) if self.is_mistimed(&raft, shard.id) => {
                self.hand_over(shard.id, &raft).await;
                self.end_meta().await;
                self.start_meta(&shard.voters, false).await
            }
            (false, _) => self.take_no_part_in_meta().await,
            _ => Ok(()),
        }
    }

    async fn take_part_in_meta(&self, shard: &Shard) -> Result<(), StartError> {
        // The founder has nothing to begin with.
        if shard.change > 0 && !holds(shard.id, &*self.store)? {
            let mut batch = clearing();
            let since = shard.change.to_be_bytes().to_vec();
            batch.put(Table::Node, keys::node::replica(shard.id), since);
            self.write_durably(batch)?;
        }
        self.start_meta(&shard.voters, shard.change == 0).await
    }

    async fn take_no_part_in_meta(&self) -> Result<(), StartError> {
        self.end_meta().await;
        if holds(ShardId::META, &*self.store)? {
            let mut batch = clearing();
            batch.delete(Table::Node, keys::node::replica(ShardId::META));
            retire(ShardId::META, &*self.store, &*self.commit, batch).await?;
            tracing::info!("this node votes on the meta shard no more");
        }
        Ok(())
    }

    pub(super) async fn end_meta(&self) {
        if let Some(replica) = self.meta.take() {
            replica.end().await;
        }
    }

    async fn start_meta(&self, voters: &[NodeId], first: bool) -> Result<(), StartError> {
        let machine = MetaMachine::open(Arc::clone(&self.store), Arc::clone(&self.view))
            .map_err(|error| StartError::Meta(error.to_string()))?;
        let mut options = self.raft_options(ShardId::META);
        // Only the founder founds it. Others begin with its state: what is in the
        // log may have been judged by a build that knew less.
        options.bootstrap &= first;
        options.snapshot_first = !first;
        let raft = RaftShard::start(
            ShardId::META,
            self.me,
            voters,
            Arc::clone(&self.store),
            Arc::clone(&self.commit),
            Box::new(machine),
            Arc::new(self.raft_link()),
            options,
        )
        .await?;
        let stop = self.stop.child_token();
        self.heed(&raft, stop.clone());
        self.tasks
            .spawn(self.mover(ShardId::META, &raft).run(stop.clone()));
        self.meta.set(MetaReplica { raft, stop });
        Ok(())
    }

    /// What carries out changes of a shard's voters.
    pub(super) fn mover(&self, shard: ShardId, raft: &Arc<RaftShard>) -> Mover {
        let stamps = Arc::clone(&self.stamps);
        Mover {
            me: self.me,
            shard,
            raft: Arc::clone(raft),
            router: Arc::clone(&self.router),
            meta: Arc::clone(&self.meta),
            view: Arc::clone(&self.view),
            timing: self.raft.clone(),
            now_ms: Box::new(move || stamps.wall_ms()),
        }
    }
}

/// What is to be deleted before the node has another role.
fn clearing() -> Batch {
    let mut batch = Batch::new();
    let (from, to) = keys::shards::range(ShardId::META);
    batch.delete_range(Table::Shards, from, to);
    batch
}
