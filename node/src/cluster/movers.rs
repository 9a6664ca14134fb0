//! Carries out a change of a shard's voters, at the shard's leader: Raft first
//! (design decision D19), then the meta shard is told. Each step may be taken
//! again, so a change goes on wherever the next leader finds it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_consensus::{ProposeError, RaftOptions, RaftShard, Sequencer};
use folkmoot_replication::placement::{Placement, Shard};
use folkmoot_wire::proto::{MetaCommand, SettleShard, meta_command};
use folkmoot_wire::{Code, NodeId, ShardId, limits};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::meta::MetaHost;
use super::router::Router;
use super::view::ClusterView;

/// Between looks at a change that is under way.
const LOOK: Duration = Duration::from_millis(300);

/// One shard's mover.
pub struct Mover {
    pub me: NodeId,
    pub shard: ShardId,
    /// Its replica here.
    pub raft: Arc<RaftShard>,
    pub router: Arc<Router>,
    pub meta: Arc<MetaHost>,
    pub view: Arc<ClusterView>,
    /// Where all voters stand in one region.
    pub timing: RaftOptions,
    /// The clock, for commands of the meta shard.
    pub now_ms: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Mover {
    /// Runs until the replica ends.
    pub async fn run(self, stop: CancellationToken) {
        let mut changed = self.view.watch();
        loop {
            let look = async {
                changed.mark_unchanged();
                let placement = self.view.placement();
                let shard = placement.shard(self.shard);
                let Some(shard) = shard.filter(|shard| !shard.next.is_empty()) else {
                    // The view is there as long as the node.
                    let _ = changed.changed().await;
                    return;
                };
                if self.raft.status().is_leader && self.is_timed(&placement, shard) {
                    // Nobody is waited for longer than until the next look:
                    // the aim may have changed meanwhile.
                    let step = timeout(limits::MOVE_STEP, self.step(shard));
                    self.report(shard, step.await.ok());
                }
                sleep(LOOK).await;
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = look => {}
            }
        }
    }

    /// Whether its election timeouts are those for where its voters are to stand:
    /// a leader that is in too much haste hears from no other region in time.
    fn is_timed(&self, placement: &Placement, shard: &Shard) -> bool {
        let timing = timing(&self.timing, placement, shard);
        self.raft.lease() == timing.election_max
    }

    fn report(&self, shard: &Shard, step: Option<Result<(), ProposeError>>) {
        let id = shard.id.0;
        match step {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::info!(shard = id, %error, "the change of voters goes on soon")
            }
            None => {
                let now = self.raft.membership();
                let learning: Vec<u32> = now.learners.iter().map(|node| node.0).collect();
                let matched = &now.matched;
                tracing::warn!(
                    shard = id,
                    ?learning,
                    ?matched,
                    "the change of voters waits for them"
                );
            }
        }
    }

    async fn step(&self, shard: &Shard) -> Result<(), ProposeError> {
        let raft = &self.raft;
        if self.shard == ShardId::META && !raft.purge(1).await? {
            // Newcomers are to begin with its state, so its log must not reach
            // back to the beginning.
            return Ok(());
        }
        if !shard.next.contains(&self.me) {
            return self.hand_over(shard).await;
        }
        raft.set_voters(&shard.next).await?;
        let now = raft.membership();
        if now.settled && now.voters == shard.next.iter().copied().collect() {
            self.tell(shard).await;
        }
        Ok(())
    }

    /// A leader that is to leave has one that stays finish the change.
    async fn hand_over(&self, shard: &Shard) -> Result<(), ProposeError> {
        let raft = &self.raft;
        let voting = raft.membership().voters;
        let alive = |node: &&NodeId| self.view.alive(**node);
        let stays = shard.next.iter().filter(|node| voting.contains(node));
        if let Some(to) = stays.filter(alive).min() {
            return raft.transfer(*to).await;
        }
        // Nobody stays: old and new ones vote together first.
        let all: BTreeSet<NodeId> = shard.voters.iter().chain(&shard.next).copied().collect();
        raft.set_voters(&all.into_iter().collect::<Vec<_>>()).await
    }

    async fn tell(&self, shard: &Shard) {
        let settled = SettleShard {
            shard: shard.id.0,
            change: shard.change,
        };
        let command = MetaCommand {
            now_ms: (self.now_ms)(),
            op: Some(meta_command::Op::SettleShard(settled)),
        };
        match self.router.meta(&self.meta, command).await {
            Ok(_) => tracing::info!(
                shard = shard.id.0,
                voters = ?shard.next.iter().map(|node| node.0).collect::<Vec<_>>(),
                "the shard has other voters"
            ),
            // Told before, and the answer was lost.
            Err(fault) if fault.code == Code::AlreadyExists => {}
            Err(fault) => {
                tracing::info!(shard = shard.id.0, %fault, "the meta shard hears of it later");
            }
        }
    }
}

/// How a replica of a shard keeps time, by where those stand who may vote on it.
pub(super) fn timing(options: &RaftOptions, placement: &Placement, shard: &Shard) -> RaftOptions {
    match placement.is_across_regions(shard) {
        true => options.clone().across_regions(),
        false => options.clone(),
    }
}
