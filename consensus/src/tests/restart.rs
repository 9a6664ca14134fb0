//! Voters that lose power.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_storage::Crash;

use super::{Cluster, number};
use crate::{RaftOptions, Sequencer};

/// Proposes for `time`; returns what was acknowledged.
async fn write_for(cluster: &Cluster, time: Duration, tag: &str) -> Vec<String> {
    let leader = cluster.leader().await;
    let end = tokio::time::Instant::now() + time;
    let mut acknowledged = Vec::new();
    while tokio::time::Instant::now() < end {
        let text = format!("{tag}-{}", acknowledged.len());
        number(cluster.propose(leader, &text).await);
        acknowledged.push(text);
    }
    acknowledged
}

fn assert_holds(payloads: &[Bytes], acknowledged: &[String]) {
    let mut payloads = payloads.iter();
    for text in acknowledged {
        assert!(
            payloads.any(|payload| payload == text),
            "{text} was acknowledged and is gone or out of order"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_lost_power_catches_up() {
    let mut cluster = Cluster::new(3, RaftOptions::default()).await;
    let mut acknowledged = Vec::new();
    for round in 0..6u64 {
        let tag = format!("r{round}");
        acknowledged.extend(write_for(&cluster, Duration::from_millis(300), &tag).await);
        let victim = u32::try_from(round % 3).unwrap() + 1;
        let crash = if round < 3 {
            Crash::LoseUnsynced
        } else {
            Crash::KeepPrefix { seed: round }
        };
        cluster.crash(victim, crash).await;
    }
    assert_holds(&cluster.converged().await, &acknowledged);
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_of_all_loses_nothing_acknowledged() {
    for seed in 0..6 {
        // Syncs that take longer than an answer: who answers too early is caught.
        let disks = (1..=3)
            .map(|node| (node, Duration::from_millis(30)))
            .collect();
        let options = RaftOptions::default().with_seed(seed);
        let mut cluster = Cluster::on_disks(3, options, disks).await;
        let mut acknowledged = Vec::new();
        for round in 0..3 {
            let tag = format!("r{round}");
            acknowledged.extend(write_for(&cluster, Duration::from_millis(200), &tag).await);
            let leader = cluster.leader().await;
            for _ in 0..5 {
                let shard = Arc::clone(&cluster.nodes[&leader].shard);
                tokio::spawn(async move { shard.propose(Bytes::from_static(b"?")).await });
            }
            tokio::time::sleep(Duration::from_millis(seed * 3)).await;
            let mut survivors = Vec::new();
            for node in 1..=3 {
                let crash = Crash::KeepPrefix {
                    seed: seed * 100 + round * 10 + u64::from(node),
                };
                survivors.push((node, cluster.cut_power(node, crash).await));
            }
            for (node, store) in survivors {
                cluster.start(node, store).await;
            }
        }
        assert_holds(&cluster.converged().await, &acknowledged);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_off_tail_does_not_come_back() {
    let mut cluster = Cluster::new(3, RaftOptions::default()).await;
    let old = cluster.leader().await;
    number(cluster.propose(old, "before").await);
    cluster.hub.isolate(old);
    for _ in 0..10 {
        let shard = Arc::clone(&cluster.nodes[&old].shard);
        tokio::spawn(async move { shard.propose(Bytes::from_static(b"lost")).await });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let long = cluster.shard(old).status().last_log;
    let rest: Vec<u32> = (1..=3).filter(|node| *node != old).collect();
    let new = cluster.leader_among(&rest).await;
    number(cluster.propose(new, "after").await);
    assert!(cluster.shard(new).status().last_log < long);

    cluster.hub.heal();
    cluster.converged().await;
    cluster.crash(old, Crash::LoseUnsynced).await;
    let new = cluster.leader().await;
    let last_log = cluster.shard(new).status().last_log;
    assert_eq!(cluster.shard(old).status().last_log, last_log);
    number(cluster.propose(new, "more").await);
    let payloads = cluster.converged().await;
    assert_eq!(super::texts(&payloads), ["before", "after", "more"]);
}

#[tokio::test(start_paused = true)]
async fn a_vote_survives_a_crash() {
    let mut cluster = Cluster::new(3, RaftOptions::default()).await;
    cluster.leader().await;
    let terms: Vec<u64> = (1..=3)
        .map(|node| cluster.shard(node).status().term)
        .collect();
    for node in 1..=3 {
        let survived = cluster.cut_power(node, Crash::LoseUnsynced).await;
        let term = terms[node as usize - 1];
        cluster.start(node, survived).await;
        assert!(cluster.shard(node).status().term >= term, "node {node}");
    }
}
