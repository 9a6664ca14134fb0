use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::{RocksOptions, RocksStore};
use crate::conformance::Harness;
use crate::{Batch, Store, Table};

mod damage;
mod folders;

/// Small enough for many stores at once.
fn options() -> RocksOptions {
    RocksOptions {
        cache_bytes: 8 << 20,
        write_buffer_bytes: 8 << 20,
        ..RocksOptions::default()
    }
}

fn open(path: &Path) -> RocksStore {
    RocksStore::open(path, &options()).expect("open")
}

/// What a machine that dies leaves: the files as they are while the store is
/// open.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else if let Err(error) = fs::copy(item.path(), target) {
            // RocksDB removes files that it needs no more.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        }
    }
}

struct RocksHarness {
    folder: TempDir,
    stores: Vec<(Arc<dyn Store>, PathBuf)>,
}

impl RocksHarness {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            stores: Vec::new(),
        }
    }

    fn fresh(&self) -> PathBuf {
        self.folder.path().join(self.stores.len().to_string())
    }

    fn add(&mut self, path: PathBuf) -> Arc<dyn Store> {
        let store: Arc<dyn Store> = Arc::new(open(&path));
        self.stores.push((Arc::clone(&store), path));
        store
    }

    fn path_of(&self, store: &Arc<dyn Store>) -> PathBuf {
        let same = |known: &&(Arc<dyn Store>, PathBuf)| Arc::ptr_eq(&known.0, store);
        let (_, path) = self.stores.iter().find(same).expect("the harness made it");
        path.clone()
    }
}

impl Harness for RocksHarness {
    fn open(&mut self) -> Arc<dyn Store> {
        self.add(self.fresh())
    }

    fn reopen(&mut self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        self.add(self.path_of(&store))
    }

    fn crash(&mut self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        let left = self.fresh();
        copy(&self.path_of(&store), &left);
        self.add(left)
    }
}

crate::conformance_tests!(RocksHarness::new());

#[test]
fn names_of_tables_are_stored_names() {
    for table in Table::ALL {
        assert_eq!(Table::from_name(table.name()), Some(table));
    }
    assert_eq!(Table::from_name("default"), None);
}

/// The page cache outlives every crash that a test can make, so the crash tests
/// above cannot tell a sync from none: RocksDB's own count of syncs does.
#[test]
fn a_write_is_not_synced_and_a_sync_syncs_the_wal_once() {
    let folder = TempDir::new().unwrap();
    let cache = rocksdb::Cache::new_lru_cache(8 << 20);
    let mut database = super::catalogue::database(&options(), &cache);
    database.enable_statistics();
    let synced = || database.get_ticker_count(rocksdb::statistics::Ticker::WalFileSynced);
    let store = RocksStore::open_with(folder.path(), &database, &cache).unwrap();
    let before = synced();
    let write = || {
        let mut batch = Batch::new();
        batch.put(Table::Log, "key", "value");
        store.write(batch).unwrap();
    };
    for round in 1..=3 {
        for _ in 0..10 {
            write();
        }
        assert_eq!(synced(), before + round - 1);
        store.sync().unwrap();
        assert_eq!(synced(), before + round);
    }
    write();
    store.close().unwrap();
    assert_eq!(synced(), before + 4);
}
