use std::collections::BTreeSet;

use folkmoot_storage::{Batch, MemStore, Store};
use folkmoot_wire::{RegionId, Slot};
use proptest::prelude::*;

use super::*;

fn group() -> GroupId {
    GroupId::new(RegionId(1), Slot(1), [1; 11])
}

fn sender(n: u8) -> (UserId, DeviceId) {
    (UserId::new(RegionId(1), Slot(0), [n; 11]), DeviceId(7))
}

fn id(n: u8) -> ClientMsgId {
    ClientMsgId::from_slice(&[[0; 15].as_slice(), &[n]].concat()).expect("16 bytes")
}

fn write(store: &MemStore, records: &BTreeSet<(u8, u8)>) {
    let mut batch = Batch::new();
    for (from, n) in records {
        let (user, device) = sender(*from);
        let key = keys::dedup::key(&group(), &id(*n), &user, device);
        batch.put(Table::Dedup, key, vec![1]);
    }
    store.write(batch).expect("memory");
}

#[test]
fn what_rises_is_excluded_and_a_retry_is_not() {
    let store = MemStore::new();
    let mut newest = Newest::default();
    let mut excludes = |from, n| {
        newest
            .excludes(&store, &group(), sender(from), &id(n))
            .expect("memory")
    };
    assert!(excludes(1, 5));
    newest.remember(&group(), sender(1), id(5));
    let mut excludes = |from, n| {
        newest
            .excludes(&store, &group(), sender(from), &id(n))
            .expect("memory")
    };
    assert!(!excludes(1, 5) && !excludes(1, 4));
    assert!(excludes(1, 6) && excludes(2, 4));
}

proptest! {
    /// Whatever was written before and since, in the store or not yet: no id
    /// that has a record is ever excluded.
    #[test]
    fn nothing_that_is_there_is_excluded(
        steps in prop::collection::vec((0u8..3, 0u8..20, any::<bool>(), any::<bool>()), 1..60),
    ) {
        let store = MemStore::new();
        let mut newest = Newest::default();
        let (mut held, mut waiting) = (BTreeSet::new(), BTreeSet::new());
        for (from, n, settle, restart) in steps {
            let excluded = newest
                .excludes(&store, &group(), sender(from), &id(n))
                .expect("memory");
            let there = held.contains(&(from, n)) || waiting.contains(&(from, n));
            prop_assert!(!(excluded && there));
            if !there {
                waiting.insert((from, n));
                newest.remember(&group(), sender(from), id(n));
            }
            if settle {
                write(&store, &waiting);
                held.append(&mut waiting);
                newest.settled();
                if restart {
                    newest = Newest::default();
                }
            }
        }
    }
}
