//! What a store says of a disk that loses, changes or refuses bytes.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{RocksOptions, RocksStore, copy, open, options};
use crate::{Batch, Direction, Read, Store, StoreError, Table};

const RECORDS: u64 = 20;

fn record(i: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Log, i.to_be_bytes().to_vec(), noise(i, 500));
    batch
}

/// Bytes that no compression shortens.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed | 1 << 40;
    std::iter::repeat_with(|| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    })
    .take(len)
    .collect()
}

fn count(store: &dyn Read) -> u64 {
    let all = store.scan(Table::Log, b"", &[0xff; 9], usize::MAX, Direction::Forward);
    all.expect("scan").len() as u64
}

/// The one file of `data/` with this ending that is not empty.
fn file(folder: &Path, ending: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir(folder.join("data"))
        .unwrap()
        .map(|item| item.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .filter(|path| fs::metadata(path).unwrap().len() > 0)
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// A folder as a crash leaves it: `RECORDS` records, all of them in the WAL.
fn crashed() -> TempDir {
    let (live, left) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = open(live.path());
    for i in 0..RECORDS {
        store.write(record(i)).unwrap();
    }
    store.sync().unwrap();
    copy(live.path(), left.path());
    left
}

#[test]
fn a_wal_that_was_cut_short_loses_its_tail_only() {
    let folder = crashed();
    let wal = file(folder.path(), "log");
    let len = fs::metadata(&wal).unwrap().len();
    let handle = fs::OpenOptions::new().write(true).open(&wal).unwrap();
    handle.set_len(len - 100).unwrap();
    let store = open(folder.path());
    assert_eq!(count(&store), RECORDS - 1);
    store.write(record(RECORDS)).unwrap();
    store.close().unwrap();
    assert_eq!(count(&open(folder.path())), RECORDS);
}

#[test]
fn a_wal_that_is_damaged_in_the_middle_is_an_error_not_a_cut() {
    let folder = crashed();
    let wal = file(folder.path(), "log");
    let len = fs::metadata(&wal).unwrap().len() as usize;
    flip(&wal, len / 2);
    let error = RocksStore::open(folder.path(), &options()).err();
    assert!(
        matches!(error, Some(StoreError::Corrupt { .. })),
        "{error:?}"
    );
}

#[test]
fn a_damaged_table_file_is_found_out_when_it_is_read() {
    let folder = crashed();
    // Opening writes what the WAL holds into a table file.
    open(folder.path()).close().unwrap();
    flip(&file(folder.path(), "sst"), 100);
    let store = open(folder.path());
    let read = store.get(Table::Log, &0u64.to_be_bytes());
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
    let read = store.scan(Table::Log, b"", &[0xff; 9], 100, Direction::Forward);
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
}

#[test]
fn a_failed_write_stops_the_store_for_good() {
    let folder = TempDir::new().unwrap();
    let small = RocksOptions {
        write_buffer_bytes: 64 << 10,
        ..options()
    };
    let store = RocksStore::open(folder.path(), &small).unwrap();
    store.write(record(0)).unwrap();
    let view = store.snapshot();
    // The next log file cannot be made where there is no folder.
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    let mut writes = (1..5_000).map(|i| store.write(record(i)));
    let first = writes.find_map(Result::err).expect("a write must fail");
    assert!(matches!(first, StoreError::Io { .. }), "{first:?}");
    let failed = StoreError::Failed {
        cause: first.to_string(),
    };
    assert_eq!(store.write(record(1)), Err(failed.clone()));
    assert_eq!(store.sync(), Err(failed.clone()));
    let key = 0u64.to_be_bytes();
    assert_eq!(store.get(Table::Log, &key), Err(failed.clone()));
    assert_eq!(view.get(Table::Log, &key), Err(failed.clone()));
    assert_eq!(store.close(), Err(failed));
    assert_eq!(store.sync(), Err(StoreError::Closed));
}
