//! A fault of the store or of the machine stops the replica.

use std::time::Duration;

use super::ledger::{PANIC, POISON};
use super::{Cluster, number};
use crate::{ProposeError, RaftOptions, Sequencer};

async fn assert_stopped(cluster: &Cluster, node: u32) {
    let mut failed = cluster.nodes[&node].shard.failed();
    failed.wait_for(Option::is_some).await.unwrap();
    for _ in 0..3 {
        let refused = cluster.propose(node, "after").await;
        assert!(
            matches!(refused, Err(ProposeError::Failed(_))),
            "{refused:?}"
        );
    }
    let read = cluster.shard(node).linearizable().await;
    assert!(matches!(read, Err(ProposeError::Failed(_))));
    assert!(!cluster.shard(node).status().is_leader);
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_acknowledges_nothing() {
    let mut cluster = Cluster::new(1, RaftOptions::default()).await;
    cluster.leader().await;
    assert_eq!(number(cluster.propose(1, "before").await), 1);
    cluster.nodes[&1].store.fail_next_sync();
    let lost = cluster.propose(1, "lost").await;
    assert!(matches!(lost, Err(ProposeError::Failed(_))), "{lost:?}");
    assert_stopped(&cluster, 1).await;

    // After a repair and a restart it goes on from what is durable.
    cluster
        .crash(1, folkmoot_storage::Crash::LoseUnsynced)
        .await;
    cluster.leader().await;
    assert_eq!(number(cluster.propose(1, "after").await), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_the_replica() {
    let cluster = Cluster::new(1, RaftOptions::default()).await;
    cluster.leader().await;
    cluster.nodes[&1].store.set_capacity(Some(0));
    let lost = cluster.propose(1, "lost").await;
    assert!(matches!(lost, Err(ProposeError::Failed(_))), "{lost:?}");
    assert_stopped(&cluster, 1).await;
}

#[tokio::test(start_paused = true)]
async fn the_others_go_on_without_a_failed_leader() {
    let mut cluster = Cluster::new(3, RaftOptions::default()).await;
    let leader = cluster.leader().await;
    number(cluster.propose(leader, "before").await);
    cluster.nodes[&leader].store.fail_next_write();
    let lost = cluster.propose(leader, "lost").await;
    assert!(matches!(lost, Err(ProposeError::Failed(_))), "{lost:?}");
    assert_stopped(&cluster, leader).await;

    let rest: Vec<u32> = (1..=3).filter(|node| *node != leader).collect();
    let next = cluster.leader_among(&rest).await;
    number(cluster.propose(next, "after").await);
    cluster
        .crash(leader, folkmoot_storage::Crash::LoseUnsynced)
        .await;
    let payloads = cluster.converged().await;
    assert_eq!(payloads.first().unwrap(), "before");
    assert_eq!(payloads.last().unwrap(), "after");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_cannot_go_on_stops_the_replica() {
    for payload in [POISON, PANIC] {
        let cluster = Cluster::new(1, RaftOptions::default()).await;
        cluster.leader().await;
        assert_eq!(number(cluster.propose(1, "before").await), 1);
        let poisoned = cluster.propose(1, payload);
        let poisoned = tokio::time::timeout(Duration::from_secs(5), poisoned).await;
        let poisoned = poisoned.expect("an answer");
        assert!(
            matches!(poisoned, Err(ProposeError::Failed(_))),
            "{poisoned:?}"
        );
        assert_stopped(&cluster, 1).await;
        assert_eq!(cluster.payloads(1).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_replica_says_so() {
    let cluster = Cluster::new(1, RaftOptions::default()).await;
    cluster.leader().await;
    number(cluster.propose(1, "before").await);
    cluster.shard(1).shutdown().await;
    cluster.shard(1).shutdown().await;
    let refused = cluster.propose(1, "after").await;
    assert_eq!(refused.unwrap_err(), ProposeError::Stopped);
    assert!(!cluster.shard(1).status().is_leader);
    assert_eq!(*cluster.nodes[&1].shard.failed().borrow(), None);
}
