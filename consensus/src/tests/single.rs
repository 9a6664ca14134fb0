//! A group of one voter.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use folkmoot_storage::{CommitOptions, Crash, RocksOptions, RocksStore, Store, ThreadCommit};
use folkmoot_wire::NodeId;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ledger::{Counters, Ledger};
use super::{Cluster, FSYNC, SHARD, hub, ledger, number};
use crate::{RaftOptions, RaftShard, Sequencer};

#[tokio::test(start_paused = true)]
async fn proposals_are_numbered_without_gaps() {
    let cluster = Cluster::new(1, RaftOptions::default()).await;
    cluster.leader().await;
    let mut proposals = JoinSet::new();
    for i in 0..100 {
        let shard = Arc::clone(&cluster.nodes[&1].shard);
        proposals.spawn(async move { shard.propose(Bytes::from(format!("p{i}"))).await });
    }
    let mut numbers: Vec<u64> = proposals.join_all().await.into_iter().map(number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=100).collect::<Vec<u64>>());
    assert_eq!(cluster.payloads(1).len(), 100);
    let published = cluster.nodes[&1].counters.published.load(Ordering::Relaxed);
    assert_eq!(published, 100);
    assert!(cluster.shard(1).linearizable().await.unwrap() >= 100);
}

#[tokio::test(start_paused = true)]
async fn a_proposal_is_one_sync_and_many_share_it() {
    let cluster = Cluster::new(1, RaftOptions::default()).await;
    cluster.leader().await;
    cluster.propose(1, "warm").await.unwrap();
    let syncs = cluster.nodes[&1].store.syncs();
    let begun = Instant::now();
    cluster.propose(1, "alone").await.unwrap();
    assert_eq!(cluster.nodes[&1].store.syncs(), syncs + 1);
    assert_eq!(begun.elapsed(), FSYNC);

    let mut proposals = JoinSet::new();
    for i in 0..100 {
        let shard = Arc::clone(&cluster.nodes[&1].shard);
        proposals.spawn(async move { shard.propose(Bytes::from(format!("p{i}"))).await });
    }
    proposals.join_all().await.into_iter().for_each(|result| {
        number(result);
    });
    assert!(cluster.nodes[&1].store.syncs() <= syncs + 1 + 4);
}

#[tokio::test(start_paused = true)]
async fn a_crash_loses_nothing_acknowledged() {
    let crashes = (0..8)
        .map(|seed| Crash::KeepPrefix { seed })
        .chain([Crash::LoseUnsynced]);
    let mut cluster = Cluster::new(1, RaftOptions::default()).await;
    let mut acknowledged = 0;
    let mut term = 0;
    for crash in crashes {
        cluster.leader().await;
        let now = cluster.shard(1).status().term;
        assert!(now > term, "a restarted leader has a new term");
        term = now;
        for _ in 0..5 {
            acknowledged = number(cluster.propose(1, &format!("n{}", acknowledged + 1)).await);
        }
        // Some more, that nobody waits for.
        for _ in 0..3 {
            let shard = Arc::clone(&cluster.nodes[&1].shard);
            tokio::spawn(async move { shard.propose(Bytes::from_static(b"lost?")).await });
        }
        tokio::task::yield_now().await;
        cluster.crash(1, crash).await;
        let payloads = cluster.converged().await;
        assert!(payloads.len() as u64 >= acknowledged);
        for (at, payload) in payloads.iter().enumerate() {
            assert!(payload == "lost?" || *payload == format!("n{}", at + 1));
        }
        acknowledged = payloads.len() as u64;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_voter_on_disk_restarts() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3u64 {
        let store: Arc<dyn Store> =
            Arc::new(RocksStore::open(folder.path(), &RocksOptions::default()).unwrap());
        let commit = ThreadCommit::start(Arc::clone(&store), CommitOptions::default()).unwrap();
        let commit = Arc::new(commit);
        let machine = Ledger::open(SHARD, Arc::clone(&store), Arc::new(Counters::default()));
        let shard = RaftShard::start(
            SHARD,
            NodeId(1),
            &[NodeId(1)],
            Arc::clone(&store),
            Arc::clone(&commit) as _,
            Box::new(machine),
            hub::Hub::new().link(NodeId(1)),
            RaftOptions::default(),
        )
        .await
        .unwrap();
        let mut watch = shard.watch();
        watch.wait_for(|status| status.is_leader).await.unwrap();
        let mut proposals = JoinSet::new();
        for _ in 0..20 {
            let shard = Arc::clone(&shard);
            proposals.spawn(async move { shard.propose(Bytes::from_static(b"x")).await });
        }
        let mut numbers: Vec<u64> = proposals.join_all().await.into_iter().map(number).collect();
        numbers.sort_unstable();
        let expected: Vec<u64> = (round * 20 + 1..=round * 20 + 20).collect();
        assert_eq!(numbers, expected);
        assert_eq!(
            ledger::payloads(SHARD, &*store).len() as u64,
            (round + 1) * 20
        );
        shard.shutdown().await;
        drop(shard);
        commit.stop();
        store.close().unwrap();
    }
}
