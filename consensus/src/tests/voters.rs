//! Voters that come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use folkmoot_storage::MemStore;
use folkmoot_wire::NodeId;

use super::{Cluster, number, texts};
use crate::{ProposeError, RaftOptions, Sequencer};

fn nodes(numbers: &[u32]) -> BTreeSet<NodeId> {
    numbers.iter().copied().map(NodeId).collect()
}

fn list(numbers: &[u32]) -> Vec<NodeId> {
    numbers.iter().copied().map(NodeId).collect()
}

/// Nodes 1 to 3 vote, node 4 waits to be added.
async fn with_a_spare() -> (Cluster, u32) {
    let mut cluster = Cluster::new(3, RaftOptions::default()).await;
    let leader = cluster.leader().await;
    for i in 1..=100 {
        assert_eq!(number(cluster.propose(leader, &format!("p{i}")).await), i);
    }
    cluster.start(4, MemStore::new()).await;
    (cluster, leader)
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_votes_only_when_it_holds_everything() {
    let (cluster, leader) = with_a_spare().await;
    // It cannot be reached: however little it lags, it must not count.
    cluster.hub.isolate(4);
    let more = list(&[1, 2, 3, 4]);
    let asked = cluster.shard(leader).set_voters(&more);
    let waited = tokio::time::timeout(Duration::from_secs(20), asked).await;
    assert!(waited.is_err(), "{waited:?}");
    let now = cluster.shard(leader).membership();
    assert_eq!((now.voters, now.joint), (nodes(&[1, 2, 3]), false));
    assert_eq!((now.learners, now.settled), (nodes(&[4]), true));

    // Asked again, it carries on.
    cluster.hub.heal();
    let held = cluster.shard(leader).status().last_log;
    cluster.shard(leader).set_voters(&more).await.unwrap();
    let now = cluster.shard(leader).membership();
    assert_eq!(now.voters, nodes(&[1, 2, 3, 4]));
    assert!(now.learners.is_empty() && now.settled && !now.joint);
    assert!(now.matched[&NodeId(4)] >= held);
    assert_eq!(cluster.converged().await.len(), 100);
    // Nothing to do is done at once, and is no entry.
    let last = cluster.shard(leader).status().last_log;
    cluster.shard(leader).set_voters(&more).await.unwrap();
    assert_eq!(cluster.shard(leader).status().last_log, last);
}

#[tokio::test(start_paused = true)]
async fn a_change_given_up_leaves_no_learner() {
    let (cluster, leader) = with_a_spare().await;
    cluster.hub.isolate(4);
    let more = list(&[1, 2, 3, 4]);
    let asked = cluster.shard(leader).set_voters(&more);
    let _ = tokio::time::timeout(Duration::from_secs(5), asked).await;
    let back = cluster.shard(leader).set_voters(&list(&[1, 2, 3])).await;
    back.unwrap();
    let now = cluster.shard(leader).membership();
    assert!(now.learners.is_empty() && now.settled);
    assert_eq!(now.voters, nodes(&[1, 2, 3]));
}

/// The leader is cut off between the two halves of a change: the next one is
/// asked for the same and ends it, whatever the first half came to.
#[tokio::test(start_paused = true)]
async fn a_change_half_done_is_finished_by_the_next_leader() {
    for millis in (0..60).step_by(4) {
        let (mut cluster, old) = with_a_spare().await;
        let rest: Vec<u32> = (1..=3).filter(|node| *node != old).collect();
        let wanted = [rest.clone(), vec![4]].concat();
        let shard = std::sync::Arc::clone(&cluster.nodes[&old].shard);
        let asked = list(&wanted);
        let change = tokio::spawn(async move { shard.set_voters(&asked).await });
        tokio::time::sleep(Duration::from_millis(millis)).await;
        cluster.hub.isolate(old);
        let new = loop {
            let new = cluster.leader_among(&rest).await;
            match cluster.shard(new).set_voters(&list(&wanted)).await {
                Ok(()) => break new,
                Err(ProposeError::Busy | ProposeError::NotLeader { .. }) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(other) => panic!("{other}"),
            }
        };
        let now = cluster.shard(new).membership();
        assert_eq!(now.voters, wanted.iter().copied().map(NodeId).collect());
        assert!(now.settled && now.learners.is_empty(), "after {millis} ms");
        assert_eq!(number(cluster.propose(new, "after").await), 101);
        change.abort();
        cluster.hub.heal();
        cluster.nodes.remove(&old);
        assert_eq!(texts(&cluster.converged().await)[100], "after");
    }
}
