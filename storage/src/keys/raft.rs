//! Table Raft: shard (4), kind (1), index (8). One column family for all
//! shards: one each would cost minutes at start-up.

use bytes::Bytes;
use folkmoot_wire::ShardId;

use super::reader::Reader;
use crate::{StoreError, Table};

/// What a record of a shard's Raft state is. Stored; never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The vote; one record.
    Vote = 1,
    /// The last log id known to be committed; one record.
    Committed = 2,
    /// The last log id purged from the log; one record.
    Purged = 3,
    /// The current snapshot's meta; one record.
    Snapshot = 4,
    /// A snapshot that is being installed, and has to be to its end; one record.
    Installing = 5,
    /// A part of a snapshot that was received and not yet installed, by number.
    Stage = 6,
    /// The last log id that was here when this replica left the group; one
    /// record.
    Retired = 7,
    /// An entry of the log, by its index. Last, so that a log is read and cut
    /// without touching the other kinds.
    Entry = 16,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Vote,
            2 => Self::Committed,
            3 => Self::Purged,
            4 => Self::Snapshot,
            5 => Self::Installing,
            6 => Self::Stage,
            7 => Self::Retired,
            16 => Self::Entry,
            _ => return None,
        })
    }
}

/// A parsed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RaftKey {
    /// The shard.
    pub shard: ShardId,
    /// Kind of record.
    pub kind: Kind,
    /// The entry's index; 0 for the other kinds.
    pub index: u64,
}

/// The key of one record.
#[must_use]
pub fn key(shard: ShardId, kind: Kind, index: u64) -> Bytes {
    let mut key = Vec::with_capacity(13);
    key.extend_from_slice(&shard.0.to_be_bytes());
    key.push(kind as u8);
    key.extend_from_slice(&index.to_be_bytes());
    Bytes::from(key)
}

/// The key of the vote.
#[must_use]
pub fn vote(shard: ShardId) -> Bytes {
    key(shard, Kind::Vote, 0)
}

/// The key of the committed mark.
#[must_use]
pub fn committed(shard: ShardId) -> Bytes {
    key(shard, Kind::Committed, 0)
}

/// The key of the purged mark.
#[must_use]
pub fn purged(shard: ShardId) -> Bytes {
    key(shard, Kind::Purged, 0)
}

/// The key of the mark of having left.
#[must_use]
pub fn retired(shard: ShardId) -> Bytes {
    key(shard, Kind::Retired, 0)
}

/// The key of the snapshot's meta.
#[must_use]
pub fn snapshot(shard: ShardId) -> Bytes {
    key(shard, Kind::Snapshot, 0)
}

/// The key of the log entry at `index`.
#[must_use]
pub fn entry(shard: ShardId, index: u64) -> Bytes {
    key(shard, Kind::Entry, index)
}

/// The keys of the log entries `from..to`.
#[must_use]
pub fn entries(shard: ShardId, from: u64, to: u64) -> (Bytes, Bytes) {
    (entry(shard, from), entry(shard, to))
}

/// The keys of the log entries from `from` on.
#[must_use]
pub fn entries_from(shard: ShardId, from: u64) -> (Bytes, Bytes) {
    (entry(shard, from), shard_range(shard).1)
}

/// All keys of a shard.
#[must_use]
pub fn shard_range(shard: ShardId) -> (Bytes, Bytes) {
    super::prefix_range(&shard.0.to_be_bytes())
}

/// Reads a key.
///
/// # Errors
/// When it is not a key of this table.
pub fn parse(key: &[u8]) -> Result<RaftKey, StoreError> {
    let mut reader = Reader::new(Table::Raft, key);
    let shard = reader.shard()?;
    let [byte] = reader.take("a kind")?;
    let kind = Kind::from_byte(byte)
        .ok_or_else(|| reader.error(format_args!("kind {byte} is not known")))?;
    let index = reader.u64("an index")?;
    reader.end()?;
    Ok(RaftKey { shard, kind, index })
}
