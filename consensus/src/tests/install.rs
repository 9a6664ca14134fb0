//! Installing a snapshot, with crashes in the middle.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use folkmoot_storage::{
    Batch, Commit, CommitOptions, Crash, MemStore, Store, Table, TaskCommit, keys,
};
use folkmoot_wire::NodeId;
use openraft::StoredMembership;

use super::ledger::Counters;
use super::{Cluster, FSYNC, SHARD};
use crate::install::{self, Marker};
use crate::pages::{self, PageReader, to_wire};
use crate::stage::{Form, Stage};
use crate::tally::Tally;
use crate::types::{LogId, Membership, SnapshotMeta, Vote};
use crate::wire::PartHeader;
use crate::{Machine, RaftOptions, Sequencer};

fn meta() -> SnapshotMeta {
    let voters = Membership::new_with_defaults(vec![[2, 3].into()], []);
    SnapshotMeta {
        last_log_id: Some(LogId::new_term_index(3, 90)),
        last_membership: StoredMembership::new(Some(LogId::new_term_index(1, 1)), voters),
    }
}

fn header(number: u64, last: bool) -> PartHeader {
    PartHeader {
        vote: Vote::new_committed(3, 2),
        transfer: 1,
        number,
        last,
        meta: meta(),
        ranges: Vec::new(),
    }
}

fn stage(store: Arc<dyn Store>) -> Arc<Stage> {
    let ledger = super::Ledger::open(SHARD, Arc::clone(&store), Arc::default());
    let patience = Duration::from_secs(300);
    Stage::new(
        SHARD,
        store,
        ledger.inspector(),
        Arc::new(Tally::default()),
        patience,
    )
}

/// What a ledger of 40 payloads looks like, in pages.
fn pages() -> (Vec<Bytes>, Vec<crate::wire::WireRange>) {
    let source = Arc::new(MemStore::new());
    let mut batch = Batch::new();
    for number in 1..=40u64 {
        let key = keys::outbox::key(SHARD, number);
        batch.put(Table::Outbox, key, format!("payload {number}"));
    }
    let count = Bytes::copy_from_slice(&40u64.to_be_bytes());
    batch.put(Table::Shards, keys::shards::key(SHARD), count);
    source.write(batch).unwrap();
    let machine = super::Ledger::open(SHARD, source.clone(), Arc::new(Counters::default()));
    let ranges = machine.ranges();
    let mut reader = PageReader::new(source.snapshot(), ranges.clone(), 100);
    let mut pages = Vec::new();
    while let Some(page) = reader.next().unwrap() {
        pages.push(page);
    }
    assert!(pages.len() > 5);
    (pages, to_wire(&ranges))
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_installation_is_finished_at_the_next_start() {
    let (pages, ranges) = pages();
    for done in 0..=pages.len() {
        for seed in 0..4 {
            let store = Arc::new(MemStore::new());
            let mut old = Batch::new();
            old.put(Table::Outbox, keys::outbox::key(SHARD, 999), "old");
            store.write(old).unwrap();
            let dyn_store = Arc::clone(&store) as Arc<dyn Store>;
            let stage = stage(Arc::clone(&dyn_store));
            let mut staged = None;
            for (number, page) in (0..).zip(&pages) {
                let last = number + 1 == pages.len() as u64;
                let part = header(number, last);
                assert!(staged.is_none());
                staged = stage.page(NodeId(2), &part, page.clone()).await.unwrap();
            }
            let staged = staged.unwrap();
            let Form::Pages { parts, .. } = staged.form else {
                panic!("it came in pages");
            };
            let commit: Arc<dyn Commit> = Arc::new(TaskCommit::start(
                dyn_store,
                CommitOptions::default(),
                FSYNC,
            ));
            let marker = Marker {
                meta: meta(),
                ranges: ranges.clone(),
                parts,
            };
            install::begin(SHARD, &marker, &*commit).await.unwrap();
            for page in pages.iter().take(done) {
                let mut batch = Batch::new();
                pages::delete(&ranges, &mut batch).unwrap();
                pages::put(page.clone(), &*store, &mut batch).unwrap();
                store.write(batch).unwrap();
            }

            let mut cluster = Cluster::new(0, RaftOptions::default()).await;
            let survived = store.crash(Crash::KeepPrefix { seed });
            cluster.start(1, survived).await;
            let payloads = cluster.payloads(1);
            assert_eq!(payloads.len(), 40);
            assert_eq!(payloads[39], "payload 40");
            let status = cluster.shard(1).status();
            assert_eq!(status.last_applied, 90);
            assert_eq!(status.voters, [2, 3].map(NodeId));
            assert!(
                install::read_marker(SHARD, &*cluster.nodes[&1].store)
                    .unwrap()
                    .is_none()
            );
        }
    }
}

#[tokio::test]
async fn parts_are_taken_in_order_and_once() {
    let (pages, _) = pages();
    let stage = stage(Arc::new(MemStore::new()));
    let take = async |from, header: &PartHeader| {
        let page = pages[0].clone();
        stage.page(NodeId(from), header, page).await
    };

    assert!(take(2, &header(1, false)).await.is_err(), "nothing began");
    assert!(take(2, &header(0, false)).await.unwrap().is_none());
    let anew = take(2, &header(0, false)).await;
    assert!(anew.unwrap().is_none());
    assert!(take(2, &header(1, false)).await.unwrap().is_none());
    let twice = take(2, &header(1, false)).await;
    assert!(twice.unwrap().is_none());
    assert!(take(2, &header(3, false)).await.is_err(), "a gap");
    assert!(take(3, &header(2, false)).await.is_err(), "another sender");
    let older = PartHeader {
        vote: Vote::new_committed(2, 3),
        ..header(0, false)
    };
    assert!(take(3, &older).await.is_err(), "an older leader");

    let staged = take(2, &header(2, true)).await.unwrap().unwrap();
    assert!(matches!(staged.form, Form::Pages { parts: 3, .. }));
    let busy = take(2, &header(0, false)).await;
    assert!(busy.is_err(), "being installed");
    drop(staged);
    assert!(take(2, &header(0, false)).await.unwrap().is_none());
}

#[tokio::test]
async fn foreign_tables_are_refused() {
    let stage = stage(Arc::new(MemStore::new()));
    for table in [0u8, 1, 10, 99, 0x84] {
        let mut page = vec![table];
        page.extend_from_slice(&[0, 0, 0, 1, b'k', 0, 0, 0, 0]);
        let taken = stage.page(NodeId(2), &header(0, false), page.into()).await;
        assert!(taken.is_err(), "table {table}");
        let ranges = vec![(table, Bytes::from_static(b"a"), Bytes::from_static(b"b"))];
        let part = PartHeader {
            ranges,
            ..header(0, false)
        };
        let taken = stage.page(NodeId(2), &part, Bytes::new()).await;
        assert!(taken.is_err(), "table {table}");
    }
}
