//! The shards this node votes on: consensus below, a queue of commands above.
//!
//! Commands that wait at the same moment become one payload of the Raft log
//! (D2, group commit). Several payloads may be under way; a caller's commands
//! are in one payload, or in payloads one behind the other. Who sends more than
//! others waits longer than they do (`shards/fair.rs`).

mod fair;
mod queue;
mod rounds;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use folkmoot_consensus::{ProposeError, RaftShard, Sequencer};
use folkmoot_wire::proto::{NotLeader, Outcome};
use folkmoot_wire::{Code, Fault, NodeId, ShardId, limits};
use parking_lot::RwLock;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::commands::{Commands, Flow};
use super::extent::{Extent, Kept};
use super::leadership::Leadership;
use super::rehome::MoveCounts;
use crate::ports::Stamps;
use rounds::{QUEUE, Waiting, gather};

/// Why commands were not answered with outcomes.
#[derive(Debug, Clone)]
pub enum NotDone {
    /// Another node leads.
    NotLeader(NotLeader),
    /// Refused as a whole.
    Fault(Fault),
}

type Answer = Result<Vec<Outcome>, NotDone>;

/// One shard that this node has a replica of: it votes, or learns to.
#[derive(Clone)]
pub struct VoterShard {
    /// The shard.
    pub id: ShardId,
    /// Its replica here.
    pub raft: Arc<RaftShard>,
    /// How often its leader changed.
    pub leadership: Arc<Leadership>,
    /// The slots it keeps.
    pub extent: Arc<Extent>,
    /// Rows that were collected while this node led.
    collected: Arc<AtomicU64>,
    /// What became of groups that were to leave it.
    pub moves: Arc<MoveCounts>,
    /// Commands that found no room.
    refused: Arc<AtomicU64>,
    queue: queue::Inlet<Flow, Waiting>,
    /// Ends what runs beside it.
    stop: CancellationToken,
}

impl VoterShard {
    /// Starts the queue in front of a replica.
    #[must_use]
    pub fn start(
        id: ShardId,
        raft: Arc<RaftShard>,
        leadership: Arc<Leadership>,
        extent: Arc<Extent>,
        stamps: Arc<Stamps>,
        stop: CancellationToken,
    ) -> Self {
        let (queue, waiting) = queue::fair(QUEUE);
        let sequencer: Arc<dyn Sequencer> = raft.clone();
        tokio::spawn(gather(id, sequencer, stamps, waiting));
        Self {
            id,
            raft,
            leadership,
            extent,
            collected: Arc::default(),
            refused: Arc::default(),
            moves: Arc::default(),
            queue,
            stop,
        }
    }

    /// Rows that only said that something is gone were collected.
    pub(super) fn count_collected(&self, rows: u64) {
        self.collected.fetch_add(rows, Ordering::Relaxed);
    }

    /// How many, while this node led, since the replica began.
    #[must_use]
    pub fn collected(&self) -> u64 {
        self.collected.load(Ordering::Relaxed)
    }

    /// Commands that found no room in front of it, since the replica began.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Ends the replica: it writes nothing any more afterwards.
    pub async fn end(&self) {
        self.stop.cancel();
        self.raft.shutdown().await;
    }

    /// How many entries of the log each voter is behind, by what its leader
    /// knows; 0 where that is not known.
    #[must_use]
    pub fn behind(&self) -> BTreeMap<NodeId, u64> {
        let (status, now) = (self.raft.status(), self.raft.membership());
        let known = |node: &NodeId| match now.matched.get(node) {
            Some(matched) if status.is_leader => status.last_log.saturating_sub(*matched),
            _ => 0,
        };
        let voters = status.voters.iter();
        voters.map(|node| (*node, known(node))).collect()
    }

    /// Puts commands in order and waits for their outcomes. None at all write
    /// nothing: the answer says that a quorum has confirmed this leader.
    ///
    /// # Errors
    /// `NotLeader`, or `busy` when the queue is full and nobody waits in it with
    /// more.
    pub async fn propose(&self, commands: Commands) -> Answer {
        let status = self.raft.status();
        if !status.is_leader {
            return Err(NotDone::NotLeader(NotLeader {
                shard: self.id.0,
                leader: status.leader.map_or(0, |node| node.0),
                term: status.term,
            }));
        }
        if commands.count() == 0 {
            let confirmed = self.raft.linearizable().await;
            return confirmed
                .map(|_| Vec::new())
                .map_err(|error| not_done(self.id, error));
        }
        let (answer, outcome) = oneshot::channel();
        let (flow, size) = (commands.flow(), rounds::size_of(&commands));
        for refused in self.queue.push(flow, size, Waiting { commands, answer }) {
            let count = refused.commands.count() as u64;
            self.refused.fetch_add(count, Ordering::Relaxed);
            let busy = Fault::from(Code::Busy).retry_after(limits::BUSY_RETRY_MS);
            let _ = refused.answer.send(Err(NotDone::Fault(busy)));
        }
        outcome
            .await
            .unwrap_or_else(|_| Err(NotDone::Fault(Code::Unavailable.into())))
    }
}

fn not_done(id: ShardId, error: ProposeError) -> NotDone {
    match error {
        ProposeError::NotLeader { leader, term } => NotDone::NotLeader(NotLeader {
            shard: id.0,
            leader: leader.map_or(0, |node| node.0),
            term,
        }),
        ProposeError::Busy => {
            NotDone::Fault(Fault::from(Code::Busy).retry_after(limits::BUSY_RETRY_MS))
        }
        ProposeError::Stopped => NotDone::Fault(Code::Unavailable.into()),
        ProposeError::Failed(why) => NotDone::Fault(Fault::new(Code::Unavailable, why)),
        ProposeError::Refused(why) => NotDone::Fault(Fault::new(Code::Invalid, why)),
    }
}

/// Hands leadership of a shard over, if the replica here leads it.
///
/// # Errors
/// When there is none, it does not lead, or it does not work now.
pub async fn hand_over(raft: Option<Arc<RaftShard>>, to: NodeId) -> Result<(), Fault> {
    let Some(raft) = raft else {
        return Err(Code::NotLeader.into());
    };
    raft.transfer(to).await.map_err(|error| match error {
        ProposeError::NotLeader { .. } => Code::NotLeader.into(),
        other => Fault::new(Code::Unavailable, other.to_string()),
    })
}

/// The shards this node has a replica of.
#[derive(Default)]
pub struct Voters(RwLock<BTreeMap<ShardId, VoterShard>>);

impl Voters {
    /// One shard, if there is a replica here. It may still be learning.
    #[must_use]
    pub fn get(&self, shard: ShardId) -> Option<VoterShard> {
        self.0.read().get(&shard).cloned()
    }

    /// What a replica here keeps, if it has anything. Asked at every read: no
    /// handle is made for it.
    #[must_use]
    pub fn kept(&self, shard: ShardId) -> Option<Kept> {
        let shards = self.0.read();
        let extent = &shards.get(&shard)?.extent;
        extent.is_whole().then(|| extent.kept())
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<VoterShard> {
        self.0.read().values().cloned().collect()
    }

    /// Adds one.
    pub fn insert(&self, shard: VoterShard) {
        self.0.write().insert(shard.id, shard);
    }

    /// Takes one out.
    pub fn remove(&self, shard: ShardId) -> Option<VoterShard> {
        self.0.write().remove(&shard)
    }

    /// The leader of a shard, where a replica here knows it.
    #[must_use]
    pub fn leader(&self, shard: ShardId) -> Option<NodeId> {
        self.get(shard)?.raft.status().leader
    }
}
