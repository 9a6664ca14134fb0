//! The task that asks peers for the time. While it is wrong here, leadership
//! and clients go to other nodes.

use std::sync::Arc;

use folkmoot_consensus::{RaftShard, Sequencer};
use folkmoot_wire::proto::{ReadClock, node_reply, node_request};
use folkmoot_wire::{NodeId, ShardId, limits};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Clocks, Trouble};
use crate::cluster::meta::MetaHost;
use crate::cluster::peers::{Class, Peers};
use crate::cluster::shards::Voters;
use crate::cluster::view::ClusterView;
use crate::edge::Edge;
use crate::ports::{Random, Stamps};

/// The task.
pub struct ClockWatch {
    pub clocks: Arc<Clocks>,
    pub stamps: Arc<Stamps>,
    pub peers: Arc<Peers>,
    pub view: Arc<ClusterView>,
    pub voters: Arc<Voters>,
    pub meta: Arc<MetaHost>,
    pub edge: Arc<Edge>,
    pub random: Arc<dyn Random>,
}

impl ClockWatch {
    /// Runs until the node stops.
    pub async fn run(self, stop: CancellationToken) {
        let mut before = None;
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = self.hear() => {}
        }
        self.judge(&mut before).await;
        self.stamps.begin();
        loop {
            let round = async {
                self.ask_some().await;
                self.judge(&mut before).await;
                tokio::select! {
                    () = self.clocks.set.notified() => {}
                    () = sleep(limits::CLOCK_SAMPLE_EVERY) => {}
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = round => {}
            }
        }
    }

    /// Asks until enough have answered to judge by, or nobody does. Connections
    /// have to be made first, which takes longer than an answer may.
    async fn hear(&self) {
        let began = Instant::now();
        while self.others() > 1 && self.clocks.off().is_none() {
            let patience = match self.clocks.is_contradicted() {
                true => limits::CLOCK_DOUBT,
                false => limits::CLOCK_BEGIN,
            };
            if began.elapsed() >= patience {
                return;
            }
            self.ask_some().await;
            sleep(limits::CLOCK_BEGIN / 10).await;
        }
    }

    fn others(&self) -> usize {
        let others = self.view.placement().nodes().count().saturating_sub(1);
        self.clocks.know(others);
        others
    }

    async fn ask_some(&self) {
        self.others();
        let peers = self.some_peers().into_iter();
        join_all(peers.map(|peer| self.ask(peer))).await;
    }

    /// Living peers; of many, some in a row that begins anywhere.
    fn some_peers(&self) -> Vec<NodeId> {
        let placement = self.view.placement();
        let mut peers: Vec<NodeId> = placement
            .nodes()
            .map(|(id, _)| id)
            .filter(|id| *id != self.peers.me() && self.view.alive(*id))
            .collect();
        if !peers.is_empty() {
            let first = self.random.number() as usize % peers.len();
            peers.rotate_left(first);
        }
        peers.truncate(limits::CLOCK_PEERS);
        peers
    }

    /// As Cristian's algorithm has it: the answer is half a round trip old.
    async fn ask(&self, peer: NodeId) {
        let asked = Instant::now();
        let request = node_request::Request::ReadClock(ReadClock {});
        let answer = self
            .peers
            .call(peer, Class::Live, request, limits::CLOCK_ROUND_TRIP);
        if let Ok(node_reply::Reply::Clock(clock)) = answer.await {
            self.clocks
                .sampled(peer, clock.wall_ms, asked.elapsed() / 2);
        }
    }

    async fn judge(&self, before: &mut Option<Trouble>) {
        if let Some(by_ms) = self.clocks.settle() {
            tracing::warn!(
                by_ms,
                "the node's time was set: it is nearer to its peers' median now"
            );
        }
        let trouble = self.clocks.trouble(&self.stamps);
        self.tell(trouble, *before);
        *before = trouble;
        let is_barred = trouble.is_some_and(Trouble::bars_from_leading);
        self.edge.send_away(is_barred);
        if is_barred {
            let voters = self.voters.all().into_iter();
            let shards = voters.map(|voter| (voter.id, voter.raft));
            let meta = self.meta.raft().map(|raft| (ShardId::META, raft));
            for (shard, raft) in shards.chain(meta) {
                self.hand_over(shard, &raft).await;
            }
        }
    }

    /// A line when something is wrong that was not before.
    fn tell(&self, now: Option<Trouble>, before: Option<Trouble>) {
        let kind = |trouble: Option<Trouble>| trouble.map(|t| std::mem::discriminant(&t));
        if kind(now) == kind(before) {
            return;
        }
        let off_ms = self.clocks.off().unwrap_or(0);
        match now {
            Some(trouble) if trouble.bars_from_leading() => {
                tracing::error!(
                    off_ms,
                    "{trouble}; the node does not lead where others can, and serves no clients"
                );
            }
            Some(trouble) => tracing::error!(off_ms, "{trouble}"),
            None => tracing::info!(off_ms, "this node's clock is right again"),
        }
    }

    async fn hand_over(&self, shard: ShardId, raft: &RaftShard) {
        let status = raft.status();
        let other = |node: &NodeId| *node != self.peers.me() && self.view.alive(*node);
        if !status.is_leader {
            return;
        }
        // None: a shard without a leader serves nobody.
        if let Some(to) = status.voters.iter().copied().find(other)
            && let Err(error) = raft.transfer(to).await
        {
            tracing::warn!(shard = shard.0, %error, "leadership is not handed over yet");
        }
    }
}
