//! What outlives a store's process.

use std::sync::Arc;
use std::sync::mpsc;

use super::{Harness, get, number, put};
use crate::{Batch, Commit, CommitOptions, Direction, Read, StoreError, Table, ThreadCommit};

/// Closing makes everything durable, also what was not synced.
pub fn data_survives_closing(harness: &mut dyn Harness) {
    let mut store = harness.open();
    store.write(put(Table::Log, "a", "1")).expect("write");
    store.sync().expect("sync");
    for (key, table) in [("b", Table::Log), ("c", Table::Node), ("d", Table::Raft)] {
        store.write(put(table, key, "1")).expect("write");
        store.close().expect("close");
        store = harness.reopen(store);
        assert!(get(&*store, table, key).is_some());
    }
    assert!(get(&*store, Table::Log, "a").is_some());
    let mut batch = Batch::new();
    batch.delete_range(Table::Log, "a", "z");
    store.write(batch).expect("write");
    store.close().expect("close");
    let store = harness.reopen(store);
    assert_eq!(get(&*store, Table::Log, "a"), None);
}

fn numbered(i: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Log, i.to_be_bytes().to_vec(), "1");
    batch.put(Table::Heads, "last", i.to_be_bytes().to_vec());
    batch
}

/// After a crash all that was synced is there, and of the rest the first so
/// many batches, whole.
pub fn what_survives_a_crash_is_a_prefix(harness: &mut dyn Harness) {
    for unsynced in [0, 1, 7] {
        let store = harness.open();
        for i in 1..=10 {
            store.write(numbered(i)).expect("write");
        }
        store.sync().expect("sync");
        for i in 11..=10 + unsynced {
            store.write(numbered(i)).expect("write");
        }
        let store = harness.crash(store);
        let last = number(&*store, Table::Heads, b"last");
        assert!((10..=10 + unsynced).contains(&last), "last is {last}");
        let keys: Vec<u64> = store
            .scan(Table::Log, b"", &[0xff; 9], usize::MAX, Direction::Forward)
            .expect("scan")
            .into_iter()
            .map(|(key, _)| u64::from_be_bytes(key.as_ref().try_into().expect("8 bytes")))
            .collect();
        assert_eq!(keys, (1..=last).collect::<Vec<_>>());
        // It goes on from there.
        store.write(numbered(last + 1)).expect("write");
        store.sync().expect("sync");
    }
}

/// What group commit has called back for survives.
pub fn acknowledged_commits_survive_a_crash(harness: &mut dyn Harness) {
    const COMMITS: u64 = 200;
    let store = harness.open();
    let options = CommitOptions::default();
    let commit = ThreadCommit::start(Arc::clone(&store), options).expect("start");
    let (sender, receiver) = mpsc::channel();
    for i in 1..=COMMITS {
        let sender = sender.clone();
        // After the crash below the rest fails, and is not acknowledged.
        let done = Box::new(move |result: Result<(), StoreError>| {
            if result.is_ok() {
                let _ = sender.send(i);
            }
        });
        commit.submit(numbered(i), done);
    }
    let mut acknowledged = 0;
    while acknowledged < COMMITS / 2 {
        let i = receiver.recv().expect("the committer lives");
        assert_eq!(i, acknowledged + 1, "callbacks come in order");
        acknowledged = i;
    }
    let store = harness.crash(store);
    assert!(number(&*store, Table::Heads, b"last") >= acknowledged);
    for i in 1..=acknowledged {
        let entry = store.get(Table::Log, &i.to_be_bytes()).expect("get");
        assert!(entry.is_some(), "commit {i} was acknowledged and is gone");
    }
}

/// Everything fails with [`StoreError::Closed`] on a closed store and on its
/// snapshots; closing again is fine.
pub fn closed_is_closed(harness: &mut dyn Harness) {
    let store = harness.open();
    store.write(put(Table::Log, "a", "1")).expect("write");
    let view = store.snapshot();
    assert!(get(&*view, Table::Log, "a").is_some());
    store.close().expect("close");
    store.close().expect("closing again is fine");
    let late = store.snapshot();
    let reads: [&dyn Read; 3] = [&*store, &*view, &*late];
    for read in reads {
        assert_eq!(read.get(Table::Log, b"a"), Err(StoreError::Closed));
        assert_eq!(
            read.scan(Table::Log, b"", b"z", 1, Direction::Forward),
            Err(StoreError::Closed)
        );
    }
    let write = store.write(put(Table::Log, "b", "1"));
    assert_eq!(write, Err(StoreError::Closed));
    assert_eq!(store.write(Batch::new()), Err(StoreError::Closed));
    assert_eq!(store.sync(), Err(StoreError::Closed));
    assert_eq!(store.approximate_bytes(), 0);
    // The snapshots that are still held do not keep the store open.
    let again = harness.reopen(store);
    assert!(get(&*again, Table::Log, "a").is_some());
    assert_eq!(view.get(Table::Log, b"a"), Err(StoreError::Closed));
}
