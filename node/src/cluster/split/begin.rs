//! Having a shard split, at whichever node is asked for it.

use std::sync::Arc;

use folkmoot_replication::placement::Shard;
use folkmoot_wire::proto::{MetaCommand, SplitShard, meta_command};
use folkmoot_wire::{Code, Fault, ShardId, Slot, version};

use crate::cluster::start::Node;
use crate::cluster::versions::Versions;

/// A split that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The shard.
    pub shard: ShardId,
    /// The slots that stay with it.
    pub keeps: (Slot, Slot),
    /// The new shard.
    pub child: ShardId,
    /// Its slots.
    pub slots: (Slot, Slot),
}

impl Node {
    /// Has a shard split at a slot, which is the first of a new shard; without
    /// one, in the middle. Returns once that is decided: the shard's leader goes
    /// on with it.
    ///
    /// # Errors
    /// `not_found` when there is no such shard, `invalid` when it has not that
    /// slot, `busy` while it is split or gets other voters, `unavailable` when a
    /// node that has to know what that is does not, or cannot be asked.
    pub async fn split_shard(&self, shard: ShardId, at: Option<Slot>) -> Result<Split, Fault> {
        let placement = self.view.placement();
        let placed = placement.shard(shard).ok_or_else(|| {
            Fault::new(Code::NotFound, format!("no shard has the number {shard}"))
        })?;
        let (first, last) = placed.slots;
        let middle = u32::from(first.0) + (u32::from(last.0) - u32::from(first.0)).div_ceil(2);
        let at = at.map_or(middle, |at| u32::from(at.0));
        let split = SplitShard {
            shard: shard.0,
            change: placed.change,
            at,
        };
        if placed.id != ShardId::META {
            self.let_split(placed).await?;
        }
        let command = MetaCommand {
            now_ms: self.stamps.wall_ms(),
            op: Some(meta_command::Op::SplitShard(split)),
        };
        let made = self.router.meta(&self.meta, command).await?;
        let at = Slot(at as u16);
        let split = Split {
            shard,
            keeps: (first, Slot(at.0 - 1)),
            child: ShardId(made.node),
            slots: (at, last),
        };
        tracing::info!(?split, "a shard is split");
        Ok(split)
    }

    /// Shards split once every node knows what that is: a follower would take
    /// what was split off from two.
    async fn let_split(&self, shard: &Shard) -> Result<(), Fault> {
        let versions = Versions {
            peers: Arc::clone(&self.peers),
            router: Arc::clone(&self.router),
        };
        let to = version::APPLY_SPLITS;
        versions.check_living(&self.view, to).await?;
        versions.raise(shard, to).await
    }
}
