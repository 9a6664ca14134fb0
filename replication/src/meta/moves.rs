//! Changes of who votes, one at a time for each shard, and nodes that leave.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use folkmoot_wire::proto::{
    DrainNode, MetaState, MoveShard, NodeRecord, RemoveNode, SettleShard, ShardRecord,
};
use folkmoot_wire::{Code, Fault, limits};

use super::splits;

pub(super) fn invalid(why: impl Into<String>) -> Fault {
    Fault::new(Code::Invalid, why.into())
}

/// The record, if nothing happened to it since `change` was read.
pub(super) fn current(
    state: &mut MetaState,
    shard: u32,
    change: u64,
) -> Result<&mut ShardRecord, Fault> {
    let record = state.shards.iter_mut().find(|record| record.id == shard);
    let record = record.ok_or_else(|| invalid(format!("no shard {shard}")))?;
    if record.change != change {
        let detail = format!("shard {shard} is at change {}", record.change);
        return Err(Fault::new(Code::AlreadyExists, detail));
    }
    Ok(record)
}

fn node(state: &mut MetaState, id: u32) -> Result<&mut NodeRecord, Fault> {
    let node = state.nodes.iter_mut().find(|node| node.id == id);
    node.ok_or_else(|| invalid(format!("no node {id}")))
}

/// Who may be a voter of a shard by what is agreed on.
pub(super) fn may_vote(shard: &ShardRecord) -> BTreeSet<u32> {
    let sets = [&shard.voters, &shard.next, &shard.tried];
    sets.into_iter().flatten().copied().collect()
}

/// A change begins, or takes the place of one that does not come to its end.
pub(super) fn start(state: &mut MetaState, to: MoveShard) -> Result<u32, Fault> {
    let next: BTreeSet<u32> = to.next.into_iter().collect();
    if next.is_empty() || next.len() > limits::VOTERS_MAX {
        let most = limits::VOTERS_MAX;
        return Err(invalid(format!("a shard has 1 to {most} voters")));
    }
    for id in &next {
        if node(state, *id)?.left {
            return Err(invalid(format!("node {id} has left")));
        }
    }
    if splits::is_under_way(state, to.shard) {
        let detail = format!("shard {} is being split", to.shard);
        return Err(Fault::new(Code::Busy, detail));
    }
    let record = current(state, to.shard, to.change)?;
    let tried = record.tried.iter().chain(&record.next).copied();
    let tried: BTreeSet<u32> = tried.collect();
    record.tried = tried.into_iter().collect();
    record.next = next.into_iter().collect();
    record.change += 1;
    Ok(0)
}

/// A change has ended: only those who were to vote do.
pub(super) fn settle(state: &mut MetaState, settled: &SettleShard) -> Result<u32, Fault> {
    let record = current(state, settled.shard, settled.change)?;
    if record.next.is_empty() {
        return Err(invalid("no change is under way"));
    }
    record.voters = std::mem::take(&mut record.next);
    record.tried.clear();
    record.change += 1;
    Ok(0)
}

/// A node is to lose its voters, or no longer.
pub(super) fn drain(state: &mut MetaState, drain: &DrainNode) -> Result<u32, Fault> {
    let node = node(state, drain.node)?;
    if node.left {
        return Err(invalid(format!("node {} has left", drain.node)));
    }
    node.draining = drain.draining;
    Ok(drain.node)
}

/// A node has left for good, once nothing may depend on it.
pub(super) fn remove(state: &mut MetaState, remove: &RemoveNode) -> Result<u32, Fault> {
    let mut kept = state.shards.iter();
    if let Some(shard) = kept.find(|shard| may_vote(shard).contains(&remove.node)) {
        let what = match shard.id {
            0 => "the meta shard".to_owned(),
            id => format!("shard {id}"),
        };
        let detail = format!("node {} may vote on {what}: drain it first", remove.node);
        return Err(Fault::new(Code::Forbidden, detail));
    }
    node(state, remove.node)?.left = true;
    Ok(remove.node)
}
