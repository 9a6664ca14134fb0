//! What one thread sees of an open store.

use bytes::Bytes;

use super::{Harness, get, put, scan};
use crate::{Batch, Direction, StoreError, Table};

/// A new store holds nothing.
pub fn reads_of_an_empty_store(harness: &mut dyn Harness) {
    let store = harness.open();
    for table in Table::ALL {
        assert_eq!(store.get(table, b"a").expect("get"), None);
        for direction in [Direction::Forward, Direction::Backward] {
            let all = store.scan(table, b"", crate::keys::TABLE_END, 10, direction);
            assert_eq!(all.expect("scan"), []);
        }
    }
    store.write(Batch::new()).expect("an empty batch is fine");
    store.sync().expect("a sync of nothing is fine");
}

/// One key in two tables is two keys; a put replaces, a delete removes, and a
/// delete of nothing is fine.
pub fn tables_are_separate(harness: &mut dyn Harness) {
    let store = harness.open();
    for table in Table::ALL {
        let mut batch = Batch::new();
        batch.put(table, "key", table.name().as_bytes());
        store.write(batch).expect("write");
    }
    for table in Table::ALL {
        let value = get(&*store, table, "key").expect("it was put");
        assert_eq!(value, table.name().as_bytes());
    }
    store.write(put(Table::Rows, "key", "new")).expect("write");
    assert_eq!(
        get(&*store, Table::Rows, "key").as_deref(),
        Some(&b"new"[..])
    );
    let mut batch = Batch::new();
    batch.delete(Table::Rows, "key");
    batch.delete(Table::Rows, "never there");
    store.write(batch).expect("write");
    assert_eq!(get(&*store, Table::Rows, "key"), None);
    assert_eq!(
        get(&*store, Table::Log, "key").as_deref(),
        Some(&b"log"[..])
    );
}

/// Many keys at once are what each by itself is, in the order of the question,
/// in memory and on disk, from above and from below.
pub fn many_are_read_at_once(harness: &mut dyn Harness) {
    let store = harness.open();
    let key = |i: u32| Bytes::from(format!("key {i:04}"));
    for round in 0..3 {
        let mut batch = Batch::new();
        for i in (round..400).step_by(3) {
            batch.put(Table::Rows, key(i), format!("{round} of {i}"));
        }
        batch.delete(Table::Rows, key(7 * round));
        store.write(batch).expect("write");
    }
    let mut batch = Batch::new();
    batch.delete_range(Table::Rows, key(100), key(120));
    store.write(batch).expect("write");
    store.close().expect("close");
    let store = harness.reopen(store);
    store
        .write(put(Table::Rows, "key 0005", "new"))
        .expect("write");
    let asked: Vec<Bytes> = (0..500).rev().chain([5, 5, 900]).map(key).collect();
    for table in [Table::Rows, Table::Heads] {
        let found = store.get_many(table, &asked);
        let alone: Vec<_> = asked.iter().map(|key| store.get(table, key)).collect();
        assert_eq!(found, alone);
    }
    assert_eq!(store.get_many(Table::Rows, &[]), []);
    store.close().expect("close");
    let closed = store.get_many(Table::Rows, &asked[..2]);
    assert_eq!(closed, vec![Err(StoreError::Closed); 2]);
}

/// Of two changes of one key in a batch the later stands.
pub fn changes_of_a_batch_are_ordered(harness: &mut dyn Harness) {
    let store = harness.open();
    let mut batch = Batch::new();
    batch.put(Table::Rows, "twice", "1");
    batch.put(Table::Rows, "twice", "2");
    batch.put(Table::Rows, "gone", "1");
    batch.delete(Table::Rows, "gone");
    batch.delete(Table::Rows, "back");
    batch.put(Table::Rows, "back", "1");
    batch.put(Table::Log, "b", "1");
    batch.delete_range(Table::Log, "a", "z");
    batch.put(Table::Log, "c", "1");
    let mut behind = Batch::new();
    behind.put(Table::Rows, "twice", "3");
    batch.extend(behind);
    assert_eq!(batch.len(), 10);
    assert!(!batch.is_empty() && batch.len_bytes() > 0);
    store.write(batch).expect("write");
    let value = |table, key| get(&*store, table, key);
    assert_eq!(value(Table::Rows, "twice").as_deref(), Some(&b"3"[..]));
    assert_eq!(value(Table::Rows, "gone"), None);
    assert_eq!(value(Table::Rows, "back").as_deref(), Some(&b"1"[..]));
    assert_eq!(value(Table::Log, "b"), None);
    assert_eq!(value(Table::Log, "c").as_deref(), Some(&b"1"[..]));
}

