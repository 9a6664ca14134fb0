//! How far this node's clock is off its peers' (D2). A node that is too far
//! off does not lead where others can, and says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use folkmoot_consensus::Sequencer;
use folkmoot_wire::proto::{ReadClock, node_reply, node_request};
use folkmoot_wire::{NodeId, limits};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::peers::{Class, Peers};
use super::shards::{VoterShard, Voters};
use super::view::ClusterView;
use crate::ports::{Random, Stamps};

/// What peers' clocks said last.
#[derive(Debug, Default)]
pub struct Clocks {
    /// Their clock less ours, in milliseconds, and when it was asked.
    samples: Mutex<BTreeMap<NodeId, (i64, Instant)>>,
}

impl Clocks {
    /// A peer's clock is `ahead` milliseconds ahead of ours.
    pub fn sampled(&self, peer: NodeId, ahead: i64) {
        self.samples.lock().insert(peer, (ahead, Instant::now()));
    }

    /// Milliseconds that this clock is ahead of the median of its peers'.
    /// `None`: too few say so; of two clocks nobody knows which is right.
    #[must_use]
    pub fn off(&self) -> Option<i64> {
        let mut samples = self.samples.lock();
        samples.retain(|_, (_, at)| at.elapsed() < limits::CLOCK_SAMPLE_LIFE);
        let ahead: Vec<i64> = samples.values().map(|(ahead, _)| *ahead).collect();
        drop(samples);
        median(ahead).map(|ahead| -ahead)
    }

    /// Whether it is so far off that it must not lead.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.off()
            .is_some_and(|off| off.unsigned_abs() > limits::CLOCK_OFF_MS)
    }
}

/// Of an even number the middle one that is nearer to us: half of the others
/// are no majority against us.
fn median(mut ahead: Vec<i64>) -> Option<i64> {
    if ahead.len() < 2 {
        return None;
    }
    ahead.sort_unstable();
    let (low, high) = (ahead[(ahead.len() - 1) / 2], ahead[ahead.len() / 2]);
    match low.signum() == high.signum() {
        true if low.abs() < high.abs() => Some(low),
        true => Some(high),
        false => Some(0),
    }
}

/// The task that asks, and gives leadership away.
pub struct ClockWatch {
    pub clocks: Arc<Clocks>,
    pub stamps: Arc<Stamps>,
    pub peers: Arc<Peers>,
    pub view: Arc<ClusterView>,
    pub voters: Arc<Voters>,
    pub random: Arc<dyn Random>,
}

impl ClockWatch {
    /// Runs until the node stops.
    pub async fn run(self, stop: CancellationToken) {
        let mut was_off = false;
        loop {
            let round = async {
                for peer in self.some_peers() {
                    self.ask(peer).await;
                }
                self.step_down(&mut was_off).await;
                sleep(limits::CLOCK_SAMPLE_EVERY).await;
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = round => {}
            }
        }
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
        let (asked_ms, asked) = (self.stamps.wall_ms(), Instant::now());
        let request = node_request::Request::ReadClock(ReadClock {});
        let answer = self
            .peers
            .call(peer, Class::Live, request, limits::CLOCK_ROUND_TRIP);
        if let Ok(node_reply::Reply::Clock(clock)) = answer.await {
            let half = asked.elapsed().as_millis() as u64 / 2;
            let ours = asked_ms.saturating_add(half);
            self.clocks
                .sampled(peer, clock.wall_ms.wrapping_sub(ours) as i64);
        }
    }

    async fn step_down(&self, was_off: &mut bool) {
        let is_off = self.clocks.is_off();
        if is_off != *was_off {
            *was_off = is_off;
            let off = self.clocks.off().unwrap_or(0);
            match is_off {
                true => tracing::error!(
                    off_ms = off,
                    "this node's clock is off its peers' median: it does not lead until the time is right (NTP)"
                ),
                false => tracing::info!(off_ms = off, "this node's clock is right again"),
            }
        }
        if is_off {
            for voter in self.voters.all() {
                self.hand_over(&voter).await;
            }
        }
    }

    async fn hand_over(&self, voter: &VoterShard) {
        let status = voter.raft.status();
        let other = |node: &NodeId| *node != self.peers.me() && self.view.alive(*node);
        if !status.is_leader {
            return;
        }
        // None: a shard without a leader serves nobody.
        if let Some(to) = status.voters.iter().copied().find(other)
            && let Err(error) = voter.raft.transfer(to).await
        {
            tracing::warn!(shard = voter.id.0, %error, "leadership is not handed over yet");
        }
    }
}

#[cfg(test)]
mod tests;
