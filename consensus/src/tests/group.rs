//! Three voters: replication, cuts, hand-over, growth.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_storage::MemStore;
use folkmoot_wire::NodeId;

use super::{Cluster, number, texts};
use crate::{ProposeError, RaftOptions, Sequencer};

fn others(of: u32) -> Vec<u32> {
    (1..=3).filter(|node| *node != of).collect()
}

#[tokio::test(start_paused = true)]
async fn three_voters_hold_the_same() {
    let cluster = Cluster::new(3, RaftOptions::default()).await;
    let leader = cluster.leader().await;
    for i in 1..=50 {
        assert_eq!(number(cluster.propose(leader, &format!("p{i}")).await), i);
    }
    assert_eq!(cluster.converged().await.len(), 50);
    let status = cluster.shard(others(leader)[0]).status();
    assert_eq!(status.leader, Some(NodeId(leader)));
    assert!(!status.is_leader);
    assert_eq!(status.voters, [1, 2, 3].map(NodeId));
}

#[tokio::test(start_paused = true)]
async fn a_follower_names_the_leader() {
    let cluster = Cluster::new(3, RaftOptions::default()).await;
    let leader = cluster.leader().await;
    let term = cluster.shard(leader).status().term;
    let follower = others(leader)[0];
    let expected = ProposeError::NotLeader {
        leader: Some(NodeId(leader)),
        term,
    };
    assert_eq!(cluster.propose(follower, "p").await.unwrap_err(), expected);
    let read = cluster.shard(follower).linearizable().await;
    assert_eq!(read.unwrap_err(), expected);
    let transfer = cluster.shard(follower).transfer(NodeId(leader)).await;
    assert_eq!(transfer.unwrap_err(), expected);
    assert!(cluster.converged().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_isolated_leader_commits_nothing() {
    let cluster = Cluster::new(3, RaftOptions::default()).await;
    let old = cluster.leader().await;
    assert_eq!(number(cluster.propose(old, "before").await), 1);
    cluster.hub.isolate(old);
    let shard = Arc::clone(&cluster.nodes[&old].shard);
    let lost = tokio::spawn(async move { shard.propose(Bytes::from_static(b"lost")).await });

    let new = cluster.leader_among(&others(old)).await;
    assert_ne!(new, old);
    assert_eq!(number(cluster.propose(new, "after").await), 2);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!lost.is_finished());
    assert!(!cluster.shard(old).status().is_leader, "its lease is over");
    assert!(!cluster.shard(old).watch().borrow().is_leader);
    assert_eq!(texts(&cluster.payloads(old)), ["before"]);
    assert!(
        tokio::time::timeout(Duration::from_secs(5), cluster.shard(old).linearizable())
            .await
            .is_ok_and(|read| read.is_err()),
        "an isolated leader must not answer reads"
    );

    cluster.hub.heal();
    let refused = lost.await.unwrap();
    assert!(
        matches!(refused, Err(ProposeError::NotLeader { .. })),
        "{refused:?}"
    );
    assert_eq!(texts(&cluster.converged().await), ["before", "after"]);
}

#[tokio::test(start_paused = true)]
async fn an_isolated_follower_disturbs_nobody() {
    let cluster = Cluster::new(3, RaftOptions::default()).await;
    let leader = cluster.leader().await;
    let term = cluster.shard(leader).status().term;
    cluster.hub.isolate(others(leader)[0]);
    for _ in 0..20 {
        cluster.propose(leader, "p").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    cluster.hub.heal();
    assert_eq!(cluster.converged().await.len(), 20);
    let status = cluster.shard(leader).status();
    assert!(status.is_leader, "pre-vote keeps the leader");
    assert_eq!(status.term, term);
}

#[tokio::test(start_paused = true)]
async fn without_a_quorum_proposals_wait_in_bounds() {
    let options = RaftOptions {
        max_inflight: 4,
        max_payload: 100,
        max_inflight_bytes: 100,
        ..RaftOptions::default()
    };
    let cluster = Cluster::new(3, options).await;
    let leader = cluster.leader().await;
    cluster.hub.isolate(leader);
    for _ in 0..4 {
        // A caller that gives up keeps its place: the entry is in the log.
        let waits = cluster.propose(leader, "p");
        assert!(
            tokio::time::timeout(Duration::from_millis(10), waits)
                .await
                .is_err()
        );
    }
    let busy = cluster.propose(leader, "p").await;
    assert_eq!(busy.unwrap_err(), ProposeError::Busy);
    let large = cluster.propose(leader, &"p".repeat(101)).await;
    assert!(matches!(large, Err(ProposeError::Refused(_))));

    cluster.leader_among(&others(leader)).await;
    cluster.hub.heal();
    let leader = cluster.leader().await;
    assert_eq!(number(cluster.propose(leader, &"p".repeat(100)).await), 1);
    for _ in 0..20 {
        cluster.propose(leader, &"p".repeat(60)).await.unwrap();
    }
    let large = "p".repeat(60);
    let (one, two) = tokio::join!(
        cluster.propose(leader, &large),
        cluster.propose(leader, &large),
    );
    one.unwrap();
    assert_eq!(two.unwrap_err(), ProposeError::Busy);
}

#[tokio::test(start_paused = true)]
async fn leadership_is_handed_over() {
    let cluster = Cluster::new(3, RaftOptions::default()).await;
    let mut leader = cluster.leader().await;
    for i in 1..=6u64 {
        assert_eq!(number(cluster.propose(leader, "p").await), i);
        let next = leader % 3 + 1;
        let begun = tokio::time::Instant::now();
        cluster.shard(leader).transfer(NodeId(next)).await.unwrap();
        assert!(
            begun.elapsed() < Duration::from_millis(400),
            "without waiting for an election timeout, not after {:?}",
            begun.elapsed()
        );
        assert_eq!(cluster.leader().await, next);
        leader = next;
    }
    let refused = cluster.shard(leader).transfer(NodeId(9)).await;
    assert!(matches!(refused, Err(ProposeError::Refused(_))));
    cluster
        .shard(leader)
        .transfer(NodeId(leader))
        .await
        .unwrap();
    assert_eq!(cluster.converged().await.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_group_grows_and_shrinks() {
    let mut cluster = Cluster::new(1, RaftOptions::default()).await;
    cluster.leader().await;
    for i in 1..=10 {
        assert_eq!(number(cluster.propose(1, "p").await), i);
    }
    // Newcomers name the group as it is, without themselves.
    for node in [2, 3] {
        cluster.start(node, MemStore::new()).await;
        assert_eq!(cluster.shard(node).status().leader, None);
    }
    let all = [1, 2, 3].map(NodeId);
    cluster.shard(1).set_voters(&all).await.unwrap();
    assert_eq!(cluster.converged().await.len(), 10);
    assert_eq!(cluster.shard(3).status().voters, all);

    cluster.hub.isolate(1);
    let leader = cluster.leader_among(&[2, 3]).await;
    assert_eq!(number(cluster.propose(leader, "q").await), 11);
    let rest = [2, 3].map(NodeId);
    cluster.shard(leader).set_voters(&rest).await.unwrap();
    assert_eq!(cluster.shard(leader).status().voters, rest);
    assert_eq!(number(cluster.propose(leader, "r").await), 12);
    let none = cluster.shard(leader).set_voters(&[]).await;
    assert!(matches!(none, Err(ProposeError::Refused(_))));
}
