//! Splitting a shard by its slots. What is decided here is whose the slots are
//! from now on; when that comes true is decided by the shard's own log, where
//! its leader proposes it. Nothing undoes it: a shard that can go on at all can
//! go on with it. Until it is known to be done neither of the two gets other
//! voters, so that both begin with the same.

#[cfg(test)]
mod tests;

use folkmoot_wire::proto::{MetaState, SettleSplit, ShardRecord, SplitShard};
use folkmoot_wire::{Code, Fault, ShardId, limits};

use super::moves::{current, invalid};

/// Whether a shard is about to lose slots to another one, or to get its first.
pub(super) fn is_under_way(state: &MetaState, shard: u32) -> bool {
    let mut unborn = state.shards.iter().filter(|record| record.unborn);
    unborn.any(|record| record.id == shard || record.parent == shard)
}

/// The slots from `at` on are a new shard's. Gives its id.
pub(super) fn start(state: &mut MetaState, split: &SplitShard) -> Result<u32, Fault> {
    if split.shard == ShardId::META.0 {
        return Err(invalid("the meta shard has no slots"));
    }
    let busy = |why: &str| Fault::new(Code::Busy, format!("shard {}: {why}", split.shard));
    if is_under_way(state, split.shard) {
        return Err(busy("it is being split"));
    }
    let id = state.next_shard;
    let record = current(state, split.shard, split.change)?;
    if !record.next.is_empty() || !record.tried.is_empty() {
        return Err(busy(
            "it is getting other voters: split it when that is done",
        ));
    }
    let (from, to, at) = (record.slot_from, record.slot_to, split.at);
    if at <= from || at > to {
        let first = from + 1;
        return Err(invalid(match first > to {
            true => format!("shard {} has one slot and cannot be split", split.shard),
            false => format!(
                "shard {} is split at a slot of {first} to {to}",
                split.shard
            ),
        }));
    }
    let child = ShardRecord {
        id,
        slot_from: at,
        slot_to: to,
        // Epochs of its groups rise with it: its terms begin anew.
        generation: record.generation + 1,
        // Not founded: it begins with what the parent has.
        change: 1,
        parent: record.id,
        unborn: true,
        slots_made: 0,
        ..record.clone()
    };
    let region = child.region;
    let held = state.shards.iter().filter(|record| record.region == region);
    if held.count() >= limits::SHARDS_PER_REGION_MAX as usize {
        let most = limits::SHARDS_PER_REGION_MAX;
        return Err(Fault::new(
            Code::TooLarge,
            format!("a region has at most {most} shards"),
        ));
    }
    let record = current(state, split.shard, split.change)?;
    record.slots_made = match record.slots_made {
        0 => to - from + 1,
        made => made,
    };
    record.slot_to = at - 1;
    record.change += 1;
    state.shards.push(child);
    state.next_shard += 1;
    Ok(id)
}

/// The new shard has a leader.
pub(super) fn settle(state: &mut MetaState, settled: &SettleSplit) -> Result<u32, Fault> {
    let record = current(state, settled.shard, settled.change)?;
    if !record.unborn {
        return Err(invalid("no split is under way"));
    }
    record.unborn = false;
    record.change += 1;
    Ok(record.id)
}
