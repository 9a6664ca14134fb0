use std::sync::Arc;

use super::{Crash, MemStore};
use crate::conformance::Harness;
use crate::{Batch, Read, Store, StoreError, Table};

/// Remembers each store by the address of what the suite holds.
#[derive(Default)]
struct MemHarness {
    stores: Vec<Arc<MemStore>>,
    crashes: u64,
}

impl MemHarness {
    fn add(&mut self, store: MemStore) -> Arc<dyn Store> {
        let store = Arc::new(store);
        self.stores.push(Arc::clone(&store));
        store
    }

    fn find(&self, store: &Arc<dyn Store>) -> Arc<MemStore> {
        let same =
            |known: &&Arc<MemStore>| std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(store));
        Arc::clone(self.stores.iter().find(same).expect("the harness made it"))
    }
}

impl Harness for MemHarness {
    fn open(&mut self) -> Arc<dyn Store> {
        self.add(MemStore::new())
    }

    fn reopen(&mut self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        let reopened = self.find(&store).reopen();
        self.add(reopened)
    }

    fn crash(&mut self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        self.crashes += 1;
        let how = if self.crashes.is_multiple_of(2) {
            Crash::LoseUnsynced
        } else {
            Crash::KeepPrefix { seed: self.crashes }
        };
        let survivor = self.find(&store).crash(how);
        self.add(survivor)
    }
}

crate::conformance_tests!(MemHarness::default());

fn one(key: &'static str) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Log, key, "1");
    batch
}

fn has(store: &dyn Read, key: &str) -> bool {
    store.get(Table::Log, key.as_bytes()).unwrap().is_some()
}

#[test]
fn a_crash_takes_back_what_was_not_synced() {
    let store = MemStore::new();
    let mut batch = Batch::new();
    for key in ["a", "b", "c", "d"] {
        batch.put(Table::Log, key, "synced");
    }
    store.write(batch).unwrap();
    store.sync().unwrap();
    let bytes = store.approximate_bytes();
    let mut batch = Batch::new();
    batch.put(Table::Log, "a", "unsynced");
    batch.delete(Table::Log, "b");
    batch.put(Table::Log, "e", "unsynced");
    batch.delete_range(Table::Log, "c", "z");
    store.write(batch).unwrap();
    store.write(one("a")).unwrap();
    assert_eq!(store.unsynced(), 2);
    let survivor = store.crash(Crash::LoseUnsynced);
    for key in ["a", "b", "c", "d"] {
        let value = survivor.get(Table::Log, key.as_bytes()).unwrap();
        assert_eq!(value.as_deref(), Some(&b"synced"[..]), "{key}");
    }
    assert!(!has(&survivor, "e"));
    assert_eq!(survivor.approximate_bytes(), bytes);
    // The dead process's handle can neither read nor write.
    assert_eq!(store.write(one("f")), Err(StoreError::Closed));
    assert_eq!(store.sync(), Err(StoreError::Closed));
    assert!(!has(&survivor, "f"));
}

#[test]
fn seeded_crashes_keep_every_prefix_and_nothing_else() {
    const KEYS: [&str; 4] = ["a", "b", "c", "d"];
    let mut seen = [false; KEYS.len() + 1];
    for seed in 0..64 {
        let kept = |seed| {
            let store = MemStore::new();
            for key in KEYS {
                store.write(one(key)).unwrap();
            }
            let survivor = store.crash(Crash::KeepPrefix { seed });
            KEYS.map(|key| has(&survivor, key))
        };
        let first = kept(seed);
        assert_eq!(first, kept(seed), "equal seeds keep equally many");
        let count = first.iter().filter(|&&kept| kept).count();
        assert_eq!(first, std::array::from_fn(|i| i < count), "not a prefix");
        seen[count] = true;
    }
    assert_eq!(seen, [true; KEYS.len() + 1]);
}

#[test]
fn a_failed_write_stops_the_store() {
    let store = MemStore::new();
    store.write(one("a")).unwrap();
    let view = store.snapshot();
    store.fail_next_write();
    assert!(matches!(store.write(one("b")), Err(StoreError::Io { .. })));
    let failed = |result| matches!(result, Err(StoreError::Failed { .. }));
    assert!(failed(store.write(one("c"))));
    assert!(failed(store.sync()));
    assert!(failed(store.get(Table::Log, b"a").map(|_| ())));
    assert!(failed(view.get(Table::Log, b"a").map(|_| ())));
    assert!(failed(store.close()));
    assert_eq!(store.sync(), Err(StoreError::Closed));
}

#[test]
fn what_a_failed_sync_covered_may_be_lost() {
    let store = MemStore::new();
    store.write(one("a")).unwrap();
    store.sync().unwrap();
    store.write(one("b")).unwrap();
    store.fail_next_sync();
    assert!(matches!(store.sync(), Err(StoreError::Io { .. })));
    assert!(matches!(store.sync(), Err(StoreError::Failed { .. })));
    let survivor = store.crash(Crash::LoseUnsynced);
    assert!(has(&survivor, "a"));
    assert!(!has(&survivor, "b"));
    survivor.sync().expect("a reopened store is well");
}

#[test]
fn a_full_disk_takes_no_part_of_a_batch() {
    let store = MemStore::new();
    store.set_capacity(Some(10));
    store.write(one("a")).unwrap();
    store.sync().unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Log, "b", "1");
    batch.put(Table::Log, "c", "more than ten bytes");
    let error = store.write(batch).unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { .. }));
    assert!(
        matches!(store.sync(), Err(StoreError::Failed { cause }) if cause == error.to_string())
    );
    let survivor = store.reopen();
    assert!(has(&survivor, "a") && !has(&survivor, "b"));
}

#[test]
fn a_fault_that_is_called_off_does_not_happen() {
    let store = MemStore::new();
    store.fail_next_write();
    store.fail_next_sync();
    store.set_capacity(Some(0));
    store.call_off();
    store.write(one("a")).unwrap();
    store.sync().unwrap();
}
