//! The shards this node votes on: consensus below, a queue of commands above.
//!
//! Commands that wait at the same moment become one payload of the Raft log
//! (D2, group commit). Several payloads may be under way; a caller's commands
//! are in one payload, or in payloads one behind the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use folkmoot_consensus::{ProposeError, RaftShard, Sequencer};
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::{NotLeader, Outcome, Outcomes};
use folkmoot_wire::{Code, Fault, NodeId, ShardId, limits, safeguard};
use parking_lot::RwLock;
use prost::Message;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::commands::{Commands, payload};
use super::extent::{Extent, Kept};
use super::leadership::Leadership;
use super::rehome::MoveCounts;
use crate::ports::Stamps;

/// Payloads of one shard under way at once.
const IN_FLIGHT: usize = 8;
/// Commands of a payload that does not wait for those under way.
const LARGE: usize = 64;

/// Why commands were not answered with outcomes.
#[derive(Debug, Clone)]
pub enum NotDone {
    /// Another node leads.
    NotLeader(NotLeader),
    /// Refused as a whole.
    Fault(Fault),
}

type Answer = Result<Vec<Outcome>, NotDone>;

struct Waiting {
    commands: Commands,
    answer: oneshot::Sender<Answer>,
}

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
    queue: mpsc::Sender<Waiting>,
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
        let (queue, waiting) = mpsc::channel(limits::SEQUENCER_QUEUE);
        let sequencer: Arc<dyn Sequencer> = raft.clone();
        tokio::spawn(gather(id, sequencer, stamps, waiting));
        Self {
            id,
            raft,
            leadership,
            extent,
            collected: Arc::default(),
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
    /// `NotLeader`, or `busy` when the queue is full.
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
        let waiting = Waiting { commands, answer };
        if self.queue.try_send(waiting).is_err() {
            let busy = Fault::from(Code::Busy).retry_after(limits::BUSY_RETRY_MS);
            return Err(NotDone::Fault(busy));
        }
        outcome
            .await
            .unwrap_or_else(|_| Err(NotDone::Fault(Code::Unavailable.into())))
    }
}

/// Commands that go into one payload.
#[derive(Default)]
struct Round {
    waiting: Vec<Waiting>,
    count: usize,
    bytes: usize,
}

impl Round {
    /// Gives back what does not fit. One caller's commands always do.
    fn add(&mut self, waiting: Waiting) -> Result<(), Waiting> {
        let (count, bytes) = (waiting.commands.count(), waiting.commands.len_bytes());
        let full =
            self.count + count > limits::BATCH_COMMANDS || self.bytes + bytes > limits::BATCH_BYTES;
        if full && !self.waiting.is_empty() {
            return Err(waiting);
        }
        self.count += count;
        self.bytes += bytes;
        self.waiting.push(waiting);
        Ok(())
    }
}

/// Puts a round together. A large one goes at once; a small one when no other
/// is under way: a payload costs a round trip to the voters and an fsync on
/// each, whatever is in it, so at a shard that is busy few large ones beat many
/// small ones. `None`: nobody asks any more.
async fn next_round(
    queue: &mut mpsc::Receiver<Waiting>,
    held: &mut Option<Waiting>,
    in_flight: &Semaphore,
) -> Option<Round> {
    let mut round = Round::default();
    let mut next = match held.take() {
        Some(waiting) => Some(waiting),
        None => Some(queue.recv().await?),
    };
    loop {
        while let Some(waiting) = next.take() {
            if let Err(waiting) = round.add(waiting) {
                *held = Some(waiting);
                return Some(round);
            }
            next = queue.try_recv().ok();
        }
        if round.count >= LARGE {
            return Some(round);
        }
        // The answers of one round bring the next commands, and they come one
        // behind the other: a round that left with the first would have the
        // rest wait for it. A turn of the runtime reads what has arrived.
        tokio::task::yield_now().await;
        if let Ok(waiting) = queue.try_recv() {
            next = Some(waiting);
            continue;
        }
        tokio::select! {
            biased;
            // All places but the one that is for this round.
            _ = in_flight.acquire_many(IN_FLIGHT as u32 - 1) => return Some(round),
            more = queue.recv() => match more {
                Some(waiting) => next = Some(waiting),
                None => return Some(round),
            },
        }
    }
}

/// Proposes what waits, round by round.
async fn gather(
    id: ShardId,
    sequencer: Arc<dyn Sequencer>,
    stamps: Arc<Stamps>,
    mut queue: mpsc::Receiver<Waiting>,
) {
    stamps.begun().await;
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut held: Option<Waiting> = None;
    loop {
        // Waiting for a place first lets more commands gather meanwhile.
        let Ok(place) = Arc::clone(&in_flight).acquire_owned().await else {
            return;
        };
        let Some(round) = next_round(&mut queue, &mut held, &in_flight).await else {
            return;
        };
        let round = round.waiting;
        let stamp = match stamps.tick() {
            Ok(stamp) => stamp,
            Err(error) => {
                tracing::error!(shard = id.0, %error, "no stamp can be persisted: the shard stops");
                return;
            }
        };
        // The proposal is taken by the engine, in order, at its first poll;
        // the answer is awaited aside.
        let work = propose_round(id, Arc::clone(&sequencer), stamp, stamps.wall_ms(), round);
        let mut work = Box::pin(work);
        if futures_util::poll!(work.as_mut()).is_pending() {
            tokio::spawn(async move {
                work.await;
                drop(place);
            });
        }
    }
}

async fn propose_round(
    id: ShardId,
    sequencer: Arc<dyn Sequencer>,
    stamp: Hlc,
    wall_ms: u64,
    round: Vec<Waiting>,
) {
    let (round, late): (Vec<_>, Vec<_>) = round
        .into_iter()
        .partition(|waiting| !is_late(waiting.commands.ahead_of(wall_ms)));
    for waiting in late {
        let fault = drifted(waiting.commands.ahead_of(wall_ms));
        let _ = waiting.answer.send(Err(NotDone::Fault(fault)));
    }
    if round.is_empty() {
        return;
    }
    let payload = payload(stamp, round.iter().map(|waiting| &waiting.commands));
    let (counts, answers): (Vec<_>, Vec<_>) = round
        .into_iter()
        .map(|waiting| (waiting.commands.count(), waiting.answer))
        .unzip();
    let result = sequencer.propose(payload).await;
    let outcomes = match result {
        Ok(proposed) => Outcomes::decode(proposed.outcome)
            .map(|outcomes| outcomes.outcomes)
            .map_err(|error| NotDone::Fault(Fault::new(Code::Internal, error.to_string()))),
        Err(error) => Err(not_done(id, error)),
    };
    match outcomes {
        Ok(outcomes) => {
            let mut outcomes = outcomes.into_iter();
            for (count, answer) in counts.into_iter().zip(answers) {
                let _ = answer.send(Ok(outcomes.by_ref().take(count).collect()));
            }
        }
        Err(error) => {
            for answer in answers {
                let _ = answer.send(Err(error.clone()));
            }
        }
    }
}

fn is_late(ahead_ms: u64) -> bool {
    safeguard!(DriftBound, ahead_ms > limits::HLC_DRIFT_MS)
}

/// An edge whose clock is ahead of ours by more than the bound is refused
/// before its stamps get anywhere (D2).
fn drifted(ahead_ms: u64) -> Fault {
    let detail = format!("the edge is {ahead_ms} ms ahead of the sequencer");
    Fault::new(Code::ClockDrift, detail)
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
