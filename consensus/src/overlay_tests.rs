//! Reading through chunks that came is as reading what they make of a store.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_storage::keys::raft as keys;
use folkmoot_storage::{Batch, Direction, MemStore, Read, Store, Table};
use folkmoot_wire::ShardId;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::{Fetched, Overlay};
use crate::pages;

const SHARD: ShardId = ShardId(3);

type Pairs = std::collections::BTreeMap<u8, u8>;

fn put(batch: &mut Batch, pairs: &Pairs) {
    for (key, value) in pairs {
        batch.put(Table::Rows, vec![*key], vec![*value]);
    }
}

proptest! {
    #[test]
    fn it_is_what_installing_makes(
        here in btree_map(0..40u8, any::<u8>(), 0..30),
        there in btree_map(0..40u8, any::<u8>(), 0..30),
        bounds in btree_map(1..40u8, any::<bool>(), 0..8),
        asked in vec((0..42u8, 0..42u8, 1..12usize), 20),
    ) {
        let (store, sender) = (Arc::new(MemStore::new()), MemStore::new());
        let mut batch = Batch::new();
        put(&mut batch, &here);
        store.write(batch).unwrap();
        let mut batch = Batch::new();
        put(&mut batch, &there);
        sender.write(batch).unwrap();

        let view = store.snapshot();
        let (mut fetched, mut from, mut number) = (Fetched::default(), 0u8, 0);
        let mut install = Batch::new();
        for (to, comes) in bounds.into_iter().chain([(40, true)]) {
            let range = (Table::Rows, Bytes::from(vec![from]), Bytes::from(vec![to]));
            if comes {
                let page = pages::read(&sender, &range).unwrap();
                let staged = pages::to_stage(&range, &page).unwrap();
                pages::put(staged.clone(), &*store, &mut install).unwrap();
                let mut batch = Batch::new();
                batch.put(Table::Raft, keys::key(SHARD, keys::Kind::Stage, number), staged);
                store.write(batch).unwrap();
                fetched.insert(range, number);
                number += 1;
            }
            from = to;
        }
        let dyn_store = Arc::clone(&store) as Arc<dyn Store>;
        let overlay = Overlay::new(SHARD, view, dyn_store, Arc::new(fetched));
        store.write(install).unwrap();

        for key in 0..42u8 {
            let (is, due) = (overlay.get(Table::Rows, &[key]), store.get(Table::Rows, &[key]));
            prop_assert_eq!(is.unwrap(), due.unwrap());
        }
        for (from, to, limit) in asked {
            for direction in [Direction::Forward, Direction::Backward] {
                let is = overlay.scan(Table::Rows, &[from], &[to], limit, direction);
                let due = store.scan(Table::Rows, &[from], &[to], limit, direction);
                prop_assert_eq!(is.unwrap(), due.unwrap());
            }
        }
    }
}
