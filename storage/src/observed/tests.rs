use std::sync::{Arc, Mutex};

use super::{Changed, Observed};
use crate::conformance::Harness;
use crate::{Batch, MemStore, Store, Table};

/// Keeps the store in memory beside what wraps it.
#[derive(Default)]
struct ObservedHarness {
    stores: Vec<(Arc<dyn Store>, Arc<MemStore>)>,
    crashes: u64,
}

fn observed(store: &Arc<MemStore>) -> Arc<dyn Store> {
    let inner = Arc::clone(store) as Arc<dyn Store>;
    Arc::new(Observed::new(inner, Table::Rows, Box::new(|_| {})))
}

impl ObservedHarness {
    fn add(&mut self, store: MemStore) -> Arc<dyn Store> {
        let store = Arc::new(store);
        let wrapped = observed(&store);
        self.stores.push((Arc::clone(&wrapped), store));
        wrapped
    }

    fn find(&self, store: &Arc<dyn Store>) -> Arc<MemStore> {
        let same = |(wrapped, _): &&(Arc<dyn Store>, Arc<MemStore>)| {
            std::ptr::addr_eq(Arc::as_ptr(wrapped), Arc::as_ptr(store))
        };
        let found = self.stores.iter().find(same).expect("the harness made it");
        Arc::clone(&found.1)
    }
}

impl Harness for ObservedHarness {
    fn open(&mut self) -> Arc<dyn Store> {
        self.add(MemStore::new())
    }

    fn reopen(&mut self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        let reopened = self.find(&store).reopen();
        self.add(reopened)
    }

    fn crash(&mut self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        self.crashes += 1;
        let how = crate::Crash::KeepPrefix { seed: self.crashes };
        let survivor = self.find(&store).crash(how);
        self.add(survivor)
    }
}

crate::conformance_tests!(ObservedHarness::default());

#[test]
fn every_change_of_the_table_is_told_after_it_is_there() {
    let told: Arc<Mutex<Vec<Changed>>> = Arc::default();
    let (sink, inner) = (Arc::clone(&told), Arc::new(MemStore::new()));
    let seen = Arc::clone(&inner);
    let store = Observed::new(
        inner,
        Table::Rows,
        Box::new(move |changes| {
            use crate::Read;
            assert!(seen.get(Table::Rows, b"a").expect("reads").is_some());
            sink.lock().expect("locks").extend_from_slice(changes);
        }),
    );
    let mut batch = Batch::new();
    batch.put(Table::Log, "other", "1");
    batch.put(Table::Rows, "a", "1");
    batch.delete(Table::Rows, "b");
    batch.delete_range(Table::Rows, "c", "d");
    store.write(batch).expect("writes");
    let mut other = Batch::new();
    other.put(Table::Log, "only", "1");
    store.write(other).expect("writes");
    let expected = [
        Changed::Key("a".into()),
        Changed::Key("b".into()),
        Changed::Range("c".into(), "d".into()),
    ];
    assert_eq!(*told.lock().expect("locks"), expected);
}

#[test]
fn a_write_that_failed_is_not_told() {
    let inner = Arc::new(MemStore::new());
    inner.close().expect("closes");
    let store = Observed::new(
        inner,
        Table::Rows,
        Box::new(|_| panic!("nothing was written")),
    );
    let mut batch = Batch::new();
    batch.put(Table::Rows, "a", "1");
    assert!(store.write(batch).is_err());
}
