//! The two stores behave alike, whatever is done to them.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{Batch, Direction, MemStore, Read, RocksOptions, RocksStore, Store, Table};

#[derive(Debug, Clone)]
enum Change {
    Put(Table, Vec<u8>, Vec<u8>),
    Delete(Table, Vec<u8>),
    DeleteRange(Table, Vec<u8>, Vec<u8>),
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Change>),
    Sync,
    Get(Table, Vec<u8>),
    Scan(Table, Vec<u8>, Vec<u8>, usize, Direction),
    Snapshot,
    Reopen,
}

/// Few keys, so that changes meet; among them the empty one and the extremes.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff)], 0..4)
}

fn table() -> impl Strategy<Value = Table> {
    prop_oneof![Just(Table::Log), Just(Table::Rows), Just(Table::Raft)]
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Forward), Just(Direction::Backward)]
}

fn change() -> impl Strategy<Value = Change> {
    let value = prop::collection::vec(any::<u8>(), 0..8);
    prop_oneof![
        6 => (table(), key(), value).prop_map(|(t, k, v)| Change::Put(t, k, v)),
        2 => (table(), key()).prop_map(|(t, k)| Change::Delete(t, k)),
        1 => (table(), key(), key()).prop_map(|(t, a, b)| Change::DeleteRange(t, a, b)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => prop::collection::vec(change(), 0..6).prop_map(Step::Write),
        2 => Just(Step::Sync),
        4 => (table(), key()).prop_map(|(t, k)| Step::Get(t, k)),
        6 => (table(), key(), key(), 0usize..8, direction())
            .prop_map(|(t, a, b, n, d)| Step::Scan(t, a, b, n, d)),
        2 => Just(Step::Snapshot),
        1 => Just(Step::Reopen),
    ]
}

fn batch(changes: &[Change]) -> Batch {
    let mut batch = Batch::new();
    for change in changes {
        match change.clone() {
            Change::Put(table, key, value) => batch.put(table, key, value),
            Change::Delete(table, key) => batch.delete(table, key),
            Change::DeleteRange(table, from, to) => batch.delete_range(table, from, to),
        }
    }
    batch
}

fn everything(read: &dyn Read) -> Vec<(Table, Vec<(Bytes, Bytes)>)> {
    let scan = |table| {
        let all = read.scan(table, b"", &[0xff; 8], usize::MAX, Direction::Forward);
        (table, all.unwrap())
    };
    Table::ALL.into_iter().map(scan).collect()
}

fn options() -> RocksOptions {
    RocksOptions {
        cache_bytes: 8 << 20,
        write_buffer_bytes: 8 << 20,
        ..RocksOptions::default()
    }
}

/// A moment as the one store and as the other keeps it.
type Views = Vec<(Arc<dyn Read>, Arc<dyn Read>)>;

fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let folder = TempDir::new().unwrap();
    let mut rocks = RocksStore::open(folder.path(), &options()).unwrap();
    let mut mem = MemStore::new();
    let mut views: Views = Vec::new();
    for step in steps {
        match step {
            Step::Write(changes) => {
                mem.write(batch(changes)).unwrap();
                rocks.write(batch(changes)).unwrap();
            }
            Step::Sync => {
                mem.sync().unwrap();
                rocks.sync().unwrap();
            }
            Step::Get(table, key) => {
                prop_assert_eq!(mem.get(*table, key), rocks.get(*table, key));
            }
            Step::Scan(table, from, to, limit, direction) => {
                let scan = |read: &dyn Read| read.scan(*table, from, to, *limit, *direction);
                prop_assert_eq!(scan(&mem), scan(&rocks));
                for (one, other) in &views {
                    prop_assert_eq!(scan(&**one), scan(&**other));
                }
            }
            Step::Snapshot => views.push((mem.snapshot(), rocks.snapshot())),
            Step::Reopen => {
                mem.close().unwrap();
                rocks.close().unwrap();
                mem = mem.reopen();
                rocks = RocksStore::open(folder.path(), &options()).unwrap();
                for (one, other) in views.drain(..) {
                    prop_assert_eq!(one.get(Table::Log, b""), other.get(Table::Log, b""));
                }
            }
        }
    }
    prop_assert_eq!(everything(&mem), everything(&rocks));
    for (one, other) in &views {
        prop_assert_eq!(everything(&**one), everything(&**other));
    }
    Ok(())
}

proptest! {
    // Each case opens a database on disk.
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_disk_behave_alike(steps in prop::collection::vec(step(), 1..60)) {
        run(&steps)?;
    }
}
