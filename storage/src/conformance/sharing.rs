//! What threads see of each other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Harness, get, number, put, scan};
use crate::{Batch, Direction, Read, Table};

/// A batch over two tables becomes visible whole: every snapshot finds the
/// same number in both.
pub fn batches_are_atomic(harness: &mut dyn Harness) {
    const WRITES: u64 = 300;
    let store = harness.open();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            let mut looks = 0;
            while !over.load(Ordering::Acquire) || looks == 0 {
                let view = store.snapshot();
                let one = number(&*view, Table::Heads, b"n");
                let other = number(&*view, Table::Log, b"n");
                assert_eq!(one, other, "half a batch was visible");
                assert!(one >= last, "a write was visible and then was not");
                last = one;
                looks += 1;
            }
        });
        for i in 1..=WRITES {
            let mut batch = Batch::new();
            batch.put(Table::Heads, "n", i.to_be_bytes().to_vec());
            batch.put(Table::Log, "n", i.to_be_bytes().to_vec());
            store.write(batch).expect("write");
            // A writer sees its own write at once.
            assert_eq!(number(&*store, Table::Log, b"n"), i);
        }
        over.store(true, Ordering::Release);
        reader.join().expect("the reader found nothing amiss");
    });
}

/// A snapshot shows what was there when it was taken, whatever came after.
pub fn snapshots_do_not_change(harness: &mut dyn Harness) {
    let store = harness.open();
    store.write(put(Table::Rows, "a", "old")).expect("write");
    store.write(put(Table::Rows, "b", "old")).expect("write");
    let view = store.snapshot();
    let mut batch = Batch::new();
    batch.put(Table::Rows, "a", "new");
    batch.delete(Table::Rows, "b");
    batch.put(Table::Rows, "c", "new");
    store.write(batch).expect("write");
    let later = store.snapshot();
    let mut batch = Batch::new();
    batch.delete_range(Table::Rows, "", "z");
    store.write(batch).expect("write");
    let keys = |read: &dyn Read, direction| scan(read, Table::Rows, ("", "z"), 10, direction);
    assert_eq!(keys(&*view, Direction::Forward), ["a", "b"]);
    assert_eq!(keys(&*view, Direction::Backward), ["b", "a"]);
    assert_eq!(get(&*view, Table::Rows, "a").as_deref(), Some(&b"old"[..]));
    assert_eq!(get(&*view, Table::Rows, "c"), None);
    assert_eq!(keys(&*later, Direction::Forward), ["a", "c"]);
    assert_eq!(get(&*later, Table::Rows, "a").as_deref(), Some(&b"new"[..]));
    assert!(keys(&*store, Direction::Forward).is_empty());
}

/// Writes of several threads all arrive, each thread's in its order.
pub fn writers_do_not_disturb_each_other(harness: &mut dyn Harness) {
    const THREADS: u8 = 4;
    const WRITES: u64 = 200;
    let store = harness.open();
    thread::scope(|scope| {
        for t in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for i in 0..WRITES {
                    let mut key = vec![t];
                    key.extend_from_slice(&i.to_be_bytes());
                    let mut batch = Batch::new();
                    batch.put(Table::Log, key, "1");
                    batch.put(Table::Heads, vec![t], i.to_be_bytes().to_vec());
                    store.write(batch).expect("write");
                    if i % 50 == 0 {
                        store.sync().expect("sync");
                    }
                }
            });
        }
    });
    store.close().expect("close");
    let store = harness.reopen(store);
    for t in 0..THREADS {
        let all = store.scan(Table::Log, &[t], &[t + 1], usize::MAX, Direction::Forward);
        assert_eq!(all.expect("scan").len() as u64, WRITES);
        assert_eq!(number(&*store, Table::Heads, &[t]), WRITES - 1);
    }
}
