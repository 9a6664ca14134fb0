//! Delivers the outboxes of the shards that this node leads: in order, at
//! least once; the receiver drops what it has (D18).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_consensus::Sequencer;
use folkmoot_replication::apply::{Pending, pending};
use folkmoot_replication::placement::Shard;
use folkmoot_storage::Store;
use folkmoot_wire::proto::{Command, OutboxAck, command};
use folkmoot_wire::{Code, Fault, GroupId, ShardId};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::feeds::FeedStatus;
use super::outcome::{Later, later};
use super::router::Router;
use super::shards::VoterShard;
use super::view::ClusterView;

/// Deliveries in one round.
const ROUND: usize = 256;
/// Looked at this often even when nothing seems new.
const IDLE: Duration = Duration::from_secs(2);
/// After a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// One shard's deliverer.
pub struct Outbox {
    /// The shard.
    pub voter: VoterShard,
    /// Moves when something was applied.
    pub published: watch::Receiver<FeedStatus>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The way to other shards.
    pub router: Arc<Router>,
    /// Where they are.
    pub view: Arc<ClusterView>,
}

impl Outbox {
    /// Delivers until the node stops.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = timeout(IDLE, self.published.changed()) => {}
            }
            while self.voter.raft.status().is_leader && !stop.is_cancelled() {
                match self.round().await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(fault) => {
                        tracing::debug!(shard = self.voter.id.0, %fault, "outbox waits");
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    async fn round(&self) -> Result<usize, Fault> {
        let waiting = pending(&*self.store, self.voter.id, ROUND).map_err(super::read::storage)?;
        let Some(last) = waiting.last() else {
            return Ok(0);
        };
        let (count, up_to) = (waiting.len(), last.number);
        let mut by_shard: BTreeMap<ShardId, Vec<(GroupId, Command)>> = BTreeMap::new();
        for Pending {
            target, command, ..
        } in waiting
        {
            let shard = self.view.home_of(&target).ok_or_else(|| {
                Fault::new(Code::Unavailable, format!("no shard holds {target} yet"))
            })?;
            by_shard
                .entry(shard.id)
                .or_default()
                .push((target, command));
        }
        let placement = self.view.placement();
        for (id, deliveries) in by_shard {
            if let Some(shard) = placement.shard(id) {
                self.deliver(shard, deliveries).await?;
            }
        }
        let ack = Command {
            group: bytes::Bytes::new(),
            op: Some(command::Op::OutboxAck(OutboxAck { up_to })),
        };
        if let Some(shard) = placement.shard(self.voter.id) {
            self.router.propose(shard, vec![ack]).await?;
        }
        Ok(count)
    }

    /// What was not taken must not be acknowledged: the target's slot was split
    /// off, and this node is behind with that.
    async fn deliver(
        &self,
        shard: &Shard,
        deliveries: Vec<(GroupId, Command)>,
    ) -> Result<(), Fault> {
        let (targets, commands): (Vec<_>, Vec<_>) = deliveries.into_iter().unzip();
        let outcomes = self.router.propose(shard, commands).await?;
        let mut all = Ok(());
        for (target, outcome) in targets.iter().zip(&outcomes) {
            match later(outcome) {
                None => {}
                Some(Later::Moved(moved)) => all = Err(self.view.moved(target, shard.id, moved)),
                Some(Later::Fenced) => all = Err(Code::Unavailable.into()),
            }
        }
        all
    }
}
