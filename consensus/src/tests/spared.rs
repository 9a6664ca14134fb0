//! What a snapshot costs, and what is not taken, among replicas.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_storage::{Batch, MemStore, Read, Store, Table, keys};
use folkmoot_wire::NodeId;

use super::ledger::{UNSOUND, UNSOUND_THERE};
use super::manifest::{Sender, change, copy, install, ledger, stage, state};
use super::snapshot::small;
use super::{Cluster, SHARD, number};
use crate::{RaftOptions, Sequencer};

/// A payload of about a hundred bytes.
fn payload(n: usize) -> String {
    format!("{n:0100}")
}

/// Three voters that hold `all` payloads but for one that lacks the last
/// `more`, with the log cut behind it.
async fn with_one_behind(all: usize, more: usize) -> (Cluster, u32, u32) {
    let options = RaftOptions {
        part_bytes: 64 * 1024,
        apply_bytes: 1024 * 1024,
        ..small()
    };
    let cluster = Cluster::new(3, options).await;
    let leader = cluster.leader().await;
    for n in 0..all - more {
        number(cluster.propose(leader, &payload(n)).await);
    }
    cluster.converged().await;
    let lagging = leader % 3 + 1;
    cluster.hub.isolate(lagging);
    for n in all - more..all {
        number(cluster.propose(leader, &payload(n)).await);
    }
    (cluster, leader, lagging)
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_lacks_a_hundredth_is_sent_a_hundredth() {
    let (cluster, leader, lagging) = with_one_behind(5_000, 50).await;
    cluster.hub.heal();
    assert_eq!(cluster.converged().await.len(), 5_000);
    // The leader hears of it a moment later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (sent, got) = (
        cluster.shard(leader).snapshots(),
        cluster.shard(lagging).snapshots(),
    );
    assert_eq!((sent.sent, got.installed, got.refused), (1, 1, 0));
    let all = got.bytes_received + got.bytes_spared;
    assert!(all > 600_000, "{all} bytes in all");
    // The chunks that differ and a manifest with a line for each thousand bytes.
    assert!(got.bytes_received * 60 < all, "{got:?}");
    assert!(sent.bytes_sent * 9 < all, "{sent:?} of {all}");
}

#[tokio::test(start_paused = true)]
async fn who_lacks_nothing_of_a_state_is_sent_none_of_it() {
    let (cluster, leader, lagging) = with_one_behind(200, 100).await;
    // As if it had them from elsewhere.
    let mut batch = Batch::new();
    let (from, to) = keys::outbox::shard_range(SHARD);
    let store = &cluster.nodes[&leader].store;
    let all = store.scan(
        Table::Outbox,
        &from,
        &to,
        1_000,
        folkmoot_storage::Direction::Forward,
    );
    for (key, value) in all.unwrap() {
        batch.put(Table::Outbox, key, value);
    }
    cluster.nodes[&lagging].store.write(batch).unwrap();
    cluster.hub.heal();
    assert_eq!(cluster.converged().await.len(), 200);
    let got = cluster.shard(lagging).snapshots();
    assert_eq!(got.installed, 1);
    assert!(got.bytes_received < 100, "the count alone: {got:?}");
}

fn put(store: &MemStore, n: u64, value: &str) -> Bytes {
    let key = keys::outbox::key(SHARD, n);
    let before = store.get(Table::Outbox, &key).unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Outbox, key, Bytes::copy_from_slice(value.as_bytes()));
    store.write(batch).unwrap();
    before
}

#[tokio::test(start_paused = true)]
async fn a_state_that_does_not_hold_makes_no_voter() {
    for (unsound, by_receiver) in [(UNSOUND, false), (UNSOUND_THERE, true)] {
        let mut cluster = Cluster::new(1, small()).await;
        cluster.leader().await;
        for n in 0..200 {
            number(cluster.propose(1, &payload(n)).await);
        }
        let right = put(&cluster.nodes[&1].store, 77, unsound);
        cluster.start(2, MemStore::new()).await;
        let both = [1, 2].map(NodeId);
        let changing = cluster.shard(1).set_voters(&both);
        let waited = tokio::time::timeout(Duration::from_secs(60), changing).await;
        assert!(waited.is_err(), "{waited:?}");
        assert_eq!(cluster.shard(1).status().voters, [NodeId(1)]);
        let node = &cluster.nodes[&2];
        assert_eq!(node.counters.restored.load(Ordering::Relaxed), 0);
        assert!(cluster.payloads(2).is_empty());
        let (here, there) = (node.shard.snapshots(), cluster.shard(1).snapshots());
        assert_eq!(here.refused > 0, by_receiver, "{here:?}");
        assert_eq!(there.refused > 0, !by_receiver, "{there:?}");
        assert_eq!(*node.shard.failed().borrow(), None);

        // Once it holds again, it goes on.
        put(
            &cluster.nodes[&1].store,
            77,
            std::str::from_utf8(&right).unwrap(),
        );
        cluster.shard(1).set_voters(&both).await.unwrap();
        assert_eq!(cluster.converged().await.len(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_of_the_version_before_send_and_get_everything() {
    for older_leads in [false, true] {
        let (cluster, leader, lagging) = with_one_behind(500, 50).await;
        cluster
            .hub
            .is_older(if older_leads { leader } else { lagging });
        cluster.hub.heal();
        assert_eq!(cluster.converged().await.len(), 500);
        let got = cluster.shard(lagging).snapshots();
        assert_eq!((got.installed, got.bytes_spared), (1, 0));
        assert!(got.bytes_received > 500 * 100, "{got:?}");
        number(cluster.propose(leader, "p").await);
        cluster.converged().await;
    }
}

/// What differences cost: a chunk each, and a manifest of 3 thousandths.
#[tokio::test(start_paused = true)]
async fn a_snapshot_costs_what_differs() {
    const PAIRS: u64 = 100_000;
    let sender = ledger(PAIRS, 90);
    let part_bytes = RaftOptions::default().part_bytes;
    for (differ, most) in [(0, 0), (1, 66_000), (100, 3_500_000), (PAIRS, u64::MAX)] {
        let receiver = copy(&sender, 50);
        let every = PAIRS / u64::max(differ, 1);
        change(&receiver, (1..=differ).map(|n| n * every - every / 2));
        let mut sending = Sender::new(&sender, part_bytes);
        let staged = sending.send(&stage(&receiver), 1_024).await;
        staged.unwrap();
        let all: u64 = sending.chunks.iter().map(|chunk| chunk.sum.bytes).sum();
        println!(
            "{differ} of {PAIRS} pairs differ: {} bytes sent of {all}, and {} to name {} chunks",
            sending.sent,
            sending.named,
            sending.chunks.len(),
        );
        assert!(sending.sent <= most, "{differ} differ: {}", sending.sent);
        assert!(sending.named * 250 < all, "{}", sending.named);
    }
}

#[tokio::test(start_paused = true)]
async fn everything_goes_where_the_sender_has_nothing() {
    let (sender, receiver) = (std::sync::Arc::new(MemStore::new()), ledger(300, 50));
    let mut staged = Sender::new(&sender, 32 * 1024)
        .send(&stage(&receiver), 256)
        .await
        .unwrap();
    install(&receiver, &mut staged).await;
    assert!(state(&*receiver).is_empty());
}
