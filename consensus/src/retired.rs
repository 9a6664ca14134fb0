//! A replica that left the group and forgot its log.
//!
//! What it had acknowledged still counts for a voter that has not heard of its
//! leaving: with it, that voter could win an election of the old group
//! without having what was committed. So the vote stays, and the last log id
//! that was here: as a voter that still had its log would, this replica gives
//! its vote to no log that is shorter, and does not stand with a shorter one.

use folkmoot_storage::keys::raft as keys;
use folkmoot_storage::{Batch, Commit, Store, Table};
use folkmoot_wire::ShardId;

use crate::ConsensusError;
use crate::codec::encode_record;
use crate::durable::make_durable;
use crate::install::{read_applied, read_marker};
use crate::log::{last_stored, record};
use crate::promise::last_ever;
use crate::types::{LogId, Vote};

/// The last log id that was here before the log was forgotten.
pub(crate) fn read(shard: ShardId, store: &dyn Store) -> Result<Option<LogId>, ConsensusError> {
    record(store, "the mark of having left", &keys::retired(shard))
}

/// Whether the store holds a replica of the shard: entries, or what they built.
///
/// # Errors
/// When the store fails or its records cannot be read.
pub fn holds(shard: ShardId, store: &dyn Store) -> Result<bool, ConsensusError> {
    let broken = |error: std::io::Error| ConsensusError::Damaged(error.to_string());
    Ok(last_stored(shard, store)?.is_some()
        || read_applied(shard, store).map_err(broken)?.is_some()
        || read_marker(shard, store).map_err(broken)?.is_some())
}

/// Forgets a replica that is not running, but for its promises. Call it only
/// when the group goes on without this replica for certain: the change of
/// voters that left it out was committed. The caller's own changes in `batch`
/// are written with it, or none.
///
/// # Errors
/// When the store fails or its records cannot be read.
pub async fn retire(
    shard: ShardId,
    store: &dyn Store,
    commit: &dyn Commit,
    mut batch: Batch,
) -> Result<(), ConsensusError> {
    let broken = |error: std::io::Error| ConsensusError::Damaged(error.to_string());
    // What the replica appended last may still be on its way.
    make_durable(commit, Batch::new()).await.map_err(broken)?;
    let vote: Option<Vote> = record(store, "the vote", &keys::vote(shard))?;
    let last = last_ever(shard, store)?;
    let (from, to) = keys::shard_range(shard);
    batch.delete_range(Table::Raft, from, to);
    if let Some(vote) = vote {
        let vote = encode_record(&vote).map_err(broken)?;
        batch.put(Table::Raft, keys::vote(shard), vote);
    }
    if let Some(last) = last {
        let last = encode_record(&last).map_err(broken)?;
        batch.put(Table::Raft, keys::retired(shard), last);
    }
    make_durable(commit, batch).await.map_err(broken)
}
