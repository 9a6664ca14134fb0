//! What waits at a shard becomes payloads of its Raft log, round by round.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use folkmoot_consensus::Sequencer;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::Outcomes;
use folkmoot_wire::{Code, Fault, ShardId, limits, safeguard};
use prost::Message;
use tokio::sync::{Semaphore, oneshot};

use super::fair::{Bounds, Size};
use super::queue::Outlet;
use super::{Answer, NotDone, not_done};
use crate::cluster::commands::{Commands, Flow, payload};
use crate::ports::Stamps;

/// Payloads of one shard under way at once.
const IN_FLIGHT: usize = 8;
/// Commands of a payload that does not wait for those under way.
const LARGE: usize = 64;

/// What may wait.
pub(super) const QUEUE: Bounds = Bounds {
    count: limits::SEQUENCER_QUEUE,
    bytes: limits::SEQUENCER_QUEUE_BYTES,
    quantum: LARGE,
};

/// What commands take of it: what is large takes more of a turn.
pub(super) fn size_of(commands: &Commands) -> Size {
    let bytes = commands.len_bytes();
    let by_bytes = bytes / (limits::BATCH_BYTES / limits::BATCH_COMMANDS);
    let count = commands.count();
    Size {
        count,
        bytes,
        cost: count.max(by_bytes),
    }
}

/// Commands of one caller who waits for their outcomes.
pub(super) struct Waiting {
    pub(super) commands: Commands,
    pub(super) answer: oneshot::Sender<Answer>,
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
    queue: &Outlet<Flow, Waiting>,
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
            next = queue.try_recv();
        }
        if round.count >= LARGE {
            return Some(round);
        }
        // The answers of one round bring the next commands, and they come one
        // behind the other: a round that left with the first would have the
        // rest wait for it. A turn of the runtime reads what has arrived.
        tokio::task::yield_now().await;
        if let Some(waiting) = queue.try_recv() {
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
pub(super) async fn gather(
    id: ShardId,
    sequencer: Arc<dyn Sequencer>,
    stamps: Arc<Stamps>,
    queue: Outlet<Flow, Waiting>,
) {
    stamps.begun().await;
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut held: Option<Waiting> = None;
    loop {
        // Waiting for a place first lets more commands gather meanwhile.
        let Ok(place) = Arc::clone(&in_flight).acquire_owned().await else {
            return;
        };
        let Some(round) = next_round(&queue, &mut held, &in_flight).await else {
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
