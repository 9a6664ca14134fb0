use std::collections::BTreeMap;
use std::sync::Arc;

use folkmoot_wire::proto::Head;
use folkmoot_wire::{GroupId, RegionId, ShardId, Slot};
use proptest::prelude::*;

use super::*;
use crate::keys::{self, TABLE_END};
use crate::value::encode_value;
use crate::{MemStore, Place, Store, log};

const HERE: RegionId = RegionId(2);
const SLOTS: (Slot, Slot) = (Slot(0), Slot(7));

fn group(region: u16, slot: u16, unique: u8) -> GroupId {
    GroupId::new(RegionId(region), Slot(slot), [unique; 11])
}

fn seat(store: &Arc<MemStore>, region: RegionId) -> Seat {
    Seat::new(Arc::clone(store) as Arc<dyn Read>, region)
}

fn keys_in(read: &dyn Read, (from, to): (Bytes, Bytes)) -> Vec<Bytes> {
    let pairs = read.scan(Table::Log, &from, &to, usize::MAX, Direction::Forward);
    pairs.expect("scans").into_iter().map(|(k, _)| k).collect()
}

fn groups() -> impl Strategy<Value = Vec<(GroupId, u64)>> {
    let unique = prop_oneof![Just(0), Just(0xff), any::<u8>()];
    let group = (1..4u16, 0..8u16, unique).prop_map(|(r, s, u)| group(r, s, u));
    prop::collection::vec((group, 1..5u64), 1..40)
}

proptest! {
    /// Two shards of other regions write the same groups: each reads what it
    /// wrote itself, and all of it lies in the ranges of its own slots.
    #[test]
    fn shards_do_not_see_each_other(entries in groups()) {
        let store = Arc::new(MemStore::new());
        let seats = [RegionId(1), HERE].map(|region| (region, seat(&store, region)));
        let mut written: [BTreeMap<Bytes, Bytes>; 2] = Default::default();
        for (n, (group, seq)) in entries.iter().enumerate() {
            let (_, seat) = &seats[n % 2];
            let (key, value) = (keys::log::key(group, *seq), Bytes::from(vec![n as u8]));
            let mut batch = Batch::new();
            batch.put(Table::Log, key.clone(), value.clone());
            store.write(seat.batch(batch)).expect("writes");
            written[n % 2].insert(key, value);
        }
        for ((region, seat), written) in seats.iter().zip(&written) {
            for (group, seq) in &entries {
                let key = keys::log::key(group, *seq);
                let found = seat.get(Table::Log, &key).expect("reads");
                prop_assert_eq!(found.as_ref(), written.get(&key));
                let mine: Vec<_> = written.keys().filter(|k| k.starts_with(group.as_bytes())).collect();
                let read = keys_in(seat, keys::log::group_range(group));
                prop_assert_eq!(read.iter().collect::<Vec<_>>(), mine);
            }
            let mut all = keys_in(seat, keys::slots::range(*region, SLOTS.0, SLOTS.1));
            all.sort();
            prop_assert_eq!(all.iter().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>());
        }
    }

    /// A walk in pages over a shard's slots meets every group once.
    #[test]
    fn pages_go_on_behind_guests(entries in groups(), limit in 1..5usize) {
        let store = Arc::new(MemStore::new());
        let seat = seat(&store, HERE);
        let mut batch = Batch::new();
        for (group, seq) in &entries {
            batch.put(Table::Log, keys::log::key(group, *seq), Bytes::new());
        }
        store.write(seat.batch(batch)).expect("writes");
        let (mut from, to) = keys::slots::range(HERE, SLOTS.0, SLOTS.1);
        let mut walked = Vec::new();
        loop {
            let page = seat.scan(Table::Log, &from, &to, limit, Direction::Forward).expect("scans");
            let Some((last, _)) = page.last() else { break };
            from = keys::successor(last);
            walked.extend(page.into_iter().map(|(key, _)| key));
        }
        let mut expected: Vec<_> = entries.iter().map(|(g, s)| keys::log::key(g, *s)).collect();
        expected.sort();
        expected.dedup();
        walked.sort();
        prop_assert_eq!(walked, expected);
    }
}

#[test]
fn a_range_is_deleted_where_it_lies() {
    let store = Arc::new(MemStore::new());
    let (here, there) = (seat(&store, HERE), seat(&store, RegionId(1)));
    let guest = group(1, 3, 9);
    for seat in [&here, &there] {
        let mut batch = Batch::new();
        batch.put(Table::Log, keys::log::key(&guest, 1), Bytes::new());
        store.write(seat.batch(batch)).expect("writes");
    }
    let mut batch = Batch::new();
    let (from, to) = keys::log::group_range(&guest);
    batch.delete_range(Table::Log, from, to);
    store.write(here.batch(batch)).expect("writes");
    let key = keys::log::key(&guest, 1);
    assert_eq!(here.get(Table::Log, &key).expect("reads"), None);
    assert!(there.get(Table::Log, &key).expect("reads").is_some());
}

#[test]
fn other_tables_are_as_they_are() {
    let store = Arc::new(MemStore::new());
    let seat = seat(&store, HERE);
    let key = keys::outbox::key(ShardId(0x0001_0003), 7);
    let mut batch = Batch::new();
    batch.put(Table::Outbox, key.clone(), Bytes::new());
    store.write(seat.batch(batch)).expect("writes");
    assert!(store.get(Table::Outbox, &key).expect("reads").is_some());
    let all = seat.scan(Table::Outbox, &[], TABLE_END, 2, Direction::Backward);
    assert_eq!(all.expect("scans")[0].0, key);
}

#[test]
fn every_copy_of_a_group_is_found_and_told_from_others() {
    let store = MemStore::new();
    let (guest, other) = (group(1, 3, 9), group(1, 3, 8));
    for (region, seq, of) in [(1, 4, guest), (2, 7, guest), (3, 1, other)] {
        let seat = Seat::new(&store as &dyn Read, RegionId(region));
        let head = Head {
            seq,
            ..Head::default()
        };
        let mut batch = Batch::new();
        batch.put(Table::Heads, keys::heads::key(&of), encode_value(&head));
        store.write(seat.batch(batch)).expect("writes");
    }
    let seqs = |found: Vec<(Place, Head)>| -> Vec<(u16, u64)> {
        let of = |(place, head): &(Place, Head)| (place.region.0, head.seq);
        found.iter().map(of).collect()
    };
    let found = log::copies_of(&store, &guest).expect("reads");
    assert_eq!(seqs(found), [(1, 4), (2, 7)]);
    // And all of them, with the keys read back.
    let all = log::read_heads(&store, None, usize::MAX).expect("reads");
    let places: Vec<Place> = all.iter().map(|(place, _)| *place).collect();
    assert_eq!(seqs(all), [(1, 4), (2, 7), (3, 1)]);
    for place in places {
        let key = place.key();
        assert_eq!(Place::split(&key).expect("parses"), (place, &[][..]));
        let rest = log::read_heads(&store, Some(&place), usize::MAX).expect("reads");
        assert!(rest.iter().all(|(next, _)| *next != place));
    }
}
