//! What a replica has promised, and a replica that forgot it.
//!
//! A voter whose folder was put back to an older state, or lost, may have given
//! votes and acknowledged entries that it knows nothing of any more: it could
//! give a second vote in a term, or help a log to lead that lacks what was
//! committed with its help. What it forgot is known by those it said it to. A
//! vote went to a candidate, which is in that term itself; an entry came from a
//! leader, which has it. So it takes for its own, before it says anything, the
//! highest term and the last log id that any of the other voters has: then it
//! is what it would be had it voted and acknowledged all of that, and is bound
//! the way a replica is that left the group and forgot its log (`retired`).
//! The other half of it (Liskov and Cowling, "Viewstamped Replication
//! Revisited", 2012, section 4.3, have the same problem): all other voters have
//! to be asked, not some, since with three voters any of them may be the only
//! one that has what this one acknowledged.

use folkmoot_storage::keys::raft as keys;
use folkmoot_storage::{Batch, Commit, Store, Table};
use folkmoot_wire::{NodeId, ShardId};
use openraft::vote::RaftLeaderId;

use crate::codec::encode_record;
use crate::durable::make_durable;
use crate::install::{read_applied, read_marker};
use crate::log::{last_stored, record};
use crate::retired;
use crate::types::{LogId, Types, Vote};
use crate::{ConsensusError, Mark};

type LeaderId = openraft::alias::LeaderIdOf<Types>;

/// The last entry of a log. Ordered as logs are compared in an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LastEntry {
    /// Term of the leader that proposed it.
    pub term: u64,
    /// Its index; 0 with a term of 0: there is none.
    pub index: u64,
}

/// What a replica must not go back behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Promise {
    /// The term that it last voted in, or followed a leader of.
    pub term: u64,
    /// The last entry that it has, or had before it left the group.
    pub last: LastEntry,
}

impl Promise {
    pub(crate) fn new(term: u64, last: Option<LogId>) -> Self {
        let last = last.map_or_else(LastEntry::default, |last| LastEntry {
            term: *last.leader_id,
            index: last.index,
        });
        Self { term, last }
    }

    /// The highest mark that a replica with this promise may have given.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            term: self.term,
            index: self.last.index,
        }
    }
}

/// The last log id that is or was here, whatever became of it.
pub(crate) fn last_ever(
    shard: ShardId,
    store: &dyn Store,
) -> Result<Option<LogId>, ConsensusError> {
    let broken = |error: std::io::Error| ConsensusError::Damaged(error.to_string());
    let purged: Option<LogId> = record(store, "the purge mark", &keys::purged(shard))?;
    let applied = read_applied(shard, store).map_err(broken)?;
    let installing = read_marker(shard, store).map_err(broken)?;
    let last = [
        retired::read(shard, store)?,
        last_stored(shard, store)?,
        purged,
        applied.and_then(|applied| applied.last_log_id),
        installing.and_then(|marker| marker.meta.last_log_id),
    ];
    Ok(last.into_iter().max().flatten())
}

/// What the store says that a replica promised, which does not run.
///
/// # Errors
/// When the store fails or its records cannot be read.
pub fn promise(shard: ShardId, store: &dyn Store) -> Result<Promise, ConsensusError> {
    let vote: Option<Vote> = record(store, "the vote", &keys::vote(shard))?;
    let term = vote.map_or(0, |vote| vote.leader_id.term);
    Ok(Promise::new(term, last_ever(shard, store)?))
}

/// Makes a replica that does not run bound by all that it may have forgotten.
/// `others` are the promises of all other voters, given after this node had
/// stopped saying anything. The caller's own changes in `batch` are written
/// with it, or none.
///
/// # Errors
/// When the store fails or its records cannot be read.
pub async fn remember(
    shard: ShardId,
    me: NodeId,
    store: &dyn Store,
    commit: &dyn Commit,
    mut batch: Batch,
    others: &[Promise],
) -> Result<(), ConsensusError> {
    let broken = |error: std::io::Error| ConsensusError::Damaged(error.to_string());
    let vote: Option<Vote> = record(store, "the vote", &keys::vote(shard))?;
    let term = others.iter().map(|other| other.term).max().unwrap_or(0);
    if vote.is_none_or(|vote| vote.leader_id.term < term) && term > 0 {
        // To nobody else, since whom it went to is not known.
        let vote = Vote::new(term, me.0);
        batch.put(
            Table::Raft,
            keys::vote(shard),
            encode_record(&vote).map_err(broken)?,
        );
    }
    let known = others.iter().map(|other| other.last).max();
    let known = known.filter(|last| *last > LastEntry::default());
    let last = known
        .map(|last| LogId::new(LeaderId::new(last.term, 0).to_committed(), last.index))
        .max(retired::read(shard, store)?);
    if let Some(last) = last {
        let last = encode_record(&last).map_err(broken)?;
        batch.put(Table::Raft, keys::retired(shard), last);
    }
    make_durable(commit, batch).await.map_err(broken)
}