/// Scans take `[from, to)`, no more than `limit`, in either direction.
pub fn scans_keep_their_bounds(harness: &mut dyn Harness) {
    let store = harness.open();
    let mut batch = Batch::new();
    for key in ["a", "b", "b\0", "ba", "c", "d"] {
        batch.put(Table::Log, key, key);
    }
    batch.put(Table::Rows, "bb", "of another table");
    store.write(batch).expect("write");
    let scan = |from, to, limit, direction| scan(&*store, Table::Log, (from, to), limit, direction);
    let (forward, backward) = (Direction::Forward, Direction::Backward);
    assert_eq!(scan("b", "c", 10, forward), ["b", "b\0", "ba"]);
    assert_eq!(scan("b", "c", 10, backward), ["ba", "b\0", "b"]);
    assert_eq!(scan("b", "c", 2, forward), ["b", "b\0"]);
    assert_eq!(scan("b", "c", 2, backward), ["ba", "b\0"]);
    assert_eq!(scan("aa", "bz", 10, forward), ["b", "b\0", "ba"]);
    assert_eq!(
        scan("", "zz", 10, backward),
        ["d", "c", "ba", "b\0", "b", "a"]
    );
    for direction in [forward, backward] {
        assert!(scan("b", "c", 0, direction).is_empty());
        assert!(scan("b", "b", 10, direction).is_empty());
        assert!(scan("c", "b", 10, direction).is_empty());
        assert!(scan("e", "z", 10, direction).is_empty());
        assert_eq!(scan("d", "z", usize::MAX, direction), ["d"]);
    }
}

/// A range is deleted from its first key up to, and without, its end.
pub fn ranges_are_deleted(harness: &mut dyn Harness) {
    let store = harness.open();
    let mut batch = Batch::new();
    for key in ["a", "b", "c", "d", "e"] {
        batch.put(Table::Raft, key, "1");
        batch.put(Table::Log, key, "1");
    }
    store.write(batch).expect("write");
    let left = |table| scan(&*store, table, ("", "z"), 10, Direction::Forward);
    let mut batch = Batch::new();
    batch.delete_range(Table::Raft, "b", "d");
    store.write(batch).expect("write");
    assert_eq!(left(Table::Raft), ["a", "d", "e"]);
    assert_eq!(left(Table::Log).len(), 5);
    assert_eq!(get(&*store, Table::Raft, "b"), None);
    let mut batch = Batch::new();
    batch.delete_range(Table::Raft, "d", "d");
    batch.delete_range(Table::Raft, "e", "a");
    batch.put(Table::Raft, "b", "again");
    store.write(batch).expect("ranges of nothing are fine");
    assert_eq!(left(Table::Raft), ["a", "b", "d", "e"]);
    let mut batch = Batch::new();
    batch.delete_range(Table::Raft, "", crate::keys::TABLE_END);
    store.write(batch).expect("write");
    assert!(left(Table::Raft).is_empty());
}

/// Values may be empty and may be megabytes; they come back unchanged.
pub fn large_values(harness: &mut dyn Harness) {
    let store = harness.open();
    let large: Vec<u8> = (0..3_000_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let large = Bytes::from(large);
    let long_key = vec![b'k'; 1000];
    let mut batch = Batch::new();
    batch.put(Table::Log, "large", large.clone());
    batch.put(Table::Log, "empty", "");
    batch.put(Table::Log, long_key.clone(), "1");
    assert!(batch.len_bytes() > large.len());
    store.write(batch).expect("write");
    store.close().expect("close");
    let store = harness.reopen(store);
    assert_eq!(get(&*store, Table::Log, "large"), Some(large));
    assert_eq!(get(&*store, Table::Log, "empty"), Some(Bytes::new()));
    assert!(store.get(Table::Log, &long_key).expect("get").is_some());
}

/// The size grows with what is written.
pub fn size_is_told(harness: &mut dyn Harness) {
    let store = harness.open();
    let before = store.approximate_bytes();
    let mut batch = Batch::new();
    batch.put(Table::Log, "key", vec![7; 500_000]);
    store.write(batch).expect("write");
    assert!(store.approximate_bytes() >= before + 400_000);
}
