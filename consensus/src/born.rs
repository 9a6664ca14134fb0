//! How the group of a shard begins that is split off from another one: as one
//! that has applied all up to where the other one's log says so, and has purged
//! it. A replica that did not come out of the split has nothing of that, and
//! gets a snapshot. So does CockroachDB ("Raft log truncated state" of a new
//! range), and TiKV.

use std::io;

use folkmoot_storage::keys::raft as keys;
use folkmoot_storage::{Batch, Store, Table};
use folkmoot_wire::ShardId;
use openraft::vote::RaftLeaderId;

use crate::codec::encode_record;
use crate::install::put_applied;
use crate::retired;
use crate::types::{LogId, SnapshotMeta, StoredMembership, Types};

type LeaderId = openraft::alias::LeaderIdOf<Types>;

/// Adds to `batch` what a replica begins with. Its log goes on behind `index`,
/// where the other one is: versions of groups rise with it. Its terms begin
/// anew, below all that it will have.
pub(crate) fn begin(
    child: ShardId,
    index: u64,
    voters: StoredMembership,
    store: &dyn Store,
    batch: &mut Batch,
) -> io::Result<()> {
    // A folder that was put back may come here a second time. Of the replica
    // nothing is there then but what it promised, which stays beside this. One
    // that is there is never begun anew.
    let held = retired::holds(child, store).map_err(io::Error::other)?;
    if held {
        let why = format!("shard {child} is here before it was split off");
        return Err(io::Error::other(why));
    }
    let begins = LogId::new(LeaderId::new(0, 0).to_committed(), index);
    let voters = StoredMembership::new(Some(begins), voters.membership().clone());
    let applied = SnapshotMeta {
        last_log_id: Some(begins),
        last_membership: voters,
    };
    put_applied(child, &applied, batch)?;
    batch.put(Table::Raft, keys::purged(child), encode_record(&begins)?);
    Ok(())
}
