//! Voters that come and go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_storage::{Batch, CommitOptions, Crash, MemStore, TaskCommit};
use folkmoot_wire::NodeId;

use super::{Cluster, FSYNC, Ledger, SHARD, number, texts};
use crate::{Machine, ProposeError, RaftOptions, Sequencer};

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
        let shard = Arc::clone(&cluster.nodes[&old].shard);
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

/// Stops a replica and makes it forget all but its promises.
async fn retire(cluster: &mut Cluster, node: u32) {
    let store = Arc::new(cluster.cut_power(node, Crash::LoseUnsynced).await);
    let mut state = Batch::new();
    let ledger = Ledger::open(SHARD, Arc::clone(&store) as _, Arc::default());
    for (table, from, to) in ledger.ranges() {
        state.delete_range(table, from, to);
    }
    let commit = TaskCommit::start(Arc::clone(&store) as _, CommitOptions::default(), FSYNC);
    assert!(crate::holds(SHARD, &*store).unwrap());
    // Twice is as once: a crash may come between it and what remembers it.
    for batch in [state, Batch::new()] {
        let retired = crate::retire(SHARD, &*store, &commit, batch).await;
        retired.unwrap();
        assert!(!crate::holds(SHARD, &*store).unwrap());
    }
    let store = store.crash(Crash::LoseUnsynced);
    cluster.start(node, store).await;
}

/// A voter that has not heard of a change, and one that left with it and has
/// forgotten everything, are a majority of the old voters.
#[tokio::test(start_paused = true)]
async fn one_that_left_and_forgot_helps_no_shorter_log_to_lead() {
    let (mut cluster, leader) = with_a_spare().await;
    let mut rest = (1..=3).filter(|node| *node != leader);
    let (lagging, leaving) = (rest.next().unwrap(), rest.next().unwrap());
    cluster.hub.isolate(lagging);
    number(cluster.propose(leader, "without the lagging one").await);
    let wanted = list(&[leader, lagging, 4]);
    cluster.shard(leader).set_voters(&wanted).await.unwrap();
    number(cluster.propose(leader, "with the new one").await);
    retire(&mut cluster, leaving).await;
    assert!(cluster.payloads(leaving).is_empty());

    cluster.hub.heal();
    cluster.hub.split(&[leader, 4], &[lagging, leaving]);
    let term = cluster.shard(leader).status().term;
    for (at, f, t, k, l) in cluster.hub.trace().iter().rev().take(6) {
        eprintln!("DBG {at} {f} {t} {k} {l}");
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    let now = cluster.shard(lagging).status();
    for n in 1..=4 {
        eprintln!(
            "DBG {n} {:?} {:?}",
            cluster.shard(n).status(),
            cluster.shard(n).membership()
        );
    }
    eprintln!("DBG lagging {lagging} leaving {leaving}");
    assert!(!now.is_leader && now.term <= term, "{now:?}");

    cluster.hub.heal();
    let all = list(&[1, 2, 3, 4]);
    let leader = cluster.leader_among(&[leader, lagging, 4]).await;
    cluster.shard(leader).set_voters(&all).await.unwrap();
    let payloads = cluster.converged().await;
    assert_eq!(
        texts(&payloads)[100..],
        ["without the lagging one", "with the new one"]
    );
    // It holds all again, and may lead.
    if leader != leaving {
        cluster
            .shard(leader)
            .transfer(NodeId(leaving))
            .await
            .unwrap();
    }
    assert_eq!(cluster.leader().await, leaving);
}

/// In its first entries the log names one voter. One that learns it anew and
/// loses its leader half way must not take itself for the only voter.
#[tokio::test(start_paused = true)]
async fn one_that_learns_anew_does_not_lead_by_the_voters_of_long_ago() {
    let options = RaftOptions {
        append_entries: 1,
        ..RaftOptions::default()
    };
    let mut cluster = Cluster::new(1, options).await;
    cluster.leader().await;
    for i in 0..50 {
        number(cluster.propose(1, &format!("p{i}")).await);
    }
    cluster.start(2, MemStore::new()).await;
    cluster.shard(1).set_voters(&list(&[1, 2])).await.unwrap();
    cluster.shard(1).transfer(NodeId(2)).await.unwrap();
    cluster.leader_among(&[1, 2]).await;
    cluster.shard(2).set_voters(&list(&[2])).await.unwrap();
    number(cluster.propose(2, "alone").await);
    retire(&mut cluster, 1).await;

    let shard = Arc::clone(&cluster.nodes[&2].shard);
    let both = list(&[1, 2]);
    let change = tokio::spawn(async move { shard.set_voters(&both).await });
    while cluster.shard(1).status().last_log < 10 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    cluster.hub.isolate(2);
    assert_eq!(cluster.shard(1).status().voters, list(&[1]));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!cluster.shard(1).status().is_leader);
    let survived = cluster.cut_power(1, Crash::LoseUnsynced).await;
    cluster.start(1, survived).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!cluster.shard(1).status().is_leader);

    cluster.hub.heal();
    change.await.unwrap().unwrap();
    assert_eq!(cluster.converged().await.len(), 51);
}
