//! Splitting a shard by its slots (decision 45). The meta shard decides it; the
//! leader of the shard proposes it to the shard's own log, and where that is
//! applied the new shard begins, on every voter for itself. The new one's leader
//! tells the meta shard that it is there.

mod begin;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_consensus::Sequencer;
use folkmoot_replication::apply::split_at;
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_storage::Store;
use folkmoot_wire::proto::{Command, MetaCommand, SettleSplit, SplitOff, command, meta_command};
use folkmoot_wire::{Code, Fault, ShardId};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::meta::MetaHost;
use super::outcome::judged;
use super::router::Router;
use super::shards::{VoterShard, Voters};
use super::view::ClusterView;
use crate::ports::Stamps;

/// Between looks at what is under way,
const LOOK: Duration = Duration::from_millis(100);
/// at a log that is not purged yet,
const SELDOM: Duration = Duration::from_secs(2);
/// and when there is nothing.
const IDLE: Duration = Duration::from_secs(10);

/// One replica's part in splits of its shard.
pub struct Splitter {
    pub voter: VoterShard,
    pub voters: Arc<Voters>,
    pub store: Arc<dyn Store>,
    pub router: Arc<Router>,
    pub meta: Arc<MetaHost>,
    pub view: Arc<ClusterView>,
    pub stamps: Arc<Stamps>,
}

impl Splitter {
    /// Runs until the replica ends.
    pub async fn run(self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.work()).await;
    }

    async fn work(&self) {
        let mut changed = self.view.watch();
        loop {
            changed.mark_unchanged();
            match self.look().await {
                Some(pause) => sleep(pause).await,
                // A leader may have changed without a word in the view.
                None => drop(timeout(IDLE, changed.changed()).await),
            }
        }
    }

    fn leads(&self) -> bool {
        self.voter.raft.status().is_leader
    }

    /// Does what there is to do. When to look again, if there is more.
    async fn look(&self) -> Option<Duration> {
        let placement = self.view.placement();
        let shard = placement.shard(self.voter.id)?;
        let purged = !shard.was_split() || self.purge().await;
        let settled = !shard.unborn || (self.leads() && self.settle(shard).await);
        let done = match child_of(&placement, shard.id) {
            Some(child) => self.split_off(shard, child).await,
            None => true,
        };
        match settled && done {
            false => Some(LOOK),
            true => (!purged).then_some(SELDOM),
        }
    }

    /// A replica of the shard that begins later must not go through what the
    /// log did before the split: that is not its own any more, and may be here
    /// as another shard's.
    async fn purge(&self) -> bool {
        match split_at(&*self.store, self.voter.id) {
            Ok(0) => true,
            Ok(at) => self.voter.raft.purge(at).await.unwrap_or(true),
            Err(error) => {
                tracing::error!(shard = self.voter.id.0, %error, "what is applied cannot be read");
                true
            }
        }
    }

    /// The new shard is there.
    async fn settle(&self, shard: &Shard) -> bool {
        let settled = SettleSplit {
            shard: shard.id.0,
            change: shard.change,
        };
        let command = MetaCommand {
            now_ms: self.stamps.wall_ms(),
            op: Some(meta_command::Op::SettleSplit(settled)),
        };
        match self.router.meta(&self.meta, command).await {
            Ok(_) => {
                let parent = shard.parent.map_or(0, |parent| parent.0);
                tracing::info!(shard = shard.id.0, parent, "the shard was split off");
                true
            }
            // Told before, and the answer was lost.
            Err(fault) if fault.code == Code::AlreadyExists => true,
            Err(fault) => {
                tracing::info!(shard = shard.id.0, %fault, "the meta shard hears of the split later");
                false
            }
        }
    }

    /// Has the slots of `child` split off, at the leader; and has the child's
    /// replica beside it stand at once, for nobody leads that yet.
    async fn split_off(&self, shard: &Shard, child: &Shard) -> bool {
        if !self.leads() {
            return false;
        }
        if self.voter.extent.slots().1 >= child.slots.0
            && let Err(fault) = self.propose(shard.id, child).await
        {
            tracing::info!(shard = shard.id.0, child = child.id.0, %fault, "the shard is split in a moment");
            return false;
        }
        if let Some(born) = self.voters.get(child.id)
            && born.raft.status().leader.is_none()
        {
            // Refused or in vain: its voters elect one a little later.
            let _ = born.raft.stand().await;
        }
        false
    }

    async fn propose(&self, shard: ShardId, child: &Shard) -> Result<(), Fault> {
        let split = SplitOff {
            from: u32::from(child.slots.0.0),
            shard: child.id.0,
        };
        let command = Command {
            group: Bytes::new(),
            op: Some(command::Op::SplitOff(split)),
        };
        let placement = self.view.placement();
        let shard = placement.shard(shard).ok_or(Code::Unavailable)?;
        let outcomes = self.router.propose(shard, vec![command]).await?;
        let outcome = outcomes.into_iter().next().ok_or(Code::Internal)?;
        judged(outcome).map(drop)
    }
}

/// The shard that is being split off from another one.
fn child_of(placement: &Placement, parent: ShardId) -> Option<&Shard> {
    let mut unborn = placement.shards().filter(|shard| shard.unborn);
    unborn.find(|shard| shard.parent == Some(parent))
}
