//! Whose folder it is, and what opening it says when it is not ours.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use tempfile::TempDir;

use super::super::read::Db;
use super::{RocksStore, open, options};
use crate::{Batch, Direction, Read, Store, StoreError, Table};

fn one(key: &'static str) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Log, key, "1");
    batch
}

fn refused(path: &Path) -> StoreError {
    match RocksStore::open(path, &options()) {
        Ok(_) => panic!("it should not have opened"),
        Err(error) => error,
    }
}

fn refused_to_read(path: &Path) -> StoreError {
    match RocksStore::open_read_only(path) {
        Ok(_) => panic!("it should not have opened"),
        Err(error) => error,
    }
}

#[test]
fn a_folder_with_something_else_in_it_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("thesis.txt"), "dear reader").unwrap();
    for error in [refused(folder.path()), refused_to_read(folder.path())] {
        let path = folder.path().to_owned();
        let found = "thesis.txt".to_owned();
        assert_eq!(error, StoreError::Foreign { path, found });
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_first_start_that_was_cut_short_can_be_repeated() {
    let folder = TempDir::new().unwrap();
    for name in ["LOCK", "FORMAT.new"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    open(folder.path()).close().unwrap();
    open(folder.path()).close().unwrap();
}

#[test]
fn formats_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    open(path).close().unwrap();
    let format = path.join("FORMAT");
    assert_eq!(fs::read_to_string(&format).unwrap(), "folkmoot store 6\n");
    fs::write(&format, "folkmoot store 7\n").unwrap();
    for error in [refused(path), refused_to_read(path)] {
        assert!(
            matches!(&error, StoreError::NewerFormat { found, supported: 6, .. } if found == "7")
        );
        assert!(error.to_string().contains("a newer one"), "{error}");
    }
    fs::write(&format, "folkmoot store one\n").unwrap();
    assert!(matches!(refused(path), StoreError::Corrupt { .. }));
    fs::write(&format, "another program\n").unwrap();
    assert!(matches!(refused(path), StoreError::Foreign { .. }));
    // An older one is read, and raised before anything is written.
    fs::write(&format, "folkmoot store 1\n").unwrap();
    RocksStore::open_read_only(path).unwrap();
    assert_eq!(fs::read_to_string(&format).unwrap(), "folkmoot store 1\n");
    open(path).close().unwrap();
    assert_eq!(fs::read_to_string(&format).unwrap(), "folkmoot store 6\n");
}

#[test]
fn a_folder_from_before_a_table_is_read() {
    let folder = TempDir::new().unwrap();
    open(folder.path()).close().unwrap();
    let data = folder.path().join("data");
    let rocks = rocksdb::Options::default();
    let names = Db::list_cf(&rocks, &data).unwrap();
    let mut db = Db::open_cf(&rocks, &data, names).unwrap();
    db.drop_cf(Table::Index.name()).unwrap();
    drop(db);
    let reader = RocksStore::open_read_only(folder.path()).unwrap();
    assert_eq!(reader.get(Table::Rows, b"key").unwrap(), None);
    reader.close().unwrap();
    // Opened for writing, it has the table.
    let store = open(folder.path());
    assert_eq!(store.get(Table::Index, b"key").unwrap(), None);
}

#[test]
fn a_table_of_a_newer_build_is_named() {
    let folder = TempDir::new().unwrap();
    open(folder.path()).close().unwrap();
    let data = folder.path().join("data");
    let rocks = rocksdb::Options::default();
    let names = Db::list_cf(&rocks, &data).unwrap();
    let mut db = Db::open_cf(&rocks, &data, names).unwrap();
    db.create_cf("polls", &rocks).unwrap();
    drop(db);
    for error in [refused(folder.path()), refused_to_read(folder.path())] {
        assert!(matches!(&error, StoreError::NewerFormat { found, .. } if found.contains("polls")));
    }
}

#[test]
fn one_process_at_a_time() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let locked = StoreError::Locked {
        path: path.to_owned(),
    };
    let store = open(path);
    assert_eq!(refused(path), locked);
    assert_eq!(refused_to_read(path), locked);
    store.close().unwrap();
    let reader = RocksStore::open_read_only(path).unwrap();
    let other = RocksStore::open_read_only(path).unwrap();
    assert_eq!(refused(path), locked);
    drop(reader);
    other.close().unwrap();
    open(path).close().unwrap();
}

#[test]
fn there_is_nothing_to_read_where_no_store_is() {
    let folder = TempDir::new().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("nowhere")] {
        assert_eq!(
            refused_to_read(&path),
            StoreError::Missing { path: path.clone() }
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn files(path: &Path, all: &mut BTreeMap<String, (Vec<u8>, SystemTime)>) {
    for item in fs::read_dir(path).unwrap() {
        let item = item.unwrap().path();
        if item.is_dir() {
            files(&item, all);
        } else {
            let changed = fs::metadata(&item).unwrap().modified().unwrap();
            let name = item.display().to_string();
            all.insert(name, (fs::read(&item).unwrap(), changed));
        }
    }
}

#[test]
fn reading_a_stopped_store_writes_nothing() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    store.write(one("flushed")).unwrap();
    store.close().unwrap();
    // Opening writes tables out; this one stays in the WAL.
    let store = open(folder.path());
    store.write(one("in the log")).unwrap();
    store.close().unwrap();
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    files(folder.path(), &mut before);
    let reader = RocksStore::open_read_only(folder.path()).unwrap();
    let all = reader.scan(Table::Log, b"", b"z", 10, Direction::Forward);
    assert_eq!(all.unwrap().len(), 2);
    assert!(
        reader
            .snapshot()
            .get(Table::Log, b"flushed")
            .unwrap()
            .is_some()
    );
    assert_eq!(reader.write(one("x")), Err(StoreError::ReadOnly));
    assert_eq!(reader.sync(), Err(StoreError::ReadOnly));
    assert!(reader.get(Table::Log, b"flushed").unwrap().is_some());
    reader.close().unwrap();
    files(folder.path(), &mut after);
    assert!(before.len() > 3);
    assert_eq!(before, after);
}
