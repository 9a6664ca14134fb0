//! Splitting a shard by its slots (decision 45). The meta shard decides it; the
//! leader of the shard proposes it to the shard's own log, and where that is
//! applied the new shard begins, on every voter for itself. The new one's leader
//! tells the meta shard that it is there.

mod begin;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_consensus::Sequencer;
use folkmoot_replication::apply::applied;
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_storage::Store;
use folkmoot_wire::proto::{
    BeginOutbox, Command, MetaCommand, SettleSplit, SplitOff, StoredApplied, command, meta_command,
};
use folkmoot_wire::{Code, Fault, NodeId, ShardId};
use tokio::time::{Instant, sleep, timeout};
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
/// Voters that are behind a split are waited for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a leader has done already, and need not do again.
#[derive(Default)]
struct Done {
    /// Up to where the log is to be purged, and since when.
    purging: Option<(u64, Instant)>,
    /// Shards that may deliver.
    released: BTreeSet<ShardId>,
}

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
        let mut done = Done::default();
        loop {
            changed.mark_unchanged();
            match self.look(&mut done).await {
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
    async fn look(&self, done: &mut Done) -> Option<Duration> {
        let placement = self.view.placement();
        let shard = placement.shard(self.voter.id)?;
        let applied = match applied(&*self.store, shard.id) {
            Ok(applied) => applied.unwrap_or_default(),
            Err(error) => {
                tracing::error!(shard = shard.id.0, %error, "what is applied cannot be read");
                return None;
            }
        };
        let settled = !shard.unborn || (self.leads() && self.settle(shard).await);
        let split = match child_of(&placement, shard.id) {
            Some(child) => self.split_off(shard, child).await,
            None => true,
        };
        let purged = self.purge(shard, applied.split_at, done).await;
        let released = self.release(&placement, &applied, done).await;
        match settled && split {
            false => Some(LOOK),
            true => (!purged || !released).then_some(SELDOM),
        }
    }

    /// A replica of the shard that begins later must not go through what the
    /// log did before the split: that is not its own any more, and may be here
    /// as another shard's. Those that vote are waited for a while, or they
    /// would get a snapshot and have to fetch what they have.
    async fn purge(&self, shard: &Shard, at: u64, done: &mut Done) -> bool {
        if at == 0 {
            return true;
        }
        let since = match done.purging {
            Some((of, since)) if of == at => since,
            _ => done.purging.insert((at, Instant::now())).1,
        };
        let matched = self.voter.raft.membership().matched;
        let has = |node: &NodeId| matched.get(node).is_none_or(|matched| *matched >= at);
        if self.leads() && !shard.voters.iter().all(has) && since.elapsed() < PATIENCE {
            return false;
        }
        self.voter.raft.purge(at).await.unwrap_or(true)
    }

    /// Lets shards that were split off from this one deliver, once what this
    /// one had to deliver before is there.
    async fn release(
        &self,
        placement: &Placement,
        applied: &StoredApplied,
        done: &mut Done,
    ) -> bool {
        let children = placement.shards().filter(|shard| {
            let born = shard.parent == Some(self.voter.id) && !shard.unborn;
            born && !done.released.contains(&shard.id)
        });
        let waiting: Vec<&Shard> = children.collect();
        if waiting.is_empty() || !self.leads() || applied.outbox_waits > 0 {
            return waiting.is_empty();
        }
        for child in &waiting {
            let up_to = applied.outbox_acked;
            let begin = command::Op::BeginOutbox(BeginOutbox { up_to });
            match self.propose(child, begin).await {
                Ok(()) => drop(done.released.insert(child.id)),
                Err(fault) => {
                    tracing::debug!(shard = child.id.0, %fault, "what it has for others waits");
                }
            }
        }
        waiting
            .iter()
            .all(|child| done.released.contains(&child.id))
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
        let split = command::Op::SplitOff(SplitOff {
            from: u32::from(child.slots.0.0),
            shard: child.id.0,
        });
        if self.voter.extent.slots().1 >= child.slots.0
            && let Err(fault) = self.propose(shard, split).await
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

    async fn propose(&self, shard: &Shard, op: command::Op) -> Result<(), Fault> {
        let command = Command {
            group: Bytes::new(),
            op: Some(op),
        };
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
