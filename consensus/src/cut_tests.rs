//! How ranges are cut, and what a change of what lies in them changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use folkmoot_storage::{Batch, MemStore, Store, Table};
use proptest::collection::btree_map;
use proptest::prelude::*;

use super::{Chunk, Cutter, Sizes, sum};
use crate::pages;
use crate::port::Range;

const SIZES: Sizes = Sizes {
    min: 64,
    target: 256,
    max: 1_024,
};

fn ranges() -> Vec<Range> {
    let range = |table, from: &'static [u8], to: &'static [u8]| {
        (table, Bytes::from_static(from), Bytes::from_static(to))
    };
    vec![
        range(Table::Rows, b"a", b"n"),
        range(Table::Rows, b"p", b"x"),
        range(Table::Log, b"a", b"x"),
    ]
}

fn store(pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Arc<MemStore> {
    let store = Arc::new(MemStore::new());
    let mut batch = Batch::new();
    for (key, value) in pairs {
        batch.put(Table::Rows, key, value);
    }
    store.write(batch).unwrap();
    store
}

fn cut(store: &MemStore) -> Vec<Chunk> {
    let mut cutter = Cutter::new(store.snapshot(), ranges(), SIZES);
    std::iter::from_fn(|| cutter.next().unwrap()).collect()
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(b'a'..=b'z', 1..12)
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => proptest::collection::vec(any::<u8>(), 0..80),
        1 => proptest::collection::vec(any::<u8>(), 500..3_000),
    ]
}

proptest! {
    #[test]
    fn chunks_cover_the_ranges_in_order_and_without_holes(
        pairs in btree_map(keys(), values(), 0..400)
    ) {
        let store = store(pairs);
        let mut chunks = cut(&store).into_iter().peekable();
        for (table, from, to) in ranges() {
            let mut at = from;
            while at < to {
                let chunk = chunks.next().unwrap();
                prop_assert_eq!(&(chunk.range.0, chunk.range.1), &(table, at));
                prop_assert!(chunk.range.2 <= to);
                at = chunk.range.2;
            }
        }
        prop_assert!(chunks.next().is_none());
    }

    #[test]
    fn a_chunk_keeps_its_bounds_and_tells_what_lies_in_it(
        pairs in btree_map(keys(), values(), 0..400)
    ) {
        let store = store(pairs);
        let ends: BTreeSet<Bytes> = ranges().into_iter().map(|(_, _, to)| to).collect();
        for chunk in cut(&store) {
            let page = pages::read(&*store, &chunk.range).unwrap();
            prop_assert_eq!(&sum(&*store, &chunk.range).unwrap(), &chunk.sum);
            prop_assert_eq!(page.len() as u64, chunk.sum.bytes);
            prop_assert!(chunk.sum.pairs <= 1 || page.len() <= SIZES.max);
            let last = ends.contains(&chunk.range.2);
            prop_assert!(last || chunk.sum.pairs > 0);
            pages::check_chunk(&page, &chunk).unwrap();
        }
    }

    #[test]
    fn one_change_changes_few_chunks(
        pairs in btree_map(keys(), values(), 300..400),
        key in keys(),
        value in values(),
    ) {
        let before = cut(&store(pairs.clone()));
        let mut pairs = pairs;
        match pairs.remove(&key) {
            Some(_) => {}
            None => drop(pairs.insert(key, value)),
        }
        let after = cut(&store(pairs));
        let new = after.iter().filter(|chunk| !before.contains(chunk)).count();
        prop_assert!(new <= 16, "{new} of {} chunks", after.len());
    }
}

#[test]
fn a_change_costs_little_more_than_its_own_chunk() {
    let number = |n: u32| format!("b{:08x}", n.wrapping_mul(0x9e37_79b9)).into_bytes();
    let pairs: Vec<_> = (0..3_000).map(|n| (number(n), vec![7; 40])).collect();
    let before = cut(&store(pairs.clone()));
    assert!(before.len() > 300, "{} chunks", before.len());
    let mut new = 0;
    for n in 10_000..10_100 {
        let mut pairs = pairs.clone();
        pairs.push((number(n), vec![7; 40]));
        let after = cut(&store(pairs));
        new += after.iter().filter(|chunk| !before.contains(chunk)).count();
    }
    assert!(new < 250, "{new} chunks for 100 insertions");
}

#[test]
fn a_page_that_is_not_the_chunk_is_refused() {
    let store = store([(b"b".to_vec(), vec![1]), (b"c".to_vec(), vec![2; 9])]);
    let chunk = cut(&store).remove(0);
    let page = pages::read(&*store, &chunk.range).unwrap();
    pages::check_chunk(&page, &chunk).unwrap();
    for at in 0..page.len() {
        for bit in 0..8 {
            let mut flipped = page.to_vec();
            flipped[at] ^= 1 << bit;
            pages::check_chunk(&flipped.into(), &chunk).unwrap_err();
        }
    }
    for len in 0..page.len() {
        pages::check_chunk(&page.slice(..len), &chunk).unwrap_err();
    }
    let why = pages::check_chunk(&Bytes::new(), &chunk).unwrap_err();
    assert_eq!(
        why.to_string(),
        "the chunk of table rows from 61 to 6e is not what the manifest says of it"
    );
    // Keys of another place are not taken whatever the manifest says of them.
    let elsewhere = Chunk {
        range: (
            Table::Rows,
            Bytes::from_static(b"c"),
            Bytes::from_static(b"d"),
        ),
        sum: chunk.sum,
    };
    pages::check_chunk(&page, &elsewhere).unwrap_err();
}

#[test]
fn what_lies_in_no_range_of_the_other_is_found() {
    let range = |from: &'static [u8], to: &'static [u8]| {
        (
            Table::Rows,
            Bytes::from_static(from),
            Bytes::from_static(to),
        )
    };
    let own = vec![range(b"a", b"m"), range(b"q", b"s")];
    let log = (
        Table::Log,
        Bytes::from_static(b"a"),
        Bytes::from_static(b"z"),
    );
    let theirs = [range(b"c", b"e"), range(b"g", b"q"), log];
    assert_eq!(
        pages::outside(own.clone(), &theirs),
        [range(b"a", b"c"), range(b"e", b"g"), range(b"q", b"s")]
    );
    assert_eq!(pages::outside(own.clone(), &[]), own);
    assert!(pages::outside(own, &[range(b"a", b"z")]).is_empty());
}
