//! Whether what a store holds of a replica can be read, offline.

use folkmoot_storage::keys::raft as keys;
use folkmoot_storage::{Direction, Store, Table};
use folkmoot_wire::ShardId;

use crate::ConsensusError;
use crate::codec::decode_entry;
use crate::promise::promise;

/// Entries read at once.
const PAGE: usize = 256;

/// Reads all of a replica's log and records; gives the number of entries.
///
/// # Errors
/// With the first that cannot be read, or that is not there.
pub fn check(shard: ShardId, store: &dyn Store) -> Result<u64, ConsensusError> {
    promise(shard, store)?;
    let (mut from, to) = keys::entries_from(shard, 0);
    let (mut entries, mut next) = (0, None);
    loop {
        let page = store.scan(Table::Raft, &from, &to, PAGE, Direction::Forward)?;
        let Some((last, _)) = page.last() else {
            return Ok(entries);
        };
        from = folkmoot_storage::keys::successor(last);
        for (key, value) in page {
            let index = keys::parse(&key)?.index;
            let due = next.unwrap_or(index);
            if index != due {
                return Err(ConsensusError::Damaged(format!(
                    "the log goes on with entry {index} where {due} is due"
                )));
            }
            decode_entry(index, value)
                .map_err(|error| ConsensusError::Damaged(format!("entry {index}: {error}")))?;
            next = Some(index + 1);
            entries += 1;
        }
    }
}
