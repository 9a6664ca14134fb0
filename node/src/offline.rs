//! A stopped node's data folder, looked through and repaired. Nothing is
//! fetched from anywhere.

pub mod inspect;
pub mod repair;

use folkmoot_consensus::holds;
use folkmoot_replication::apply::slots_held;
use folkmoot_replication::placement::Shard;
use folkmoot_storage::Store;
use folkmoot_wire::Slot;

/// The slots that a shard has in this store. A replica that has not applied a
/// split keeps what was split off.
fn slots_here(shard: &Shard, store: &dyn Store) -> (Slot, Slot) {
    match (holds(shard.id, store), slots_held(store, shard.id)) {
        (Ok(false), _) => shard.own,
        (_, Ok(Some(slots))) => slots,
        _ => shard.made,
    }
}
