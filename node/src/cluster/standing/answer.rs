//! What this node has of its shards, and what it says of that when another
//! asks.

use std::sync::Arc;

use folkmoot_consensus::{Mark, RaftShard, Sequencer, promise};
use folkmoot_wire::proto::{self, AskOfMe, KnownOfYou};
use folkmoot_wire::{Code, Fault, NodeId, ShardId, limits};

use super::Standing;
use crate::cluster::meta::replica_of;

impl Standing {
    /// Answers another node's question.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn told(&self, from: NodeId, asked: &AskOfMe) -> Result<KnownOfYou, Fault> {
        // Marks first: what is heard of this start comes after its number.
        let marks = self.witness.marks_of(from);
        let start = self.witness.started(from, asked.start, asked.before).await;
        let start = start.map_err(|error| Fault::from(&error))?;
        let shards = asked.shards.iter().take(limits::ASK_SHARDS);
        let promises = shards.map(|shard| self.promise_of(ShardId(*shard)));
        Ok(KnownOfYou {
            start,
            marks,
            promises: promises.collect::<Result<_, Fault>>()?,
        })
    }

    pub(super) fn replica(&self, shard: ShardId) -> Option<Arc<RaftShard>> {
        replica_of(&self.parts.voters, &self.parts.meta, shard)
    }

    /// What this node has of a shard now.
    pub(super) fn here(&self, shard: ShardId) -> Option<Mark> {
        match self.replica(shard) {
            Some(raft) => Some(raft.promise().mark()),
            None => promise(shard, &*self.parts.store)
                .ok()
                .map(|promise| promise.mark()),
        }
    }

    fn promise_of(&self, shard: ShardId) -> Result<proto::Promise, Fault> {
        let (promise, voters) = match self.replica(shard) {
            Some(raft) => (raft.promise(), raft.status().voters),
            None => {
                let promise = promise(shard, &*self.parts.store)
                    .map_err(|error| Fault::new(Code::StorageFailed, error.to_string()))?;
                let placement = self.parts.view.placement();
                let placed = placement.shard(shard);
                let voters = placed.map(|shard| shard.replicas.iter().copied().collect());
                (promise, voters.unwrap_or_default())
            }
        };
        Ok(proto::Promise {
            shard: shard.0,
            term: promise.term,
            last_term: promise.last.term,
            last_index: promise.last.index,
            voters: voters.iter().map(|node| node.0).collect(),
            unsure: self.unsure(shard),
        })
    }
}
