//! Groups that begin out of another one, and replicas that may not begin with
//! the first entry.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_storage::{Batch, Crash, MemStore, Store, Table, keys};
use folkmoot_wire::NodeId;
use openraft::StoredMembership;
use tokio::time::timeout;

use super::hub::Hub;
use super::{Cluster, SHARD, number, texts};
use crate::types::{LogId, Membership};
use crate::{RaftOptions, Sequencer, born, holds};

/// Where the other group's log was.
const AT: u64 = 50;

/// What a replica of three begins with, and three payloads of before.
fn begins(store: &MemStore) -> std::io::Result<()> {
    let voters = Membership::new_with_defaults(vec![[1, 2, 3].into()], []);
    let voters = StoredMembership::new(Some(LogId::new_term_index(4, 9)), voters);
    let mut batch = Batch::new();
    for n in 1..=3u64 {
        let key = keys::outbox::key(SHARD, n);
        batch.put(Table::Outbox, key, Bytes::from(format!("before {n}")));
    }
    let count = Bytes::copy_from_slice(&3u64.to_be_bytes());
    batch.put(Table::Shards, keys::shards::key(SHARD), count);
    born::begin(SHARD, AT, voters, store, &mut batch)?;
    store.write(batch).unwrap();
    Ok(())
}

async fn cluster(born: &[u32]) -> Cluster {
    let mut cluster = Cluster {
        hub: Hub::new(),
        nodes: BTreeMap::new(),
        voters: [1, 2, 3].map(NodeId).to_vec(),
        options: RaftOptions {
            bootstrap: false,
            snapshot_first: true,
            ..RaftOptions::default()
        },
        disks: BTreeMap::new(),
    };
    for node in 1..=3 {
        let store = MemStore::new();
        if born.contains(&node) {
            begins(&store).unwrap();
        }
        cluster.start(node, store).await;
    }
    cluster
}

#[tokio::test(start_paused = true)]
async fn a_group_that_was_born_goes_on_behind_the_other() {
    let mut cluster = cluster(&[1, 2, 3]).await;
    cluster.shard(2).stand().await.unwrap();
    let leader = cluster.leader().await;
    assert_eq!(leader, 2, "who stood at once");
    let first = cluster.propose(leader, "p").await;
    assert!(first.as_ref().unwrap().index > AT, "{first:?}");
    assert_eq!(number(first), 4);
    assert_eq!(cluster.converged().await.len(), 4);
    for node in 1..=3 {
        cluster.crash(node, Crash::LoseUnsynced).await;
    }
    let leader = cluster.leader().await;
    assert_eq!(number(cluster.propose(leader, "q").await), 5);
    let payloads = cluster.converged().await;
    assert_eq!(texts(&payloads[3..]), ["p", "q"]);
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_was_not_there_gets_what_the_group_began_with() {
    let cluster = cluster(&[1, 3]).await;
    let leader = cluster.leader_among(&[1, 3]).await;
    assert_eq!(number(cluster.propose(leader, "p").await), 4);
    assert_eq!(cluster.converged().await.len(), 4);
    assert_eq!(cluster.shard(2).snapshots().installed, 1);
}

#[tokio::test(start_paused = true)]
async fn no_group_is_born_where_it_is_already() {
    let store = MemStore::new();
    assert!(!holds(SHARD, &store).unwrap());
    begins(&store).unwrap();
    assert!(holds(SHARD, &store).unwrap());
    let twice = begins(&store).unwrap_err();
    assert!(
        twice.to_string().contains("before it was split off"),
        "{twice}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_begins_with_a_snapshot_waits_until_the_log_is_purged() {
    let mut cluster = Cluster::new(1, RaftOptions::default()).await;
    cluster.leader().await;
    for _ in 0..10 {
        cluster.propose(1, "p").await.unwrap();
    }
    let at = cluster.shard(1).status().last_applied;
    cluster.options.snapshot_first = true;
    cluster.options.bootstrap = false;
    cluster.start(2, MemStore::new()).await;
    let both = [1, 2].map(NodeId);
    let early = timeout(Duration::from_secs(10), cluster.shard(1).set_voters(&both)).await;
    assert!(early.is_err(), "{early:?}");
    assert!(
        cluster.payloads(2).is_empty(),
        "it took what was purged later"
    );

    let purged = async {
        while !cluster.shard(1).purge(at).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(20), purged)
        .await
        .expect("the log is purged");
    let late = timeout(Duration::from_secs(20), cluster.shard(1).set_voters(&both)).await;
    late.expect("it learns now").unwrap();
    assert_eq!(cluster.converged().await.len(), 10);
    assert_eq!(cluster.shard(2).snapshots().installed, 1);
}
