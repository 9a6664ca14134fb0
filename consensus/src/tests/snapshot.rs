//! Followers that lag behind the log.

use std::sync::atomic::Ordering;
use std::time::Duration;

use folkmoot_storage::keys::raft as keys;
use folkmoot_storage::{Crash, Direction, MemStore, Read, Table};
use folkmoot_wire::NodeId;

use super::ledger::FORGET;
use super::{Cluster, SHARD, number};
use crate::{RaftOptions, Sequencer};

pub(super) fn small() -> RaftOptions {
    RaftOptions {
        snapshot_every: 20,
        keep_entries: 10,
        part_bytes: 64,
        apply_bytes: 64,
        tail_bytes: 256,
        ..RaftOptions::default()
    }
}

fn stored_entries(store: &MemStore) -> usize {
    let (from, to) = keys::entries_from(SHARD, 0);
    store
        .scan(Table::Raft, &from, &to, usize::MAX, Direction::Forward)
        .unwrap()
        .len()
}

#[tokio::test(start_paused = true)]
async fn a_lagging_voter_gets_a_snapshot() {
    let mut cluster = Cluster::new(3, small()).await;
    let leader = cluster.leader().await;
    for i in 0..5 {
        number(cluster.propose(leader, &format!("old{i}")).await);
    }
    cluster.converged().await;
    let lagging = leader % 3 + 1;
    cluster.hub.isolate(lagging);
    // What the lagging one still has must not be there afterwards.
    number(cluster.propose(leader, FORGET).await);
    for i in 0..200 {
        number(cluster.propose(leader, &format!("new{i}")).await);
    }
    let restored = |cluster: &Cluster| {
        let counters = &cluster.nodes[&lagging].counters;
        counters.restored.load(Ordering::Relaxed)
    };
    assert_eq!(restored(&cluster), 0);
    cluster.hub.heal();
    assert_eq!(cluster.converged().await.len(), 201);
    assert!(restored(&cluster) > 0, "the log is purged that far");

    // And it is a full member again, also after a crash.
    for i in 0..30 {
        number(cluster.propose(leader, &format!("more{i}")).await);
    }
    cluster.crash(lagging, Crash::LoseUnsynced).await;
    assert_eq!(cluster.converged().await.len(), 231);
    let leader = cluster.leader().await;
    if leader != lagging {
        let to = NodeId(lagging);
        cluster.shard(leader).transfer(to).await.unwrap();
    }
    assert_eq!(cluster.leader().await, lagging);
    assert_eq!(number(cluster.propose(lagging, "p").await), 237);
}

#[tokio::test(start_paused = true)]
async fn the_log_is_purged_and_survives_restarts() {
    let mut cluster = Cluster::new(1, small()).await;
    cluster.leader().await;
    for round in 0..4 {
        for _ in 0..100 {
            number(cluster.propose(1, "p").await);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(stored_entries(&cluster.nodes[&1].store) < 60);
        let crash = Crash::KeepPrefix { seed: round };
        cluster.crash(1, crash).await;
        cluster.leader().await;
    }
    assert_eq!(cluster.payloads(1).len(), 400);
    assert_eq!(number(cluster.propose(1, "p").await), 401);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_gets_a_snapshot() {
    let mut cluster = Cluster::new(1, small()).await;
    cluster.leader().await;
    for _ in 0..200 {
        number(cluster.propose(1, "p").await);
    }
    cluster.start(2, MemStore::new()).await;
    let both = [1, 2].map(NodeId);
    cluster.shard(1).set_voters(&both).await.unwrap();
    assert_eq!(cluster.converged().await.len(), 200);
    let counters = &cluster.nodes[&2].counters;
    assert!(counters.restored.load(Ordering::Relaxed) > 0);
    assert_eq!(number(cluster.propose(1, "p").await), 201);
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_a_snapshot_comes_is_survived() {
    for millis in (5..400).step_by(37) {
        let mut cluster = Cluster::new(3, small()).await;
        let leader = cluster.leader().await;
        let lagging = leader % 3 + 1;
        cluster.hub.isolate(lagging);
        for i in 0..100 {
            number(cluster.propose(leader, &format!("p{i}")).await);
        }
        cluster.hub.heal();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let crash = Crash::KeepPrefix { seed: millis };
        cluster.crash(lagging, crash).await;
        assert_eq!(cluster.converged().await.len(), 100, "after {millis} ms");
    }
}
