//! Who leads the shards that are voted on here, as an operator follows it:
//! what is said and counted when it changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use folkmoot_consensus::{RaftShard, Sequencer, Status};
use folkmoot_wire::{NodeId, ShardId};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// A shard without a leader for so long is worth a word: elections are over
/// sooner.
const LEADERLESS_AFTER: Duration = Duration::from_secs(2);
/// Between looks while nothing changes.
const LOOK: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Note {
    /// This node leads.
    Leads,
    /// Another does.
    Follows(NodeId),
    /// Nobody has for [`LEADERLESS_AFTER`].
    Leaderless,
}

/// What one replica knew last.
#[derive(Debug, Default)]
struct Known {
    leader: Option<(NodeId, u64)>,
    leaderless_since: Option<Duration>,
    said: bool,
}

impl Known {
    fn see(&mut self, me: NodeId, status: &Status, now: Duration) -> Option<Note> {
        let Some(leader) = status.leader else {
            let since = *self.leaderless_since.get_or_insert(now);
            let late = now.saturating_sub(since) >= LEADERLESS_AFTER;
            return (late && !std::mem::replace(&mut self.said, late)).then_some(Note::Leaderless);
        };
        (self.leaderless_since, self.said) = (None, false);
        let changed = self.leader.replace((leader, status.term)) != Some((leader, status.term));
        let note = match leader == me {
            true => Note::Leads,
            false => Note::Follows(leader),
        };
        changed.then_some(note)
    }
}

/// Looks after one replica's leader.
#[derive(Debug, Default)]
pub struct Leadership {
    changes: AtomicU64,
}

impl Leadership {
    /// How often another leader, or the same one in a later term, was seen
    /// since the replica began.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Runs until the replica ends.
    pub(super) async fn run(
        self: Arc<Self>,
        me: NodeId,
        raft: Arc<RaftShard>,
        stop: CancellationToken,
    ) {
        let (mut watch, began) = (raft.watch(), Instant::now());
        let (mut known, mut stale) = (Known::default(), 0);
        loop {
            let status = watch.borrow_and_update().clone();
            let shard = status.shard;
            if let Some(note) = known.see(me, &status, began.elapsed()) {
                self.note(shard, status.term, note);
            }
            let refused = raft.stale_appends();
            if refused > stale {
                let (shard, term, times) = (shard.0, status.term, refused - stale);
                tracing::warn!(
                    shard,
                    term,
                    times,
                    "refused messages of a leader that is none any more: it was cut off or paused, and will follow"
                );
                stale = refused;
            }
            let ended = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                changed = timeout(LOOK, watch.changed()) => matches!(changed, Ok(Err(_))),
            };
            if ended {
                return;
            }
        }
    }

    fn note(&self, shard: ShardId, term: u64, note: Note) {
        let shard = shard.0;
        match note {
            Note::Leads => tracing::info!(shard, term, "this node leads the shard"),
            Note::Follows(leader) => {
                tracing::info!(
                    shard,
                    term,
                    leader = leader.0,
                    "the shard has another leader"
                );
            }
            Note::Leaderless => tracing::warn!(
                shard,
                term,
                "the shard has no leader: what is said in its groups waits until a majority of its voters can be reached"
            ),
        }
        if note != Note::Leaderless {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
