//! Voters whose folder was put back to an older state.

use std::sync::Arc;
use std::time::Duration;

use folkmoot_storage::keys::TABLE_END;
use folkmoot_storage::{
    Batch, CommitOptions, Crash, Direction, MemStore, Read, Store, Table, TaskCommit,
};
use folkmoot_wire::NodeId;

use super::{Cluster, FSYNC, SHARD, number, texts};
use crate::{Promise, RaftOptions, Sequencer, promise, remember};

fn copy(store: &MemStore) -> MemStore {
    let copy = MemStore::new();
    for table in Table::ALL {
        let all = store.scan(table, &[], TABLE_END, usize::MAX, Direction::Forward);
        let mut batch = Batch::new();
        for (key, value) in all.unwrap() {
            batch.put(table, key, value);
        }
        copy.write(batch).unwrap();
    }
    copy.sync().unwrap();
    copy
}

async fn bound(node: u32, store: MemStore, others: &[Promise]) -> MemStore {
    let store = Arc::new(store);
    let commit = TaskCommit::start(Arc::clone(&store) as _, CommitOptions::default(), FSYNC);
    let done = remember(SHARD, NodeId(node), &*store, &commit, Batch::new(), others).await;
    done.unwrap();
    store.crash(Crash::LoseUnsynced)
}

/// Two of three hold an entry, and one of the two forgets it: with the third it
/// is a majority that has never seen it.
async fn one_of_two_forgets(whole_folder: bool) {
    let mut cluster = Cluster::new(3, RaftOptions::default()).await;
    let leader = cluster.leader().await;
    number(cluster.propose(leader, "before").await);
    cluster.converged().await;
    let mut rest = (1..=3).filter(|node| *node != leader);
    let (lagging, forgets) = (rest.next().unwrap(), rest.next().unwrap());
    let old = match whole_folder {
        true => MemStore::new(),
        false => copy(&cluster.nodes[&forgets].store),
    };
    let old_promise = promise(SHARD, &old).unwrap();
    cluster.hub.isolate(lagging);
    number(cluster.propose(leader, "forgotten by one").await);
    let before = cluster.cut_power(forgets, Crash::LoseUnsynced).await;
    let before = promise(SHARD, &before).unwrap();
    assert!(before.mark() > old_promise.mark());
    let others = [leader, lagging].map(|node| cluster.shard(node).promise());
    let old = bound(forgets, old, &others).await;
    assert!(promise(SHARD, &old).unwrap().mark() >= before.mark());

    cluster.hub.heal();
    cluster.hub.split(&[leader], &[lagging, forgets]);
    cluster.start(forgets, old).await;
    assert!(cluster.shard(forgets).lacks().is_some());
    tokio::time::sleep(Duration::from_secs(30)).await;
    for node in [lagging, forgets] {
        assert!(!cluster.shard(node).status().is_leader, "{node}");
    }
    cluster.hub.heal();
    assert_eq!(
        texts(&cluster.converged().await),
        ["before", "forgotten by one"]
    );
    assert_eq!(cluster.shard(forgets).lacks(), None);
    // It holds all again, votes, and may lead.
    let leader = cluster.leader().await;
    if leader != forgets {
        let handed = cluster.shard(leader).transfer(NodeId(forgets)).await;
        handed.unwrap();
    }
    assert_eq!(cluster.leader().await, forgets);
    number(cluster.propose(forgets, "after").await);
    assert_eq!(cluster.converged().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_folder_put_back_helps_no_shorter_log_to_lead() {
    one_of_two_forgets(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_was_lost_helps_no_shorter_log_to_lead() {
    one_of_two_forgets(true).await;
}

/// Whom a forgotten vote went to is not known: it goes to nobody a second time.
#[tokio::test(start_paused = true)]
async fn a_forgotten_vote_is_given_to_nobody_else() {
    let mut cluster = Cluster::new(3, RaftOptions::default()).await;
    cluster.leader().await;
    let old = cluster.cut_power(3, Crash::LoseUnsynced).await;
    let last = promise(SHARD, &old).unwrap().last;
    let others = [7, 9].map(|term| Promise { term, last });
    let bound = bound(3, old, &others).await;
    let now = promise(SHARD, &bound).unwrap();
    assert_eq!((now.term, now.last), (9, last));
    cluster.start(3, bound).await;
    cluster.converged().await;
    let leader = cluster.leader().await;
    assert!(cluster.shard(leader).status().term >= 9);
}

/// Marks are what a replica has on disk: never more than a power cut leaves.
#[tokio::test(start_paused = true)]
async fn no_mark_is_beyond_what_a_power_cut_leaves() {
    let mut entries = false;
    for seed in 0..20 {
        let disks = (1..=3).map(|node| (node, Duration::from_millis(9)));
        let options = RaftOptions::default().with_seed(seed);
        let mut cluster = Cluster::on_disks(3, options, disks.collect()).await;
        for round in 0..6u32 {
            let leader = cluster.leader().await;
            for _ in 0..5 {
                let shard = Arc::clone(&cluster.nodes[&leader].shard);
                let payload = bytes::Bytes::from_static(b"?");
                tokio::spawn(async move { shard.propose(payload).await });
            }
            if round % 2 == 0 {
                cluster.hub.isolate(leader);
            }
            tokio::time::sleep(Duration::from_millis(20 + seed * 7 % 40)).await;
            let victim = (u32::try_from(seed).unwrap() + round) % 3 + 1;
            let survived = cluster.cut_power(victim, Crash::LoseUnsynced).await;
            let kept = promise(SHARD, &survived).unwrap().mark();
            let marks = cluster.hub.marks(NodeId(victim));
            assert!(!marks.is_empty());
            for mark in &marks {
                assert!(*mark <= kept, "seed {seed}: {mark:?} {kept:?}");
            }
            entries |= marks.iter().any(|mark| mark.index > 1);
            cluster.start(victim, survived).await;
            cluster.hub.heal();
        }
    }
    assert!(entries, "only votes were told of");
}
