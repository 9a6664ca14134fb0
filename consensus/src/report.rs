//! What a replica tells of itself, whenever it changes; and what it asks of its
//! engine then.

use std::time::Duration;

use folkmoot_wire::{NodeId, ShardId};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;
use openraft::{Instant, Raft, RaftMetrics};
use tokio::sync::watch;

use crate::applier::Applier;
use crate::log::ShardLog;
use crate::purge::PurgePolicy;
use crate::types::{LogId, Types};
use crate::{RaftOptions, Status};

pub(crate) fn status_of(shard: ShardId, raft: &Raft<Types, Applier>, lease: Duration) -> Status {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    let voters: Vec<NodeId> = metrics.membership_config.voter_ids().map(NodeId).collect();
    Status {
        shard,
        leader: metrics.current_leader.map(NodeId),
        term: metrics.current_term,
        is_leader: leads(&metrics, voters.len(), lease),
        last_log: metrics.last_log_index.unwrap_or(0),
        last_applied: metrics.last_applied.map_or(0, |applied| applied.index),
        voters,
    }
}

/// A leader that heard from no quorum for `lease` has probably been replaced
/// and does not know it.
fn leads(metrics: &RaftMetrics<Types>, voters: usize, lease: Duration) -> bool {
    metrics.running_state.is_ok()
        && metrics.state.is_leader()
        && (voters <= 1
            || metrics
                .last_quorum_acked
                .as_ref()
                .is_some_and(|acked| acked.elapsed() < lease))
}

/// A leader that is the group's only member has nobody to show itself to, and
/// nobody to miss: without its ticks a node of many such shards is quiet.
fn is_alone(metrics: &RaftMetrics<Types>) -> bool {
    let members = metrics.membership_config.nodes().take(2).count();
    metrics.state.is_leader() && members == 1
}

fn index(of: Option<LogId>) -> Option<u64> {
    of.map(|id| id.index)
}

/// Keeps the watched status up to date, and the log short, until the replica
/// stops.
pub(crate) async fn report(
    shard: ShardId,
    raft: Raft<Types, Applier>,
    log: ShardLog,
    options: RaftOptions,
    status: watch::Sender<Status>,
    failed: watch::Sender<Option<String>>,
) {
    let mut metrics = raft.metrics();
    let mut policy = PurgePolicy::of(&options);
    loop {
        let (state, alone, purge) = {
            let metrics = metrics.borrow_and_update();
            let purge = policy.due(index(metrics.snapshot), index(metrics.purged));
            (metrics.running_state.clone(), is_alone(&metrics), purge)
        };
        if let Some(up_to) = purge {
            // A fault is seen in the state of the next turn.
            let _ = raft.trigger().purge_log(up_to).await;
        }
        raft.runtime_config().elect(!log.lacks_retired());
        raft.runtime_config().tick(!alone);
        let now = status_of(shard, &raft, options.election_max);
        let leads = now.is_leader && !alone;
        status.send_if_modified(|last| {
            let changed = *last != now;
            *last = now;
            changed
        });
        match state {
            Ok(()) => {}
            Err(Fatal::Stopped) => return,
            Err(fault) => {
                tracing::error!(%shard, error = %fault, "the replica stopped after a fault");
                failed.send_replace(Some(fault.to_string()));
                return;
            }
        }
        tokio::select! {
            biased;
            changed = metrics.changed() => if changed.is_err() {
                return;
            },
            // The lease of a leader ends without an event.
            () = tokio::time::sleep(options.heartbeat), if leads => {}
        }
    }
}
